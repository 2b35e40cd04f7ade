"""NATs by RFC 4787, section by section, with plain datagrams."""

from __future__ import annotations

import math

import attrs
import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing import (
    BLACK_HOLE,
    FULL_CONE,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    SYMMETRIC,
    Delivered,
    Dropped,
    DropReason,
    Link,
    Nat,
    NatBehaviour,
    Network,
    Sent,
    Translated,
)

ALICE = ("192.168.1.2", 5000)
PC = ("192.168.1.3", 5000)
HOME = "203.0.113.7"
ONE, ONE_AGAIN, TWO = ("198.51.100.1", 3478), ("198.51.100.1", 3479), ("198.51.100.2", 3478)


def home(behaviour: NatBehaviour = PORT_RESTRICTED_CONE, *ip_addresses: str, seed: int = 0) -> tuple[Network, Nat]:
    """Alice and a PC behind a NAT; two servers on the Internet."""
    network = Network(seed=seed, keep_trace=True)
    network.host("alice", ALICE[0])
    network.host("pc", PC[0])
    network.host("one", ONE[0])
    network.host("two", TWO[0])
    return network, network.nat("home", *(ip_addresses or (HOME,)), behaviour=behaviour, inside=["alice", "pc"])


def hop(network: Network, source: Address, destination: Address, now: float = 0.0) -> tuple[Address, Address] | None:
    """Send one datagram. Returns where it came out and the source that was seen there, or None."""
    network.send(Burst(source, destination, [b"hello"]), now)
    arrived = network.deliver(now)
    return (arrived[0].local, arrived[0].remote) if arrived else None


def seen(network: Network, source: Address, destination: Address, now: float = 0.0) -> Address:
    """The source that the destination sees."""
    arrived = hop(network, source, destination, now)
    assert arrived is not None
    assert arrived[0] == destination
    return arrived[1]


# Mapping (section 4.1).


@pytest.mark.parametrize(
    ("mapping", "same_port", "same_address"),
    [
        ("endpoint-independent", True, True),
        ("address-dependent", False, True),
        ("address-and-port-dependent", False, False),
    ],
)
def test_mapping(mapping: str, same_port: bool, same_address: bool) -> None:
    network, _ = home(NatBehaviour(mapping=mapping))  # type: ignore[arg-type]
    external = seen(network, ALICE, ONE)
    assert external[0] == HOME
    assert (seen(network, ALICE, TWO) == external) is same_port
    assert (seen(network, ALICE, ONE_AGAIN) == external) is same_address
    assert seen(network, ALICE, ONE) == external


def test_two_sockets_never_share_an_external_address() -> None:
    network, _ = home()
    assert seen(network, ALICE, ONE) != seen(network, PC, ONE)
    assert seen(network, ("192.168.1.2", 5001), ONE) not in (seen(network, ALICE, ONE), seen(network, PC, ONE))


def test_a_host_keeps_one_external_ip_of_several() -> None:
    network, nat = home(SYMMETRIC, HOME, "203.0.113.8")
    assert nat.ip_addresses == (HOME, "203.0.113.8")
    assert {seen(network, ("192.168.1.2", port), to)[0] for port in range(5000, 5020) for to in (ONE, TWO)} == {HOME}
    assert {seen(network, ("192.168.1.3", port), to)[0] for port in range(5000, 5020) for to in (ONE, TWO)} == {
        "203.0.113.8"
    }


# Port assignment (section 4.2).


def test_preserving_takes_the_port_of_the_socket_unless_it_is_taken() -> None:
    network, _ = home(NatBehaviour(ports="preserving"))
    assert seen(network, ALICE, ONE) == (HOME, ALICE[1])
    assert seen(network, PC, ONE)[1] != PC[1]


def test_contiguous_takes_one_after_the_other() -> None:
    network, _ = home(NatBehaviour(ports="contiguous", mapping="address-and-port-dependent", port_range=(2000, 2003)))
    ports = [seen(network, ("192.168.1.2", 5000 + number), ONE)[1] for number in range(4)]
    assert ports == [2000, 2001, 2002, 2003]


