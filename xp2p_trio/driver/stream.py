"""A data channel as a byte stream: `xp2p.stream.1`.

A binary message carries bytes, at most 16 KiB so that messages of other channels come between; an empty text message is
the end of the stream (in a browser: `channel.send("")`). SCTP's stream reset cannot say that, since it closes both
directions (RFC 8831 section 6.7). A channel that closes without it was cut short, and the reader hears of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, final

import trio

if TYPE_CHECKING:
    from xp2p_trio.driver.channel import DataChannel

STREAM_PROTOCOL: Final = "xp2p.stream.1"
"""The sub-protocol that `PeerConnection.open_stream` announces."""

MAX_MESSAGE_SIZE: Final = 16 * 1024
"""Bytes in one message of the stream."""


@final
class DataChannelStream(trio.abc.HalfCloseableStream):
    """Bytes over a data channel, with an end in each direction.

    Attributes:
        channel: the channel below.
    """

    def __init__(self, channel: DataChannel) -> None:
        self.channel = channel
        self._unread = b""
        self._saw_eof = False
        self._sent_eof = False
        self._is_closed = False
        self._is_cut = False
        self._senders = _Guard("another task is sending on this stream")
        self._receivers = _Guard("another task is receiving from this stream")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of the bytes. Cancelled, it has sent an unknown part, and the stream refuses to go on.

        Raises:
            trio.ClosedResourceError: the stream was closed, or its end was sent.
            trio.BrokenResourceError: the peer or the path is gone.
            trio.BusyResourceError: another task sends.
        """
        with self._senders:
            self._require_sendable()
            await trio.lowlevel.checkpoint()
            view = memoryview(data).cast("B")
            self._is_cut = bool(view)
            for start in range(0, len(view), MAX_MESSAGE_SIZE):
                await self.channel.send(view[start : start + MAX_MESSAGE_SIZE])
            self._is_cut = False

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room to send.

        Raises:
            As `send_all`.
        """
        with self._senders:
            self._require_sendable()
            await self.channel.wait_writable()

    async def send_eof(self) -> None:
        """End our direction; the peer's goes on. Again is harmless.

        Raises:
            As `send_all`.
        """
        with self._senders:
            if self._sent_eof and not self._is_closed:
                await trio.lowlevel.checkpoint()
                return
            self._require_sendable()
            await self.channel.send("")
            self._sent_eof = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes: at least one, at most `max_bytes`; empty at the peer's end of the stream.

        Raises:
            trio.ClosedResourceError: the stream was closed.
            trio.BrokenResourceError: the channel closed before the peer's end of the stream, or the path is gone.
            trio.BusyResourceError: another task receives.
        """
        if max_bytes is not None:
            if not isinstance(max_bytes, int):
                raise TypeError(f"max_bytes is {type(max_bytes).__name__}, not an int")
            if max_bytes < 1:
                raise ValueError(f"max_bytes is {max_bytes}; it must be at least 1")
        with self._receivers:
            await trio.lowlevel.checkpoint()
            if self._is_closed:
                raise trio.ClosedResourceError("this stream was closed")
            while not self._unread and not self._saw_eof:
                try:
                    message = await self.channel.receive()
                except trio.EndOfChannel:
                    raise trio.BrokenResourceError("the peer closed the channel before the end of its stream") from None
                if isinstance(message, bytes):
                    self._unread = message
                elif message == "":
                    self._saw_eof = True
                else:
                    raise trio.BrokenResourceError("the peer sent text, which no stream of xp2p.stream.1 carries")
            size = len(self._unread) if max_bytes is None else max_bytes
            data, self._unread = self._unread[:size], self._unread[size:]
            return data

    async def aclose(self) -> None:
        """End our direction, if that can be said, and close the channel. Again is harmless.

        Cancelled, or by `trio.aclose_forcefully`, it ends nothing: to the peer the stream is cut short.
        """
        if self._is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._is_closed = True
        is_forced = trio.current_effective_deadline() == -math.inf
        if not (is_forced or self._sent_eof or self._is_cut or self._senders.is_held):
            self.channel.send_last("")
        await self.channel.aclose()

    def _require_sendable(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed")
        if self._sent_eof:
            raise trio.ClosedResourceError("the end of this stream was already sent")
        if self._is_cut:
            raise trio.BrokenResourceError("an earlier send_all was cancelled half way; what follows would be garbled")


class _Guard:
    """Raises `trio.BusyResourceError` where two tasks collide."""

    def __init__(self, message: str) -> None:
        self._message = message
        self.is_held = False

    def __enter__(self) -> None:
        if self.is_held:
            raise trio.BusyResourceError(self._message)
        self.is_held = True

    def __exit__(self, *_: object) -> None:
        self.is_held = False
