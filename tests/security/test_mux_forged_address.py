"""Forged source addresses on a shared port: nobody takes away another session's datagrams by them.

The forger is the strongest there is off the path: a legitimate peer of one session, whose credentials it has, that can
write any source address, and knows those of the other sessions' peers.
"""

from __future__ import annotations

from random import Random

import trio
import trio.testing

from tests.security.mux import CONNECTIONS, MALLORY, heap_limit, request, scene
from xp2p_trio import open_peer_connection
from xp2p_trio.ice.demultiplexing import MAX_NAMED_PATHS

MIB = 1024 * 1024
MESSAGES = 200


async def test_a_forger_does_not_get_the_data_of_others(autojump_clock: trio.testing.MockClock) -> None:
    random = Random(1)
    async with scene(1) as it:
        username, password = it.credentials(0)
        victim = it.channels[1]
        messages = [random.randbytes(2000) for _ in range(MESSAGES)]

        async def forge() -> None:
            while True:
                for use_candidate in (False, True):
                    forged = request(username, password, random.randbytes(12), use_candidate=use_candidate)
                    it.send(forged, source=it.addresses[1])
                    await trio.sleep(0.0005)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(forge)
            for message in messages:
                await victim.send(message)
                assert await victim.receive() == message
            nursery.cancel_scope.cancel()
        demultiplexer = it.server.statistics.mux.demultiplexer
        assert demultiplexer.claims_refused > MESSAGES
        statistics = it.clients[1].statistics().sctp
        assert statistics is not None
        assert statistics.retransmitted_chunks == 0, "not a datagram went astray"


async def test_a_forger_who_was_there_first_gives_way(autojump_clock: trio.testing.MockClock) -> None:
    """It knows where the next peer will come from, and names its own session from there before."""
    random = Random(2)
    async with scene(2) as it:
        username, password = it.credentials(0)
        late = it.network.host("late", "198.51.100.99")
        for port in range(49152, 49160):
            it.send(request(username, password, random.randbytes(12)), source=("198.51.100.99", port))
        await trio.sleep(0.1)
        async with open_peer_connection(network=late) as client:
            client.set_remote_description(await it.server.answer(client.set_local_description()))
            with trio.fail_after(2):
                await client.wait_connected()


async def test_many_forged_addresses_push_out_nothing_that_works(autojump_clock: trio.testing.MockClock) -> None:
    """Authenticated checks in the name of a session, each from another port."""
    random = Random(3)
    async with scene(3) as it:
        username, password = it.credentials(0)
        check = request(username, password, random.randbytes(12))

        async def flood(count: int) -> None:
            for _ in range(count // 10):
                for _ in range(10):
                    it.send(check, source=(MALLORY[0], random.randrange(1, 65536)))
                await trio.sleep(0.001)

        await flood(2_000)
        with heap_limit(4 * MIB):
            await flood(10_000)
        await it.assert_all_echo()
        assert it.server.statistics.mux.demultiplexer.paths <= CONNECTIONS + MAX_NAMED_PATHS


async def test_a_stranger_who_knows_a_fragment_alone(autojump_clock: trio.testing.MockClock) -> None:
    """Fragments are in the clear on the path; the password is not needed to name a session."""
    random = Random(4)
    async with scene(4) as it:
        username, _ = it.credentials(0)
        for source in it.addresses:
            it.send(*(request(username, "a guess", random.randbytes(12)) for _ in range(50)), source=source)
            await trio.sleep(0.01)
            await it.assert_all_echo()