def test_random_is_of_the_seed() -> None:
    def ports(seed: int) -> list[int]:
        network, _ = home(NatBehaviour(ports="random"), seed=seed)
        return [seen(network, ("192.168.1.2", 5000 + number), ONE)[1] for number in range(20)]

    assert ports(1) == ports(1)
    assert ports(1) != ports(2)
    assert len(set(ports(1))) == 20
    assert ports(1) != sorted(ports(1))


@pytest.mark.parametrize("ports", ["preserving", "random", "contiguous"])
def test_when_the_ports_are_used_up_new_sockets_stay_silent(ports: str) -> None:
    network, nat = home(NatBehaviour(ports=ports, port_range=(2000, 2004), timeout=60.0))  # type: ignore[arg-type]
    used = {seen(network, ("192.168.1.2", 5000 + number), ONE)[1] for number in range(5)}
    assert used == set(range(2000, 2005))
    assert hop(network, PC, ONE) is None
    assert nat.statistics.no_port == 1
    assert hop(network, PC, ONE, now=60.0) is not None  # the others have timed out


# Mapping refresh (section 4.3).


def test_a_mapping_lives_exactly_as_long_as_its_timeout() -> None:
    network, nat = home(NatBehaviour(filtering="endpoint-independent", timeout=30.0, inbound_refresh=False))
    external = seen(network, ALICE, ONE)
    assert hop(network, TWO, external, now=math.nextafter(30.0, 0.0)) == (ALICE, TWO)
    assert hop(network, TWO, external, now=30.0) is None
    assert nat.statistics.no_mapping == 1


def test_outbound_traffic_refreshes() -> None:
    network, _ = home(NatBehaviour(timeout=30.0, inbound_refresh=False))
    external = seen(network, ALICE, ONE)
    for now in range(20, 200, 20):
        assert seen(network, ALICE, ONE, now=float(now)) == external
    assert hop(network, ONE, external, now=209.9) == (ALICE, ONE)
    assert hop(network, ONE, external, now=210.0) is None


@pytest.mark.parametrize("inbound_refresh", [True, False])
def test_inbound_traffic_refreshes_if_told(inbound_refresh: bool) -> None:
    network, _ = home(NatBehaviour(timeout=30.0, inbound_refresh=inbound_refresh))
    external = seen(network, ALICE, ONE)
    assert hop(network, ONE, external, now=20.0) == (ALICE, ONE)
    assert hop(network, ONE, external, now=40.0) == ((ALICE, ONE) if inbound_refresh else None)


def test_what_is_filtered_refreshes_nothing() -> None:
    network, _ = home(NatBehaviour(timeout=30.0))
    external = seen(network, ALICE, ONE)
    assert hop(network, TWO, external, now=20.0) is None
    assert hop(network, ONE, external, now=30.0) is None


def test_each_remote_address_has_its_own_time() -> None:
    network, nat = home(NatBehaviour(timeout=30.0))
    external = seen(network, ALICE, ONE)
    assert seen(network, ALICE, TWO, now=20.0) == external
    assert hop(network, ONE, external, now=30.0) is None
    assert nat.statistics.filtered == 1
    assert hop(network, TWO, external, now=49.0) == (ALICE, TWO)


def test_after_a_timeout_another_port_is_drawn() -> None:
    network, _ = home(NatBehaviour(ports="random", timeout=30.0))
    external = seen(network, ALICE, ONE)
    assert seen(network, ALICE, ONE, now=30.0) != external


# Filtering (section 5).


@pytest.mark.parametrize(
    ("behaviour", "other_port", "other_host"),
    [
        (FULL_CONE, True, True),
        (RESTRICTED_CONE, True, False),
        (PORT_RESTRICTED_CONE, False, False),
        (SYMMETRIC, False, False),
    ],
)
def test_filtering(behaviour: NatBehaviour, other_port: bool, other_host: bool) -> None:
    network, nat = home(behaviour)
    external = seen(network, ALICE, ONE)
    assert hop(network, ONE, external) == (ALICE, ONE)
    assert (hop(network, ONE_AGAIN, external) == (ALICE, ONE_AGAIN)) is other_port
    assert (hop(network, TWO, external) == (ALICE, TWO)) is other_host
    assert nat.statistics.filtered == (not other_port) + (not other_host)


