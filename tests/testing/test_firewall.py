"""Firewalls, and hosts whose addresses come and go."""

from __future__ import annotations

import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing import (
    FULL_CONE,
    STATEFUL,
    UDP_BLOCKED,
    Firewall,
    FirewallPolicy,
    Link,
    Network,
)

ALICE, OTHER_SOCKET = ("192.0.2.1", 5000), ("192.0.2.1", 5001)
ONE, ONE_AGAIN, TWO = ("198.51.100.1", 3478), ("198.51.100.1", 443), ("198.51.100.2", 3478)


def office(policy: FirewallPolicy = STATEFUL) -> tuple[Network, Firewall]:
    """Alice behind a firewall; two servers on the Internet."""
    network = Network()
    network.host("alice", ALICE[0])
    network.host("one", ONE[0])
    network.host("two", TWO[0])
    return network, network.firewall("office", policy=policy, inside=["alice"])


def arrives(network: Network, source: Address, destination: Address, now: float = 0.0) -> bool:
    """Send one datagram. Returns whether it comes out, with its addresses unchanged."""
    network.send(Burst(source, destination, [b"hello"]), now)
    arrived = network.deliver(now)
    assert arrived in ([], [Burst(destination, source, [b"hello"])])
    return bool(arrived)


def test_answers_come_in_and_nothing_else_does() -> None:
    network, firewall = office()
    assert not arrives(network, ONE, ALICE)
    assert arrives(network, ALICE, ONE)
    assert arrives(network, ONE, ALICE)
    assert not arrives(network, ONE_AGAIN, ALICE)
    assert not arrives(network, TWO, ALICE)
    assert not arrives(network, ONE, OTHER_SOCKET)
    statistics = firewall.statistics
    assert (statistics.outbound, statistics.inbound, statistics.filtered, statistics.mappings_created) == (1, 1, 4, 1)
    assert network.statistics.filtered == 4


@pytest.mark.parametrize(
    ("filtering", "other_port", "other_host"),
    [
        ("endpoint-independent", True, True),
        ("address-dependent", True, False),
        ("address-and-port-dependent", False, False),
    ],
)
def test_filtering(filtering: str, other_port: bool, other_host: bool) -> None:
    network, _ = office(FirewallPolicy(filtering=filtering))  # type: ignore[arg-type]
    assert arrives(network, ALICE, ONE)
    assert arrives(network, ONE_AGAIN, ALICE) is other_port
    assert arrives(network, TWO, ALICE) is other_host
    assert not arrives(network, ONE, OTHER_SOCKET)


@pytest.mark.parametrize("inbound_refresh", [True, False])
def test_the_time_to_answer_ends(inbound_refresh: bool) -> None:
    network, _ = office(FirewallPolicy(timeout=30.0, inbound_refresh=inbound_refresh))
    assert arrives(network, ALICE, ONE)
    assert arrives(network, ONE, ALICE, now=29.9)
    assert arrives(network, ONE, ALICE, now=30.0) is inbound_refresh
    assert not arrives(network, ONE, ALICE, now=60.0)


def test_without_a_filter_everybody_comes_in() -> None:
    network, _ = office(FirewallPolicy(filtering=None))
    assert arrives(network, TWO, ALICE)
    assert arrives(network, ALICE, TWO)


def test_no_udp_at_all() -> None:
    network, firewall = office(UDP_BLOCKED)
    assert not arrives(network, ALICE, ONE)
    assert not arrives(network, ONE, ALICE)
    assert firewall.statistics.blocked == 2
    counted = network.statistics
    assert (counted.sent, counted.filtered, counted.delivered) == (2, 2, 0)


def test_udp_to_one_port_only() -> None:
    network, _ = office(FirewallPolicy(allowed_ports={443}, filtering=None))
    assert not arrives(network, ALICE, ONE)
    assert not arrives(network, ONE, ALICE)
    assert arrives(network, ALICE, ONE_AGAIN)
    assert arrives(network, ONE_AGAIN, ALICE)


def test_a_policy_can_change() -> None:
    network, firewall = office()
    assert arrives(network, ALICE, ONE)
    firewall.policy = UDP_BLOCKED
    assert not arrives(network, ONE, ALICE)
    assert not arrives(network, ALICE, ONE)
    firewall.policy = STATEFUL
    assert firewall.policy is STATEFUL
    assert not arrives(network, ONE, ALICE)
    assert arrives(network, ALICE, ONE)
    assert arrives(network, ONE, ALICE)
    assert firewall.statistics.mappings_created == 2
    assert repr(firewall) == "<Firewall 'office'>"


def test_those_inside_reach_each_other_and_their_addresses_are_taken_outside() -> None:
    network, _ = office(UDP_BLOCKED)
    pc = network.host("pc", "192.0.2.9", inside="office").address(1)
    assert arrives(network, ALICE, pc)
    with pytest.raises(InvalidArgument, match="belongs to firewall 'office'"):
        network.host("two more", pc[0])
    with pytest.raises(InvalidArgument, match="belongs to host 'two'"):
        network.host("two more", TWO[0], inside="office")


