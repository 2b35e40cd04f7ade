"""Servers and peers at the other end of a stream that mean no good."""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import socket
import ssl
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import TypeAlias

import pytest
import trio
import trio.testing
from OpenSSL import SSL

from tests.driver.certificates import server_context
from tests.driver.test_cancellation import CancelAtStep
from tests.security import tls_attacker
from xp2p_trio.driver import SystemNetwork
from xp2p_trio.driver.engine import Engine
from xp2p_trio.driver.engine_streams import CONNECT_PATIENCE
from xp2p_trio.driver.tcp import KEEP_SIZE, TcpListener, TcpStream
from xp2p_trio.driver.tls import Tls
from xp2p_trio.sansio import Address, Burst, Transport

TCP, TLS = Transport.TCP, Transport.TLS
NAME = "turn.example"


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def listening() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    return server


def connected(buffer_size: int) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        for sock in (server, client):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_size)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_size)
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        ours = socket.socket(fileno=client.detach())
    ours.setblocking(False)
    accepted.setblocking(False)
    return ours, accepted


async def accept(server: socket.socket) -> socket.socket:
    await trio.lowlevel.wait_readable(server)
    sock, _ = server.accept()
    sock.setblocking(False)
    return sock


async def send(sock: socket.socket, data: bytes) -> bool:
    """Send all; False if the other end is gone."""
    try:
        while data:
            try:
                data = data[sock.send(data) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(sock)
    except OSError:
        return False
    return True


async def test_an_endless_demand_for_new_keys_is_an_end(tmp_path: pathlib.Path) -> None:
    """RFC 8446 section 4.6.3: each demand is answered. Who reads no answer must not fill our memory with them."""
    context, issuer = server_context(tmp_path, NAME)
    log = tls_attacker.log_secrets(tmp_path, context)
    ours, theirs = connected(buffer_size=4096)  # so that it does not take long
    ends: list[int] = []

    async def attack() -> None:
        with closing(theirs):
            writer = await tls_attacker.shake_hands(theirs, context, log)
            await send(theirs, writer.record(b"hello", 23))
            size = 0
            while await send(theirs, records := b"".join(writer.key_update() for _ in range(100))):
                size += len(records)
                assert size < 4 * KEEP_SIZE
            ends.append(size)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack)
            tls = Tls(ssl.create_default_context(cafile=issuer), NAME)
            records = b""
            while not tls.handshake(records):
                await send(ours, tls.take_records())
                await trio.lowlevel.wait_readable(ours)
                records = ours.recv(65536)
            await send(ours, tls.take_records())
            stream = TcpStream(ours, ("192.0.2.1", 5349), tls)
            assert await stream.receive() == b"hello"
            while await stream.receive():
                pass
            stream.close()
    assert ends[0] > KEEP_SIZE


async def test_a_server_that_wants_to_shake_hands_again(tmp_path: pathlib.Path) -> None:
    """TLS 1.2 (RFC 5246 section 7.4.1.1): nothing can be sent meanwhile. It is better an end than silence."""
    _, issuer = server_context(tmp_path, NAME)
    context = SSL.Context(SSL.TLSv1_2_METHOD)
    context.use_certificate_chain_file(str(tmp_path / "server.pem"))
    context.use_privatekey_file(str(tmp_path / "server.pem"))

    async def serve() -> None:
        tls = SSL.Connection(context, None)
        tls.set_accept_state()
        with closing(await accept(server)) as sock:
            while True:
                try:
                    tls.do_handshake()
                    break
                except SSL.WantReadError:
                    with contextlib.suppress(SSL.WantReadError):
                        await send(sock, tls.bio_read(65536))
                    await trio.lowlevel.wait_readable(sock)
                    tls.bio_write(sock.recv(65536))
            tls.renegotiate()
            tls.send(b"hello")
            await send(sock, tls.bio_read(65536))
            await falls_silent(sock)

    network = SystemNetwork(ssl_context=ssl.create_default_context(cafile=issuer))
    with trio.fail_after(10), closing(listening()) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            stream = await network.connect_stream(None, server.getsockname(), TLS, NAME)
            assert await stream.receive() == b"hello"
            assert stream.transmit([b"frame"]) == 1
            assert await stream.receive() == b""
            stream.close()


# --- servers that take their time, or too much of ours


async def falls_silent(sock: socket.socket) -> None:
    """Reads and says nothing."""
    await trio.lowlevel.wait_readable(sock)
    while sock.recv(65536):
        await trio.lowlevel.wait_readable(sock)


async def dribbles(sock: socket.socket) -> None:
    """Sends a byte a second: the beginning of a handshake record that takes hours."""
    await send(sock, b"\x16\x03\x03\x40\x00")
    while await send(sock, b"\x02"):  # noqa: ASYNC110 - it is no busy wait
        await trio.sleep(1)


