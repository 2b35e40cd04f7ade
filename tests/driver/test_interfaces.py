"""Which addresses become host candidates."""

from __future__ import annotations

import ipaddress

from xp2p_trio.driver.interfaces import arrange_interfaces, host_addresses, system_interfaces
from xp2p_trio.driver.network import Interface
from xp2p_trio.driver.system_network import SystemNetwork

MACHINE = [
    ("lo", "127.0.0.1"),
    ("lo", "::1"),
    ("docker0", "172.17.0.1"),
    ("eth0", "169.254.7.7"),
    ("eth0", "192.0.2.2"),
    ("eth0", "2001:db8:0:0::2"),
    ("eth0", "2001:db8::feed"),
    ("eth0", "fe80::fc%eth0"),
    ("tun0", "10.8.0.2"),
]


def addresses(interfaces: list[Interface]) -> list[str]:
    return [each.address for each in interfaces]


def test_the_order_is_real_then_virtual_then_loopback() -> None:
    assert addresses(arrange_interfaces(MACHINE)) == [
        "192.0.2.2",
        "10.8.0.2",
        "2001:db8::2",
        "2001:db8::feed",
        "169.254.7.7",
        "172.17.0.1",
        "127.0.0.1",
        "::1",
    ]


def test_down_interfaces_and_their_aliases_are_skipped() -> None:
    machine = [*MACHINE, ("eth0:1", "192.0.2.9")]
    assert addresses(arrange_interfaces(machine, down=frozenset({"eth0"}))) == [
        "10.8.0.2",
        "172.17.0.1",
        "127.0.0.1",
        "::1",
    ]


def test_ipv6_addresses_that_are_not_to_be_used_are_skipped_and_temporary_ones_preferred() -> None:
    flags = {ipaddress.ip_address("2001:db8::2"): 0x80, ipaddress.ip_address("2001:db8::feed"): 0x01}
    found = addresses(arrange_interfaces(MACHINE, ipv6_flags=flags))
    assert found.index("2001:db8::feed") < found.index("2001:db8::2")
    for unusable in (0x08, 0x20, 0x40):
        flags[ipaddress.ip_address("2001:db8::feed")] = 0x01 | unusable
        assert "2001:db8::feed" not in addresses(arrange_interfaces(MACHINE, ipv6_flags=flags))


def test_addresses_that_lead_nowhere_are_skipped() -> None:
    nowhere = [
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "fec0::1",
        "::192.0.2.1",
        "::ffff:192.0.2.1",
        "fe80::1",
        "rubbish",
    ]
    assert arrange_interfaces([("eth0", address) for address in nowhere]) == []


def test_ipv6_only_when_asked_for() -> None:
    interfaces = arrange_interfaces(MACHINE)
    assert host_addresses(interfaces, enable_ipv6=False) == ["192.0.2.2", "10.8.0.2", "169.254.7.7", "172.17.0.1"]
    assert "2001:db8::2" in host_addresses(interfaces, enable_ipv6=True)


def test_loopback_only_where_there_is_nothing_else() -> None:
    interfaces = arrange_interfaces(MACHINE[:2])
    assert host_addresses(interfaces, enable_ipv6=False) == ["127.0.0.1"]
    assert host_addresses(interfaces, enable_ipv6=True) == ["127.0.0.1", "::1"]
    assert host_addresses([], enable_ipv6=True) == []


def test_an_address_counts_once() -> None:
    twice = [Interface("eth0", "192.0.2.2"), Interface("eth0:0", "192.0.2.2")]
    assert host_addresses(twice, enable_ipv6=False) == ["192.0.2.2"]


async def test_every_address_of_this_machine_can_be_bound() -> None:
    network = SystemNetwork()
    found = network.interfaces()
    assert any(each.is_loopback for each in found)
    assert list(found) == system_interfaces()
    for each in found:
        sock = network.bind((each.address, 0))
        assert sock.address[0] == each.address
        sock.close()
