"""Multicast between simulated hosts of one link."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Burst
from xp2p_trio.testing import Link, Network
from xp2p_trio.testing.sockets import VirtualSocket

GROUP = ("224.0.0.251", 5353)
ALICE, BOB, CAROL = ("192.0.2.1", 5353), ("192.0.2.2", 5353), ("192.0.2.3", 5353)


@pytest.fixture
def network() -> Network:
    network = Network(seed=1)
    for name, (ip_address, _) in (("alice", ALICE), ("bob", BOB), ("carol", CAROL)):
        network.host(name, ip_address)
    return network


def heard(network: Network, datagram: bytes = b"x", source: tuple[str, int] = ALICE) -> list[str]:
    network.send(Burst(source, GROUP, [datagram]), 0.0, host="alice")
    bursts = network.deliver_to_hosts(0.0)
    assert all(burst.remote == source and burst.local[1] == 5353 for _, burst in bursts)
    return [name for name, _ in bursts]


def test_members_hear_and_the_sender_too(network: Network) -> None:
    assert network.host("alice").join_group(GROUP) == ALICE
    assert network.host("bob").join_group(GROUP, ip_address=BOB[0]) == BOB
    assert heard(network) == ["alice", "bob"]
    assert heard(network, source=(ALICE[0], 40000)) == ["alice", "bob"]
    network.host("bob").leave_group(GROUP)
    network.host("bob").leave_group(GROUP)
    assert heard(network) == ["alice"]


def test_what_nobody_hears_is_unroutable(network: Network) -> None:
    assert heard(network) == []
    assert network.statistics.unroutable == 1
    with pytest.raises(InvalidArgument):
        network.host("bob").join_group(GROUP, ip_address="198.51.100.1")


def test_boxes_keep_it_in() -> None:
    network = Network(seed=1)
    for name, ip_address in (("alice", "192.168.1.1"), ("bob", "192.168.1.2")):
        network.host(name, ip_address)
    network.nat("home", "203.0.113.7", inside=["alice", "bob"])
    network.host("carol", "198.51.100.1")
    network.host("dave", "192.168.1.2", inside=network.nat("other", "203.0.113.8").name)
    for name in ("alice", "bob", "carol", "dave"):
        network.host(name).join_group(GROUP)
    assert heard(network, source=("192.168.1.1", 5353)) == ["alice", "bob"]


def test_links_carry_each_copy(network: Network) -> None:
    for name in ("alice", "bob", "carol"):
        network.host(name).join_group(GROUP)
    network.set_link("alice", "bob", Link(delay=1.0))
    network.set_link("alice", "carol", Link(loss=1.0))
    assert heard(network) == ["alice"]
    assert [name for name, _ in network.deliver_to_hosts(1.0)] == ["bob"]


def test_an_address_that_is_gone_hears_nothing(network: Network) -> None:
    bob = network.host("bob")
    bob.join_group(GROUP)
    bob.remove_ip_address(BOB[0])
    assert heard(network) == []


def bind(network: Network, name: str, port: int = 5353) -> VirtualSocket:
    host = network.host(name)
    return host.bind_multicast(GROUP[0], port, host.ip_addresses[0])


async def test_sockets_share_the_port(network: Network, autojump_clock: MockClock) -> None:
    first, second, alice = bind(network, "bob"), bind(network, "bob"), bind(network, "alice")
    assert first.address == second.address == BOB
    alice.transmit(Burst(ALICE, GROUP, [b"x"]))
    for sock in (first, second, alice):
        assert await sock.receive() == [Burst(sock.address, ALICE, [b"x"])]
    first.close()
    first.close()
    alice.transmit(Burst(ALICE, GROUP, [b"y"]))
    assert await second.receive() == [Burst(BOB, ALICE, [b"y"])]
    second.close()
    alice.transmit(Burst(ALICE, GROUP, [b"z"]))
    with trio.move_on_after(1.0):
        assert [burst.datagrams for burst in await alice.receive()] == [[b"y"], [b"z"]]
    assert network.statistics.unroutable == 0
    again = bind(network, "bob")
    alice.transmit(Burst(ALICE, GROUP, [b"x"]))
    assert await again.receive() == [Burst(BOB, ALICE, [b"x"])]


async def test_port_0_is_a_port_of_its_own(network: Network, autojump_clock: MockClock) -> None:
    bob, alice = bind(network, "bob"), bind(network, "alice", 0)
    assert alice.address[1] not in (0, 5353)
    alice.transmit(Burst(alice.address, GROUP, [b"x"]))
    assert await bob.receive() == [Burst(BOB, alice.address, [b"x"])]
    bob.transmit(Burst(BOB, alice.address, [b"y"]))
    assert await alice.receive() == [Burst(alice.address, BOB, [b"y"])]


async def test_only_members_share(network: Network) -> None:
    host = network.host("bob")
    bob = bind(network, "bob")
    with pytest.raises(OSError, match="5353"):
        host.bind(BOB)
    with pytest.raises(OSError, match="5353"):
        host.bind_multicast("224.0.0.252", 5353, BOB[0])
    bob.close()
    plain = host.bind(BOB)
    with pytest.raises(OSError, match="5353"):
        bind(network, "bob")
    plain.close()
    with pytest.raises(OSError, match=r"198\.51\.100\.1"):
        host.bind_multicast(GROUP[0], 5353, "198.51.100.1")