def test_a_nat_behind_a_firewall_and_a_firewall_behind_a_nat() -> None:
    network, firewall = office()
    nat = network.nat("inner", "192.0.2.7", behaviour=FULL_CONE)
    assert arrives(network, ONE, TWO)
    network.firewall("outer", inside=["inner"])
    network.host("bob", "10.0.0.2", inside="inner")
    network.firewall("personal", policy=FirewallPolicy(allowed_ports={443}), inside=["bob"])
    bob = ("10.0.0.2", 7000)
    network.send(Burst(bob, ONE_AGAIN, [b"x"]), 0.0)
    assert network.deliver(0.0) == [Burst(ONE_AGAIN, ("192.0.2.7", 7000), [b"x"])]
    network.send(Burst(ONE_AGAIN, ("192.0.2.7", 7000), [b"y"]), 0.0)
    assert network.deliver(0.0) == [Burst(bob, ONE_AGAIN, [b"y"])]
    network.send(Burst(TWO, ("192.0.2.7", 7000), [b"y"]), 0.0)  # the NAT would let it in, the firewall does not
    assert network.deliver(0.0) == []
    assert nat.statistics.inbound == 1
    nat.rebind("192.0.2.8")
    network.send(Burst(bob, ONE_AGAIN, [b"x"]), 0.0)
    assert network.deliver(0.0) == [Burst(ONE_AGAIN, ("192.0.2.8", 7000), [b"x"])]
    assert firewall.statistics.outbound == 0


# Interfaces.


def test_an_address_that_goes_takes_along_what_is_under_way() -> None:
    network, alice = Network(link=Link(delay=0.1)), ("192.0.2.1", 5000)
    host = network.host("alice", alice[0])
    network.host("one", ONE[0])
    network.send(Burst(ONE, alice, [b"late"]), 0.0)
    host.remove_ip_address(alice[0])
    assert (host.ip_addresses, network.host_of(alice[0])) == ((), None)
    network.send(Burst(alice, ONE, [b"from nowhere"]), 0.05)  # a socket is still bound to it
    assert network.deliver(1.0) == []
    assert network.statistics.unroutable == 2
    with pytest.raises(InvalidArgument, match="no IP address"):
        host.address()
    with pytest.raises(InvalidArgument, match=r"no address 192\.0\.2\.1"):
        host.remove_ip_address(alice[0])
    host.add_ip_address("192.0.2.55")
    assert arrives_late(network, host.address(5000), ONE, now=2.0)
    host.add_ip_address(alice[0])
    assert arrives_late(network, alice, ONE, now=3.0)
    with pytest.raises(InvalidArgument, match="already"):
        host.add_ip_address(alice[0])


def arrives_late(network: Network, source: Address, destination: Address, now: float) -> bool:
    """As `arrives`, over a link that takes time."""
    network.send(Burst(source, destination, [b"x"]), now)
    return network.deliver(now + 0.5) == [Burst(destination, source, [b"x"])]


def test_an_address_goes_from_one_host_to_another() -> None:
    network = Network()
    network.host("alice", ALICE[0]).remove_ip_address(ALICE[0])
    network.host("bob", ALICE[0])
    network.host("one", ONE[0])
    assert network.resolve("alice") == ()
    network.send(Burst(ONE, ALICE, [b"x"]), 0.0)
    assert network.deliver_to_hosts(0.0) == [("bob", Burst(ALICE, ONE, [b"x"]))]
    network.send(Burst(ALICE, ONE, [b"x"]), 0.0, host="alice")
    assert network.deliver(0.0) == []
    assert arrives(network, ALICE, ONE)


def test_a_telephone_leaves_the_house() -> None:
    network = Network()
    phone = network.host("phone", "192.168.1.2")
    network.host("one", ONE[0])
    network.nat("home", "203.0.113.7", behaviour=FULL_CONE, inside=["phone"])
    network.nat("carrier", "203.0.113.8", behaviour=FULL_CONE)

    def seen_from(source: Address) -> list[Address]:
        network.send(Burst(source, ONE, [b"x"]), 0.0)
        return [burst.remote for burst in network.deliver(0.0)]

    assert seen_from(("192.168.1.2", 5000)) == [("203.0.113.7", 5000)]
    phone.add_ip_address("100.64.0.9", inside="carrier")
    assert phone.ip_addresses == ("192.168.1.2", "100.64.0.9")
    assert seen_from(("100.64.0.9", 5000)) == [("203.0.113.8", 5000)]  # for a while it has both
    assert seen_from(("192.168.1.2", 5000)) == [("203.0.113.7", 5000)]
    with pytest.raises(InvalidArgument, match="different places"):
        network.firewall("shield", inside=["phone"])
    phone.remove_ip_address("192.168.1.2")
    assert seen_from(("192.168.1.2", 5000)) == []
    network.send(Burst(ONE, ("203.0.113.7", 5000), [b"x"]), 0.0)
    assert network.deliver(0.0) == []
    network.firewall("shield", inside=["phone"])
    assert seen_from(("100.64.0.9", 5001)) == [("203.0.113.8", 5001)]
