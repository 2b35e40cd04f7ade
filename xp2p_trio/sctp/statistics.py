"""Counts and present values of an association."""

from __future__ import annotations

import attrs

from xp2p_trio.sctp.context import Context


@attrs.frozen
class Statistics:
    """A snapshot. Times are seconds, sizes are bytes.

    Attributes:
        srtt: smoothed round-trip time, None before the first measurement.
        rto: retransmission timeout.
        cwnd: congestion window.
        ssthresh: where slow start ends.
        flight_size: bytes of DATA chunks in flight.
        peer_rwnd: what the peer's window has left.
        a_rwnd: what ours has left.
        buffered_size: user bytes accepted and not yet acknowledged.
        received_size: bytes of messages and fragments held for reassembly, order or the reader.
        packets_sent, packets_received, bytes_sent, bytes_received: SCTP packets.
        data_chunks_sent, data_chunks_received: DATA chunks, the former without retransmissions.
        messages_sent, messages_received: messages accepted by `send` and given by `take_received`.
        messages_abandoned: messages given up (RFC 3758).
        retransmitted_chunks: DATA chunks sent again.
        fast_retransmits: times that SACKs revealed a loss.
        timeouts: times that T3-rtx expired.
        duplicate_chunks: DATA chunks that arrived again.
        refused_chunks: DATA chunks that there was no room for.
        dropped_malformed: packets or chunks with a length or content that does not parse.
        dropped_checksum: packets with a wrong checksum.
        dropped_tag: packets with a wrong verification tag or port.
        dropped_unexpected: chunks that mean nothing in the state they met, and unknown ones.
    """

    srtt: float | None
    rto: float
    cwnd: int
    ssthresh: int
    flight_size: int
    peer_rwnd: int
    a_rwnd: int
    buffered_size: int
    received_size: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    data_chunks_sent: int
    data_chunks_received: int
    messages_sent: int
    messages_received: int
    messages_abandoned: int
    retransmitted_chunks: int
    fast_retransmits: int
    timeouts: int
    duplicate_chunks: int
    refused_chunks: int
    dropped_malformed: int
    dropped_checksum: int
    dropped_tag: int
    dropped_unexpected: int


def take_statistics(context: Context) -> Statistics:
    """The statistics of an association; those of its TCB outlive it."""
    block = context.block or context.former_block
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
        packets_sent=context.packets_sent,
        packets_received=context.packets_received,
        bytes_sent=context.bytes_sent,
        bytes_received=context.bytes_received,
        data_chunks_sent=0 if outbound is None else outbound.sent_chunks,
        data_chunks_received=context.data_chunks_received,
        messages_sent=context.messages_sent,
        messages_received=context.messages_received,
        messages_abandoned=context.messages_abandoned,
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
