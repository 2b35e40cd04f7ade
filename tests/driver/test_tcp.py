"""Streams of the kernel: TCP, and TLS against the standard library's."""

from __future__ import annotations

import errno
import pathlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.driver.certificates import server_context
from xp2p_trio.driver import SystemNetwork
from xp2p_trio.driver.tcp import KEEP_SIZE, RECEIVE_SIZE, TcpStream
from xp2p_trio.sansio import Address, Transport

TCP, TLS = Transport.TCP, Transport.TLS
NAME = "turn.example"


class Peer:
    """The other end of a stream: a blocking socket of the standard library, used from a thread where it may block."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def read(self, size: int) -> bytes:
        received = bytearray()
        with trio.fail_after(20):
            while len(received) < size:
                piece = await trio.to_thread.run_sync(self.sock.recv, size - len(received), abandon_on_cancel=True)
                if not piece:
                    break
                received += piece
        return bytes(received)


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, pathlib.Path]:
    return server_context(tmp_path_factory.mktemp("certificate"), NAME, "127.0.0.1")


@asynccontextmanager
async def connected(
    transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path]
) -> AsyncIterator[tuple[TcpStream, Peer]]:
    context, certificate = tls_server
    network = SystemNetwork(ssl_context=ssl.create_default_context(cafile=certificate))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def accept() -> socket.socket:
            sock, _ = server.accept()
            sock.settimeout(20)
            return context.wrap_socket(sock, server_side=True) if transport is TLS else sock

        accepted: list[socket.socket] = []

        async def accept_soon() -> None:
            accepted.append(await trio.to_thread.run_sync(accept))

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept_soon)
                stream = await network.connect_stream(None, server.getsockname(), transport, NAME)
    try:
        yield stream, Peer(accepted[0])
    finally:
        stream.close()
        accepted[0].close()


EACH = pytest.mark.parametrize("transport", [TCP, TLS], ids=["tcp", "tls"])


@EACH
async def test_frames_travel_both_ways(transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path]) -> None:
    async with connected(transport, tls_server) as (stream, peer):
        assert stream.transport is transport
        assert stream.local == peer.sock.getpeername()
        assert stream.remote == peer.sock.getsockname()
        assert stream.transmit([b"one", b"", b"two"]) == 3
        assert not stream.is_blocked
        assert await peer.read(6) == b"onetwo"
        peer.sock.sendall(b"answer")
        with trio.fail_after(5):
            assert await stream.receive() == b"answer"
        with trio.testing.assert_checkpoints():
            await stream.wait_writable()


@EACH
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.sampled_from([1, 100, 1200, 16_384, 65_535]), min_size=1, max_size=60), data=st.data())
def test_whole_frames_leave_in_order_whatever_the_kernel_takes(
    transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path], sizes: Sequence[int], data: st.DataObject
) -> None:
    frames = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def main() -> None:
        async with connected(transport, tls_server) as (stream, peer):
            taken: list[bytes] = []
            start = 0
            while start < len(frames):
                stop = data.draw(st.integers(start + 1, len(frames)))
                count = stream.transmit(frames[start:stop])
                taken += frames[start : start + count]  # the others are dropped whole
                start = stop
            expected = b"".join(taken)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.wait_writable)
                assert await peer.read(len(expected)) == expected
            assert not stream.is_blocked

    trio.run(main)


@EACH
async def test_what_is_kept_is_bounded_and_leaves(
    transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path]
) -> None:
    async with connected(transport, tls_server) as (stream, peer):
        frame = bytes(10_000)
        count = 0
        while stream.transmit([frame]):
            count += 1
        assert stream.is_blocked
        assert stream.transmit([frame, frame]) == 0
        assert stream.transmit([bytes(10)]) == 1
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                with trio.fail_after(20):
                    await stream.wait_writable()

            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await stream.wait_writable()
            assert len(await peer.read(count * len(frame) + 10)) == count * len(frame) + 10
        assert count * len(frame) >= KEEP_SIZE - len(frame)
        assert stream.transmit([frame]) == 1


async def test_a_frame_larger_than_what_is_kept_passes_alone(
    tls_server: tuple[ssl.SSLContext, pathlib.Path],
) -> None:
    async with connected(TCP, tls_server) as (stream, peer):
        frame = bytes(20 * KEEP_SIZE)
        assert stream.transmit([frame, b"x"]) == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.wait_writable)
            assert len(await peer.read(len(frame))) == len(frame)


@EACH
async def test_pieces_are_bounded(transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path]) -> None:
    async with connected(transport, tls_server) as (stream, peer):
        sent = bytes(range(256)) * 4096
        received = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, peer.sock.sendall, sent)
            with trio.fail_after(20):
                while len(received) < len(sent):
                    with trio.testing.assert_checkpoints():
                        piece = await stream.receive()
                    assert 0 < len(piece) <= RECEIVE_SIZE
                    received += piece
        assert received == sent


@EACH
async def test_a_cancelled_receive_loses_nothing(
    transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path]
) -> None:
    async with connected(transport, tls_server) as (stream, peer):
        peer.sock.sendall(b"kept")
        for _ in range(3):
            with trio.CancelScope() as scope:
                scope.cancel()
                await stream.receive()
                raise AssertionError("a cancelled receive returned")
        with trio.fail_after(5):
            assert await stream.receive() == b"kept"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.receive)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel("it has waited")
            peer.sock.sendall(b"more")
            assert await stream.receive() == b"more"


def close(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


@EACH
@pytest.mark.parametrize("end", [close, reset])
async def test_the_end_is_no_error(
    transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path], end: Callable[[socket.socket], None]
) -> None:
    async with connected(transport, tls_server) as (stream, peer):
        if end is close:
            peer.sock.sendall(b"last")
        end(peer.sock)
        with trio.fail_after(5):
            while piece := await stream.receive():
                assert piece == b"last"
            for _ in range(2):
                with trio.testing.assert_checkpoints():
                    assert await stream.receive() == b""
        for _ in range(5):
            assert stream.transmit([bytes(100_000)] * 5) == 5  # nowhere
            await trio.lowlevel.checkpoint()
        with trio.fail_after(5):
            await stream.wait_writable()


async def test_an_end_of_tls_alone_is_an_end(tls_server: tuple[ssl.SSLContext, pathlib.Path]) -> None:
    async with connected(TLS, tls_server) as (stream, peer):
        assert isinstance(peer.sock, ssl.SSLSocket)
        peer.sock.sendall(b"last")
        async with trio.open_nursery() as nursery:
            # Waits for our close_notify, so that it is seen to come.
            nursery.start_soon(trio.to_thread.run_sync, peer.sock.unwrap)
            with trio.fail_after(5):
                received = b""
                while piece := await stream.receive():
                    received += piece
            assert received == b"last"
            stream.close()


async def test_garbage_in_tls_is_an_end(tls_server: tuple[ssl.SSLContext, pathlib.Path]) -> None:
    async with connected(TLS, tls_server) as (stream, peer):
        with socket.socket(fileno=peer.sock.detach()) as plain:
            plain.sendall(b"this is no record of TLS" * 100)
            with trio.fail_after(5):
                assert await stream.receive() == b""


@EACH
async def test_the_end_wakes_who_waits_to_send(
    transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path]
) -> None:
    async with connected(transport, tls_server) as (stream, peer):
        while stream.transmit([bytes(100_000)]):
            pass
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.wait_writable)
                await trio.testing.wait_all_tasks_blocked()
                reset(peer.sock)


@EACH
async def test_closing(transport: Transport, tls_server: tuple[ssl.SSLContext, pathlib.Path]) -> None:
    async with connected(transport, tls_server) as (stream, peer):
        stream.transmit([b"last"])

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive()

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await stream.receive()
                stream.close()
                stream.close()
        assert await peer.read(10) == b"last"
        for operation in (stream.receive, stream.wait_writable):
            with pytest.raises(trio.ClosedResourceError):
                await operation()
        with pytest.raises(trio.ClosedResourceError):
            stream.transmit([b"x"])


# --- connecting


async def free_port() -> Address:
    listener = SystemNetwork().listen(("127.0.0.1", 0))
    listener.close()
    return listener.address


async def test_who_is_refused_is_told_where() -> None:
    address = await free_port()
    for transport in (TCP, TLS):
        with pytest.raises(ConnectionRefusedError) as caught:
            await SystemNetwork().connect_stream(None, address, transport, NAME)
        assert caught.value.strerror == f"no TCP connection to 127.0.0.1 port {address[1]}: Connection refused"


async def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(OSError, match=r"from 203\.0\.113\.5 to 127\.0\.0\.1 port 9") as caught:
        await SystemNetwork().connect_stream("203.0.113.5", ("127.0.0.1", 9), TCP, "")
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_connecting_from_an_address() -> None:
    network = SystemNetwork()
    listener = network.listen(("127.0.0.1", 0))
    with trio.fail_after(5):
        ours = await network.connect_stream("127.0.0.2", listener.address, TCP, "")
        theirs = await listener.accept()
    assert ours.local[0] == theirs.remote[0] == "127.0.0.2"
    for each in (ours, theirs, listener):
        each.close()


async def test_connecting_can_be_cancelled(tls_server: tuple[ssl.SSLContext, pathlib.Path]) -> None:
    listener = SystemNetwork().listen(("127.0.0.1", 0))
    for transport in (TCP, TLS):
        with trio.CancelScope() as scope:
            scope.cancel()
            await SystemNetwork().connect_stream(None, listener.address, transport, NAME)
        assert scope.cancelled_caught
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(SystemNetwork().connect_stream, None, listener.address, TLS, NAME)
            theirs = await listener.accept()
            assert await theirs.receive()  # a ClientHello, to which nothing answers
            nursery.cancel_scope.cancel("enough was seen")
        assert await theirs.receive() == b""
    theirs.close()
    listener.close()


async def test_an_attempt_that_nobody_answers_can_be_cancelled() -> None:
    """A full backlog swallows connections, as a firewall does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(SystemNetwork().connect_stream, None, server.getsockname(), TCP, "")
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel("no socket may be left, which would be a warning")


