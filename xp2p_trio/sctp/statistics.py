"""Counts and present values of an association."""

from __future__ import annotations

import attrs


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
