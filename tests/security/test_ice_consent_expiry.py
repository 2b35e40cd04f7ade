"""ice_consent_expiry: the last data leaves within 30 s of the last answer, whenever the answers stop."""

from __future__ import annotations

import random

import pytest

from tests.ice.simulation import World
from xp2p_trio.errors import InvalidState
from xp2p_trio.sansio import Failed


@pytest.mark.parametrize("restart", ["none", "untold", "told", "half told"])
def test_the_last_data_leaves_within_thirty_seconds_of_the_last_answer(restart: str) -> None:
    for seed in range(150 if restart == "none" else 40):
        source = random.Random(seed)
        world = World(seed)
        world.introduce()
        world.run_for(0.5 + source.random() * 12)
        if restart != "none":
            world.restart()
            world.run_for(source.random() * 12)
        world.is_connected = False
        if restart in ("told", "half told"):
            world.tell_credentials(world.left)
        if restart == "told":
            world.tell_credentials(world.right)
        # The monitor compares each datagram with the last answer; here: it comes as late as that too.
        last = world.left.answered[world.left.bases[0], world.right.bases[0]]
        data_times: list[float] = []
        step = 0.05 + source.random()
        while not world.left.events or not isinstance(world.left.events[-1], Failed):
            try:
                world.left.agent.send([b"\x16"], world.now)
            except InvalidState:
                break
            data_times.append(world.now)
            world.run_for(step)
        assert 29.0 - step <= data_times[-1] - last
        left = [at for at, _, _, data in world.left.sent if data[0] > 3]
        assert max(left) < last + 30.0 + 1e-9
        before = len(world.left.sent)
        world.is_connected = True
        for end in world.ends:
            world.tell_candidates(end)
        world.run_for(30)
        assert len(world.left.sent) == before  # the same credentials are never used again
