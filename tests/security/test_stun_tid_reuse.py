"""stun_tid_reuse: 96 random bits for each transaction, never used twice, the same for a retransmission."""

from __future__ import annotations

import random

from tests.ice.simulation import World, random_network
from xp2p_trio.ice import Agent, Configuration, Role
from xp2p_trio.stun import decode_message


def test_a_repeating_source_is_drawn_from_again() -> None:
    source = random.Random(1)
    ids = iter([b"a" * 12, b"a" * 12, b"b" * 12, b"b" * 12, b"c" * 12])

    def draw(size: int) -> bytes:
        return next(ids, source.randbytes(12)) if size == 12 else source.randbytes(size)

    world = World(left=[("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3)])
    world.left.agent = Agent(Configuration(), role=Role.CONTROLLING, random_bytes=draw)
    world.fate = lambda number, sender, destination, data: ()
    world.introduce()
    world.run_for(1)
    assert list(world.left.requests) == [b"a" * 12, b"b" * 12, b"c" * 12]


def test_no_id_twice_in_many_sessions() -> None:
    seen: set[bytes] = set()
    count = 0
    left, right = [(f"10.0.1.{n}", n) for n in range(1, 5)], [(f"10.0.2.{n}", n) for n in range(1, 5)]
    for seed in range(60):
        world = World(seed, left=left, right=right, fate=random_network(random.Random(seed), 0.7))
        world.introduce()
        world.run_for(5)  # the monitor compares retransmissions
        for end in world.ends:
            count += len(end.requests)
            seen.update(end.requests)
            assert all(decode_message(raw).transaction_id == tid for tid, raw in end.requests.items())
    assert len(seen) == count > 1000
