"""From a packet to its chunks, and from each chunk to its topic (RFC 9260 sections 5.2, 6.8, 8.4 and 8.5)."""

from __future__ import annotations

import math
from typing import Final

from xp2p_trio.errors import DecodeError, Reason
from xp2p_trio.sctp import handshake, shutdown
from xp2p_trio.sctp.context import Context
from xp2p_trio.sctp.control_block import ControlBlock
from xp2p_trio.sctp.state import DISPOSITIONS, RECEIVING, SENDING, Disposition, State
from xp2p_trio.sctp.wire import (
    CHUNK_HEADER_SIZE,
    COMMON_HEADER_SIZE,
    DATA_FIELDS,
    REFLECTED,
    Cause,
    CauseCode,
    ChunkType,
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
)

_DATA: Final = int(ChunkType.DATA)
_SACK: Final = int(ChunkType.SACK)
_INIT: Final = int(ChunkType.INIT)
_KNOWN: Final = frozenset(int(chunk_type) for chunk_type in ChunkType)
_REPORT: Final = 0x40
_SKIP: Final = 0x80
_REPORTED_CHUNK_SIZE: Final = 64
"""Bytes of an unrecognized chunk that an ERROR gives back."""


def receive_packet(context: Context, packet: bytes, now: float) -> None:
    """Take a packet that is not a lone DATA chunk."""
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
        # Section 6.10 drops a partial chunk only; over DTLS nothing is cut on its way, so nothing of this is trusted.
        context.dropped_malformed += 1
        return
    if not _is_tag_right(context, tag, elements[0][0], len(elements)):
        context.dropped_tag += 1
        return
    has_data = False
    for kind, start, stop in elements:
        chunk_type = kind >> 8
        state = context.state
        if chunk_type == _DATA and state in RECEIVING:
            if not has_data and context.block is not None and context.block.inbound.quick_packets:
                context.block.inbound.begin_packet()
            has_data = True
            if not _receive_data(context, kind & 0xFF, packet, start, stop):
                break
        elif chunk_type == _SACK and state in SENDING:
            _receive_sack(context, packet[start:stop], now)
        elif chunk_type not in _KNOWN:
            if not _receive_unknown(context, chunk_type, packet[start - CHUNK_HEADER_SIZE : stop]):
                break
        elif chunk_type == _INIT and len(elements) > 1:
            context.dropped_unexpected += 1  # section 6.10
        elif not _dispatch(context, ChunkType(chunk_type), kind & 0xFF, packet[start:stop], tag, now):
            break
        if context.has_ended:
            return
    if has_data and context.block is not None:
        context.block.inbound.end_of_packets(1)
        shutdown.data_arrived(context, now)


def _is_tag_right(context: Context, tag: int, kind: int, count: int) -> bool:
    """The rules for verification tags (RFC 9260 sections 8.5 and 8.5.1), by the first chunk of the packet."""
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


def _receive_data(context: Context, flags: int, packet: bytes, start: int, stop: int) -> bool:
    """Take a DATA chunk from among others; False ends the packet."""
    block = context.block
    assert block is not None
    if stop - start < DATA_FIELDS.size:
        context.dropped_malformed += 1
        return False
    tsn, stream_id, ssn, ppid = DATA_FIELDS.unpack_from(packet, start)
    payload = packet[start + DATA_FIELDS.size : stop]
    if not payload:
        # RFC 9260 section 6.2: ABORT with the cause No User Data.
        context.abort(Cause(CauseCode.NO_USER_DATA, tsn.to_bytes(4, "big")))
        context.fail(Reason.PROTOCOL_VIOLATION, "the peer sent a DATA chunk without user data")
        return False
    context.data_chunks_received += 1
    if stream_id >= block.inbound_streams:
        _receive_on_invalid_stream(context, block, tsn, stream_id)
    else:
        block.inbound.receive_data(tsn, flags, stream_id, ssn, ppid, payload)
    return True


def _receive_on_invalid_stream(context: Context, block: ControlBlock, tsn: int, stream_id: int) -> None:
    """Acknowledge data on a stream that does not exist, report it once, and forget it (RFC 9260 section 6.5)."""
    context.dropped_unexpected += 1
    block.inbound.acknowledge_only(tsn)
    if not block.inbound.is_stream_error_reported:
        block.inbound.is_stream_error_reported = True
        cause = Cause(CauseCode.INVALID_STREAM_IDENTIFIER, stream_id.to_bytes(2, "big") + b"\0\0")
        context.add_control(encode_error((cause,)))


