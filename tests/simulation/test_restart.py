"""Two whole peers whose networks change amid a transfer: a restart, and nothing of it lost or doubled."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from tests.simulation.nats import KINDS, STUN_URL, TURN_URLS, internet, turn_server
from tests.simulation.world import SIDES, World, other_side
from xp2p_trio import ice, peer
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.errors import Reason
from xp2p_trio.peer import ConnectionState
from xp2p_trio.sansio import Failed, Transport
from xp2p_trio.testing import BLACK_HOLE, PORT_RESTRICTED_CONE, SYMMETRIC, Link, Network, Peers, StunServer


def peers_on(network: Network, transport: Transport = Transport.UDP) -> Peers:
    configuration = peer.Configuration(ice_servers=[STUN_URL, TURN_URLS[transport]])
    servers = {"stun": StunServer(), "turn": turn_server(network)}
    return Peers(network=network, alice=configuration, bob=configuration, servers=servers)


def connected(network: Network, transport: Transport = Transport.UDP) -> tuple[World, str]:
    world = World(peers=peers_on(network, transport))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=10.0)
    world.run(0.5)
    return world, label


def restart(world: World, side: str) -> None:
    """Offer and answer from this side on; candidates follow."""
    offerer, answerer = world.connection(side), world.connection(other_side(side))
    now = world.peers.now
    offerer.restart_ice(now)
    answerer.set_remote_description(offerer.set_local_description(None, now), now)
    offerer.set_remote_description(answerer.set_local_description(None, now), now)


def send_bulk(world: World, label: str, count: int = 20) -> None:
    for side in SIDES:
        for _ in range(count):
            world.send(side, label, 10_000, is_text=False)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kinds", [("open", "open"), ("port-restricted", "restricted"), ("symmetric", "symmetric")])
def test_a_restart_amid_a_transfer_loses_and_doubles_nothing(kinds: tuple[str, str], side: str) -> None:
    world, label = connected(internet(KINDS[kinds[0]], KINDS[kinds[1]]))
    for _ in range(3):
        send_bulk(world, label)
        world.run(0.05)
        restart(world, side)
        world.run(0.1)
        send_bulk(world, label)
        world.run(3.0)
        for connection in (world.peers.alice, world.peers.bob):
            assert not connection.agent.is_restarting
            assert connection.state is ConnectionState.CONNECTED
    world.settle()
    for events in world.peers.events.values():
        assert not any(isinstance(event, ice.PathLost) for event in events)


@pytest.mark.parametrize("seed", range(10))
def test_restarts_at_any_moment_on_a_bad_link(seed: int) -> None:
    draw = Random(seed)
    network = internet(PORT_RESTRICTED_CONE, PORT_RESTRICTED_CONE, seed=seed)
    world, label = connected(network)
    for one, other in itertools.permutations(SIDES, 2):
        network.set_link(one, other, Link(delay=0.03, jitter=0.02, loss=0.05, reorder=0.05, duplicate=0.02))
    for _ in range(4):
        send_bulk(world, label, 5)
        world.run(draw.random())
        restart(world, draw.choice(SIDES))
        world.run(2.0 * draw.random())
    for one, other in itertools.permutations(SIDES, 2):
        network.set_link(one, other, Link(delay=0.02))
    world.run(20.0)
    world.settle()


@pytest.mark.parametrize("moving", [("alice",), ("bob",), SIDES], ids=str)
def test_an_address_that_is_exchanged_for_another(moving: tuple[str, ...]) -> None:
    """A telephone that leaves the house amid a transfer. Its driver sees it, and restarts ICE through signaling."""
    network = internet(PORT_RESTRICTED_CONE, PORT_RESTRICTED_CONE)
    network.nat("carrier", "203.0.113.3", behaviour=SYMMETRIC)
    world, label = connected(network)
    send_bulk(world, label)
    world.run(0.1)
    for number, side in enumerate(moving):
        host = network.host(side)
        host.add_ip_address(f"100.64.0.{number + 9}", inside="carrier")
        host.remove_ip_address("192.168.1.2")
        assert world.peers.answers[side].look(world.peers.now)
    send_bulk(world, label)
    world.run(0.2)
    restart(world, moving[0])
    world.run(3.0)
    for connection in (world.peers.alice, world.peers.bob):
        assert connection.state is ConnectionState.CONNECTED
        assert not connection.agent.is_restarting
    world.settle()


@pytest.mark.parametrize("side", SIDES)
def test_a_new_interface_carries_on_without_a_restart(side: str) -> None:
    """The cable is pulled, and the wireless is there: its checks reach the peer, which needs no signaling for that."""
    network = internet("open", "open")
    world, label = connected(network)
    host = network.host(side)
    old = host.ip_addresses[0]
    send_bulk(world, label)
    world.run(0.1)
    host.add_ip_address("203.0.113.77")
    host.remove_ip_address(old)
    world.peers.answers[side].look(world.peers.now)
    send_bulk(world, label)
    world.run(3.0)
    assert world.connection(side).state is ConnectionState.CONNECTED
    selected = world.connection(other_side(side)).agent.selected_pair
    assert selected is not None
    assert selected.remote.host == "203.0.113.77"
    world.settle()


@pytest.mark.parametrize("seconds", [1.0, 5.0, 15.0])
def test_a_black_hole_is_survived(seconds: float) -> None:
    network = internet("open", "open")
    world, label = connected(network)
    send_bulk(world, label)
    network.set_links("alice", "bob", BLACK_HOLE)
    world.run(seconds)
    send_bulk(world, label)
    network.set_links("alice", "bob", Link(delay=0.02))
    world.run(12.0)
    world.settle()
    lost = [isinstance(event, ice.PathLost) for event in world.peers.events["alice"]]
    assert any(lost) is (seconds > 13.0) or seconds < 15.0


def test_a_black_hole_of_35_seconds_is_not() -> None:
    network = internet("open", "open")
    world, _ = connected(network)
    cut_at = world.peers.now
    network.set_links("alice", "bob", BLACK_HOLE)
    world.peers.run(lambda: world.peers.alice.is_over and world.peers.bob.is_over, timeout=35.0)
    assert world.peers.now - cut_at <= 30.1
    for events in world.peers.events.values():
        last = events[-1]
        assert isinstance(last, Failed)
        assert last.failure.reason is Reason.CONSENT_EXPIRED


@pytest.mark.parametrize("transport", list(Transport))
def test_a_server_that_dies_amid_a_transfer(transport: Transport) -> None:
    """Both have an allocation of their own and data goes by one of them; the path by the other one takes over."""
    network = internet(SYMMETRIC, SYMMETRIC)
    world, label = connected(network, transport)
    assert "direct" not in {
        c.agent.selected_pair.route for c in (world.peers.alice, world.peers.bob) if c.agent.selected_pair
    }
    send_bulk(world, label)
    world.run(0.1)
    for name in SIDES:
        network.set_links(name, "turn", BLACK_HOLE)
    world.peers.run(lambda: world.peers.alice.is_over and world.peers.bob.is_over, timeout=40.0)
    for events in world.peers.events.values():
        last = events[-1]
        assert isinstance(last, Failed)
        assert last.failure.reason is Reason.CONSENT_EXPIRED