def test_nobody_reaches_a_port_that_was_never_mapped_nor_a_private_address() -> None:
    network, nat = home(FULL_CONE)
    assert hop(network, ONE, (HOME, 5000)) is None
    assert nat.statistics.no_mapping == 1
    assert hop(network, ONE, ALICE) is None
    assert network.statistics.unroutable == 1


# Hairpinning (section 6).


def test_without_hairpinning_neighbours_miss_each_other() -> None:
    network, nat = home(FULL_CONE)
    external = seen(network, ALICE, ONE)
    assert hop(network, PC, external) is None
    assert nat.statistics.no_hairpin == 1
    assert hop(network, PC, ALICE) == (ALICE, PC)  # at home they see each other as they are


def test_hairpinning_shows_the_external_source() -> None:
    network, _ = home(attrs.evolve(FULL_CONE, hairpinning="external"))
    alice, pc = seen(network, ALICE, ONE), seen(network, PC, ONE)
    assert hop(network, PC, alice) == (ALICE, pc)
    assert hop(network, ALICE, pc) == (PC, alice)


def test_hairpinning_shows_the_internal_source() -> None:
    network, _ = home(attrs.evolve(RESTRICTED_CONE, hairpinning="internal"))
    alice, pc = seen(network, ALICE, ONE), seen(network, PC, ONE)
    assert hop(network, PC, alice) is None  # the filter holds, and goes by the external addresses
    assert hop(network, ALICE, pc) == (PC, ALICE)
    assert hop(network, PC, alice) == (ALICE, PC)


def test_hairpinning_obeys_the_filter() -> None:
    network, nat = home(attrs.evolve(PORT_RESTRICTED_CONE, hairpinning="external"))
    alice, pc = seen(network, ALICE, ONE), seen(network, PC, ONE)
    assert hop(network, PC, alice) is None
    assert nat.statistics.filtered == 1
    assert hop(network, ALICE, pc) == (PC, alice)


# Rebinding.


@pytest.mark.parametrize("ports", ["preserving", "random", "contiguous"])
def test_after_rebinding_everything_is_new(ports: str) -> None:
    network, nat = home(NatBehaviour(ports=ports, filtering="endpoint-independent"))  # type: ignore[arg-type]
    external = seen(network, ALICE, ONE)
    nat.rebind()
    assert hop(network, ONE, external) is None
    again = seen(network, ALICE, ONE)
    assert again != external
    assert hop(network, ONE, external) is None
    assert hop(network, ONE, again) == (ALICE, ONE)


def test_rebinding_to_another_external_ip() -> None:
    network, nat = home(FULL_CONE)
    external = seen(network, ALICE, ONE)
    with pytest.raises(InvalidArgument, match="host 'two'"):
        nat.rebind(TWO[0])
    with pytest.raises(InvalidArgument, match="IPv4"):
        nat.rebind("2001:db8::1")
    assert hop(network, ONE, external) == (ALICE, ONE)
    nat.rebind("203.0.113.99")
    assert nat.ip_addresses == ("203.0.113.99",)
    assert hop(network, ONE, external) is None
    assert network.statistics.unroutable == 1
    assert seen(network, ALICE, ONE)[0] == "203.0.113.99"
    network.host("newcomer", HOME)  # the old one is free


def test_what_is_under_way_to_an_old_mapping_is_lost() -> None:
    network, nat = home(FULL_CONE)
    external = seen(network, ALICE, ONE)
    network.set_link("one", "alice", Link(delay=0.5))
    network.send(Burst(ONE, external, [b"late"]), 1.0)
    nat.rebind()
    assert network.deliver(2.0) == []
    assert nat.statistics.no_mapping == 1


# Several boxes.