# --- trust


async def refusal(
    server: ssl.SSLContext | None, trust: ssl.SSLContext | None, server_name: str, *, greeting: bytes = b""
) -> OSError:
    """What connecting over TLS raises; without a context the server speaks plain text, or just leaves."""
    network = SystemNetwork(ssl_context=trust)
    listener = network.listen(("127.0.0.1", 0))

    async def serve() -> None:
        stream = await listener.accept()
        if server is None:
            if await stream.receive() and greeting:
                stream.transmit([greeting])
            stream.close()
            return
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server.wrap_bio(incoming, outgoing, server_side=True)
        while piece := await stream.receive():
            incoming.write(piece)
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                alerts.append(error.reason)
            stream.transmit([outgoing.read()])
        stream.close()

    alerts: list[str] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with pytest.raises(OSError, match="TLS") as caught:
                await network.connect_stream(None, listener.address, TLS, server_name)
    listener.close()
    if isinstance(caught.value, ssl.SSLCertVerificationError):
        assert alerts  # the server learns it too
    return caught.value


async def test_a_certificate_that_nobody_vouches_for(tls_server: tuple[ssl.SSLContext, pathlib.Path]) -> None:
    error = await refusal(tls_server[0], None, NAME)
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert "is not good for 'turn.example': unable to get local issuer certificate; if you trust it" in str(error)
    assert "127.0.0.1 port" in str(error)


