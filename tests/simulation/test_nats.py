"""Every pair of NAT kinds: a connection where there is a path, an explanation where there is none."""

from __future__ import annotations

import itertools
from random import Random

import attrs
import pytest

from tests.simulation.nats import (
    BEHAVIOURS,
    KINDS,
    NO_PATH,
    PORTS,
    PRIVATE_IP,
    STUN_SERVER,
    Agents,
    internet,
    path_exists,
    peers_on,
    surround,
)
from tests.simulation.world import GOOD, SIDES, World, other_side
from xp2p_trio import ice
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.errors import Reason
from xp2p_trio.peer import ConnectionState
from xp2p_trio.sansio import Failed
from xp2p_trio.testing import (
    FULL_CONE,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    SYMMETRIC,
    UDP_BLOCKED,
    Firewall,
    FirewallPolicy,
    Link,
    Nat,
    NatBehaviour,
    Network,
)
from xp2p_trio.testing.nat import Hairpinning

MANY_SEEDS = 10_000
FEW_SEEDS = 200

RECOVERY = 6.0 + 0.04 + 0.5
"""Seconds until the peer has followed to another port: the next check, a round trip, and half a second of doubt."""

PAIRS_OF_KINDS = list(itertools.product(KINDS, KINDS))
"""Who offers matters, so each pair is there both ways round."""


@pytest.mark.parametrize(("alice", "bob"), PAIRS_OF_KINDS)
def test_agents_connect_where_there_is_a_path(alice: str, bob: str) -> None:
    agents = Agents(internet(KINDS[alice], KINDS[bob], keep_trace=True))
    assert agents.connects() is (frozenset({alice, bob}) not in NO_PATH)
    if agents.agents["alice"].state is ice.State.COMPLETED:
        assert agents.now < 5.0
        assert agents.are_on_one_pair()


@pytest.mark.parametrize("number", range(len(BEHAVIOURS)))
def test_agents_connect_by_theory(number: int) -> None:
    """Also behind NATs that have no name: every mapping with every filter, against every other."""
    for other in BEHAVIOURS:
        agents = Agents(internet(BEHAVIOURS[number], other, keep_trace=True))
        assert agents.connects() is path_exists(BEHAVIOURS[number], other), other
        if agents.agents["alice"].state is ice.State.COMPLETED:
            assert agents.are_on_one_pair(), other


def connect_by_seed(seed: int) -> None:
    """Two NATs and a link that are drawn: theory holds, whatever the times and ports."""
    draw = Random(seed)
    one, other = (attrs.evolve(draw.choice(BEHAVIOURS), ports=draw.choice(PORTS)) for _ in SIDES)
    network = internet(one, other, seed=seed, keep_trace=True)
    for source, destination in itertools.permutations([*SIDES, "stun"], 2):
        delay, jitter = 0.2 * draw.random(), 0.05 * draw.random()
        network.set_link(source, destination, Link(delay=delay, jitter=jitter, reorder=0.1, duplicate=0.1))
    agents = Agents(network)
    assert agents.connects() is path_exists(one, other), (seed, one, other)
    if agents.agents["alice"].state is ice.State.COMPLETED:
        assert agents.are_on_one_pair(), (seed, one, other)


