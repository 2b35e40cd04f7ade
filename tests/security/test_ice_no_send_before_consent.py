"""ice_no_send_before_consent: only STUN to whoever has not answered a check of ours within 30 s.

The monitor of every simulated run holds this; here the runs are made for it.
"""

from __future__ import annotations

import random

import pytest

from tests.ice.simulation import World, random_network
from tests.simulation.nats import STUN_URL, TURN_URLS, Agents, internet
from xp2p_trio.errors import InvalidState
from xp2p_trio.ice import State
from xp2p_trio.sansio import Transport
from xp2p_trio.testing import BLACK_HOLE, PORT_RESTRICTED_CONE, SYMMETRIC, Link


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_network_does(seed: int) -> None:
    source = random.Random(seed)
    world = World(seed, left=[("10.0.0.1", 1), ("10.0.0.2", 1)], right=[("10.0.1.1", 1), ("10.0.1.2", 1)])
    world.fate = random_network(source, 0.3)
    world.introduce()
    sent = 0
    for _ in range(120):
        if source.random() < 0.02:
            world.is_connected = not world.is_connected
        for end in world.ends:
            try:
                end.agent.send([b"\x16 data"], world.now)
                sent += 1
            except InvalidState:
                assert end.agent.selected_pair is None
        world.run_for(source.random())
    assert sent > 0


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_network_does_to_servers_and_restarts(seed: int, transport: Transport) -> None:
    """What a TURN server sends on for us is watched as well: it leaves for the same addresses."""
    draw = random.Random(seed)
    network = internet(SYMMETRIC, draw.choice([SYMMETRIC, PORT_RESTRICTED_CONE, "open"]), seed=seed)
    agents = Agents(network, urls=(STUN_URL, TURN_URLS[transport]))
    assert agents.connects()
    sent = 0
    for _ in range(60):
        if draw.random() < 0.1:
            one, other = draw.sample(["alice", "bob", "turn"], 2)
            network.set_links(one, other, draw.choice([BLACK_HOLE, Link(delay=0.02), Link(delay=0.1, loss=0.3)]))
        if draw.random() < 0.05:
            agents.restart()
        if draw.random() < 0.05:
            draw.choice(list(agents.agents.values())).restart(agents.now)
        for agent in agents.agents.values():
            try:
                agent.send([b"\x80"], agents.now)
                sent += 1
            except InvalidState:
                assert agent.selected_pair is None
        agents.run(2 * draw.random())
    assert sent > 0


def test_send_before_a_pair_is_valid_is_refused_and_nothing_leaves() -> None:
    world = World()
    with pytest.raises(InvalidState, match="NEW"):
        world.left.agent.send([b"\x16 data"], world.now)
    world.introduce()
    with pytest.raises(InvalidState, match="CHECKING"):
        world.left.agent.send([b"\x16 data"], world.now)
    world.run_for(1)
    assert world.left.agent.state is State.COMPLETED
    assert all(data[0] <= 3 for *_, data in world.left.sent)
