"""IPv4 and IPv6 side by side, and either alone: every pair of kinds, and relays of both families (RFC 8421)."""

from __future__ import annotations

import itertools
from random import Random

import attrs
import pytest
import trio.testing

from tests.simulation.nats import BEHAVIOURS, KINDS, NO_PATH, PORTS, PRIVATE_IP, Agents, Surroundings
from tests.simulation.world import GOOD, SIDES, World
from xp2p_trio import ice, peer
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.driver import open_ice_agent
from xp2p_trio.sansio import Failed, Transport
from xp2p_trio.testing import (
    BLACK_HOLE,
    SYMMETRIC,
    UDP_BLOCKED,
    FirewallPolicy,
    Link,
    NatBehaviour,
    Network,
    Peers,
    StunServer,
)

IPV4 = {"alice": "203.0.113.1", "bob": "203.0.113.2"}
IPV6 = {"alice": "2001:db8:a::2", "bob": "2001:db8:b::2"}
STUN_HOSTS = "198.51.100.1", "2001:db8:f::1"
TURN_HOSTS = "198.51.100.2", "2001:db8:f::2"
STUN_URL, TURN_URL = "stun:stun", "turn:user:password@turn"
PAIRS_OF_KINDS = list(itertools.product(KINDS, KINDS))
FAMILIES = {"dual": (True, True), "IPv4": (True, False), "IPv6": (False, True)}


def surround(network: Network, name: str, surroundings: Surroundings, families: str = "dual") -> None:
    """A host with an address of each family, as they say; a NAT lets IPv6 through by its filter."""
    has_ipv4, has_ipv6 = FAMILIES[families]
    is_translated = isinstance(surroundings, NatBehaviour)
    addresses = [PRIVATE_IP if is_translated else IPV4[name]] * has_ipv4 + [IPV6[name]] * has_ipv6
    network.host(name, *addresses)
    match surroundings:
        case NatBehaviour():
            network.nat(f"{name}'s", IPV4[name], behaviour=surroundings, inside=[name])
        case FirewallPolicy():
            network.firewall(f"{name}'s", policy=surroundings, inside=[name])
        case _:
            pass


def internet(
    alice: Surroundings, bob: Surroundings, families: tuple[str, str] = ("dual", "dual"), *, seed: int = 0
) -> Network:
    network = Network(seed=seed, link=Link(delay=0.02), keep_trace=True)
    surround(network, "alice", alice, families[0])
    surround(network, "bob", bob, families[1])
    network.host("stun", *STUN_HOSTS)
    network.host("turn", *TURN_HOSTS)
    return network


def agents_on(network: Network, *urls: str) -> Agents:
    return Agents(network, urls=urls or (STUN_URL,), enable_ipv6=True)


def family(agents: Agents) -> str:
    pairs = [agent.selected_pair for agent in agents.agents.values()]
    (used,) = {"IPv6" if ":" in pair.remote.host else "IPv4" for pair in pairs if pair is not None}
    return used


@pytest.mark.parametrize(("alice", "bob"), PAIRS_OF_KINDS)
def test_with_both_families_there_is_a_path_wherever_ipv6_gets_out(alice: str, bob: str) -> None:
    """Nobody translates IPv6, and filters open for whom one has sent to."""
    agents = agents_on(internet(KINDS[alice], KINDS[bob]))
    assert agents.connects() is ("blocked" not in (alice, bob))
    if agents.agents["alice"].state is ice.State.COMPLETED:
        assert agents.now < 5.0
        assert agents.are_on_one_pair()
        if frozenset({alice, bob}) in NO_PATH:
            assert family(agents) == "IPv6"


@pytest.mark.parametrize(("alice", "bob"), PAIRS_OF_KINDS)
def test_with_ipv6_alone(alice: str, bob: str) -> None:
    agents = agents_on(internet(KINDS[alice], KINDS[bob], ("IPv6", "IPv6")))
    assert agents.connects() is ("blocked" not in (alice, bob))
    for agent in agents.agents.values():
        assert all(":" in candidate.host for candidate in agent.local_candidates)


@pytest.mark.parametrize("families", [("dual", "IPv4"), ("IPv4", "dual"), ("dual", "IPv6"), ("IPv6", "dual")], ids=str)
@pytest.mark.parametrize("kind", ["open", "port-restricted", "symmetric"])
def test_with_one_side_that_has_both(families: tuple[str, str], kind: str) -> None:
    agents = agents_on(internet("open", KINDS[kind], families))
    assert agents.connects()
    assert family(agents) in families
    assert agents.are_on_one_pair()


def test_families_that_do_not_meet_are_told() -> None:
    agents = agents_on(internet("open", "open", ("IPv4", "IPv6")))
    assert not agents.connects()
    for name in SIDES:
        last = agents.events[name][-1]
        assert isinstance(last, Failed)
        assert "there was no pair of candidates to try" in last.failure.detail


def connect_by_seed(seed: int) -> None:
    draw = Random(seed)
    one, other = (attrs.evolve(draw.choice(BEHAVIOURS), ports=draw.choice(PORTS)) for _ in SIDES)
    network = internet(one, other, seed=seed)
    for source, destination in itertools.permutations([*SIDES, "stun"], 2):
        delay, jitter = 0.2 * draw.random(), 0.05 * draw.random()
        network.set_link(source, destination, Link(delay=delay, jitter=jitter, loss=0.1, reorder=0.1, duplicate=0.1))
    agents = agents_on(network)
    assert agents.connects(), seed
    network.set_links("alice", "bob", GOOD)
    agents.run(10.0)  # one more consent check of each
    assert agents.are_on_one_pair(), seed