def test_two_homes_may_use_the_same_addresses() -> None:
    network = Network()
    alice = network.host("alice", "192.168.1.2")
    network.nat("hers", "203.0.113.7", behaviour=FULL_CONE, inside=["alice"])
    network.nat("his", "203.0.113.8", behaviour=FULL_CONE)
    bob = network.host("bob", "192.168.1.2", inside="his")
    assert network.host_of("192.168.1.2") is alice
    here = ("192.168.1.2", 5000)
    with pytest.raises(InvalidArgument, match="alice, bob"):
        network.send(Burst(here, here, [b"x"]), 0.0)

    def deliver(host: str, to: Address) -> list[tuple[str, Burst]]:
        network.send(Burst(here, to, [host.encode()]), 0.0, host=host)
        return network.deliver_to_hosts(0.0)

    assert deliver("bob", ("203.0.113.7", 5000)) == []  # nothing is mapped yet
    assert deliver("alice", ("203.0.113.8", 5000)) == [("bob", Burst(here, ("203.0.113.7", 5000), [b"alice"]))]
    assert deliver("bob", ("203.0.113.7", 5000)) == [("alice", Burst(here, ("203.0.113.8", 5000), [b"bob"]))]
    assert deliver("bob", here) == [("bob", Burst(here, here, [b"bob"]))]
    assert bob.ip_addresses == alice.ip_addresses


def test_a_nat_inside_of_a_nat() -> None:
    network, nat = home(RESTRICTED_CONE, "100.64.0.7")
    carrier = network.nat("carrier", "203.0.113.1", behaviour=SYMMETRIC, inside=["home"])
    neighbour = network.host("neighbour", "100.64.0.8", inside="carrier").address(5000)
    external = seen(network, ALICE, ONE)
    assert external[0] == "203.0.113.1"
    assert seen(network, ALICE, TWO) != external
    assert hop(network, ONE, external) == (ALICE, ONE)
    assert hop(network, ONE_AGAIN, external) is None
    assert (nat.statistics.filtered, carrier.statistics.filtered) == (0, 1)
    assert seen(network, ALICE, neighbour) == ("100.64.0.7", ALICE[1])  # not as far as the carrier
    assert hop(network, neighbour, ("100.64.0.7", ALICE[1])) == (ALICE, neighbour)


@pytest.mark.parametrize("hairpinning", ["off", "external", "internal"])
def test_neighbours_behind_one_carrier_need_its_hairpin(hairpinning: str) -> None:
    network = Network()
    network.host("one", ONE[0])
    network.host("alice", ALICE[0])
    network.nat("hers", "100.64.0.7", behaviour=FULL_CONE, inside=["alice"])
    network.host("bob", PC[0])
    network.nat("his", "100.64.0.8", behaviour=FULL_CONE, inside=["bob"])
    behaviour = attrs.evolve(FULL_CONE, ports="random", hairpinning=hairpinning)
    network.nat("carrier", "203.0.113.1", behaviour=behaviour, inside=["hers", "his"])
    alice, bob = seen(network, ALICE, ONE), seen(network, PC, ONE)
    shown = {"off": None, "external": (PC, alice), "internal": (PC, ("100.64.0.7", ALICE[1]))}
    assert hop(network, ALICE, bob) == shown[hairpinning]


# IPv6.


def test_ipv6_is_filtered_and_not_translated() -> None:
    network, nat = home()
    alice, one = ("2001:db8:1::2", 5000), ("2001:db8:2::1", 3478)
    network.host("alice").add_ip_address(alice[0])
    network.host("one").add_ip_address(one[0])
    assert hop(network, one, alice) is None
    assert nat.statistics.no_mapping == 1
    assert seen(network, alice, one) == alice
    assert hop(network, one, alice) == (alice, one)
    assert hop(network, (one[0], 9), alice) is None
    assert nat.statistics.filtered == 1
    assert hop(network, alice, ONE) is None  # from IPv6 to IPv4 there is no way
    nat.rebind()
    assert hop(network, one, alice) is None


# Links, statistics and the trace.


