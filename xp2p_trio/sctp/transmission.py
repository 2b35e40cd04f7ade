"""What leaves, built when it leaves: replies, control chunks, SACK, retransmissions and new data."""

from __future__ import annotations

from typing import Final

from xp2p_trio.sctp import handshake, shutdown
from xp2p_trio.sctp.context import Context
from xp2p_trio.sctp.control_block import ControlBlock
from xp2p_trio.sctp.state import SENDING, State
from xp2p_trio.sctp.wire import SACK_HEADER_SIZE, PacketBuilder, with_checksum

_SMALLEST_SACK_ROOM: Final = SACK_HEADER_SIZE + 4 * 40
"""Room that a SACK needs in a packet of other control chunks to have space for duplicates and some gaps."""


def build_packets(context: Context, now: float, limit: int) -> list[bytes]:
    """At most `limit` packets."""
    packets: list[bytes] = []
    if context.replies:
        packets = context.replies[:limit]
        del context.replies[:limit]
    if context.is_init_due and len(packets) < limit:
        context.is_init_due = False
        packets.append(handshake.build_init_packet(context))
    block = context.block
    if block is not None and len(packets) < limit:
        packets += _build_for_block(context, block, now, limit - len(packets))
    return packets


def _build_for_block(context: Context, block: ControlBlock, now: float, limit: int) -> list[bytes]:
    state = context.state
    outbound = block.outbound
    if state == State.COOKIE_ECHOED:
        if not context.is_cookie_echo_due:
            return []
        # COOKIE ECHO, ERROR and DATA may share one packet (RFC 9260 section 5.1, C); nothing else leaves yet.
        context.is_cookie_echo_due = False
        builder = PacketBuilder(block.header, context.configuration.max_packet_size, 1)
        builder.add(handshake.encode_our_cookie_echo(context))
        _add_control(block, builder)
        outbound.fill(builder, now, is_ending=context.is_shutdown_wanted)
        builder.flush()
        return [with_checksum(packet) for packet in builder.packets]
    builder = PacketBuilder(block.header, context.configuration.max_packet_size, limit)
    _add_control(block, builder)
    inbound = block.inbound
    # A SACK may leave before its timer ends (RFC 9260 section 6.2): along with other chunks, or because we close.
    if inbound.sack_due or (inbound.sack_delayed and (outbound.may_send or _is_closing(context, block))):
        for sack in inbound.kept_sacks:
            if builder.has_spare_packet:
                builder.add(sack)
                builder.flush()
        inbound.kept_sacks.clear()
        if builder.room < _SMALLEST_SACK_ROOM:
            builder.flush()
        if len(builder.packets) < limit:
            builder.add(inbound.build_sack(builder.room))
            block.sack_timer.stop()
            block.is_unknown_chunk_reported = False
    if builder.has_spare_packet:
        reconfiguration = block.stream_reset.take_chunk(now, block.rto.rto)
        if reconfiguration is not None:
            builder.add(reconfiguration)
    if builder.has_spare_packet:
        shutdown_chunk = shutdown.take_chunk(context)
        if shutdown_chunk is not None:
            builder.add(shutdown_chunk)
    if state in SENDING:
        outbound.fill(builder, now, is_ending=state != State.ESTABLISHED)
        context.drain_abandoned()
    builder.flush()
    if block.extensions.zero_checksum:
        return builder.packets
    return [with_checksum(packet) for packet in builder.packets]


def _is_closing(context: Context, block: ControlBlock) -> bool:
    """Whether RE-CONFIG or SHUTDOWN leaves, or waits for our data; a peer that closes as well waits for our SACK."""
    return context.is_shutdown_due or context.is_shutdown_wanted or block.stream_reset.is_pending


def _add_control(block: ControlBlock, builder: PacketBuilder) -> None:
    control = block.control
    taken = 0
    for chunk in control:
        if not builder.add(chunk):
            break
        taken += 1
    if taken:
        del control[:taken]
