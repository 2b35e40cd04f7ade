"""ICE over TCP on the simulated network: where UDP is blocked it connects, where it is not UDP is taken."""

from __future__ import annotations

import itertools
import math
from random import Random
from typing import Any

import pytest

from tests.simulation.nats import KINDS, NO_PATH, PRIVATE_IP, STUN_SERVER, STUN_URL, Agents, internet, surround
from tests.simulation.world import GOOD, SIDES, World, other_side
from xp2p_trio import ice, peer
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.errors import Reason
from xp2p_trio.ice.tcp import Framer
from xp2p_trio.peer import ConnectionState
from xp2p_trio.sansio import Address, Burst, Failed, Transport
from xp2p_trio.stun import Message, MessageClass, decode_message
from xp2p_trio.testing import (
    BLACK_HOLE,
    PORT_RESTRICTED_CONE,
    SYMMETRIC,
    UDP_BLOCKED,
    FirewallPolicy,
    Link,
    Nat,
    Network,
    Peers,
    StunServer,
)

PAIRS_OF_KINDS = list(itertools.product(KINDS, KINDS))
WITH_TCP = ice.Configuration(carries="any", tcp=True)
TCP_ONLY = FirewallPolicy(allowed_ports=(), filtering=None)
"""No UDP at all; streams come in and go out."""


class StreamSpy:
    """Nothing but STUN leaves on a stream before a check was answered on it, and each item is one whole frame."""

    def __init__(self) -> None:
        self._framers: dict[tuple[Address, Address], Framer] = {}
        self._asked: set[tuple[Address, Address, bytes]] = set()
        self._answered: set[tuple[Address, Address]] = set()

    def sent(self, burst: Burst, now: float) -> None:
        if burst.transport is not Transport.TCP or burst.remote[1] == 3478 or burst.local[1] == 3478:
            return
        path = burst.local, burst.remote
        for item in burst.datagrams:
            assert int.from_bytes(item[:2], "big") == len(item) - 2
            message = _stun(item[2:])
            if message is None:
                assert path in self._answered, f"t={now}: {path} has sent {item[2:12]!r}, and was never answered"
            elif message.message_class is MessageClass.REQUEST:
                self._asked.add((*path, message.transaction_id))

    def delivered(self, burst: Burst, now: float) -> None:
        if burst.transport is not Transport.TCP:
            return
        path = burst.local, burst.remote
        framer = self._framers.setdefault(path, Framer())
        for datagram in (datagram for chunk in burst.datagrams for datagram in framer.take(chunk)):
            message = _stun(datagram)
            if message is not None and (*path, message.transaction_id) in self._asked:
                self._answered.add(path)


def _stun(datagram: bytes) -> Message | None:
    return decode_message(datagram) if datagram[0] <= 3 else None


def agents_on(network: Network, **fields: Any) -> Agents:
    network.add_monitor(StreamSpy())
    return Agents(network, **{"ice": WITH_TCP, **fields})


def protocol(agents: Agents) -> str:
    pairs = [agent.selected_pair for agent in agents.agents.values()]
    (transport,) = {pair.local.transport for pair in pairs if pair is not None}
    return transport


@pytest.mark.parametrize(("alice", "bob"), PAIRS_OF_KINDS)
def test_agents_connect_over_udp_where_they_can_and_over_tcp_where_that_is_all(alice: str, bob: str) -> None:
    """A stream needs one side that can be reached from outside; everybody gets out."""
    agents = agents_on(internet(KINDS[alice], KINDS[bob], keep_trace=True))
    has_udp = frozenset({alice, bob}) not in NO_PATH
    assert agents.connects() is (has_udp or "open" in (alice, bob))
    if agents.agents["alice"].state is ice.State.COMPLETED:
        assert agents.now < 5.0
        assert agents.agree_on_a_pair()
        assert agents.echoes()
        assert protocol(agents) == ("udp" if has_udp else "tcp")
        assert agents.routes() == {"direct"}
        selected = int(not has_udp)
        assert agents.network.statistics.streams >= selected


