"""A full queue drops datagrams or makes the program wait; who waits is woken (libdatachannel f37730f6, ad22ddb1).

Both peers fill every buffer on the way to the other, which does not read; then one after the other reads, in either
order, and everything arrives.
"""

from __future__ import annotations

import itertools

import pytest
import trio
from trio.testing import MockClock

from tests.simulation.world import SIDES, World
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.testing import Link, connected_pair

MESSAGE_SIZE = 65_536
COUNT = 80  # five mebibytes each way: more than all buffers of both sides together
PATIENCE = 30.0


@pytest.mark.parametrize("order", list(itertools.permutations(SIDES)))
def test_sans_io(order: tuple[str, ...]) -> None:
    world = World(seed=11)
    world.peers.connect()
    label = world.open("alice", ChannelParameters())
    world.run(1.0)
    for side in SIDES:
        for _ in range(COUNT):
            world.send(side, label, MESSAGE_SIZE, is_text=False)
    world.run(PATIENCE)
    for side in SIDES:
        association = world.connection(side).association
        assert association is not None
        assert association.statistics.buffered_size > 0, "the buffers were not full"
    for side in order:
        for _ in range(40):
            world.read(side)
            world.run(1.0)
    world.settle()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_driver(order: tuple[int, int], autojump_clock: MockClock) -> None:
    async with connected_pair(link=Link(delay=0.01), seed=11) as (alice, bob):
        ours = alice.create_data_channel("full")
        await ours.send("first")
        channels = (ours, await bob.incoming_channels.accept())
        assert await channels[1].receive() == "first"
        done = []

        async def fill(which: int) -> None:
            for number in range(COUNT):
                await channels[which].send(number.to_bytes(2) * (MESSAGE_SIZE // 2))
            done.append(which)

        async with trio.open_nursery() as nursery:
            for which in (0, 1):
                nursery.start_soon(fill, which)
            await trio.sleep(PATIENCE)
            assert done == [], "the buffers were not full"
            for which in order:
                for number in range(COUNT):
                    with trio.fail_after(PATIENCE):
                        assert await channels[which].receive() == number.to_bytes(2) * (MESSAGE_SIZE // 2)
        assert sorted(done) == [0, 1]
