"""`python -m tests.benchmarks.many_peers 200`: many peers on one UDP port over this machine's own sockets.

Clients and server are one process, so that the time to open is that of both. Then what sharing costs: the way of a
datagram through the mux in memory, and the bulk and the round trips of one connection with and without it.
"""

from __future__ import annotations

import functools
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from tests.benchmarks.workload import percentile
from xp2p_trio import PeerConnection, accept_direct, open_direct_connection, open_peer_connection, open_udp_mux
from xp2p_trio.driver import PeerServer, serve_peers
from xp2p_trio.ice import Demultiplexer
from xp2p_trio.sansio import Burst

BULK_MESSAGE = bytes(64 * 1024)
BULK_COUNT = 1000
PINGS = 2000
AT_ONCE = 200


async def echo(connection: PeerConnection) -> None:
    """Send everything back."""
    async for channel in connection.incoming_channels:
        async for message in channel:
            await channel.send(message)


async def open_many(count: int) -> None:
    """Open this many connections, `AT_ONCE` at a time, let each say two words, and close them."""
    opened = trio.Event()
    left = count
    opening = trio.Semaphore(AT_ONCE)

    async def client(server: PeerServer) -> None:
        nonlocal left
        await opening.acquire()
        async with open_direct_connection(server.addresses[0], server.fingerprint, bind_address="127.0.0.1") as ours:
            channel = ours.create_data_channel("echo")
            await channel.send("hello")
            await channel.receive()
            opening.release()
            left -= 1
            if not left:
                opened.set()
            await opened.wait()
            await channel.send("goodbye")
            await channel.receive()

    async with trio.open_nursery() as nursery:
        serve = functools.partial(serve_peers, host="127.0.0.1", on_unknown=accept_direct, max_peers=count)
        server: PeerServer = await nursery.start(serve, echo, 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        async with trio.open_nursery() as clients:
            for _ in range(count):
                clients.start_soon(client, server)
            await opened.wait()
            took = time.perf_counter() - started
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert server.statistics.peers == count
        print(f"{count} peers open after {took:.2f} s, {took / count * 1e3:.1f} ms each")
        print(f"{grown / count / 2:.0f} KiB resident for each connection, of which each peer has two here")
        print(f"closed after {time.perf_counter() - started:.2f} s")
        nursery.cancel_scope.cancel()


def route_alone() -> None:
    """The demultiplexer by itself, with a thousand sessions."""
    demultiplexer: Demultiplexer[int] = Demultiplexer()
    local = ("192.0.2.1", 4000)
    bursts: list[Burst] = []
    for number in range(1000):
        demultiplexer.add(f"session{number}", number, 0.0)
        remote = (f"10.0.{number >> 8}.{number & 255}", 5000)
        request = bytes([0, 1, 0, 0]) + bytes.fromhex("2112a442") + number.to_bytes(12)
        demultiplexer.sent(number, Burst(local, remote, (request,)))
        demultiplexer.route(Burst(local, remote, (b"\x01\x01" + request[2:],)), 0.0)
        bursts.append(Burst(local, remote, (b"\x17" + bytes(1199),)))
    for size in (1, 50):
        batch = [Burst(each.local, each.remote, tuple(each.datagrams) * size) for each in bursts]
        started = time.process_time()
        for _ in range(100):
            for burst in batch:
                demultiplexer.route(burst, 0.0)
        took = (time.process_time() - started) / 100 / len(batch)
        print(f"routing a burst of {size}: {took * 1e6:.2f} us")


@asynccontextmanager
async def pair_of(
    open_server: Callable[[], AbstractAsyncContextManager[PeerConnection]],
) -> AsyncIterator[tuple[PeerConnection, PeerConnection]]:
    """The server's connection and the client's."""
    async with open_server() as ours, open_peer_connection(bind_address="127.0.0.1") as theirs:
        theirs.set_local_description()
        ours.set_remote_description(await theirs.complete_description())
        ours.set_local_description()
        theirs.set_remote_description(await ours.complete_description())
        await theirs.wait_connected()
        yield ours, theirs


async def measure(name: str, ours: PeerConnection, theirs: PeerConnection) -> None:
    """Bulk towards the server and back, and round trips."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, ours)
        channel = theirs.create_data_channel("echo")
        await channel.wait_open()
        started = time.process_time()
        async with trio.open_nursery() as both:
            both.start_soon(channel.send_many, [BULK_MESSAGE] * BULK_COUNT)
            for _ in range(BULK_COUNT):
                await channel.receive()
        bulk = time.process_time() - started
        round_trips = []
        for _ in range(PINGS):
            sent = time.perf_counter()
            await channel.send(b"ping")
            await channel.receive()
            round_trips.append(time.perf_counter() - sent)
        size = 2 * BULK_COUNT * len(BULK_MESSAGE) / 2**20
        print(
            f"{name}: {bulk / size * 1024:.1f} processor seconds a GiB, "
            f"round trip p50 {percentile(round_trips, 0.5) * 1e6:.0f} us"
        )
        nursery.cancel_scope.cancel()


async def compare() -> None:
    """One connection on a port of its own, and on a shared one."""

    for _ in range(3):
        async with pair_of(functools.partial(open_peer_connection, bind_address="127.0.0.1")) as pair:
            await measure("port of its own", *pair)
        async with (
            open_udp_mux(0, host="127.0.0.1") as mux,
            pair_of(functools.partial(open_peer_connection, network=mux.network())) as pair,
        ):
            await measure("shared port", *pair)


if __name__ == "__main__":
    route_alone()
    trio.run(compare)
    trio.run(open_many, int(sys.argv[1]) if len(sys.argv) > 1 else 200)