def _receive_sack(context: Context, value: bytes, now: float) -> None:
    block = context.block
    assert block is not None
    try:
        sack = decode_sack(value)
    except DecodeError:
        context.dropped_malformed += 1
        return
    outbound = block.outbound
    if not outbound.receive_sack(sack.cumulative_tsn_ack, sack.a_rwnd, sack.gap_ack_blocks, now):
        context.violated("SACK acknowledges what was never sent")
    elif not outbound.expirations:
        block.errors = 0


def _receive_unknown(context: Context, chunk_type: int, chunk: bytes) -> bool:
    """What the two high bits of the type ask for (RFC 9260 section 3.2); False ends the packet."""
    context.dropped_unexpected += 1
    block = context.block
    if chunk_type & _REPORT and block is not None and not block.is_unknown_chunk_reported:
        # One report is enough for a person to find out, and a flood gets no flood back.
        block.is_unknown_chunk_reported = True
        context.add_control(encode_error((Cause(CauseCode.UNRECOGNIZED_CHUNK_TYPE, chunk[:_REPORTED_CHUNK_SIZE]),)))
    return bool(chunk_type & _SKIP)


def _dispatch(context: Context, chunk_type: ChunkType, flags: int, value: bytes, tag: int, now: float) -> bool:
    """Hand a chunk to its topic; False ends the packet."""
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
        _receive_abort(context, value)
    elif chunk_type == ChunkType.ERROR:
        _receive_error(context, value, now)
    elif chunk_type == ChunkType.SHUTDOWN:
        shutdown.receive_shutdown(context, value, now)
    elif chunk_type == ChunkType.SHUTDOWN_ACK:
        shutdown.receive_shutdown_ack(context)
    elif chunk_type == ChunkType.SHUTDOWN_COMPLETE:
        shutdown.receive_shutdown_complete(context)
    elif context.block is not None:
        _dispatch_to_block(context, context.block, chunk_type, value, now)
    return True


def _dispatch_to_block(context: Context, block: ControlBlock, chunk_type: ChunkType, value: bytes, now: float) -> None:
    try:
        if chunk_type == ChunkType.HEARTBEAT:
            decode_heartbeat(value)
            answer = encode_heartbeat_ack(value)
            if len(answer) <= context.configuration.max_packet_size - COMMON_HEADER_SIZE:
                context.add_control(answer)
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
                block.inbound.end_of_packets(1)
        elif chunk_type == ChunkType.RE_CONFIG:
            if not block.extensions.stream_reset:
                context.dropped_unexpected += 1
            else:
                parameters = decode_reconfig(value)
                block.stream_reset.receive(parameters, block.inbound_streams, now, block.rto.rto, context.events)
    except DecodeError:
        context.dropped_malformed += 1


def _receive_abort(context: Context, value: bytes) -> None:
    try:
        causes = decode_causes(value)
    except DecodeError:
        causes = ()
    if len(causes) == 1 and causes[0].code == CauseCode.USER_INITIATED_ABORT and not causes[0].information:
        detail = "the peer ended the association"
    else:
        detail = "; ".join(str(cause) for cause in causes[:4]) or "the peer gave no reason"
    context.fail(Reason.ABORT_RECEIVED, detail)


def _receive_error(context: Context, value: bytes, now: float) -> None:
    try:
        causes = decode_causes(value)
    except DecodeError:
        context.dropped_malformed += 1
        return
    if any(cause.code == CauseCode.STALE_COOKIE for cause in causes):
        handshake.receive_stale_cookie(context, now)


def end_of_batch(context: Context, now: float) -> None:
    """Draw the conclusions from what has arrived, once for a whole batch."""
    block = context.block
    if block is None:
        return
    inbound = block.inbound
    if inbound.reassembly.violation:
        context.violated(inbound.reassembly.violation)
        return
    block.stream_reset.cumulative_tsn_moved(context.events)
    if inbound.sack_due:
        block.sack_timer.stop()
    elif inbound.sack_delayed and not block.sack_timer.is_running:
        block.sack_timer.start(now + min(block.rto.rto / 2, context.configuration.sack_delay))
