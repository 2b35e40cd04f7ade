"""Requests for sessions that do not exist: they cost no memory, and no more work than there is a limit for."""

from __future__ import annotations

from random import Random

import trio
import trio.testing

from tests.security.mux import CONNECTIONS, MALLORY, heap_limit, request, scene
from xp2p_trio import accept_direct
from xp2p_trio.ice import UnknownPeer
from xp2p_trio.ice.demultiplexing import MAX_UNKNOWN_PER_SECOND
from xp2p_trio.peer import DIRECT_PREFIX, DirectPeer
from xp2p_trio.sansio import Address

FLOOD = 20_000
MIB = 1024 * 1024


def strangers(random: Random, count: int) -> list[Address]:
    """Source addresses as a forger writes them: of the one network that the simulation has a host in."""
    return [(MALLORY[0], random.randrange(1, 65536)) for _ in range(count)]


async def test_unknown_fragments_cost_no_memory(autojump_clock: trio.testing.MockClock) -> None:
    random = Random(1)
    asked: list[float] = []

    def on_unknown(unknown: UnknownPeer) -> DirectPeer | None:
        if not unknown.local_username_fragment.startswith(DIRECT_PREFIX):
            asked.append(trio.current_time())
            return None
        return accept_direct(unknown)

    async with scene(1, on_unknown=on_unknown) as it:

        async def flood(count: int) -> None:
            for source in strangers(random, count // 20):
                it.send(
                    *(request(f"{random.randbytes(8).hex()}:abcd", "p" * 22, random.randbytes(12)) for _ in range(20)),
                    source=source,
                )
                await trio.sleep(0.002)

        await flood(2_000)
        began = trio.current_time()
        with heap_limit(1 * MIB):
            await flood(FLOOD)
        seconds = trio.current_time() - began
        assert it.server.statistics.mux.demultiplexer.requests_unknown == CONNECTIONS + 2_000 + FLOOD
        assert it.server.statistics.mux.demultiplexer.paths == CONNECTIONS
        recent = [at for at in asked if at >= began]
        assert len(recent) <= MAX_UNKNOWN_PER_SECOND * (seconds + 2)


async def test_peers_that_are_none_take_no_more_than_half_of_the_places(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Well-signed requests for connections without signaling, from addresses that never answer."""
    random = Random(2)
    async with scene(2, max_peers=20) as it:
        for source in strangers(random, 200):
            fragment = DIRECT_PREFIX + random.randbytes(33).hex()[:43] + "p" * 24
            it.send(request(f"{fragment}:abcd", fragment, random.randbytes(12)), source=source)
            await trio.sleep(0.002)
        statistics = it.server.statistics
        assert (statistics.peers, statistics.connecting) == (CONNECTIONS + 10, 10)
        assert statistics.refused == 200 - 10
        await it.assert_all_echo()
        await trio.sleep(60)
        statistics = it.server.statistics
        assert statistics.peers == statistics.mux.demultiplexer.sessions == CONNECTIONS
        assert statistics.unconnected == 10


async def test_an_unsigned_request_makes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    random = Random(3)
    async with scene(3) as it:
        for source in strangers(random, 200):
            fragment = DIRECT_PREFIX + random.randbytes(33).hex()[:43] + "p" * 24
            it.send(request(f"{fragment}:abcd", "a guess", random.randbytes(12)), source=source)
            await trio.sleep(0.002)
        await trio.sleep(1)
        assert it.server.statistics.unauthenticated == 200
        assert it.server.statistics.peers == CONNECTIONS