def test_a_nominated_path_that_was_given_up_amid_losses_is_taken_again() -> None:
    """Its peer has chosen it and stays with it, so that both would go on over different pairs for good."""
    connect_by_seed(38)


def test_at_any_pace_and_with_losses() -> None:
    for seed in range(100):
        connect_by_seed(seed)


# Relays.


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("families", ["IPv4", "IPv6"])
def test_a_relay_of_the_family_that_there_is(families: str, transport: Transport) -> None:
    """Nothing gets through between the two."""
    network = internet("open", "open", (families, families))
    network.set_links("alice", "bob", BLACK_HOLE)
    url = TURN_URL if transport is Transport.UDP else f"{TURN_URL}?transport=tcp"
    agents = Agents(network, urls=(url,), enable_ipv6=True)
    assert agents.connects()
    assert family(agents) == families
    assert agents.routes() <= {f"via TURN/{transport.value}", "via the peer's TURN"}
    assert agents.agree_on_a_pair()
    assert agents.echoes()


def test_a_relay_of_each_family() -> None:
    network = internet("open", "open")
    agents = Agents(network, urls=(TURN_URL,), enable_ipv6=True)
    agents.run(2.0)
    for agent in agents.agents.values():
        relayed = {candidate.host for candidate in agent.local_candidates if candidate.type == "relay"}
        assert relayed == set(TURN_HOSTS)
    assert agents.routes() == {"direct"}


# Order and fairness (RFC 8421).


async def test_the_order_of_preference_has_the_families_in_turn(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    host = network.host("home", *(f"192.0.2.{n}" for n in range(1, 4)), *(f"2001:db8::{n}" for n in range(1, 4)))
    async with open_ice_agent(role=ice.Role.CONTROLLING, network=host, enable_ipv6=True) as agent:
        await agent.wait_gathered()
        lines = [line async for line in agent.local_candidates]
    candidates = [ice.decode_candidate(line) for line in lines]
    hosts = [candidate.host for candidate in candidates]
    assert hosts == ["2001:db8::1", "2001:db8::2", "192.0.2.1", "2001:db8::3", "192.0.2.2", "192.0.2.3"]
    priorities = [candidate.priority for candidate in candidates]
    assert priorities == sorted(set(priorities), reverse=True)
    assert priorities[0] == ice.candidate_priority(ice.CandidateType.HOST, 65535)


@pytest.mark.parametrize("broken", ["IPv4", "IPv6"])
def test_a_family_that_leads_nowhere_delays_little(broken: str) -> None:
    """Many addresses of a family that is routed to nowhere: the other one has its turn soon (RFC 8421 section 4)."""
    network = Network(link=GOOD, keep_trace=True)
    for name, last in zip(SIDES, (1, 2), strict=True):
        closed = network.firewall(f"{name}'s closed", policy=UDP_BLOCKED).name
        opened = network.firewall(f"{name}'s open", policy=FirewallPolicy(filtering=None)).name
        # As the driver arranges them: in turns.
        for n in range(1, 5):
            for address in (f"2001:db8:{n}::{last}", f"192.0.{n}.{last}"):
                inside = closed if (":" in address) is (broken == "IPv6") else opened
                if n == 1 and ":" in address:
                    network.host(name, address, inside=inside)
                else:
                    network.host(name).add_ip_address(address, inside=inside)
    network.host("stun", STUN_HOSTS[0])
    agents = Agents(network, urls=(), enable_ipv6=True)
    assert agents.connects()
    assert agents.now < 1.5
    assert family(agents) != broken
    assert agents.echoes()


# The whole stack.


@pytest.mark.parametrize("families", ["dual", "IPv6"])
def test_whole_connections(families: str) -> None:
    network = internet(SYMMETRIC, SYMMETRIC, (families, families))
    configuration = peer.Configuration(ice_servers=[STUN_URL], enable_ipv6=True)
    peers = Peers(network=network, alice=configuration, bob=configuration, servers={"stun": StunServer()})
    world = World(peers=peers)
    label = world.open("alice", ChannelParameters())
    peers.connect(timeout=5.0)
    for side in SIDES:
        world.send(side, label, 20_000, is_text=False)
    world.run(60.0)
    world.settle()
    pair = peers.alice.agent.selected_pair
    assert pair is not None
    assert ":" in pair.remote.host


def test_a_family_that_dies_leaves_the_other() -> None:
    """The IPv6 of one side goes: its address is withdrawn. Data goes on over IPv4 without a restart."""
    network = internet("open", "open")
    configuration = peer.Configuration(enable_ipv6=True)
    peers = Peers(network=network, alice=configuration, bob=configuration, servers={"stun": StunServer()})
    world = World(peers=peers)
    label = world.open("alice", ChannelParameters())
    peers.connect(timeout=5.0)
    world.run(2.0)
    pair = peers.alice.agent.selected_pair
    assert pair is not None
    used = pair.local.host
    network.host("alice").remove_ip_address(used)
    peers.answers["alice"].look(peers.now)
    for side in SIDES:
        world.send(side, label, 20_000, is_text=False)
    world.run(10.0)
    pair = peers.alice.agent.selected_pair
    assert pair is not None
    assert pair.local.host != used
    world.settle()