def test_agents_connect_by_theory_at_any_pace() -> None:
    for seed in range(FEW_SEEDS):
        connect_by_seed(seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_agents_connect_by_theory_ten_thousand_times() -> None:
    for seed in range(FEW_SEEDS, MANY_SEEDS):
        connect_by_seed(seed)


@pytest.mark.parametrize(("alice", "bob"), PAIRS_OF_KINDS)
def test_peers_connect_or_say_why_not(alice: str, bob: str) -> None:
    peers = peers_on(internet(KINDS[alice], KINDS[bob]))
    world = World(peers=peers)
    if frozenset({alice, bob}) in NO_PATH:
        peers.negotiate()
        peers.run(lambda: peers.alice.is_over and peers.bob.is_over, timeout=60.0)
        for side in SIDES:
            last = peers.events[side][-1]
            assert isinstance(last, Failed)
            assert last.failure.reason is Reason.NO_PATH
            assert "no path worked" in last.failure.detail
        return
    label = world.open("alice", ChannelParameters())
    peers.connect(timeout=5.0)
    world.run(0.5)
    for side in SIDES:
        world.send(side, label, 20_000, is_text=False)
    world.settle()


def test_equal_seeds_give_equal_runs() -> None:
    def trace_hash(seed: int) -> str:
        network = internet(SYMMETRIC, RESTRICTED_CONE, seed=seed)
        assert Agents(network).connects()
        return network.trace_hash

    assert trace_hash(1) == trace_hash(1)
    assert trace_hash(1) != trace_hash(2)


def test_equal_private_addresses_do_not_spoil_the_diagnosis() -> None:
    """The peer's host candidate is our own socket then, and a check to it would come back to us."""
    network = internet(SYMMETRIC, SYMMETRIC)
    agents = Agents(network)
    assert not agents.connects()
    for name in SIDES:
        agent = agents.agents[name]
        assert agent.local_candidates[0].address == (PRIVATE_IP, 49152) == agent.remote_candidates[0].address
        assert agent.statistics.stun_unauthenticated == 0
        last = agents.events[name][-1]
        assert isinstance(last, Failed)
        assert "both sides are behind a NAT that needs a relay (TURN)" in last.failure.detail


# Several boxes in a row.


@pytest.mark.parametrize("hairpinning", ["off", "external", "internal"])
@pytest.mark.parametrize("behaviour", [FULL_CONE, PORT_RESTRICTED_CONE], ids=["full cone", "port-restricted"])
def test_two_homes_behind_one_carrier(behaviour: NatBehaviour, hairpinning: Hairpinning) -> None:
    """They only know each other by the carrier's address, so that its hairpin is their only path."""
    network = Network(link=GOOD, keep_trace=True)
    surround(network, "alice", behaviour, "100.64.0.1")
    surround(network, "bob", behaviour, "100.64.0.2")
    network.host("stun", STUN_SERVER[0])
    carrier = attrs.evolve(FULL_CONE, hairpinning=hairpinning)
    network.nat("carrier", "203.0.113.1", behaviour=carrier, inside=["alice's", "bob's"])
    agents = Agents(network)
    # An internal source is another address than the one that was sent to, so that a filter keeps it out.
    is_let_in = {"off": False, "external": True, "internal": behaviour is FULL_CONE}[hairpinning]
    assert agents.connects() is is_let_in
    assert not is_let_in or agents.are_on_one_pair()


def test_two_in_one_home_do_not_need_it() -> None:
    network = Network(link=GOOD, keep_trace=True)
    network.host("alice", "192.168.1.2")
    network.host("bob", "192.168.1.3")
    network.host("stun", STUN_SERVER[0])
    nat = network.nat("home", "203.0.113.1", behaviour=SYMMETRIC, inside=SIDES)
    agents = Agents(network)
    assert agents.connects()
    assert agents.path("alice")[0][1][0] == "192.168.1.3"
    assert nat.statistics.inbound > 0  # the server has answered nevertheless


def test_a_carrier_around_a_home_counts_as_the_stricter_of_the_two() -> None:
    for carrier, expected in ((PORT_RESTRICTED_CONE, True), (SYMMETRIC, False)):
        network = internet(FULL_CONE, PORT_RESTRICTED_CONE, keep_trace=True)
        network.nat("carrier", "203.0.113.9", behaviour=carrier, inside=["alice's"])
        assert Agents(network).connects() is expected


# The life of a mapping.


@pytest.mark.parametrize("timeout", [7.0, 30.0])
@pytest.mark.parametrize("kind", ["restricted", "port-restricted", "symmetric"])
def test_consent_keeps_idle_mappings_alive(kind: str, timeout: float) -> None:
    """Checks are 6 s apart at most, and each side sends its own, so that nothing but them is needed."""
    behaviour = KINDS[kind]
    assert isinstance(behaviour, NatBehaviour)
    idle = attrs.evolve(behaviour, timeout=timeout, inbound_refresh=False)
    world = World(peers=peers_on(internet(idle, FULL_CONE)))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    selected = world.peers.alice.agent.selected_pair
    world.run(1800.0)
    for side in SIDES:
        world.send(side, label, 5000, is_text=False)
    world.settle()
    assert world.peers.alice.agent.selected_pair == selected


def test_the_slowest_consent_is_fast_enough_for_half_a_minute() -> None:
    behaviour = attrs.evolve(PORT_RESTRICTED_CONE, timeout=30.0, inbound_refresh=False)
    agents = Agents(internet(behaviour, behaviour), consent_interval=24.0)
    assert agents.connects()
    agents.run(1800.0)
    assert agents.echoes()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("peer_kind", ["open", "full cone", "restricted", "port-restricted", "firewall"])
@pytest.mark.parametrize("kind", ["full cone", "restricted", "port-restricted"])
def test_rebinding(kind: str, peer_kind: str, side: str) -> None:
    """Whom the new address reaches learns it from the next consent check; whoever filters by port cannot hear of it.

    The latter needs an ICE restart through signaling, which is not the agent's to begin.
    """
    kinds = (kind, peer_kind) if side == "alice" else (peer_kind, kind)
    network = Network(link=GOOD, keep_trace=True)
    nat: Nat | None = None
    for name, its_kind, public_ip in zip(SIDES, kinds, ("203.0.113.1", "203.0.113.2"), strict=True):
        surroundings = KINDS[its_kind]
        if name == side:
            assert isinstance(surroundings, NatBehaviour)
            network.host(name, PRIVATE_IP)
            nat = network.nat("rebinding", public_ip, behaviour=surroundings, inside=[name])
        else:
            surround(network, name, surroundings, public_ip)
    network.host("stun", STUN_SERVER[0])
    agents = Agents(network)
    assert agents.connects()
    agents.run(5.0)
    assert agents.echoes()

    assert nat is not None
    nat.rebind()
    assert not agents.echoes()
    if peer_kind in ("port-restricted", "firewall"):
        assert agents.run(40.0, ice.State.FAILED)
        for name in SIDES:
            last = agents.events[name][-1]
            assert isinstance(last, Failed)
            assert last.failure.reason is Reason.CONSENT_EXPIRED
    else:
        rebound_at = agents.now
        while not agents.echoes(0.05):
            assert agents.now < rebound_at + RECOVERY
        assert agents.are_on_one_pair()


@pytest.mark.parametrize("seed", range(5))
def test_rebinding_amid_a_transfer_loses_and_doubles_nothing(seed: int) -> None:
    network = Network(link=Link(delay=0.02, rate=200_000.0), seed=seed)
    network.host("alice", PRIVATE_IP)
    nat = network.nat("home", "203.0.113.1", behaviour=PORT_RESTRICTED_CONE, inside=["alice"])
    surround(network, "bob", RESTRICTED_CONE, "203.0.113.2")
    network.host("stun", STUN_SERVER[0])
    world = World(peers=peers_on(network))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    for _ in range(3):
        for side in SIDES:
            for _ in range(20):
                world.send(side, label, 10_000, is_text=False)
        world.run(0.5)
        nat.rebind()
        world.run(20.0)
        world.read_all()
    world.settle()


def test_a_mapping_that_times_out_while_the_machine_sleeps() -> None:
    """Ten seconds of sleep, of which only the NAT knows: a new mapping, and all is well."""
    behaviour = NatBehaviour(ports="random", filtering="endpoint-independent", timeout=8.0)
    agents = Agents(internet(behaviour, FULL_CONE))
    assert agents.connects()
    agents.run(5.0)
    agents.network.set_links("alice", "bob", Link(loss=1.0))
    agents.now += 10.0
    agents.network.set_links("alice", "bob", GOOD)
    agents.run(17.0)
    assert agents.echoes()


# Firewalls that change their mind.


def test_a_firewall_that_closes_and_opens_again() -> None:
    network = internet("open", "open")
    firewall: Firewall = network.firewall("office", inside=["alice"])
    world = World(peers=peers_on(network))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    world.run(1.0)
    firewall.policy = UDP_BLOCKED
    for side in SIDES:
        world.send(side, label, 20_000, is_text=False)
    world.run(15.0)
    assert [world.connection(side).state for side in SIDES] == [ConnectionState.DISCONNECTED] * 2
    firewall.policy = FirewallPolicy()
    world.run(20.0)
    world.settle()
    firewall.policy = UDP_BLOCKED
    world.peers.run(lambda: all(world.connection(side).is_over for side in SIDES), timeout=40.0)
    for side in SIDES:
        last = world.peers.events[side][-1]
        assert isinstance(last, Failed)
        assert last.failure.reason is Reason.CONSENT_EXPIRED


@pytest.mark.parametrize("side", SIDES)
def test_an_address_that_goes_and_comes_back(side: str) -> None:
    """A cable that is pulled for a while: the address is gone, and is the same again."""
    network = internet("open", "open")
    world = World(peers=peers_on(network))
    label = world.open("alice", ChannelParameters())
    world.peers.connect(timeout=5.0)
    world.run(1.0)
    host = network.host(side)
    ip_address = host.ip_addresses[0]
    host.remove_ip_address(ip_address)
    world.send(side, label, 20_000, is_text=False)
    world.send(other_side(side), label, 20_000, is_text=False)
    world.run(15.0)
    host.add_ip_address(ip_address)
    world.run(20.0)
    world.settle()


@pytest.mark.parametrize("side", SIDES)
def test_an_address_that_is_exchanged_for_another_is_told_to_both(side: str) -> None:
    """A telephone that leaves the house. Only the program around can restart ICE with the new address."""
    network = internet(PORT_RESTRICTED_CONE, PORT_RESTRICTED_CONE)
    network.nat("carrier", "203.0.113.3", behaviour=SYMMETRIC)
    peers = peers_on(network)
    peers.connect(timeout=5.0)
    host = network.host(side)
    host.add_ip_address("100.64.0.9", inside="carrier")
    host.remove_ip_address(PRIVATE_IP)
    peers.run(lambda: peers.alice.is_over and peers.bob.is_over, timeout=40.0)
    for name in SIDES:
        last = peers.events[name][-1]
        assert isinstance(last, Failed)
        assert last.failure.reason is Reason.CONSENT_EXPIRED
