"""A data channel as trio sees it: a `trio.abc.Channel` of `str` and `bytes`, with back-pressure both ways."""

from __future__ import annotations

from typing import Protocol, TypeAlias, final

import trio

from xp2p_trio.datachannel import Channel as ChannelRecord
from xp2p_trio.datachannel import ChannelState
from xp2p_trio.driver.state import StateValue
from xp2p_trio.driver.stream import DataChannelStream
from xp2p_trio.errors import MessageTooLarge
from xp2p_trio.peer import Connection

Sendable: TypeAlias = str | bytes | bytearray | memoryview
"""What `send` takes: text, or any bytes, which are copied once."""


class Owner(Protocol):
    """What a channel needs of the connection that it belongs to."""

    @property
    def core(self) -> Connection:
        """The sans-IO stack."""

    def wake(self, size: int = 0) -> None:
        """There is something to send, of about this many bytes."""

    def expect_answer(self) -> None:
        """A task was woken with a message."""

    def flush(self) -> None:
        """Send now."""

    def watch(self, channel: DataChannel) -> None:
        """Call `DataChannel.look` after each step, until it says that nobody waits to send."""

    def watch_unread(self, channel_id: int, channel: DataChannel) -> None:
        """Call `DataChannel.wake_readers` once the channel has an unread message."""

    def error(self) -> Exception | None:
        """Why the connection is over; None while it lives."""

    def sending_error(self) -> Exception | None:
        """Why nothing can be sent any more: the connection is over, or is being closed."""

    def has_failed(self) -> bool:
        """Whether the connection broke, rather than being closed by one side."""


