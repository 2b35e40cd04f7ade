"""stun_one_packet_kill: no datagram raises, and none ends a live session."""

from __future__ import annotations

import random

from tests.ice.simulation import World
from xp2p_trio.sansio import Burst


def test_a_live_session_survives_noise_and_mutated_traffic() -> None:
    world = World(3)
    world.introduce()
    world.run_for(20)
    source = random.Random(9)
    seen = [data for end in world.ends for *_, data in end.sent]
    for _ in range(10_000):
        raw = bytearray(source.choice(seen) if source.random() < 0.7 else source.randbytes(source.randrange(80)))
        for _ in range(source.randrange(4)):
            if raw:
                raw[source.randrange(len(raw))] ^= 1 << source.randrange(8)
        raw = raw[: source.randrange(len(raw) + 1)] if source.random() < 0.2 else raw
        end = source.choice(world.ends)
        remote = source.choice([*world.other(end).bases, ("203.0.113.66", source.randrange(1, 65536))])
        data = bytes(raw)
        end.watch_received(world.now, Burst(end.bases[0], remote, [data]))
        end.agent.receive(Burst(end.bases[0], remote, [data]), world.now)
        for _ in end.agent.transmit(world.now, 100):
            pass
    for end in world.ends:
        end.agent.take_received()
        assert len(end.agent.remote_candidates) <= 132
    world.run_for(40)
    world.left.agent.send([b"\x16after all"], world.now)
    world.run_for(1)
    assert world.right.received[-1] == b"\x16after all"
    world.assert_agreed()
