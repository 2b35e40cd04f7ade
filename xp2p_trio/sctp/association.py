"""One SCTP association over DTLS (RFC 9260, 3758, 6525, 7053, 9653; RFC 8261 and 8831 for the use): the API."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.errors import InvalidArgument, InvalidState
from xp2p_trio.sansio import Closed, RandomBytes
from xp2p_trio.sctp import handshake, path, receiving, shutdown, timeouts, transmission
from xp2p_trio.sctp.configuration import Configuration
from xp2p_trio.sctp.context import Context
from xp2p_trio.sctp.events import Event
from xp2p_trio.sctp.messages import Message, OutgoingMessage
from xp2p_trio.sctp.state import RECEIVING, State
from xp2p_trio.sctp.statistics import Statistics, take_statistics
from xp2p_trio.sctp.wire import (
    COMMON_HEADER_SIZE,
    DATA_HEADER_SIZE,
    PACKET_AND_DATA_HEADER,
    Cause,
    CauseCode,
    has_correct_checksum,
)

_MASK: Final = 0xFFFFFFFF
_SINGLE_DATA_SIZE: Final = COMMON_HEADER_SIZE + DATA_HEADER_SIZE
_SACK_AFTER: Final = frozenset({2, 4, 6, 8})
"""Packets of a batch behind which a SACK is made: every second one (RFC 9260 section 6.2). The rest of a long batch,
which only a fast path brings, has one SACK together: bulk would be slower by a fifth."""


@final
class Association:
    """A `Carrier`: packets down to DTLS and up from it, `OutgoingMessage` in and `Message` out.

    Both sides call `connect` (RFC 8841 section 9.3); one that does not still answers the other. Data may be queued at
    any time before `shutdown`.
    """

    __slots__ = ("_context", "_now")

    def __init__(
        self,
        configuration: Configuration,
        *,
        local_port: int = 5000,
        remote_port: int = 5000,
        max_message_size: int = 262144,
        random_bytes: RandomBytes,
    ) -> None:
        """Make an association that is closed.

        Args:
            configuration: the settings.
            local_port: our `a=sctp-port`.
            remote_port: the peer's.
            max_message_size: the `a=max-message-size` that we announced, in bytes: a larger incoming message ends the
                association.
            random_bytes: the source of tags, numbers, nonces and the key of the state cookie.

        Raises:
            InvalidArgument: a port or size out of range.
        """
        for name, port in (("local_port", local_port), ("remote_port", remote_port)):
            if not 1 <= port <= 65535:
                raise InvalidArgument(f"{name} is {port}, where it lies between 1 and 65535")
        if not 1 <= max_message_size <= configuration.receive_window:
            raise InvalidArgument(
                f"max_message_size is {max_message_size}, where it lies between 1 and the receive_window of "
                f"{configuration.receive_window}; a message waits in the window until it is whole"
            )
        self._context = Context(
            configuration,
            local_port=local_port,
            remote_port=remote_port,
            max_message_size=max_message_size,
            random_bytes=random_bytes,
        )
        self._now = -math.inf

    # Commands.

    def connect(self, now: float) -> None:
        """Send INIT. Harmless when the association is already being set up.

        Raises:
            InvalidState: it is over.
        """
        now = self._advance_clock(now)
        context = self._context
        if context.has_ended:
            raise InvalidState("connect() on an association that is over; make a new one")
        if context.state == State.CLOSED:
            handshake.connect(context, now)

    def shutdown(self, now: float) -> None:
        """End gracefully: all that is queued is sent and acknowledged first. No data is taken any more."""
        now = self._advance_clock(now)
        context = self._context
        if context.has_ended or context.is_shutdown_wanted:
            return
        context.is_shutdown_wanted = True
        if context.state == State.CLOSED or (
            context.state == State.COOKIE_WAIT and not context.queue.unacknowledged_size
        ):
            context.end(Closed())
        else:
            shutdown.begin(context, now)

    def abort(self, now: float, reason: str = "") -> None:
        """End at once: one ABORT, which the next `transmit` gives, and `Closed`."""
        self._advance_clock(now)
        context = self._context
        if not context.has_ended:
            context.abort(Cause(CauseCode.USER_INITIATED_ABORT, reason.encode()[:200]))
            context.end(Closed())

    def reset_streams(self, stream_ids: Sequence[int], now: float) -> None:
        """Reset our side of streams once all data queued on them is acknowledged (RFC 6525).

        `OutgoingStreamsReset` or `OutgoingStreamsResetDenied` follows. What is sent on them meanwhile waits for that.

        Raises:
            InvalidArgument: a stream out of range.
            InvalidState: the association is not established.
        """
        self._advance_clock(now)
        context = self._context
        block = context.block
        if block is None or context.state != State.ESTABLISHED:
            raise InvalidState(f"reset_streams() in state {context.state.name}; wait for AssociationEstablished")
        for stream_id in stream_ids:
            if not 0 <= stream_id < block.outbound_streams:
                raise InvalidArgument(f"stream {stream_id}, where there are {block.outbound_streams}")
        block.stream_reset.request(stream_ids, context.events)
        block.stream_reset.advance()

    def path_changed(self, now: float) -> None:
        """From now on packets take another path, with a round trip and a capacity of its own."""
        path.changed(self._context, self._advance_clock(now))

    def path_recovered(self, now: float) -> None:
        """The path was silent and answers again, or another one has taken its place: what was lost goes again now."""
        now = self._advance_clock(now)
        if not self._is_over:
            path.recovered(self._context, now)
            self._settle(now)

    # The data lane.

    def send(self, items: Sequence[OutgoingMessage], now: float) -> None:
        """Queue messages: all of them or none.

        While there is any `send_room` a batch is taken whole, so that one larger than the buffer passes as well.

        Raises:
            InvalidArgument: no data, a stream or payload protocol identifier out of range.
            InvalidState: after `shutdown`, or when the association is over; or the buffer has no room.
        """
        now = self._advance_clock(now)
        context = self._context
        if self._is_ending:
            raise InvalidState(f"send() in state {context.state.name} after the end was asked for")
        block = context.block
        streams = context.configuration.outbound_streams if block is None else block.outbound_streams
        for message in items:
            if not message.data:
                raise InvalidArgument("a message without data; RFC 8831 section 6.6 sends one byte with an empty PPID")
            if not 0 <= message.stream_id < streams:
                raise InvalidArgument(f"stream {message.stream_id}, where there are {streams}")
            if not 0 <= message.ppid <= _MASK:
                raise InvalidArgument(f"payload protocol identifier {message.ppid}, where it has 32 bits")
        if items and not self.send_room:
            raise InvalidState("send() with a full send buffer; wait until send_room is above 0")
        context.queue.add(items, now)
        context.messages_sent += len(items)

    def take_received(self) -> list[Message]:
        """Drain the messages that are whole and in order, oldest first. What is not taken narrows the peer's window."""
        context = self._context
        block = context.block
        messages = context.parting
        if messages:
            context.parting = []
        if block is not None:
            messages = messages + block.inbound.take() if messages else block.inbound.take()
        context.messages_received += len(messages)
        return messages

    @property
    def ready_count(self) -> int:
        """How many messages `take_received` would give."""
        context = self._context
        block = context.block
        return len(context.parting) + (0 if block is None else block.inbound.reassembly.ready_count)

    def buffered_size(self, stream_id: int) -> int:
        """User bytes queued on a stream and not yet transmitted once."""
        stream = self._context.queue.stream(stream_id)
        return 0 if stream is None else stream.buffered_size

    def unacknowledged_size_of(self, stream_id: int) -> int:
        """User bytes of a stream that were accepted and are neither acknowledged nor abandoned."""
        stream = self._context.queue.stream(stream_id)
        return 0 if stream is None else stream.unacknowledged_size

    @property
    def unacknowledged_size(self) -> int:
        """User bytes that were accepted and are neither acknowledged nor abandoned; 0 is flushed."""
        return self._context.queue.unacknowledged_size

    @property
    def _is_ending(self) -> bool:
        context = self._context
        return context.has_ended or context.is_shutdown_wanted or context.state >= State.SHUTDOWN_PENDING

    @property
    def send_room(self) -> int:
        """Bytes that the send buffer has left: `send` takes a batch while this is above 0, which ends with the end.

        A message takes its bytes and `MESSAGE_OVERHEAD` until it is acknowledged or abandoned.
        """
        context = self._context
        if self._is_ending:
            return 0
        return max(context.configuration.send_buffer_size - context.queue.charged_size, 0)

    @property
    def state(self) -> State:
        """RFC 9260 section 4."""
        return self._context.state

    # Packets in.

    def receive(self, batch: Sequence[bytes], now: float) -> None:
        """Take packets in the order in which they arrived. Of a long batch not every second packet is acknowledged."""
        now = self._advance_clock(now)
        context = self._context
        if self._is_over:
            return
        context.packets_received += len(batch)
        unpack = PACKET_AND_DATA_HEADER.unpack_from
        accepts_zero = context.configuration.zero_checksum
        local_port = context.local_port
        remote_port = context.remote_port
        block = context.block
        data_packets = 0
        for packet in batch:
            size = len(packet)
            context.bytes_received += size
            if size > _SINGLE_DATA_SIZE:
                source, destination, tag, crc, chunk_type, flags, length, tsn, stream_id, ssn, ppid = unpack(packet)
                if (
                    not chunk_type
                    and size - COMMON_HEADER_SIZE - 4 < length <= size - COMMON_HEADER_SIZE
                    and length > DATA_HEADER_SIZE
                    and block is not None
                    and tag == block.local_tag
                    and source == remote_port
                    and destination == local_port
                    and stream_id < block.inbound_streams
                    and context.state in RECEIVING
                    and ((not crc and accepts_zero) or has_correct_checksum(packet))
                ):
                    # The way of bulk data: one DATA chunk in a packet, read in one step.
                    inbound = block.inbound
                    if inbound.quick_packets:
                        inbound.begin_packet()
                    elif data_packets in _SACK_AFTER:
                        inbound.keep_sack()
                    inbound.receive_data(
                        tsn, flags, stream_id, ssn, ppid, packet[_SINGLE_DATA_SIZE : COMMON_HEADER_SIZE + length]
                    )
                    data_packets += 1
                    if context.state == State.SHUTDOWN_SENT:
                        shutdown.data_arrived(context, now)
                    continue
            receiving.receive_packet(context, packet, now)
            if context.has_ended:
                break
            block = context.block
        if data_packets:
            context.data_chunks_received += data_packets
            if context.block is not None:
                context.block.inbound.end_of_packets(data_packets)
        receiving.end_of_batch(context, now)
        self._settle(now)

    # Time.

    def next_timeout(self) -> float:
        """When `handle_timeout` is due, in absolute seconds."""
        return timeouts.next_timeout(self._context)

    def handle_timeout(self, now: float) -> None:
        """Act on the timers that are due."""
        now = self._advance_clock(now)
        if not self._is_over:
            timeouts.handle_timeout(self._context, now)
            self._settle(now)

    # Packets out.

    def transmit(self, now: float, limit: int) -> list[bytes]:
        """Build at most `limit` packets, with SACK, control chunks, retransmissions and new data."""
        now = self._advance_clock(now)
        context = self._context
        packets = transmission.build_packets(context, now, limit) if limit > 0 else []
        if packets:
            context.packets_sent += len(packets)
            context.bytes_sent += sum(map(len, packets))
        return packets

    # News.

    def take_events(self) -> list[Event]:
        """Drain the news, oldest first."""
        events = self._context.events
        if events:
            self._context.events = []
        return events

    @property
    def statistics(self) -> Statistics:
        """Counts and present values."""
        return take_statistics(self._context)

    # What every entrance shares.

    @property
    def _is_over(self) -> bool:
        return self._context.has_ended

    def _advance_clock(self, now: float) -> float:
        """Time never runs back."""
        if now > self._now:
            self._now = now
        return self._now

    def _settle(self, now: float) -> None:
        """After anything happened: what has become possible begins."""
        context = self._context
        block = context.block
        if block is None:
            return
        context.drain_abandoned()
        if context.is_shutdown_wanted and context.state == State.ESTABLISHED:
            shutdown.begin(context, now)
        block.stream_reset.advance()
        shutdown.advance(context, now)
