"""A NAT that maps a host anew, again and again, on links that lose: both stay on one pair."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from tests.simulation.nats import PRIVATE_IP, STUN_SERVER, Agents, surround
from tests.simulation.world import GOOD, SIDES
from xp2p_trio import ice
from xp2p_trio.testing import FULL_CONE, PORT_RESTRICTED_CONE, RESTRICTED_CONE, Link, Nat, Network


def behind_nats(seed: int, *behind: str) -> tuple[Agents, dict[str, Nat]]:
    """Who is not behind a NAT of its own that forgets is behind one that lets in any port of a known host."""
    network = Network(link=GOOD, seed=seed, keep_trace=True)
    nats = {}
    for name, public_ip in zip(SIDES, ("203.0.113.1", "203.0.113.2"), strict=True):
        if name in behind:
            network.host(name, PRIVATE_IP)
            behaviour = PORT_RESTRICTED_CONE if len(behind) == 1 else FULL_CONE
            nats[name] = network.nat(f"{name}'s", public_ip, behaviour=behaviour, inside=[name])
        else:
            surround(network, name, RESTRICTED_CONE, public_ip)
    network.host("stun", STUN_SERVER[0])
    return Agents(network), nats


def link_both(agents: Agents, link: Link) -> None:
    for one, other in itertools.permutations(SIDES, 2):
        agents.network.set_link(one, other, link)


@pytest.mark.parametrize("behind", [("alice",), ("bob",), SIDES], ids=str)
@pytest.mark.parametrize("seed", range(20))
def test_on_a_link_that_loses_both_end_up_on_one_pair(seed: int, behind: tuple[str, ...]) -> None:
    draw = Random(seed)
    agents, nats = behind_nats(seed, *behind)
    assert agents.connects()
    for _ in range(6):
        link_both(agents, Link(delay=0.1 * draw.random(), jitter=0.02, loss=0.2 * draw.random(), reorder=0.1))
        agents.run(10.0 * draw.random())
        nats[draw.choice(behind)].rebind()
        agents.run(2.0 * draw.random())
        link_both(agents, GOOD)
        agents.run(14.0)
        assert agents.echoes()
        assert agents.are_on_one_pair()


def test_a_connection_outlives_any_number_of_mappings() -> None:
    """Each makes a peer-reflexive candidate known, of which so and so many are kept."""
    agents, nats = behind_nats(0, "alice")
    assert agents.connects()
    for _ in range(2 * ice.Configuration().max_peer_reflexive_candidates):
        nats["alice"].rebind()
        agents.run(10.0)
        assert agents.echoes()
    assert len(agents.agents["bob"].remote_candidates) <= 34
    assert len(agents.agents["bob"].pair_report) <= 34


@pytest.mark.parametrize("round_trip", [0.3, 1.2])
def test_a_long_way_is_no_reason_to_stay_with_what_is_dead(round_trip: float) -> None:
    agents, nats = behind_nats(1, "alice")
    assert agents.connects()
    link_both(agents, Link(delay=round_trip / 2))
    agents.run(20.0)
    nats["alice"].rebind()
    rebound_at = agents.now
    while not agents.echoes(round_trip):
        assert agents.now < rebound_at + 6.0 + max(0.5 + round_trip, 2 * round_trip)
