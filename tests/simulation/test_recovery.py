"""How long a transfer stands still once its path is back, or another one has taken its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.nats import PRIVATE_IP, STUN_SERVER, internet, peers_on, surround
from tests.simulation.world import SIDES, World
from xp2p_trio import ice
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.testing import BLACK_HOLE, PORT_RESTRICTED_CONE, RESTRICTED_CONE, Link, Network

GOOD = Link(delay=0.02, rate=200_000.0, queue_size=20_000)
RTT = 0.04


def transferring(network: Network) -> World:
    """Each sends for ten seconds and more."""
    world = World(peers=peers_on(network))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=10.0)
    world.run(0.5)
    for side in SIDES:
        for _ in range(1500):
            world.send(side, label, 1500, is_text=False)
    world.run(0.5)
    return world


def run_until(world: World, is_event: Callable[[object], bool], sides: tuple[str, ...]) -> None:
    """Until these have had such an event from now on."""
    seen = {side: len(world.peers.events[side]) for side in SIDES}
    world.peers.run(
        lambda: all(any(map(is_event, world.peers.events[side][seen[side] :])) for side in sides), timeout=20.0
    )
    world.observe()


def assert_transferring(world: World) -> None:
    """Both receive something new within a round trip and a fifth of a second."""
    (channel,) = world.channels.values()
    world.read_all()
    before = {side: len(channel.directions[side].received) for side in SIDES}
    world.run(RTT + 0.2)
    world.read_all()
    for side in SIDES:
        assert len(channel.directions[side].received) > before[side], f"{side} is not heard"


@pytest.mark.parametrize("seconds", [14.0, 18.0, 22.0])
def test_a_path_that_was_silent(seconds: float) -> None:
    network = internet("open", "open")
    network.set_links("alice", "bob", GOOD)
    world = transferring(network)
    network.set_links("alice", "bob", BLACK_HOLE)
    world.run(seconds)
    network.set_links("alice", "bob", GOOD)
    run_until(world, lambda event: isinstance(event, ice.PathRecovered), SIDES)
    assert_transferring(world)
    world.run(20.0)
    world.settle()


@pytest.mark.parametrize("seed", range(5))
def test_a_mapping_that_was_made_anew(seed: int) -> None:
    network = Network(link=GOOD, seed=seed)
    network.host("alice", PRIVATE_IP)
    nat = network.nat("home", "203.0.113.1", behaviour=PORT_RESTRICTED_CONE, inside=["alice"])
    surround(network, "bob", RESTRICTED_CONE, "203.0.113.2")
    network.host("stun", STUN_SERVER[0])
    world = transferring(network)
    nat.rebind()
    run_until(world, lambda event: isinstance(event, ice.PairSelected), ("bob",))
    assert_transferring(world)
    world.run(20.0)
    world.settle()


@pytest.mark.parametrize("side", SIDES)
def test_another_interface(side: str) -> None:
    network = internet("open", "open")
    network.set_links("alice", "bob", GOOD)
    world = transferring(network)
    host = network.host(side)
    old = host.ip_addresses[0]
    host.add_ip_address("203.0.113.77")
    host.remove_ip_address(old)
    world.peers.answers[side].look(world.peers.now)
    run_until(world, lambda event: isinstance(event, ice.PairSelected), SIDES)
    assert_transferring(world)
    world.run(20.0)
    world.settle()
