"""Every pair of NAT kinds with a TURN server as well: there is always a path, unless nothing gets out."""

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
    STUN_URL,
    TURN_URLS,
    Agents,
    internet,
    path_exists,
)
from tests.simulation.world import SIDES
from xp2p_trio import ice
from xp2p_trio.sansio import Transport
from xp2p_trio.testing import STATEFUL, UDP_BLOCKED, Link, NatBehaviour, Sent

MANY_SEEDS = 10_000
FEW_SEEDS = 100

PAIRS_OF_KINDS = list(itertools.product(KINDS, KINDS))


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize(("alice", "bob"), PAIRS_OF_KINDS)
def test_agents_connect_with_stun_and_turn(alice: str, bob: str, transport: Transport) -> None:
    agents = Agents(internet(KINDS[alice], KINDS[bob], keep_trace=True), urls=(STUN_URL, TURN_URLS[transport]))
    is_direct = frozenset({alice, bob}) not in NO_PATH
    gets_out = transport is Transport.TCP or "blocked" not in (alice, bob)
    assert agents.connects() is (is_direct or gets_out)
    if agents.agents["alice"].state is ice.State.COMPLETED:
        assert agents.now < 5.0
        assert agents.agree_on_a_pair()
        assert (agents.routes() == {"direct"}) is is_direct
        assert agents.echoes()


def connect_by_seed(seed: int) -> None:
    """Two NATs, a link and a server that are drawn: there is a path, and both take the same one."""
    draw = Random(seed)
    one, other = (attrs.evolve(draw.choice(BEHAVIOURS), ports=draw.choice(PORTS)) for _ in SIDES)
    network = internet(one, other, seed=seed, keep_trace=True)
    for source, destination in itertools.permutations([*SIDES, "stun", "turn"], 2):
        delay, jitter = 0.2 * draw.random(), 0.05 * draw.random()
        network.set_link(source, destination, Link(delay=delay, jitter=jitter, reorder=0.1, duplicate=0.1))
    agents = Agents(network, urls=(STUN_URL, TURN_URLS[draw.choice(list(Transport))]))
    assert agents.connects(), (seed, one, other)
    assert agents.agree_on_a_pair(), (seed, one, other)
    assert agents.echoes(patience=1.0), (seed, one, other)
    if path_exists(one, other):
        assert agents.routes() == {"direct"}, (seed, one, other)
    else:
        assert "direct" not in agents.routes(), (seed, one, other)


@pytest.mark.parametrize("seed", [315, 436, 711])
def test_checks_that_trigger_each_other_do_not_keep_out_the_relay(seed: int) -> None:
    """Each check of these NATs comes from a new port, and so triggers another: no ordinary check had its turn."""
    connect_by_seed(seed)


@pytest.mark.parametrize("seed", [132, 456, 1018, 1394])
def test_a_path_whose_answers_take_long_is_not_left_for_that(seed: int) -> None:
    """Over a relay an answer takes a second; a late check of the peer made both flap between the two that work."""
    connect_by_seed(seed)


def test_checks_that_trigger_each_other_come_to_rest() -> None:
    behaviour = NatBehaviour(mapping="address-and-port-dependent", filtering="endpoint-independent", ports="random")
    agents = Agents(internet(behaviour, behaviour, keep_trace=True), urls=(STUN_URL, TURN_URLS[Transport.UDP]))
    assert agents.connects()
    agents.run(120.0)
    before = {name: agent.statistics.requests_sent for name, agent in agents.agents.items()}
    agents.run(60.0)
    for name, agent in agents.agents.items():
        assert agent.statistics.requests_sent - before[name] < 20  # consent checks
    assert agents.echoes()


def test_agents_connect_at_any_pace() -> None:
    for seed in range(FEW_SEEDS):
        connect_by_seed(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_agents_connect_ten_thousand_times() -> None:
    for seed in range(FEW_SEEDS, MANY_SEEDS):
        connect_by_seed(seed)


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("sides", [("alice",), ("bob",), SIDES], ids=str)
def test_relay_only(sides: tuple[str, ...], transport: Transport) -> None:
    """The peer learns no address of a side that is to be relayed, and nothing goes to it from there."""
    network = internet("open", "open", keep_trace=True)
    agents = Agents(network, urls=(STUN_URL, TURN_URLS[transport]), relay_only=sides)
    assert agents.connects()
    assert agents.agree_on_a_pair()
    assert agents.echoes()
    for side in sides:
        agent = agents.agents[side]
        assert {candidate.type for candidate in agent.local_candidates} == {ice.CandidateType.RELAYED}
        assert agent.selected_pair is not None
        assert agent.selected_pair.route == f"via TURN/{transport.value}"
        own = network.host(side).ip_addresses[0]
        other = network.host(agents.other(side)).ip_addresses[0]
        paths = {(entry.source[0], entry.destination[0]) for entry in network.trace if isinstance(entry, Sent)}
        assert (own, other) not in paths
        assert own not in str(agent.local_candidates)


def test_the_way_over_a_server_is_left_when_a_direct_one_appears() -> None:
    """Renomination: the data moves without a restart, and nothing of it is lost."""
    network = internet("open", "open", keep_trace=True)
    firewall = network.firewall("office", policy=UDP_BLOCKED, inside=["alice"])
    agents = Agents(network, urls=(TURN_URLS[Transport.TCP],))
    assert agents.connects()
    assert agents.agree_on_a_pair()
    assert "direct" not in agents.routes()
    firewall.policy = STATEFUL
    agents.run(40.0)
    assert agents.routes() == {"direct"}
    assert agents.agree_on_a_pair()
    assert agents.echoes()