@final
class DataChannel(trio.abc.Channel[str | bytes]):
    """A bidirectional channel of messages, made by `PeerConnection.create_data_channel` or by the peer.

    `str` travels as text and `bytes` as binary, and arrives as what it was. A cancelled `send` has queued all of its
    message or nothing; a cancelled `receive` has taken nothing.

    Attributes:
        state: connecting, open, closing or closed, as an awaitable value.
    """

    def __init__(self, owner: Owner, channel_id: int) -> None:
        self._owner = owner
        self._core = owner.core
        self._channel_id = channel_id
        self._record: ChannelRecord = owner.core.channel(channel_id)
        self._send_buffer = owner.core.configuration.send_buffer
        self._turn = trio.StrictFIFOLock()
        self._writers = trio.lowlevel.ParkingLot()
        self._flushers = trio.lowlevel.ParkingLot()
        self._readers = trio.lowlevel.ParkingLot()
        self._is_closed = False
        self.state: StateValue[ChannelState] = StateValue(self._record.state)

    def __repr__(self) -> str:
        return f"<DataChannel {self.label!r} id={self.id} {self.state.value.name.lower()}>"

    # --- what it is

    @property
    def label(self) -> str:
        """The label given by who opened it."""
        return self._record.label

    @property
    def protocol(self) -> str:
        """The sub-protocol given by who opened it; may be empty."""
        return self._record.protocol

    @property
    def id(self) -> int | None:
        """The SCTP stream; None until it is assigned."""
        return self._record.stream_id

    @property
    def ordered(self) -> bool:
        """Whether messages arrive in the order in which they were sent."""
        return self._record.ordered

    @property
    def max_retransmits(self) -> int | None:
        """How often a message is sent again at most; None without that limit."""
        return self._record.max_retransmits

    @property
    def max_packet_life_time(self) -> float | None:
        """Seconds during which a message is sent again at most; None without that limit."""
        return self._record.max_packet_life_time

    @property
    def negotiated(self) -> bool:
        """Whether both programs made the channel by themselves, with an id agreed beforehand."""
        return self._record.negotiated

    @property
    def buffered_amount(self) -> int:
        """Bytes that were accepted and have not yet left."""
        return self._core.buffered_amount(self._channel_id)

    def statistics(self) -> ChannelRecord:
        """The channel's record: its parameters, stream, state and counters."""
        return self._record

    # --- sending

    @trio.lowlevel.enable_ki_protection
    async def send(self, value: Sendable) -> None:
        """Send one message. Waits until the channel is open and has room.

        Raises:
            MessageTooLarge: the peer does not accept messages of this size.
            trio.ClosedResourceError: you closed the channel.
            trio.BrokenResourceError: the peer closed the channel.
            ConnectionFailed: the connection is dead; the text is a diagnosis.
        """
        message = _message(value)
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._turn.locked() or not self._may_send():
            async with self._turn:
                while not self._may_send():
                    await self._park(self._writers)
                self._core.send([(self._channel_id, message)], trio.current_time())
            self._owner.wake(len(message))
            return
        self._core.send([(self._channel_id, message)], trio.current_time())
        self._owner.wake(len(message))
        await trio.lowlevel.cancel_shielded_checkpoint()

    @trio.lowlevel.enable_ki_protection
    def send_nowait(self, value: Sendable) -> None:
        """Send one message if the channel is open and has room.

        Raises:
            trio.WouldBlock: `send` would wait.
            MessageTooLarge: the peer does not accept messages of this size.
            trio.ClosedResourceError: you closed the channel.
            trio.BrokenResourceError: the peer closed the channel.
            ConnectionFailed: the connection is dead; the text is a diagnosis.
        """
        message = _message(value)
        if self._turn.locked() or not self._may_send():
            raise trio.WouldBlock
        self._core.send([(self._channel_id, message)], trio.current_time())
        self._owner.wake(len(message))

    @trio.lowlevel.enable_ki_protection
    async def send_many(self, values: list[Sendable] | list[str] | list[bytes]) -> None:
        """Send messages in order, in one call: cheaper than as many `send`, and other senders do not come between.

        Waits for room as `send` does. Cancelled while it waits, it has sent the messages before the one it waits for.

        Raises:
            MessageTooLarge: one is too large for the peer; none was sent.
            trio.ClosedResourceError: you closed the channel.
            trio.BrokenResourceError: the peer closed the channel.
            ConnectionFailed: the connection is dead; the text is a diagnosis.
        """
        messages = [_message(value) for value in values]
        limit = self._core.remote_max_message_size
        largest = max(map(_size, messages), default=0)
        if limit and largest > limit:
            raise MessageTooLarge(largest, limit)
        await trio.lowlevel.checkpoint_if_cancelled()
        async with self._turn:
            start = 0
            while start < len(messages):
                while not self._may_send():
                    await self._park(self._writers)
                stop, room = start, self._send_buffer - self.buffered_amount
                while stop < len(messages) and room > 0:
                    room -= _size(messages[stop])
                    stop += 1
                self._core.send([(self._channel_id, m) for m in messages[start:stop]], trio.current_time())
                self._owner.wake()
                start = stop
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_writable(self) -> None:
        """Wait until the channel is open and has room.

        Raises:
            trio.ClosedResourceError, trio.BrokenResourceError, ConnectionFailed: as `send`.
        """
        await trio.lowlevel.checkpoint()
        while not self._may_send():
            await self._park(self._writers)

    async def wait_flushed(self) -> None:
        """Wait until the peer's SCTP has acknowledged everything that was sent on this channel.

        Raises:
            trio.ClosedResourceError, trio.BrokenResourceError, ConnectionFailed: as `send`.
        """
        await trio.lowlevel.checkpoint()
        self._may_send()
        while self._core.unacknowledged_amount(self._channel_id):
            await self._park(self._flushers)
            self._may_send()

    async def wait_open(self) -> None:
        """Wait until the channel is open.

        Raises:
            trio.ClosedResourceError, trio.BrokenResourceError, ConnectionFailed: as `send`.
        """
        await trio.lowlevel.checkpoint()
        while self._record.state is ChannelState.CONNECTING:
            self._may_send()
            await self._park(self._writers)
        self._may_send()

    # --- receiving

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> str | bytes:
        """Wait for the next message. Any number of tasks may wait.

        Raises:
            trio.EndOfChannel: the peer closed the channel, or the connection, and every message was taken.
            trio.ClosedResourceError: you closed the channel.
            ConnectionFailed: the connection is dead; the text is a diagnosis.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        message = self._take()
        if message is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return message
        while (message := self._take()) is None:
            self._owner.watch_unread(self._channel_id, self)
            await self._readers.park()
        return message

    @trio.lowlevel.enable_ki_protection
    def receive_nowait(self) -> str | bytes:
        """Take the next message if there is one.

        Raises:
            trio.WouldBlock: there is none yet.
            trio.EndOfChannel, trio.ClosedResourceError, ConnectionFailed: as `receive`.
        """
        message = self._take()
        if message is None:
            raise trio.WouldBlock
        return message

    # --- closing, and other faces

    @trio.lowlevel.enable_ki_protection
    async def aclose(self) -> None:
        """Close the channel: what was sent is delivered, unread messages are dropped. Again is harmless.

        Waits until both sides have closed, for the connection's `close_timeout` at most.
        """
        if not self._is_closed:
            self._is_closed = True
            self._core.close_channel(self._channel_id, trio.current_time())
            for lot in (self._writers, self._flushers, self._readers):
                lot.unpark_all()
            self._owner.flush()
        await trio.lowlevel.checkpoint()
        if self.state.value is not ChannelState.CLOSED and self._owner.error() is None:
            with trio.move_on_after(self._core.configuration.close_timeout):
                await self.state.wait_value(ChannelState.CLOSED)

    def as_stream(self) -> DataChannelStream:
        """The channel as a byte stream, for programs that both speak `xp2p.stream.1`."""
        return DataChannelStream(self)

    # --- for the driver

    def send_last(self, message: str) -> None:
        """Queue one short message before closing, room or not, if the channel can take any; it is the stream's end."""
        if self._record.state <= ChannelState.OPEN and self._owner.sending_error() is None and not self._is_closed:
            self._core.send([(self._channel_id, message)], trio.current_time())

    def publish_state(self) -> None:
        """The channel, or the connection, has changed its state."""
        self.state.publish(self._record.state)
        self.look()
        if self._record.state >= ChannelState.CLOSING or self._owner.error() is not None:
            self.wake_readers()

    def wake_readers(self) -> None:
        """There is something to read, or there never will be."""
        if self._readers:
            self._readers.unpark_all()
            self._owner.expect_answer()

    def look(self) -> bool:
        """Wake the tasks that can go on sending; whether any still wait."""
        state = self._record.state
        if self._writers or self._flushers:
            ended = state >= ChannelState.CLOSING or self._owner.sending_error() is not None
            if ended or (state is ChannelState.OPEN and self.buffered_amount < self._send_buffer):
                self._writers.unpark_all()
            if ended or not self._core.unacknowledged_amount(self._channel_id):
                self._flushers.unpark_all()
        return bool(self._writers or self._flushers)

    # --- inside

    async def _park(self, lot: trio.lowlevel.ParkingLot) -> None:
        self._owner.watch(self)
        await lot.park()

    def _may_send(self) -> bool:
        if self._is_closed:
            raise trio.ClosedResourceError("you closed this channel")
        error = self._owner.sending_error()
        if error is not None:
            raise error
        state = self._record.state
        if state is ChannelState.OPEN:
            return self.buffered_amount < self._send_buffer
        if state is ChannelState.CONNECTING:
            return False
        raise trio.BrokenResourceError("the peer closed this channel")

    def _take(self) -> str | bytes | None:
        if self._is_closed:
            raise trio.ClosedResourceError("you closed this channel")
        was_held_back = self._core.is_held_back
        message = self._core.take_message(self._channel_id)
        if message is not None:
            if was_held_back:  # there is room again, which the peer should hear of
                self._owner.wake()
            return message
        error = self._owner.error()
        if error is not None and (self._owner.has_failed() or isinstance(error, trio.ClosedResourceError)):
            raise error
        if error is not None or self._record.state >= ChannelState.CLOSING:
            raise trio.EndOfChannel
        return None


def _message(value: Sendable) -> str | bytes:
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"a message is str or bytes, not {type(value).__name__}")


def _size(message: str | bytes) -> int:
    return len(message.encode()) if isinstance(message, str) else len(message)
