"""Which addresses become host candidates."""

from __future__ import annotations

import ipaddress

import pytest

from xp2p_trio.driver.interfaces import (
    MAX_HEAD_START,
    arrange_interfaces,
    host_addresses,
    interleave_families,
    system_interfaces,
)
from xp2p_trio.driver.network import Interface
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.peer import InterfaceFilter
from xp2p_trio.sansio import AddressFilter

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


def test_the_prefix_of_the_network_is_told_where_it_is_known() -> None:
    machine = [("eth0", "192.0.2.2/24"), ("eth0", "2001:db8::2/64"), ("tun0", "10.8.0.2")]
    assert [(each.address, each.prefix_length) for each in arrange_interfaces(machine)] == [
        ("192.0.2.2", 24),
        ("10.8.0.2", None),
        ("2001:db8::2", 64),
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
    assert host_addresses(interfaces, enable_ipv6=True) == ["::1", "127.0.0.1"]
    assert host_addresses([], enable_ipv6=True) == []


def test_an_address_counts_once() -> None:
    twice = [Interface("eth0", "192.0.2.2"), Interface("eth0:0", "192.0.2.2")]
    assert host_addresses(twice, enable_ipv6=False) == ["192.0.2.2"]


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "order"),
    [  # RFC 8421 section 4: (N_4 + N_6) / N_4 IPv6 addresses come first
        (0, 0, ""),
        (2, 0, "44"),
        (0, 3, "666"),
        (1, 1, "64"),
        (2, 2, "6644"),
        (3, 1, "6444"),
        (1, 3, "6664"),
        (2, 3, "66464"),
        (2, 6, "66664646"),  # the example of the RFC: "an IPv4 address after four IPv6 addresses"
        (3, 6, "666464646"),
        (1, 9, "6666466666"),  # ten by the formula, which would be no small sequence
    ],
)
def test_the_families_are_mixed_with_a_head_start_for_ipv6(ipv4: int, ipv6: int, order: str) -> None:
    four = [f"192.0.2.{number}" for number in range(ipv4)]
    six = [f"2001:db8::{number}" for number in range(1, ipv6 + 1)]
    mixed = interleave_families([*four, *six])
    assert "".join("6" if ":" in address else "4" for address in mixed) == order
    assert [address for address in mixed if ":" not in address] == four
    assert [address for address in mixed if ":" in address] == six
    assert not ipv4 or mixed.index(four[0]) <= MAX_HEAD_START


def test_a_better_interface_comes_before_fairness() -> None:
    machine = [
        ("docker0", "172.17.0.1"),
        ("docker0", "2001:db8:17::1"),
        ("eth0", "169.254.7.7"),
        ("eth0", "192.0.2.2"),
        ("eth0", "2001:db8::2"),
        ("wlan0", "198.51.100.2"),
        ("lo", "::1"),
    ]
    assert host_addresses(arrange_interfaces(machine), enable_ipv6=True) == [
        *("2001:db8::2", "192.0.2.2", "198.51.100.2"),
        "169.254.7.7",
        *("2001:db8:17::1", "172.17.0.1"),
    ]


def test_what_the_filter_leaves_out_is_not_used_and_loopback_may_be_what_is_left() -> None:
    interfaces = arrange_interfaces(MACHINE)
    wanted = InterfaceFilter(deny_names=["docker*", "tun*"], addresses=AddressFilter(deny="169.254.0.0/16"))
    assert host_addresses(interfaces, enable_ipv6=False, wanted=wanted) == ["192.0.2.2"]
    assert host_addresses(interfaces, enable_ipv6=False, wanted=InterfaceFilter(allow_names="lo")) == ["127.0.0.1"]
    assert host_addresses(interfaces, enable_ipv6=True, wanted=InterfaceFilter(allow_names="eth7")) == []


async def test_every_address_of_this_machine_can_be_bound() -> None:
    network = SystemNetwork()
    found = network.interfaces()
    assert any(each.is_loopback for each in found)
    assert list(found) == system_interfaces()
    for each in found:
        sock = network.bind((each.address, 0))
        assert sock.address[0] == each.address
        sock.close()