def connect_by_seed(seed: int) -> None:
    """UDP blocked on either side or both; links of any pace; either is reachable, or both are."""
    draw = Random(seed)
    network = Network(seed=seed, link=GOOD, keep_trace=True)
    kinds = draw.choice([(UDP_BLOCKED, TCP_ONLY), (TCP_ONLY, UDP_BLOCKED), (TCP_ONLY, TCP_ONLY), (SYMMETRIC, TCP_ONLY)])
    for name, kind, public_ip in zip(SIDES, kinds, ("203.0.113.1", "203.0.113.2"), strict=True):
        surround(network, name, kind, public_ip)
    network.host("stun", STUN_SERVER[0])
    for source, destination in itertools.permutations(SIDES, 2):
        network.set_link(source, destination, Link(delay=0.3 * draw.random(), rate=draw.choice([math.inf, 50_000.0])))
    agents = agents_on(network)
    assert agents.connects(), seed
    assert protocol(agents) == "tcp"
    assert agents.agree_on_a_pair(), seed
    assert agents.echoes(patience=2.0), seed
    agents.run(60.0)
    assert agents.echoes(patience=2.0), seed
    events = [event for events in agents.events.values() for event in events]
    assert not any(isinstance(event, ice.PathLost) for event in events), seed


def test_agents_connect_over_tcp_at_any_pace() -> None:
    for seed in range(60):
        connect_by_seed(seed)


def test_no_more_than_the_stream_in_use_stays_open() -> None:
    network = internet(TCP_ONLY, TCP_ONLY, keep_trace=True)
    agents = agents_on(network)
    assert agents.connects()
    agents.run(60.0)
    assert network.statistics.streams == 2  # each has connected to the other
    released = [event for events in agents.events.values() for event in events if isinstance(event, ice.StreamReleased)]
    assert len({frozenset((event.local, event.remote)) for event in released}) == 1
    assert agents.echoes()


def test_both_are_told_why_there_is_no_path() -> None:
    agents = agents_on(internet(UDP_BLOCKED, UDP_BLOCKED))
    assert not agents.connects()
    for name in SIDES:
        last = agents.events[name][-1]
        assert isinstance(last, Failed)
        assert "2 pairs tried, 1 had no TCP connection, 1 had no answer" in last.failure.detail


@pytest.mark.parametrize("active", SIDES)
def test_a_forwarded_port_of_a_1_to_1_nat(active: str) -> None:
    """Only the passive side can be reached, and only by its public address, which it was told."""
    passive = other_side(active)
    network = Network(link=GOOD, keep_trace=True)
    surround(network, active, UDP_BLOCKED, "203.0.113.1")
    network.host(passive, "10.0.0.2")
    nat = network.nat("cloud", "203.0.113.2", behaviour=SYMMETRIC, inside=[passive])
    network.host("stun", STUN_SERVER[0])
    agents = agents_on(network, sides={passive: {"public_addresses": {"10.0.0.2": "203.0.113.2"}}})
    agents.run(0.01)
    (port,) = (c.port for c in agents.agents[passive].local_candidates if c.tcp_type == "passive" and c.type == "host")
    nat.forward_tcp(port, ("10.0.0.2", port))
    assert agents.connects()
    pair = agents.agents[active].selected_pair
    assert pair is not None
    assert (pair.remote.type, pair.remote.address) == ("srflx", ("203.0.113.2", port))
    assert agents.echoes()


# What may happen to a stream in use.


def behind_a_nat(seed: int = 0) -> tuple[Network, Nat]:
    """Alice can only connect, and only over TCP."""
    network = Network(link=Link(delay=0.02, rate=400_000.0), seed=seed, keep_trace=True)
    network.host("alice", PRIVATE_IP)
    nat = network.nat("home", "203.0.113.1", behaviour=PORT_RESTRICTED_CONE, inside=["alice"])
    surround(network, "bob", TCP_ONLY, "203.0.113.2")
    network.host("stun", STUN_SERVER[0])
    return network, nat


@pytest.mark.parametrize("offerer", SIDES)
def test_a_nat_that_forgets_a_stream_costs_a_moment(offerer: str) -> None:
    network, nat = behind_a_nat()
    agents = agents_on(network)
    if offerer == "bob":
        for name, role in (("alice", ice.Role.CONTROLLED), ("bob", ice.Role.CONTROLLING)):
            agents.agents[name].set_role(role, agents.now)
    assert agents.connects()
    for _ in range(5):
        assert agents.echoes()
        nat.rebind()
        agents.run(8.0)  # it turns out with the next consent check
        assert agents.echoes()
        assert agents.agree_on_a_pair()
    assert {agent.state for agent in agents.agents.values()} == {ice.State.COMPLETED}
    events = agents.events["alice"]
    lost, recovered = (sum(isinstance(e, kind) for e in events) for kind in (ice.PathLost, ice.PathRecovered))
    assert lost == recovered == 5


