"""Many peers on one port of one process (THREATS 5.6), each a whole client of its own, over the simulated network."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from xp2p_trio import PeerConnection, accept_direct, open_direct_connection, open_peer_connection, serve_peers
from xp2p_trio.driver import PeerServer
from xp2p_trio.sansio import Address
from xp2p_trio.testing import Link, Network

SERVER: Address = ("192.0.2.1", 4000)
KIB = 1024


async def echo(connection: PeerConnection) -> None:
    async for channel in connection.incoming_channels:
        async for message in channel:
            await channel.send(message)


class Crowd:
    """Clients that come, say a word, stay for a while, and say another."""

    def __init__(self, network: Network, server: PeerServer, count: int, seconds: float) -> None:
        self.network = network
        self.server = server
        self.count = count
        self.seconds = seconds
        self.present = 0
        self.all_present = trio.Event()
        self.all_gone = trio.Event()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(self.count):
                nursery.start_soon(self._client, number)
        self.all_gone.set()

    @asynccontextmanager
    async def _connection(self, number: int) -> AsyncIterator[PeerConnection]:
        host = self.network.host(f"client{number}", f"10.0.{number >> 8}.{number & 255}")
        if number % 2:
            async with open_direct_connection(SERVER, self.server.fingerprint, network=host) as client:
                yield client
        else:
            async with open_peer_connection(network=host) as client:
                client.set_remote_description(await self.server.answer(client.set_local_description()))
                yield client

    async def _client(self, number: int) -> None:
        await trio.sleep(number * 0.02)
        async with self._connection(number) as client:
            channel = client.create_data_channel("echo")
            await channel.send(f"hello {number}")
            assert await channel.receive() == f"hello {number}"
            self.present += 1
            if self.present == self.count:
                self.all_present.set()
            await self.all_present.wait()
            await trio.sleep(self.seconds)
            await channel.send(f"goodbye {number}")
            assert await channel.receive() == f"goodbye {number}"


async def serve_a_crowd(count: int, *, seconds: float = 60.0) -> float:
    """Returns the bytes of Python heap for each connection, of which the server and the client are one each."""
    network = Network(seed=count, link=Link(delay=0.02))
    async with trio.open_nursery() as nursery:
        server: PeerServer = await nursery.start(
            partial(serve_peers, on_unknown=accept_direct, network=network.host("server", SERVER[0])), echo, SERVER[1]
        )
        crowd = Crowd(network, server, count, seconds)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        nursery.start_soon(crowd.run)
        await crowd.all_present.wait()
        statistics = server.statistics
        assert (statistics.peers, statistics.served, statistics.connecting) == (count, count, 0)
        assert statistics.mux.demultiplexer.paths == count
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        await crowd.all_gone.wait()
        await trio.sleep(1)
        statistics = server.statistics
        assert (statistics.peers, statistics.served, statistics.lost, statistics.unconnected) == (0, count, 0, 0)
        demultiplexer = statistics.mux.demultiplexer
        assert (demultiplexer.sessions, demultiplexer.paths, demultiplexer.claims_refused) == (0, 0, 0)
        assert statistics.mux.datagrams_dropped == 0
        nursery.cancel_scope.cancel()
    return (after - before) / (2 * count)


async def test_fifty_peers_on_one_port(autojump_clock: trio.testing.MockClock) -> None:
    await serve_a_crowd(50)


@pytest.mark.slow
async def test_a_thousand_peers_on_one_port(autojump_clock: trio.testing.MockClock) -> None:
    await serve_a_crowd(1000)


@pytest.mark.slow
async def test_the_memory_of_a_connection(autojump_clock: trio.testing.MockClock) -> None:
    tracemalloc.start()
    try:
        assert await serve_a_crowd(200, seconds=1.0) < 256 * KIB
    finally:
        tracemalloc.stop()
