"""Streams of the kernel: TCP, and TLS on top of it.

    transmit -> frames, joined [-> TLS records] -> kept -> send, as much of it as the kernel takes
    wait_readable -> recv [-> TLS] -> one piece

No task runs behind a stream. What the kernel does not take at once is kept, KEEP_SIZE bytes at most, and leaves with
the next `transmit`, or by the hand of who waits in `wait_writable`.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import sys
from collections.abc import Sequence
from typing import Final, final

import trio

from xp2p_trio.driver.tls import Tls, explained
from xp2p_trio.sansio import Address, Transport

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes that one `receive` gives at most."""

KEEP_SIZE: Final = 256 * 1024
"""Bytes that wait for the kernel; a frame that does not fit is not taken."""

BACKLOG: Final = 32
"""Connections that wait for `accept`."""

_RECORDS_SIZE: Final = 32 * 1024  # with what was left of a record (16 KiB, RFC 8446 section 5.2) at most RECEIVE_SIZE
_ERROR_PAUSE: Final = 0.1  # seconds; when a process has no more files, that takes a while to change


@final
class TcpStream:
    """A connected stream: the `StreamSocket` of the kernel.

    Args:
        sock: a connected, non-blocking socket, which this object owns from now on.
        remote: the other end.
        tls: what encrypts, with its handshake done; None is plain TCP.
    """

    __slots__ = (
        "_is_broken",
        "_is_closed",
        "_is_over",
        "_kept",
        "_local",
        "_remote",
        "_socket",
        "_tls",
        "_unread",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, remote: Address, tls: Tls | None = None) -> None:
        self._socket = sock
        self._local = _address(sock.getsockname())
        self._remote = remote
        self._tls = tls
        self._kept = bytearray()
        self._is_closed = self._is_broken = self._is_over = False
        self._unread = b""
        if tls is not None:  # something may have come right behind the handshake
            self._unread, self._is_over = tls.decrypt(b"")

    def __repr__(self) -> str:
        return f"<TcpStream from {self._local} to {self._remote}>"

    @property
    def local(self) -> Address:
        """Our end."""
        return self._local

    @property
    def remote(self) -> Address:
        """The other end."""
        return self._remote

    @property
    def transport(self) -> Transport:
        """TCP or TLS."""
        return Transport.TCP if self._tls is None else Transport.TLS

    @property
    def is_blocked(self) -> bool:
        """Whether something is kept that the kernel did not take yet."""
        return bool(self._kept)

    async def receive(self) -> bytes:
        """Wait for the next piece of the stream; empty at its end, however that came.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
            trio.BusyResourceError: another task waits here.
        """
        self._check_open()
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._unread and not self._is_over:
            await trio.lowlevel.wait_readable(self._socket)
            self._read()
        piece, self._unread = self._unread, b""
        await trio.lowlevel.cancel_shielded_checkpoint()
        return piece

    def transmit(self, frames: Sequence[bytes]) -> int:
        """Send frames without blocking; see `StreamSocket.transmit`.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
        """
        self._check_open()
        self._push()
        done, total = 0, len(frames)
        while done < total and not self._is_broken:
            stop, size = done, len(self._kept)
            while stop < total and (not size or size + len(frames[stop]) <= KEEP_SIZE):
                size += len(frames[stop])
                stop += 1
            if stop == done:
                return done
            self._keep(b"".join(frames[done:stop]))
            self._push()
            done = stop
        return total

    async def wait_writable(self) -> None:
        """Wait until everything that was kept has been sent, or the stream is at its end.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
            trio.BusyResourceError: another task waits here.
        """
        self._check_open()
        await trio.lowlevel.checkpoint()
        while self._kept:
            await trio.lowlevel.wait_writable(self._socket)
            self._push()

    def close(self) -> None:
        """End the stream at once and wake whoever waits; what is kept is lost. Again is harmless."""
        if self._is_closed:
            return
        if self._tls is not None and not self._kept:
            with contextlib.suppress(OSError):
                self._socket.send(self._tls.close())
        self._is_closed = True
        self._kept.clear()
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was already closed")

    def _read(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_SIZE if self._tls is None else _RECORDS_SIZE)
        except BlockingIOError:
            return
        except OSError:  # a reset, for instance
            data = b""
        self._is_over = not data
        if self._tls is None:
            self._unread = data
        elif data:
            self._unread, self._is_over = self._tls.decrypt(data)
            self._kept += self._tls.take_records()
            self._push()
            if len(self._kept) > 2 * KEEP_SIZE:  # who asks for new keys without an end, and reads none of the answers
                self._break()

    def _keep(self, data: bytes) -> None:
        if self._tls is None:
            self._kept += data
            return
        try:
            self._kept += self._tls.encrypt(data)
        except ssl.SSLError:
            self._break()

    def _push(self) -> None:
        """Hand to the kernel what it takes."""
        try:
            while self._kept:
                with memoryview(self._kept) as view:
                    sent = self._socket.send(view)
                del self._kept[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._break()

    def _break(self) -> None:
        """Nothing can be sent any more; what has arrived can still be read, and then is the end."""
        self._is_broken = True
        self._kept.clear()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@final
class TcpListener:
    """A port that peers connect to: the `StreamListener` of the kernel.

    Args:
        sock: a listening, non-blocking socket, which this object owns from now on.
    """

    __slots__ = ("_address", "_is_closed", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._address = _address(sock.getsockname())
        self._is_closed = False

    @property
    def address(self) -> Address:
        """The local address, with the port that was really bound."""
        return self._address

    async def accept(self) -> TcpStream:
        """Wait for the next stream. A connection that is gone before it is looked at is skipped.

        Raises:
            trio.ClosedResourceError: the listener was closed.
            trio.BusyResourceError: another task waits here.
        """
        while not self._is_closed:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                sock, raw_remote = self._socket.accept()
            except BlockingIOError:
                continue
            except OSError:
                await trio.sleep(_ERROR_PAUSE)
                continue
            try:
                _prepare(sock)
                return TcpStream(sock, _address(raw_remote))
            except OSError:
                sock.close()
        raise trio.ClosedResourceError("this listener was closed")

    def close(self) -> None:
        """Release the port and wake whoever waits. Again is harmless."""
        if not self._is_closed:
            self._is_closed = True
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


def listen_tcp(address: Address) -> TcpListener:
    """Open a port on a numeric address; 0 lets the system choose.

    Raises:
        OSError: the address is not ours, or the port is taken; the text names both.
    """
    try:
        sock = _make_socket(address[0])
        try:
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if sys.platform != "win32":  # elsewhere it lets a port be opened again that old connections still name
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind(address)
            sock.listen(BACKLOG)
            return TcpListener(sock)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        reason = f"cannot listen on {address[0]} port {address[1]}: {error.strerror}"
        raise OSError(error.errno, reason) from None


async def connect_tcp(local_host: str | None, remote: Address) -> TcpStream:
    """Connect over TCP; see `Network.connect_stream`.

    Raises:
        OSError: there is no connection; the text says why.
    """
    sock = await _connect(local_host, remote)
    try:
        return TcpStream(sock, remote)
    except BaseException:
        sock.close()
        raise


async def connect_tls(
    local_host: str | None, remote: Address, server_name: str, context: ssl.SSLContext | None
) -> TcpStream:
    """Connect over TLS; see `Network.connect_stream`.

    Args:
        local_host: our numeric address; None leaves it to the system.
        remote: numeric address.
        server_name: what the certificate has to be for; empty is the numeric address.
        context: whom to trust; None is whom the system trusts.

    Raises:
        ssl.SSLCertVerificationError: the certificate is not good.
        OSError: there is no connection.
    """
    server_name = server_name or remote[0]
    sock = await _connect(local_host, remote)
    try:
        try:
            tls = Tls(context, server_name)
            await _shake_hands(sock, tls)
            return TcpStream(sock, remote, tls)
        except (OSError, ValueError) as error:
            raise explained(error, remote, server_name) from error
    except BaseException:
        sock.close()
        raise


async def _connect(local_host: str | None, remote: Address) -> socket.socket:
    await trio.lowlevel.checkpoint()
    try:
        sock = _make_socket(remote[0])
        try:
            _prepare(sock)
            if local_host is not None:
                sock.bind((local_host, 0))
            number = sock.connect_ex(remote)
            if number in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                await trio.lowlevel.wait_writable(sock)
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number))
            return sock
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        origin = "" if local_host is None else f" from {local_host}"
        reason = f"no TCP connection{origin} to {remote[0]} port {remote[1]}: {error.strerror}"
        raise OSError(error.errno, reason) from None


async def _shake_hands(sock: socket.socket, tls: Tls) -> None:
    records = b""
    while True:
        try:
            is_complete = tls.handshake(records)
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                sock.send(tls.take_records())  # the alert that tells the other end
            raise
        await _send_all(sock, tls.take_records())
        if is_complete:
            return
        await trio.lowlevel.wait_readable(sock)
        try:
            records = sock.recv(_RECORDS_SIZE)
        except BlockingIOError:
            records = b""
        else:
            if not records:
                raise OSError(errno.ECONNRESET, "it ended the connection")


async def _send_all(sock: socket.socket, data: bytes) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)


def _make_socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # frames are messages already


def _address(raw: tuple[str, int]) -> Address:
    return str(ipaddress.ip_address(raw[0])), raw[1]
