"""ice_no_send_before_consent: only STUN to whoever has not answered a check of ours within 30 s.

The monitor of every simulated run holds this; here the runs are made for it.
"""

from __future__ import annotations

import random

import pytest

from tests.ice.simulation import World, random_network
from xp2p_trio.errors import InvalidState
from xp2p_trio.ice import State


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
