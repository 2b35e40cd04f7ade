"""One SCTP association over DTLS (RFC 9260, 3758, 6525, 7053, 9653; RFC 8261 and 8831 for the use): the dispatch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.errors import DecodeError, InvalidArgument, InvalidState, Reason
from xp2p_trio.sansio import Closed, RandomBytes
from xp2p_trio.sctp import handshake, shutdown
from xp2p_trio.sctp.configuration import Configuration
from xp2p_trio.sctp.context import Context
from xp2p_trio.sctp.control_block import ControlBlock
from xp2p_trio.sctp.events import Event
from xp2p_trio.sctp.messages import Message, OutgoingMessage
from xp2p_trio.sctp.state import DISPOSITIONS, Disposition, State
from xp2p_trio.sctp.statistics import Statistics
from xp2p_trio.sctp.wire import (
    CHUNK_HEADER_SIZE,
    COMMON_HEADER_SIZE,
    DATA_FIELDS,
    DATA_HEADER_SIZE,
    PACKET_AND_DATA_HEADER,
    REFLECTED,
    SACK_HEADER_SIZE,
    Cause,
    CauseCode,
    ChunkType,
    PacketBuilder,
    decode_causes,
    decode_forward_tsn,
    decode_heartbeat,
    decode_parameters,
    decode_reconfig,
    decode_sack,
    encode_error,
    encode_heartbeat_ack,
    encode_shutdown_complete,
    has_correct_checksum,
    with_checksum,
)

_MASK: Final = 0xFFFFFFFF
_SINGLE_DATA_SIZE: Final = COMMON_HEADER_SIZE + DATA_HEADER_SIZE
_DATA: Final = int(ChunkType.DATA)
_SACK: Final = int(ChunkType.SACK)
_INIT: Final = int(ChunkType.INIT)
_KNOWN: Final = frozenset(int(chunk_type) for chunk_type in ChunkType)
_REPORT: Final = 0x40
_SKIP: Final = 0x80
_REPORTED_CHUNK_SIZE: Final = 64
"""Bytes of an unrecognized chunk that an ERROR gives back."""

_RECEIVING: Final = frozenset({State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_SENT, State.SHUTDOWN_RECEIVED})
_SENDING: Final = frozenset({State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_RECEIVED})


@final
class Association:
    """A `Carrier`: packets down to DTLS and up from it, `OutgoingMessage` in and `Message` out.

    Both sides call `connect` (RFC 8841 section 9.3); one that does not still answers the other. Data may be queued at
    any time before `shutdown`.
    """

    __slots__ = (
        "_bytes_received",
        "_bytes_sent",
        "_chunks_received",
        "_context",
        "_messages_abandoned",
        "_messages_received",
        "_messages_sent",
        "_now",
        "_packets_received",
        "_packets_sent",
        "_parting",
    )

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
        self._parting: list[Message] = []
        self._bytes_received = 0
        self._bytes_sent = 0
        self._packets_received = 0
        self._packets_sent = 0
        self._chunks_received = 0
        self._messages_sent = 0
        self._messages_received = 0
        self._messages_abandoned = 0

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
            self._rescue()
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

    # The data lane.

    def send(self, items: Sequence[OutgoingMessage], now: float) -> None:
        """Queue messages: all of them or none.

        `send_room` says how many bytes fit. A single message larger than the buffer is taken when nothing else waits.

        Raises:
            InvalidArgument: no data, a stream or payload protocol identifier out of range.
            InvalidState: after `shutdown`, or when the association is over; or the buffer has no room.
        """
        now = self._advance_clock(now)
        context = self._context
        if context.has_ended or context.is_shutdown_wanted or context.state >= State.SHUTDOWN_PENDING:
            raise InvalidState(f"send() in state {context.state.name} after the end was asked for")
        block = context.block
        streams = context.configuration.outbound_streams if block is None else block.outbound_streams
        size = 0
        for message in items:
            if not message.data:
                raise InvalidArgument("a message without data; RFC 8831 section 6.6 sends one byte with an empty PPID")
            if not 0 <= message.stream_id < streams:
                raise InvalidArgument(f"stream {message.stream_id}, where there are {streams}")
            if not 0 <= message.ppid <= _MASK:
                raise InvalidArgument(f"payload protocol identifier {message.ppid}, where it has 32 bits")
            size += len(message.data)
        waiting = context.queue.unacknowledged_size
        if waiting and waiting + size > context.configuration.send_buffer_size:
            raise InvalidState(f"send() of {size} bytes with room for {self.send_room}; wait until send_room allows it")
        context.queue.add(items, now)
        self._messages_sent += len(items)

    def take_received(self) -> list[Message]:
        """Drain the messages that are whole and in order, oldest first. What is not taken narrows the peer's window."""
        block = self._context.block
        messages = self._parting
        if messages:
            self._parting = []
        if block is not None:
            messages = messages + block.inbound.take() if messages else block.inbound.take()
        self._messages_received += len(messages)
        return messages

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
    def send_room(self) -> int:
        """Bytes that `send` takes now."""
        context = self._context
        return max(context.configuration.send_buffer_size - context.queue.unacknowledged_size, 0)

    @property
    def state(self) -> State:
        """RFC 9260 section 4."""
        return self._context.state

    # Packets in.

    def receive(self, batch: Sequence[bytes], now: float) -> None:
        """Take packets in the order in which they arrived; there is one decision about a SACK for all of them."""
        now = self._advance_clock(now)
        context = self._context
        if self._is_over:
            return
        self._packets_received += len(batch)
        unpack = PACKET_AND_DATA_HEADER.unpack_from
        accepts_zero = context.configuration.zero_checksum
        local_port = context.local_port
        remote_port = context.remote_port
        block = context.block
        for packet in batch:
            size = len(packet)
            self._bytes_received += size
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
                    and context.state in _RECEIVING
                    and ((not crc and accepts_zero) or has_correct_checksum(packet))
                ):
                    # The way of bulk data: one DATA chunk in a packet, read in one step.
                    inbound = block.inbound
                    inbound.receive_data(
                        tsn, flags, stream_id, ssn, ppid, packet[_SINGLE_DATA_SIZE : COMMON_HEADER_SIZE + length]
                    )
                    inbound.end_of_packet()
                    self._chunks_received += 1
                    if context.state == State.SHUTDOWN_SENT:
                        shutdown.data_arrived(context, now)
                    continue
            self._receive_packet(packet, now)
            if context.has_ended:
                break
            block = context.block
        self._after_input(now)
        self._settle(now)

    def _after_input(self, now: float) -> None:
        block = self._context.block
        if block is None:
            return
        inbound = block.inbound
        if inbound.reassembly.violation:
            self._rescue()
            self._context.violated(inbound.reassembly.violation)
            return
        block.stream_reset.cumulative_tsn_moved(self._context.events)
        if inbound.sack_due:
            block.sack_timer.stop()
        elif inbound.sack_delayed and not block.sack_timer.is_running:
            block.sack_timer.start(now + min(block.rto.rto / 2, self._context.configuration.sack_delay))

    def _receive_packet(self, packet: bytes, now: float) -> None:
        """Take a packet that is not a lone DATA chunk."""
        context = self._context
        if len(packet) < COMMON_HEADER_SIZE + CHUNK_HEADER_SIZE:
            context.dropped_malformed += 1
            return
        source, destination = int.from_bytes(packet[:2], "big"), int.from_bytes(packet[2:4], "big")
        if (source, destination) != (context.remote_port, context.local_port):
            context.dropped_tag += 1
            return
        tag = int.from_bytes(packet[4:8], "big")
        first = packet[12]
        # RFC 9653 section 5.3: a zero is taken where we announced it, but never with the chunks that come before
        # the announcement can be known to hold.
        may_be_zero = context.configuration.zero_checksum and first not in {_INIT, ChunkType.COOKIE_ECHO}
        if not (may_be_zero and packet[8:12] == b"\0\0\0\0") and not has_correct_checksum(packet):
            context.dropped_checksum += 1
            return
        try:
            elements = decode_parameters(packet, COMMON_HEADER_SIZE)
        except DecodeError:
            context.dropped_malformed += 1
            return
        if not self._is_tag_right(tag, elements[0][0], len(elements)):
            context.dropped_tag += 1
            return
        has_data = False
        for kind, start, stop in elements:
            chunk_type = kind >> 8
            state = context.state
            if chunk_type == _DATA and state in _RECEIVING:
                has_data = True
                if not self._receive_data(kind & 0xFF, packet, start, stop):
                    break
            elif chunk_type == _SACK and state in _SENDING:
                self._receive_sack(packet[start:stop], now)
            elif chunk_type not in _KNOWN:
                if not self._receive_unknown(chunk_type, packet[start - CHUNK_HEADER_SIZE : stop]):
                    break
            elif not self._dispatch(ChunkType(chunk_type), kind & 0xFF, packet[start:stop], tag, now):
                break
            if context.has_ended:
                return
        if has_data and context.block is not None:
            context.block.inbound.end_of_packet()
            shutdown.data_arrived(context, now)

    def _is_tag_right(self, tag: int, kind: int, count: int) -> bool:
        """The rules for verification tags (RFC 9260 sections 8.5 and 8.5.1), by the first chunk of the packet."""
        context = self._context
        chunk_type = kind >> 8
        if chunk_type == _INIT:
            return tag == 0 and count == 1  # A, and INIT is never bundled (section 6.10)
        if chunk_type == ChunkType.COOKIE_ECHO:
            return True  # D: compared with the tag in the cookie
        block = context.block
        if chunk_type in {ChunkType.ABORT, ChunkType.SHUTDOWN_COMPLETE} and kind & REFLECTED:
            return block is not None and tag == block.remote_tag  # B and C
        if chunk_type == ChunkType.SHUTDOWN_ACK and context.state <= State.COOKIE_ECHOED:
            return True  # E: out of the blue
        return tag == (context.local_tag if block is None else block.local_tag)

    def _receive_data(self, flags: int, packet: bytes, start: int, stop: int) -> bool:
        """Take a DATA chunk from among others; False ends the packet."""
        context = self._context
        block = context.block
        assert block is not None
        if stop - start < DATA_FIELDS.size:
            context.dropped_malformed += 1
            return False
        tsn, stream_id, ssn, ppid = DATA_FIELDS.unpack_from(packet, start)
        payload = packet[start + DATA_FIELDS.size : stop]
        if not payload:
            # RFC 9260 section 6.2: ABORT with the cause No User Data.
            self._rescue()
            context.abort(Cause(CauseCode.NO_USER_DATA, tsn.to_bytes(4, "big")))
            context.fail(Reason.PROTOCOL_VIOLATION, "the peer sent a DATA chunk without user data")
            return False
        self._chunks_received += 1
        if stream_id >= block.inbound_streams:
            self._receive_on_invalid_stream(block, tsn, flags, stream_id, payload)
        else:
            block.inbound.receive_data(tsn, flags, stream_id, ssn, ppid, payload)
        return True

    def _receive_on_invalid_stream(
        self, block: ControlBlock, tsn: int, flags: int, stream_id: int, payload: bytes
    ) -> None:
        """Acknowledge data on a stream that does not exist, report it once, and forget it (RFC 9260 section 6.5)."""
        context = self._context
        context.dropped_unexpected += 1
        block.inbound.acknowledge_only(tsn)
        if not block.inbound.is_stream_error_reported:
            block.inbound.is_stream_error_reported = True
            cause = Cause(CauseCode.INVALID_STREAM_IDENTIFIER, stream_id.to_bytes(2, "big") + b"\0\0")
            context.add_control(encode_error((cause,)))

    def _receive_sack(self, value: bytes, now: float) -> None:
        context = self._context
        block = context.block
        assert block is not None
        try:
            sack = decode_sack(value)
        except DecodeError:
            context.dropped_malformed += 1
            return
        outbound = block.outbound
        if not outbound.receive_sack(sack.cumulative_tsn_ack, sack.a_rwnd, sack.gap_ack_blocks, now):
            self._rescue()
            context.violated("SACK acknowledges what was never sent")
        elif not outbound.expirations:
            block.errors = 0

    def _receive_unknown(self, chunk_type: int, chunk: bytes) -> bool:
        """What the two high bits of the type ask for (RFC 9260 section 3.2); False ends the packet."""
        context = self._context
        context.dropped_unexpected += 1
        block = context.block
        if chunk_type & _REPORT and block is not None and not block.is_unknown_chunk_reported:
            # One report is enough for a person to find out, and a flood gets no flood back.
            block.is_unknown_chunk_reported = True
            context.add_control(encode_error((Cause(CauseCode.UNRECOGNIZED_CHUNK_TYPE, chunk[:_REPORTED_CHUNK_SIZE]),)))
        return bool(chunk_type & _SKIP)

    def _dispatch(self, chunk_type: ChunkType, flags: int, value: bytes, tag: int, now: float) -> bool:
        """Hand a chunk to its topic; False ends the packet."""
        context = self._context
        disposition = DISPOSITIONS[context.state, chunk_type]
        if disposition is Disposition.DISCARD:
            context.dropped_unexpected += 1
            return True
        if disposition is Disposition.REFLECT:
            context.reply(tag, encode_shutdown_complete(reflected=True))
            return False
        if chunk_type == ChunkType.INIT:
            handshake.receive_init(context, value, now)
        elif chunk_type == ChunkType.INIT_ACK:
            handshake.receive_init_ack(context, value, now)
        elif chunk_type == ChunkType.COOKIE_ECHO:
            return handshake.receive_cookie_echo(context, value, tag, now)
        elif chunk_type == ChunkType.COOKIE_ACK:
            handshake.receive_cookie_ack(context, now)
        elif chunk_type == ChunkType.ABORT:
            self._receive_abort(value)
        elif chunk_type == ChunkType.ERROR:
            self._receive_error(value, now)
        elif chunk_type == ChunkType.SHUTDOWN:
            shutdown.receive_shutdown(context, value, now)
        elif chunk_type == ChunkType.SHUTDOWN_ACK:
            self._rescue()
            shutdown.receive_shutdown_ack(context)
        elif chunk_type == ChunkType.SHUTDOWN_COMPLETE:
            self._rescue()
            shutdown.receive_shutdown_complete(context)
        elif context.block is not None:
            self._dispatch_to_block(context.block, chunk_type, value, now)
        return True

    def _dispatch_to_block(self, block: ControlBlock, chunk_type: ChunkType, value: bytes, now: float) -> None:
        context = self._context
        try:
            if chunk_type == ChunkType.HEARTBEAT:
                decode_heartbeat(value)
                if len(value) + CHUNK_HEADER_SIZE <= context.configuration.max_packet_size - COMMON_HEADER_SIZE:
                    context.add_control(encode_heartbeat_ack(value))
            elif chunk_type == ChunkType.HEARTBEAT_ACK:
                rtt = block.heartbeat.answered(decode_heartbeat(value), now)
                if math.isnan(rtt):
                    context.dropped_unexpected += 1
                else:
                    block.rto.measured(rtt)
                    block.outbound.rto_measured(now)
                    block.errors = 0
                    if not block.outbound.outstanding.chunks:
                        block.outbound.expirations = 0
            elif chunk_type == ChunkType.FORWARD_TSN:
                forward_tsn = decode_forward_tsn(value)
                if not block.extensions.partial_reliability or not block.inbound.receive_forward_tsn(
                    forward_tsn, block.inbound_streams
                ):
                    context.dropped_unexpected += 1
                else:
                    block.inbound.end_of_packet()
            elif chunk_type == ChunkType.RE_CONFIG:
                if not block.extensions.stream_reset:
                    context.dropped_unexpected += 1
                else:
                    parameters = decode_reconfig(value)
                    block.stream_reset.receive(parameters, block.inbound_streams, now, block.rto.rto, context.events)
        except DecodeError:
            context.dropped_malformed += 1

    def _receive_abort(self, value: bytes) -> None:
        try:
            causes = decode_causes(value)
        except DecodeError:
            causes = ()
        self._rescue()
        if len(causes) == 1 and causes[0].code == CauseCode.USER_INITIATED_ABORT and not causes[0].information:
            detail = "the peer ended the association"
        else:
            detail = "; ".join(str(cause) for cause in causes[:4]) or "the peer gave no reason"
        self._context.fail(Reason.ABORT_RECEIVED, detail)

    def _receive_error(self, value: bytes, now: float) -> None:
        try:
            causes = decode_causes(value)
        except DecodeError:
            self._context.dropped_malformed += 1
            return
        if any(cause.code == CauseCode.STALE_COOKIE for cause in causes):
            handshake.receive_stale_cookie(self._context, now)

    def _rescue(self) -> None:
        """Keep what was received for the reader, since the TCB is about to go."""
        block = self._context.block
        if block is not None:
            self._parting += block.inbound.take()

    # Time.

    def next_timeout(self) -> float:
        """When `handle_timeout` is due, in absolute seconds."""
        context = self._context
        block = context.block
        deadline = min(context.t1.deadline, context.t2.deadline, context.t5.deadline)
        if context.has_ended:
            return math.inf
        deadline = min(deadline, context.queue.next_expiry())
        if block is None:
            return deadline
        return min(
            deadline,
            block.outbound.t3.deadline,
            block.sack_timer.deadline,
            block.heartbeat.interval_timer.deadline,
            block.heartbeat.answer_timer.deadline,
            block.stream_reset.timer.deadline,
        )

    def handle_timeout(self, now: float) -> None:
        """Act on the timers that are due."""
        now = self._advance_clock(now)
        context = self._context
        if context.has_ended:
            return
        if context.queue.next_expiry() <= now:
            self._expire_messages(now)
        if context.t1.expire(now):
            handshake.handle_t1(context, now)
        if context.t5.expire(now):
            self._rescue()
            shutdown.handle_t5(context)
        elif context.t2.expire(now):
            self._rescue()
            shutdown.handle_t2(context, now)
        block = context.block
        if block is not None:
            self._handle_block_timeout(block, now)
        self._settle(now)

    def _expire_messages(self, now: float) -> None:
        context = self._context
        if context.block is not None:
            context.block.outbound.expire_messages(now)
        else:
            for message in context.queue.take_expired(now):
                context.events.append(context.queue.give_up(message))
                self._messages_abandoned += 1

    def _handle_block_timeout(self, block: ControlBlock, now: float) -> None:
        context = self._context
        rto = block.rto
        if block.sack_timer.expire(now):
            block.inbound.sack_due = True
        if block.outbound.t3.expire(now):
            block.outbound.handle_t3(now)
            # Retransmitted chunks give no measurement (Karn), so that a backed-off RTO would stay; a HEARTBEAT ends
            # that (RFC 9260 section 6.3.3).
            context.add_control(block.heartbeat.measure(now))
        if block.stream_reset.timer.expire(now) and block.stream_reset.handle_timeout(now):
            block.errors += 1
        if block.heartbeat.answer_timer.expire(now):
            block.errors += 1
            rto.expired()
        if block.heartbeat.interval_timer.expire(now):
            block.heartbeat.restart(now, rto.rto)
            if not block.outbound.outstanding.chunks:
                context.add_control(block.heartbeat.send(now, rto.rto))
        if block.errors + block.outbound.expirations > context.configuration.max_retransmissions:
            # RFC 9260 section 8.1
            self._rescue()
            context.abort(Cause(CauseCode.USER_INITIATED_ABORT, b"too many retransmissions"))
            context.fail(
                Reason.PEER_UNREACHABLE,
                f"the peer did not answer {block.errors + block.outbound.expirations} times in a row",
            )

    # Packets out.

    def transmit(self, now: float, limit: int) -> list[bytes]:
        """Build at most `limit` packets, with SACK, control chunks, retransmissions and new data."""
        now = self._advance_clock(now)
        context = self._context
        if limit <= 0:
            return []
        packets: list[bytes] = []
        if context.replies:
            packets = context.replies[:limit]
            del context.replies[:limit]
        if context.is_init_due and len(packets) < limit:
            context.is_init_due = False
            context.reply(0, handshake.encode_our_init(context))
            packets.append(context.replies.pop())
        block = context.block
        if block is not None and len(packets) < limit:
            packets += self._build_packets(block, now, limit - len(packets))
        if packets:
            self._packets_sent += len(packets)
            self._bytes_sent += sum(map(len, packets))
        return packets

    def _build_packets(self, block: ControlBlock, now: float, limit: int) -> list[bytes]:
        context = self._context
        state = context.state
        outbound = block.outbound
        if state == State.COOKIE_ECHOED:
            if not context.is_cookie_echo_due:
                return []
            # COOKIE ECHO, ERROR and DATA may share one packet (RFC 9260 section 5.1, C); nothing else leaves yet.
            context.is_cookie_echo_due = False
            builder = PacketBuilder(block.header, context.configuration.max_packet_size, 1)
            builder.add(handshake.encode_our_cookie_echo(context))
            self._add_control(block, builder)
            outbound.fill(builder, now)
            builder.flush()
            return [with_checksum(packet) for packet in builder.packets]
        builder = PacketBuilder(block.header, context.configuration.max_packet_size, limit)
        self._add_control(block, builder)
        inbound = block.inbound
        if inbound.sack_due or (inbound.sack_delayed and outbound.may_send):
            if builder.room < _SMALLEST_SACK_ROOM:
                builder.flush()
            if len(builder.packets) < limit:
                builder.add(inbound.build_sack(builder.room))
                block.sack_timer.stop()
                block.is_unknown_chunk_reported = False
        reconfiguration = block.stream_reset.take_chunk(now, block.rto.rto)
        if reconfiguration is not None:
            builder.add(reconfiguration)
        if state in _SENDING:
            outbound.fill(builder, now)
            self._drain_abandoned(block)
        shutdown_chunk = shutdown.take_chunk(context)
        if shutdown_chunk is not None:
            builder.add(shutdown_chunk)
        builder.flush()
        if block.extensions.zero_checksum:
            return builder.packets
        return [with_checksum(packet) for packet in builder.packets]

    def _add_control(self, block: ControlBlock, builder: PacketBuilder) -> None:
        control = block.control
        taken = 0
        for chunk in control:
            if not builder.add(chunk):
                break
            taken += 1
        if taken:
            del control[:taken]

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
        context = self._context
        block = context.block
        configuration = context.configuration
        outbound = None if block is None else block.outbound
        inbound = None if block is None else block.inbound
        return Statistics(
            srtt=None if block is None else block.rto.srtt,
            rto=configuration.rto_initial if block is None else block.rto.rto,
            cwnd=0 if outbound is None else outbound.congestion.cwnd,
            ssthresh=0 if outbound is None else outbound.congestion.ssthresh,
            flight_size=0 if outbound is None else outbound.outstanding.flight_size,
            peer_rwnd=0 if outbound is None else outbound.peer_rwnd,
            a_rwnd=configuration.receive_window if inbound is None else inbound.a_rwnd,
            buffered_size=context.queue.unacknowledged_size,
            received_size=0 if inbound is None else inbound.reassembly.charged,
            packets_sent=self._packets_sent,
            packets_received=self._packets_received,
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes_received,
            data_chunks_sent=0 if outbound is None else outbound.sent_chunks,
            data_chunks_received=self._chunks_received,
            messages_sent=self._messages_sent,
            messages_received=self._messages_received,
            messages_abandoned=self._messages_abandoned,
            retransmitted_chunks=0 if outbound is None else outbound.retransmitted_chunks,
            fast_retransmits=0 if outbound is None else outbound.fast_retransmits,
            timeouts=0 if outbound is None else outbound.timeouts,
            duplicate_chunks=0 if inbound is None else inbound.duplicates,
            refused_chunks=0 if inbound is None else inbound.refused,
            dropped_malformed=context.dropped_malformed,
            dropped_checksum=context.dropped_checksum,
            dropped_tag=context.dropped_tag,
            dropped_unexpected=context.dropped_unexpected,
        )

    # What every entrance shares.

    @property
    def _is_over(self) -> bool:
        return self._context.has_ended

    def _advance_clock(self, now: float) -> float:
        """Time never runs back."""
        if now > self._now:
            self._now = now
        return self._now

    def _drain_abandoned(self, block: ControlBlock) -> None:
        abandoned = block.outbound.abandoned
        if abandoned:
            self._messages_abandoned += len(abandoned)
            self._context.events += abandoned
            abandoned.clear()

    def _settle(self, now: float) -> None:
        """After anything happened: what has become possible begins."""
        context = self._context
        block = context.block
        if block is None:
            return
        self._drain_abandoned(block)
        if context.is_shutdown_wanted and context.state == State.ESTABLISHED:
            shutdown.begin(context, now)
        block.stream_reset.advance()
        shutdown.advance(context, now)


_SMALLEST_SACK_ROOM: Final = SACK_HEADER_SIZE + 4 * 40
"""Room that a SACK needs in a packet of other control chunks to have space for duplicates and some gaps."""