async def floods(sock: socket.socket) -> None:
    """Sends empty records, of which one may be sent as many as one likes (RFC 5246 section 6.2.1)."""
    while await send(sock, b"\x16\x03\x03\x00\x00" * 1000):  # noqa: ASYNC110 - it is no busy wait
        await trio.lowlevel.checkpoint()


async def floods_with_change_of_cipher(sock: socket.socket) -> None:
    """RFC 8446 section 5 has them ignored during a handshake."""
    while await send(sock, b"\x14\x03\x03\x00\x01\x01" * 1000):  # noqa: ASYNC110 - it is no busy wait
        await trio.lowlevel.checkpoint()


async def sends_a_giant_message(sock: socket.socket) -> None:
    """A ServerHello of 16 MB, in records of the greatest size."""
    await send(sock, b"\x16\x03\x03\x40\x00\x02\xff\xff\xff" + bytes(16380))
    while await send(sock, b"\x16\x03\x03\x40\x00" + bytes(16384)):  # noqa: ASYNC110 - it is no busy wait
        await trio.lowlevel.checkpoint()


Behaviour: TypeAlias = Callable[[socket.socket], Awaitable[None]]


@pytest.mark.parametrize(
    "behave", [falls_silent, dribbles, floods, floods_with_change_of_cipher, sends_a_giant_message]
)
async def test_a_handshake_that_comes_to_no_end(autojump_clock: trio.testing.MockClock, behave: Behaviour) -> None:
    heard: list[str] = []

    class Core:
        def receive(self, batch: object, now: float) -> None:
            raise AssertionError

        def handle_timeout(self, now: float) -> None:
            pass

        def transmit(self, now: float, limit: int) -> list[Burst]:
            return []

        def take_events(self) -> list[object]:
            return []

        def next_timeout(self) -> float:
            return math.inf

        def stream_opened(self, number: int, local: Address, now: float) -> None:
            raise AssertionError

        def stream_failed(self, number: int, detail: str, now: float) -> None:
            heard.append(detail)
            failed.set()

        def stream_accepted(self, local: Address, remote: Address, now: float, transport: Transport) -> None:
            raise AssertionError

        def stream_closed(self, local: Address, remote: Address, now: float, transport: Transport) -> None:
            raise AssertionError

    async def serve() -> None:
        with closing(await accept(server)) as sock:
            await trio.lowlevel.wait_readable(sock)
            with contextlib.suppress(ConnectionError):
                await behave(sock)

    failed = trio.Event()
    core = Core()
    with closing(listening()) as server:
        before = open_files()
        tracemalloc.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            engine = Engine(core, SystemNetwork(), lambda: False, stream_core=core)
            engine.start(nursery)  # type: ignore[arg-type]
            engine.connect_stream(1, None, server.getsockname(), TLS, NAME)
            with trio.fail_after(CONNECT_PATIENCE + 0.1):
                await failed.wait()
            engine.stop()
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
        tracemalloc.stop()
        assert open_files() == before
    assert "TLS" in heard[0]


# --- cancellation


@pytest.mark.parametrize("transport", [TCP, TLS], ids=["tcp", "tls"])
def test_cancelled_at_every_step(tmp_path: pathlib.Path, transport: Transport) -> None:
    """Connecting, accepting, both directions: no file stays open, wherever it is cancelled."""
    context, issuer = server_context(tmp_path, NAME)
    network = SystemNetwork(ssl_context=ssl.create_default_context(cafile=issuer))

    async def serve(listener: TcpListener) -> None:
        while True:
            with closing(await listener.accept()) as stream:
                if transport is TCP:
                    while piece := await stream.receive():
                        stream.transmit([piece])
                        await stream.wait_writable()
                else:
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    tls = context.wrap_bio(incoming, outgoing, server_side=True)
                    while piece := await stream.receive():
                        incoming.write(piece)
                        with contextlib.suppress(ssl.SSLWantReadError):
                            tls.do_handshake()
                            while True:
                                tls.write(tls.read(65536))
                        stream.transmit([outgoing.read()])
                        await stream.wait_writable()

    async def talk(address: Address) -> None:
        with closing(await network.connect_stream("127.0.0.1", address, transport, NAME)) as stream:
            stream.transmit([bytes(1000)] * 500)
            await stream.wait_writable()
            size = 0
            while size < 500_000:
                size += len(await stream.receive())

    async def main(instrument: CancelAtStep, is_server: bool) -> None:
        async def until_it_is_over() -> None:
            await talk(listener.address)
            nursery.cancel_scope.cancel("it is over")

        listener = network.listen(("127.0.0.1", 0))
        before = open_files()
        with trio.CancelScope() as scope, trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(until_it_is_over if is_server else serve, *(() if is_server else (listener,)))
                instrument.arm(scope)
                await (serve(listener) if is_server else until_it_is_over())
        assert open_files() == before
        listener.close()

    for is_server in (False, True):
        for step in range(1, 40):
            instrument = CancelAtStep(step)
            trio.run(main, instrument, is_server, instruments=[instrument])
