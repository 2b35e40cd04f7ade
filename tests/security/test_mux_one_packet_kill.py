"""stun_one_packet_kill on a shared port: no datagram, from whatever address it seems to come, ends what others have.

js-libp2p CVE-2026-103936 (one STUN packet before authentication ends the listener), Erlang CVE-2026-55950 (one client's
packets crash the demultiplexer of all).
"""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

from tests.security.mux import CONNECTIONS, MALLORY, Scene, heap_limit, mutate, scene

FLOOD = 100_000
"""Datagrams. The threat's own figure, a million, is for a longer run: change it here."""

MIB = 1024 * 1024


async def flood(it: Scene, random: Random, count: int) -> None:
    """Noise, and datagrams that nearly are the connections' own, in the name of strangers and of the clients."""
    for _ in range(count // 50):
        evil = [
            random.randbytes(random.randrange(200)) if not index % 5 else mutate(random, random.choice(it.seen))
            for index in range(50)
        ]
        it.send(*evil, source=random.choice([MALLORY, *it.addresses]))
        await trio.sleep(0.002)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_flood_at_a_shared_port_kills_nothing(autojump_clock: trio.testing.MockClock, seed: int) -> None:
    async with scene(seed) as it:
        await flood(it, Random(seed), FLOOD // 2)
        await it.assert_all_echo()
        demultiplexer = it.server.statistics.mux.demultiplexer
        assert demultiplexer.stun_malformed > FLOOD // 20
        assert demultiplexer.requests_unknown > FLOOD // 200
        await trio.sleep(60)
        assert it.server.statistics.peers == CONNECTIONS, "what the noise made, it could not keep"


async def test_a_flood_at_a_shared_port_fills_no_memory(autojump_clock: trio.testing.MockClock) -> None:
    random = Random(3)
    async with scene(3) as it:
        await flood(it, random, 5_000)
        with heap_limit(4 * MIB):
            await flood(it, random, FLOOD // 5)


async def test_one_datagram_of_every_kind(autojump_clock: trio.testing.MockClock) -> None:
    """Every first byte, and every length of what begins like STUN."""
    async with scene(4) as it:
        for source in (MALLORY, it.addresses[0]):
            for first in range(256):
                it.send(*(bytes([first]) * size for size in range(40)), source=source)
                await trio.sleep(0.002)
            for datagram in it.seen[:20]:
                it.send(*(datagram[:size] for size in range(len(datagram))), source=source)
                await trio.sleep(0.002)