@pytest.mark.parametrize("name", ["other.example", "127.0.0.9"])
async def test_a_certificate_for_another_name(tls_server: tuple[ssl.SSLContext, pathlib.Path], name: str) -> None:
    error = await refusal(tls_server[0], ssl.create_default_context(cafile=tls_server[1]), name)
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert f"certificate is not valid for '{name}'; give the server by a name that its certificate has" in str(error)


async def test_a_certificate_that_has_expired(tmp_path: pathlib.Path) -> None:
    context, certificate = server_context(tmp_path, NAME, days=-1)
    error = await refusal(context, ssl.create_default_context(cafile=certificate), NAME)
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert "certificate has expired; it has to be renewed" in str(error)


@pytest.mark.parametrize("name", ["", f"{NAME}.", NAME.upper()], ids=["address", "with the root's dot", "capitals"])
async def test_names_for_which_the_certificate_is_good(
    tls_server: tuple[ssl.SSLContext, pathlib.Path], name: str
) -> None:
    """Without a name the address is checked."""
    trust = ssl.create_default_context(cafile=tls_server[1])
    listener = trio.SSLListener((await trio.open_tcp_listeners(0, host="127.0.0.1"))[0], tls_server[0])
    address = listener.transport_listener.socket.getsockname()

    async def serve() -> None:
        theirs = await listener.accept()
        await theirs.do_handshake()
        await trio.aclose_forcefully(theirs)

    with trio.fail_after(20):
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            stream = await SystemNetwork(ssl_context=trust).connect_stream(None, address, TLS, name)
    stream.close()


@pytest.mark.parametrize(
    ("greeting", "words"),
    [(b"", "it ended the connection"), (b"220 mail.example ESMTP\r\n" * 10, "it does not speak TLS")],
)
async def test_a_server_without_tls(greeting: bytes, words: str) -> None:
    error = await refusal(None, None, NAME, greeting=greeting)
    assert words in str(error)


async def test_a_server_with_old_tls_only(tls_server: tuple[ssl.SSLContext, pathlib.Path]) -> None:
    trust = ssl.create_default_context(cafile=tls_server[1])
    trust.minimum_version = ssl.TLSVersion.TLSv1_3
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    error = await refusal(server, trust, NAME)
    assert "no TLS with 127.0.0.1 port" in str(error)
    assert "protocol" in str(error)


@pytest.mark.parametrize("name", [".example", "a" * 70 + ".example"])
async def test_a_name_that_is_none(name: str) -> None:
    listener = SystemNetwork().listen(("127.0.0.1", 0))
    with pytest.raises(OSError, match="no name that a certificate can have"):
        await SystemNetwork().connect_stream(None, listener.address, TLS, name)
    listener.close()