def test_a_link_joins_two_hosts_whatever_is_in_between() -> None:
    network, _ = home(FULL_CONE)
    external = seen(network, ALICE, ONE)
    network.set_link("alice", "one", Link(delay=0.3))
    network.set_link("one", "alice", Link(delay=0.2))
    network.send(Burst(ALICE, ONE, [b"x"]), 1.0)
    assert network.next_timeout() == 1.3
    network.deliver(1.3)
    network.send(Burst(ONE, external, [b"x"]), 2.0)
    assert network.next_timeout() == 2.2
    network.deliver(2.2)
    network.set_link("two", "alice", BLACK_HOLE)
    assert hop(network, TWO, external, now=3.0) is None
    assert network.link_statistics("two", "alice").lost == 1
    assert hop(network, ONE, external, now=3.2) is None
    assert hop(network, PC, ONE, now=4.0) is not None


def test_the_filter_decides_when_a_datagram_arrives() -> None:
    """Which is what hole punching lives by: the hole need not be there yet when the peer sends."""
    network, _ = home()
    external = seen(network, ALICE, ONE)
    network.set_link("two", "alice", Link(delay=0.2))
    network.send(Burst(TWO, external, [b"early"]), 1.0)
    assert seen(network, ALICE, TWO, now=1.1) == external
    assert network.deliver(1.2) == [Burst(ALICE, TWO, [b"early"])]


def test_everything_is_counted_and_traced() -> None:
    network, nat = home()
    external = seen(network, ALICE, ONE, now=1.0)
    hop(network, TWO, external, now=2.0)
    hop(network, ONE, external, now=3.0)
    assert network.trace == (
        Sent(1.0, ALICE, ONE, b"hello"),
        Translated(1.0, "home", ALICE, external, b"hello"),
        Delivered(1.0, external, ONE, b"hello"),
        Sent(2.0, TWO, external, b"hello"),
        Dropped(2.0, "home", DropReason.FILTERED, TWO, external, b"hello"),
        Sent(3.0, ONE, external, b"hello"),
        Translated(3.0, "home", external, ALICE, b"hello"),
        Delivered(3.0, ONE, ALICE, b"hello"),
    )
    counted, at_home = network.statistics, nat.statistics
    assert (counted.sent, counted.delivered, counted.filtered, counted.unroutable) == (3, 2, 1, 0)
    assert (at_home.outbound, at_home.inbound, at_home.mappings_created, at_home.filtered) == (1, 1, 1, 1)


# Misuse.


def test_misuse_is_refused() -> None:
    network, _ = home()
    for name, ip_addresses, inside, match in [
        ("home", ["203.0.113.9"], [], "exists"),
        ("alice", ["203.0.113.9"], [], "exists"),
        ("other", [], [], "IPv4"),
        ("other", ["2001:db8::1"], [], "IPv4"),
        ("other", ["nonsense"], [], "numeric"),
        ("other", [HOME], [], "belongs to nat 'home'"),
        ("other", ["203.0.113.9"], ["nobody"], "nobody"),
        ("other", ["203.0.113.9"], ["alice", "one"], "different places"),
    ]:
        with pytest.raises(InvalidArgument, match=match):
            network.nat(name, *ip_addresses, inside=inside)
    with pytest.raises(InvalidArgument, match="exists"):
        network.host("home", "203.0.113.9")
    with pytest.raises(InvalidArgument, match="nowhere"):
        network.host("carol", "192.168.1.9", inside="nowhere")
    with pytest.raises(InvalidArgument, match="host 'pc'"):
        network.host("carol", PC[0], inside="home")
    assert hop(network, ALICE, ONE) is not None  # nothing of this has changed anything
    network.nat("other", "203.0.113.9")


@pytest.mark.parametrize(
    "wrong",
    [
        {"mapping": "symmetric"},
        {"filtering": None},
        {"ports": "parity"},
        {"hairpinning": True},
        {"timeout": 0.0},
        {"timeout": math.nan},
        {"port_range": (0, 100)},
        {"port_range": (200, 100)},
        {"port_range": (200, 65536)},
    ],
)
def test_a_behaviour_that_does_not_exist_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        NatBehaviour(**wrong)  # type: ignore[arg-type]


def test_reprs_say_what_stands_where() -> None:
    _, nat = home()
    assert repr(nat) == "<Nat 'home' 203.0.113.7>"
