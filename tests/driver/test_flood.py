"""stun_one_packet_kill with the whole stack: a datagram affects at most its own connection, no receive task."""

from __future__ import annotations

from contextlib import AsyncExitStack
from random import Random

import pytest
import trio
import trio.testing

from xp2p_trio.driver import DataChannel, connect, signaling_pair
from xp2p_trio.sansio import Burst
from xp2p_trio.testing import Link, Network, Sent

CONNECTIONS = 3
FLOOD = 10_000
"""Datagrams for each port. The threat's own figure, a million, is for a longer run: change it here."""


def mutate(random: Random, datagram: bytes) -> bytes:
    """A datagram that nearly is one of the protocol's own."""
    mutated = bytearray(datagram)
    for _ in range(random.randrange(1, 4)):
        match random.randrange(4):
            case 0:
                mutated[random.randrange(len(mutated))] ^= 1 << random.randrange(8)
            case 1:
                del mutated[random.randrange(1, len(mutated) + 1) :]
            case 2:
                mutated += random.randbytes(random.randrange(40))
            case _:
                start = random.randrange(len(mutated))
                mutated[start : start + 2] = random.choice([b"\x00\x00", b"\xff\xff", b"\x00\x01"])
    return bytes(mutated)


async def send_back(channel: DataChannel) -> None:
    async for message in channel:
        await channel.send(message)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_flood_of_evil_datagrams_kills_nothing(autojump_clock: trio.testing.MockClock, seed: int) -> None:
    random = Random(seed)
    network = Network(seed=seed, link=Link(delay=0.001), keep_trace=True)
    mallory = network.host("mallory", "203.0.113.66").bind(("203.0.113.66", 0))
    async with AsyncExitStack() as stack:
        channels: list[DataChannel] = []
        targets = []
        for number in range(CONNECTIONS):
            end_a, end_b = signaling_pair()
            host_a = network.host(f"a{number}", f"192.0.2.{number + 1}")
            host_b = network.host(f"b{number}", f"198.51.100.{number + 1}")
            a = await stack.enter_async_context(connect(end_a, initiator=True, network=host_a))
            b = await stack.enter_async_context(connect(end_b, initiator=False, network=host_b))
            channel = a.create_data_channel("echo")
            await channel.send("hello")
            channels.append(channel)
            answerer = await b.incoming_channels.accept()
            nursery = await stack.enter_async_context(trio.open_nursery())
            stack.callback(nursery.cancel_scope.cancel, "the test is over")
            nursery.start_soon(send_back, answerer)
            assert await channel.receive() == "hello"
            pair = a.selected_pair.value
            assert pair is not None
            targets += [pair.local.address, pair.remote.address]
        seen = [event.datagram for event in network.trace if isinstance(event, Sent)]
        for target in targets:
            for _ in range(FLOOD // 50):
                evil = [
                    random.randbytes(random.randrange(200)) if not index % 5 else mutate(random, random.choice(seen))
                    for index in range(50)
                ]
                mallory.transmit(Burst(mallory.address, target, evil))
                await trio.sleep(0.001)
        for number, channel in enumerate(channels):
            await channel.send(f"alive {number}")
            with trio.fail_after(5):
                assert await channel.receive() == f"alive {number}"