def peers_on(network: Network) -> Peers:
    network.add_monitor(StreamSpy())
    configuration = peer.Configuration(ice_servers=[STUN_URL], ice=ice.Configuration(tcp=True))
    return Peers(network=network, alice=configuration, bob=configuration, servers={"stun": StunServer()})


@pytest.mark.parametrize("seed", range(3))
def test_a_nat_that_forgets_a_stream_amid_a_transfer_loses_and_doubles_nothing(seed: int) -> None:
    network, nat = behind_a_nat(seed)
    world = World(peers=peers_on(network))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    for _ in range(3):
        for side in SIDES:
            for _ in range(20):
                world.send(side, label, 10_000, is_text=False)
        world.run(0.2)
        nat.rebind()
        world.run(10.0)
        world.read_all()
    world.settle()


@pytest.mark.parametrize("seconds", [1.0, 5.0, 15.0])
def test_a_black_hole_is_survived(seconds: float) -> None:
    network = internet(TCP_ONLY, UDP_BLOCKED)
    world = World(peers=peers_on(network))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    network.set_links("alice", "bob", BLACK_HOLE)
    for side in SIDES:
        world.send(side, label, 20_000, is_text=False)
    world.run(seconds)
    network.set_links("alice", "bob", GOOD)
    world.run(20.0)
    world.settle()


def test_a_black_hole_of_35_seconds_is_not() -> None:
    network = internet(TCP_ONLY, UDP_BLOCKED)
    world = World(peers=peers_on(network))
    world.peers.connect(timeout=5.0)
    cut_at = world.peers.now
    network.set_links("alice", "bob", BLACK_HOLE)
    world.peers.run(lambda: world.peers.alice.is_over and world.peers.bob.is_over, timeout=35.0)
    assert world.peers.now - cut_at <= 31.1  # the allowance for what was under way, and a second for last words
    for events in world.peers.events.values():
        last = events[-1]
        assert isinstance(last, Failed)
        assert last.failure.reason is Reason.CONSENT_EXPIRED


def restart(world: World) -> None:
    peers = world.peers
    peers.alice.restart_ice(peers.now)
    peers.bob.set_remote_description(peers.alice.set_local_description(None, peers.now), peers.now)
    peers.alice.set_remote_description(peers.bob.set_local_description(None, peers.now), peers.now)


def test_a_restart_amid_a_transfer_takes_another_stream_and_loses_nothing() -> None:
    network, _ = behind_a_nat()
    world = World(peers=peers_on(network))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    for _ in range(3):
        before = network.statistics.streams
        for side in SIDES:
            for _ in range(20):
                world.send(side, label, 10_000, is_text=False)
        world.run(0.2)
        restart(world)
        world.run(5.0)
        assert network.statistics.streams > before
        for connection in (world.peers.alice, world.peers.bob):
            assert connection.state is ConnectionState.CONNECTED
            assert not connection.agent.is_restarting
        world.read_all()
    world.settle()


@pytest.mark.parametrize("side", SIDES)
def test_a_machine_that_moves_takes_its_port_along(side: str) -> None:
    network = internet(TCP_ONLY, TCP_ONLY)
    world = World(peers=peers_on(network))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    host = network.host(side)
    old = host.ip_addresses[0]
    host.add_ip_address("203.0.113.77")
    host.remove_ip_address(old)
    world.peers.answers[side].look(world.peers.now)
    world.send(side, label, 20_000, is_text=False)
    restart(world)
    world.run(5.0)
    assert world.connection(side).state is ConnectionState.CONNECTED
    selected = world.connection(other_side(side)).agent.selected_pair
    assert selected is not None
    assert (selected.remote.host, selected.remote.transport) == ("203.0.113.77", "tcp")
    world.settle()


def test_closing_leaves_no_stream_behind() -> None:
    network, _ = behind_a_nat()
    world = World(peers=peers_on(network))
    world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    world.close("bob")
    world.run(1.0)
    for name in SIDES:
        host = network.host(name)
        events = world.peers.events[name]
        for event in events:
            if isinstance(event, ice.StreamRequested):
                assert network.streams.other_end(host, (PRIVATE_IP, 0), event.remote) is None
        assert any(isinstance(event, ice.StreamReleased) for event in events)
