"""Full agents behind NATs and an ICE-lite one that can be reached (RFC 8445 section 2.5)."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import attrs
import pytest

from tests.simulation.nats import (
    BEHAVIOURS,
    KINDS,
    PORTS,
    PRIVATE_IP,
    STUN_SERVER,
    STUN_URL,
    TURN_URLS,
    Agents,
    internet,
    surround,
)
from tests.simulation.world import GOOD, SIDES, World, other_side
from xp2p_trio import ice, peer
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.errors import InvalidArgument, Reason
from xp2p_trio.peer import ConnectionState
from xp2p_trio.sansio import Burst, Failed, Transport
from xp2p_trio.stun import MessageClass, decode_message
from xp2p_trio.testing import BLACK_HOLE, PORT_RESTRICTED_CONE, Link, NatBehaviour, Network, Peers, StunServer

ONE_TO_ONE = NatBehaviour(filtering="endpoint-independent", ports="preserving", timeout=86400.0)
"""An elastic address of a cloud: what comes to a port goes to that port."""


class SilentSpy:
    """A lite agent asks nothing."""

    def __init__(self, *ip_addresses: str) -> None:
        self._ip_addresses = ip_addresses

    def sent(self, burst: Burst, now: float) -> None:
        if burst.local[0] in self._ip_addresses:
            for datagram in burst.datagrams:
                is_stun = datagram[0] <= 3
                assert not is_stun or decode_message(datagram).message_class is not MessageClass.REQUEST

    def delivered(self, burst: Burst, now: float) -> None:
        pass


class LiteAgents(Agents):
    """`lite` is the name of the side that is."""

    def __init__(self, network: Network, lite: str = "bob", **fields: Any) -> None:
        self.lite = lite
        self.full = other_side(lite)
        network.add_monitor(SilentSpy(*network.host(lite).ip_addresses))
        sides = {lite: {"lite": True, **fields.pop("lite_fields", {})}, self.full: fields.pop("full_fields", {})}
        super().__init__(network, sides=sides, **fields)


@pytest.mark.parametrize("nomination", ["regular", "aggressive"])
@pytest.mark.parametrize("lite", SIDES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blocked"])
def test_a_full_agent_behind_anything_connects_to_it(kind: str, lite: str, nomination: str) -> None:
    kinds = {lite: "open", other_side(lite): kind}
    agents = LiteAgents(
        internet(*(KINDS[kinds[side]] for side in SIDES), keep_trace=True), lite, full_fields={"nomination": nomination}
    )
    assert agents.connects()
    assert agents.now < 1.0
    assert agents.agents[lite].role is ice.Role.CONTROLLED
    assert agents.agents[agents.full].role is ice.Role.CONTROLLING
    assert agents.are_on_one_pair()
    agents.run(120.0)
    assert agents.echoes()
    for events in agents.events.values():
        assert not any(isinstance(event, ice.PathLost | Failed) for event in events)


def connect_by_seed(seed: int) -> None:
    draw = Random(seed)
    nat = attrs.evolve(draw.choice(BEHAVIOURS), ports=draw.choice(PORTS))
    lite = draw.choice(SIDES)
    network = internet(*(("open", nat) if lite == "alice" else (nat, "open")), seed=seed, keep_trace=True)
    for source, destination in itertools.permutations([*SIDES, "stun"], 2):
        delay, jitter = 0.2 * draw.random(), 0.05 * draw.random()
        network.set_link(source, destination, Link(delay=delay, jitter=jitter, loss=0.1, reorder=0.1, duplicate=0.1))
    nomination = draw.choice(["regular", "aggressive"])
    agents = LiteAgents(network, lite, full_fields={"nomination": nomination})
    assert agents.connects(), seed
    network.set_links("alice", "bob", GOOD)
    assert agents.are_on_one_pair(), seed


def test_at_any_pace_and_with_losses() -> None:
    for seed in range(100):
        connect_by_seed(seed)


def test_through_a_relay_where_udp_is_blocked() -> None:
    network = internet(KINDS["blocked"], "open", keep_trace=True)
    agents = LiteAgents(network, urls=(TURN_URLS[Transport.TCP],))
    assert agents.connects()
    pair = agents.agents["alice"].selected_pair
    assert pair is not None
    assert pair.route == "via TURN/tcp"
    assert agents.echoes()


def test_two_lite_agents_are_told_so() -> None:
    network = internet("open", "open")
    agents = Agents(network, sides={"alice": {"lite": True}, "bob": {"lite": True}})
    assert not agents.connects()
    for name in SIDES:
        last = agents.events[name][-1]
        assert isinstance(last, Failed)
        assert "both sides are ICE-lite" in last.failure.detail
    assert network.statistics.sent == 0


@pytest.mark.parametrize("kind", ["full cone", "port-restricted", "symmetric"])
@pytest.mark.parametrize("knows", [True, False], ids=["knows that it is lite", "does not know"])
def test_a_nat_that_maps_the_full_agent_anew(kind: str, *, knows: bool) -> None:
    """It nominates its new address if it knows that nobody will ask it; else the lite one follows what it hears."""
    network = Network(link=GOOD, keep_trace=True)
    behaviour = KINDS[kind]
    assert isinstance(behaviour, NatBehaviour)
    network.host("alice", PRIVATE_IP)
    nat = network.nat("rebinding", "203.0.113.1", behaviour=behaviour, inside=["alice"])
    surround(network, "bob", "open", "203.0.113.2")
    network.host("stun", STUN_SERVER[0])
    agents = LiteAgents(network, says_lite=knows)
    assert agents.connects()
    for _ in range(3):
        agents.run(5.0)
        assert agents.echoes()
        nat.rebind()
        rebound_at = agents.now
        while not agents.echoes():
            # Up to 6 s to the next check; and as many more to the one after 7 s of silence.
            assert agents.now < rebound_at + (7.0 if knows else 14.0)
    assert agents.are_on_one_pair()


@pytest.mark.parametrize("stun", [True, False], ids=["with STUN", "without"])
def test_behind_a_1_to_1_nat_it_calls_itself_by_its_public_address(*, stun: bool) -> None:
    network = Network(link=GOOD, keep_trace=True)
    surround(network, "alice", PORT_RESTRICTED_CONE, "203.0.113.1")
    network.host("bob", "10.0.0.2")
    network.nat("cloud", "203.0.113.2", behaviour=ONE_TO_ONE, inside=["bob"])
    network.host("stun", STUN_SERVER[0])
    network.send(Burst(("10.0.0.2", 49152), STUN_SERVER, [b"the port is open from now on"]), 0.0)
    agents = LiteAgents(
        network, urls=(STUN_URL,) if stun else (), lite_fields={"public_addresses": {"10.0.0.2": "203.0.113.2"}}
    )
    agents.run(0.001)
    (candidate,) = agents.agents["bob"].local_candidates
    assert (candidate.address, candidate.type) == (("203.0.113.2", 49152), "host")
    assert agents.connects()
    pair = agents.agents["alice"].selected_pair
    assert pair is not None
    assert pair.remote.address == candidate.address
    assert agents.echoes()


# The whole stack.


def peers_on(network: Network, lite: str, **full: Any) -> Peers:
    configurations = {
        lite: peer.Configuration(ice=ice.Configuration(lite=True)),
        other_side(lite): peer.Configuration(ice_servers=[STUN_URL], **full),
    }
    return Peers(
        network=network,
        alice=configurations["alice"],
        bob=configurations["bob"],
        servers={"stun": StunServer()},
    )


@pytest.mark.parametrize("lite", SIDES)
def test_a_whole_connection_with_either_side_offering(lite: str) -> None:
    kinds = {lite: "open", other_side(lite): "symmetric"}
    world = World(peers=peers_on(internet(*(KINDS[kinds[side]] for side in SIDES)), lite))
    label = world.open("bob", ChannelParameters())
    world.peers.connect(timeout=5.0)
    for side in SIDES:
        description = world.connection(side).local_description
        assert description is not None
        session_part = description.sdp.partition("\r\nm=")[0]
        assert ("a=ice-lite" in description.sdp) is ("a=ice-lite" in session_part) is (side == lite)
    for side in SIDES:
        for _ in range(10):
            world.send(side, label, 20_000, is_text=False)
    world.run(60.0)
    world.settle()
    assert not any(isinstance(event, ice.PathLost) for side in SIDES for event in world.peers.events[side])
    world.close(lite)


@pytest.mark.parametrize("lite", SIDES)
def test_a_restart_amid_a_transfer(lite: str) -> None:
    kinds = {lite: "open", other_side(lite): "port-restricted"}
    world = World(peers=peers_on(internet(*(KINDS[kinds[side]] for side in SIDES)), lite))
    label = world.open("alice", ChannelParameters())
    peers = world.peers
    peers.connect(timeout=5.0)
    for offerer in (peers.alice, peers.bob):
        for side in SIDES:
            for _ in range(10):
                world.send(side, label, 20_000, is_text=False)
        answerer = peers.bob if offerer is peers.alice else peers.alice
        offerer.restart_ice(peers.now)
        answerer.set_remote_description(offerer.set_local_description(None, peers.now), peers.now)
        offerer.set_remote_description(answerer.set_local_description(None, peers.now), peers.now)
        world.run(3.0)
        for connection in (peers.alice, peers.bob):
            assert connection.state is ConnectionState.CONNECTED
            assert not connection.agent.is_restarting
    world.settle()


@pytest.mark.parametrize("seconds", [5.0, 15.0])
def test_a_black_hole_is_survived(seconds: float) -> None:
    network = internet("open", "open")
    world = World(peers=peers_on(network, "bob"))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    network.set_links("alice", "bob", BLACK_HOLE)
    for side in SIDES:
        world.send(side, label, 20_000, is_text=False)
    world.run(seconds)
    network.set_links("alice", "bob", GOOD)
    world.run(20.0)
    world.settle()


def test_a_black_hole_of_35_seconds_is_the_end_of_both() -> None:
    network = internet("open", "open")
    world = World(peers=peers_on(network, "bob"))
    world.peers.connect(timeout=5.0)
    network.set_links("alice", "bob", BLACK_HOLE)
    world.peers.run(lambda: world.peers.alice.is_over and world.peers.bob.is_over, timeout=35.0)
    for events in world.peers.events.values():
        last = events[-1]
        assert isinstance(last, Failed)
        assert last.failure.reason is Reason.CONSENT_EXPIRED


def test_servers_do_not_go_with_it() -> None:
    with pytest.raises(InvalidArgument, match="ice_servers"):
        peer.Configuration(ice=ice.Configuration(lite=True), ice_servers=[STUN_URL])
