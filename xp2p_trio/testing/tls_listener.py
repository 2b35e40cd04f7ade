"""The server's end of TLS, over any stream that the driver knows."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from typing import Final, final

import trio

from xp2p_trio.driver import StreamListener, StreamSocket
from xp2p_trio.sansio import Address, Transport

_READ_SIZE: Final = 65_536
_MAX_KEPT_SIZE: Final = 65_536  # beside what the stream below keeps


@final
class TlsListener:
    """Takes streams from a listener, and speaks TLS on them.

    Nobody waits for a handshake here: it is part of the first `receive` of a stream.
    """

    def __init__(self, listener: StreamListener, context: ssl.SSLContext) -> None:
        self._listener = listener
        self._context = context

    @property
    def address(self) -> Address:
        """The local address."""
        return self._listener.address

    async def accept(self) -> TlsServerStream:
        """Wait for the next stream.

        Raises:
            trio.ClosedResourceError: the listener was closed.
        """
        return TlsServerStream(await self._listener.accept(), self._context)

    def close(self) -> None:
        """Release the port and wake whoever waits. Again is harmless."""
        self._listener.close()


@final
class TlsServerStream:
    """A stream that was accepted: the driver's `StreamSocket`. A handshake that fails is the end of it."""

    def __init__(self, stream: StreamSocket, context: ssl.SSLContext) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_established = False
        self._kept = b""

    @property
    def local(self) -> Address:
        """Our end."""
        return self._stream.local

    @property
    def remote(self) -> Address:
        """The other end."""
        return self._stream.remote

    @property
    def transport(self) -> Transport:
        """TLS."""
        return Transport.TLS

    @property
    def is_blocked(self) -> bool:
        """Whether something is kept."""
        return bool(self._kept) or self._stream.is_blocked

    async def receive(self) -> bytes:
        """Wait for the next piece; empty at the end, however that came.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
            trio.BusyResourceError: another task waits here.
        """
        while True:
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                if not self._is_established:
                    self._tls.do_handshake()
                    self._is_established = True
                data = self._tls.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:  # the alert of a goodbye among them
                self._flush()
                return b""
            else:
                self._flush()
                await trio.lowlevel.cancel_shielded_checkpoint()
                return data
            if not self._flush() and len(self._kept) > _MAX_KEPT_SIZE:
                return b""  # who asks for new keys without an end, and reads none of the answers
            chunk = await self._stream.receive()
            if not chunk:
                return b""
            self._incoming.write(chunk)

    def transmit(self, frames: Sequence[bytes]) -> int:
        """Encrypt and send without blocking; see `StreamSocket.transmit`."""
        if not self._flush():
            return 0
        with contextlib.suppress(ssl.SSLError):  # there is nobody yet, or nobody any more
            for frame in frames:
                self._tls.write(frame)
        self._flush()
        return len(frames)

    async def wait_writable(self) -> None:
        """Wait until everything that was kept has been sent; see `StreamSocket.wait_writable`."""
        await self._stream.wait_writable()
        while not self._flush():
            await self._stream.wait_writable()

    def close(self) -> None:
        """Say goodbye, and end the stream at once. Again is harmless."""
        with contextlib.suppress(ssl.SSLError, trio.ClosedResourceError):
            self._tls.unwrap()  # which wants to read the answer
        with contextlib.suppress(trio.ClosedResourceError):
            self._flush()
        self._stream.close()

    def _flush(self) -> bool:
        """Hand on what is encrypted. Returns False where the stream below has no room for it."""
        self._kept += self._outgoing.read()
        if self._kept and self._stream.transmit([self._kept]):
            self._kept = b""
        return not self._kept
