"""demux_rfc7983: the first byte decides, and only STUN and DTLS are ours."""

from __future__ import annotations

from tests.ice.simulation import World, snapshot
from xp2p_trio.sansio import Burst


def test_every_first_byte_at_every_short_length() -> None:
    world = World()
    world.introduce()
    world.run_for(1)
    agent = world.right.agent
    for first in range(256):
        for size in range(1, 21):
            data = bytes([first]) + bytes(size - 1)
            before = agent.statistics
            view = snapshot(agent)
            agent.receive(Burst(world.right.bases[0], world.left.bases[0], [data]), world.now)
            after = agent.statistics
            taken = agent.take_received()
            if 20 <= first <= 63:
                assert taken == [data]
            elif first <= 3:
                assert taken == []
                assert after.stun_malformed == before.stun_malformed + 1
            else:
                assert taken == []
                assert after.datagrams_dropped == before.datagrams_dropped + 1
            assert snapshot(agent) == view
            assert agent.transmit(world.now, 9) == []


def test_an_empty_datagram_is_dropped() -> None:
    world = World()
    world.introduce()
    world.run_for(1)
    world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], [b""]), world.now)
    assert world.right.agent.take_received() == []
    assert world.right.agent.statistics.datagrams_dropped == 1


def test_a_mixed_burst_equals_its_datagrams_one_by_one() -> None:
    mixed = [b"\x16a", b"", b"\x00junk", b"\x40", b"\x17b", b"\xff", b"\x14c"]
    results = []
    for split in (False, True):
        world = World()
        world.introduce()
        world.run_for(1)
        for datagrams in [[each] for each in mixed] if split else [mixed]:
            world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], datagrams), world.now)
        results.append((world.right.agent.take_received(), world.right.agent.statistics))
    assert results[0] == results[1]
    assert results[0][0] == [b"\x16a", b"\x17b", b"\x14c"]
