"""The sending half of an association: fragments, packets, SACKs, loss and what follows from it."""

from __future__ import annotations

import math
from typing import Final, final

from xp2p_trio.sansio import Timer
from xp2p_trio.sctp.events import MessageAbandoned
from xp2p_trio.sctp.tx.congestion import CongestionControl
from xp2p_trio.sctp.tx.outstanding_data import OutstandingData, SentChunk
from xp2p_trio.sctp.tx.rto import RetransmissionTimeout
from xp2p_trio.sctp.tx.send_queue import QueuedMessage, SendQueue
from xp2p_trio.sctp.wire import (
    BEGINNING,
    DATA_HEADER,
    DATA_HEADER_SIZE,
    ENDING,
    IMMEDIATE,
    UNORDERED,
    GapAckBlock,
    PacketBuilder,
    encode_forward_tsn,
)

_MASK: Final = 0xFFFFFFFF
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")
_WORTHWHILE_FRAGMENT: Final = 256
"""Least room behind other chunks that the first part of a long message is cut to."""

_FORWARD_TSN_HEADER: Final = 8

_MOST_OUTSTANDING: Final = 4096
"""Chunks in flight. Beyond that, usrsctp tosses what comes after a gap (and gap ack blocks reach 65,535 TSNs), our own
receiver fills a window of 1 MiB with chunks of one byte, and a SACK with many gaps costs a lot to read."""

_SHUT_WINDOW: Final = 1176
"""A window below a full chunk of the default packet size stops bulk data."""

_OVERDUE_ROUND_TRIPS: Final = 1.5
"""An acknowledgement that has taken so long when the path changes will not come: the path before was left because it is
dead, which nobody need have noticed yet."""

_MOST_HALVINGS: Final = 16
"""An idle window is at its least long before."""


@final
class Outbound:
    """What leaves.

    Attributes:
        queue: messages not yet transmitted to their end.
        outstanding: chunks not yet acknowledged.
        congestion: the window.
        rto: the retransmission timeout.
        t3: T3-rtx (RFC 9260 section 6.3.2).
        peer_rwnd: what the peer's window has left for what is not yet sent.
        next_tsn: the TSN of the next new chunk.
        expirations: T3-rtx expirations since the peer last showed that it is there.
        abandoned: events about messages given up.
        sent_chunks, retransmitted_chunks, fast_retransmits, timeouts: counts for the statistics.
    """

    __slots__ = (
        "_fast_packet_due",
        "_forward_tsn_due",
        "_forwarded_at",
        "_forwarded_tsn",
        "_is_probe_due",
        "_is_probing",
        "_is_window_used",
        "_last_sent_at",
        "_packet_number",
        "_partial_reliability",
        "_recovery_exit",
        "_timed_at",
        "_timed_tsn",
        "abandoned",
        "congestion",
        "expirations",
        "fast_retransmits",
        "next_tsn",
        "outstanding",
        "peer_rwnd",
        "queue",
        "retransmitted_chunks",
        "rto",
        "sent_chunks",
        "t3",
        "timeouts",
    )

    def __init__(
        self,
        *,
        queue: SendQueue,
        initial_tsn: int,
        peer_rwnd: int,
        congestion: CongestionControl,
        rto: RetransmissionTimeout,
        partial_reliability: bool,
    ) -> None:
        self.queue = queue
        self.outstanding = OutstandingData(initial_tsn)
        self.congestion = congestion
        self.rto = rto
        self.t3 = Timer()
        self.peer_rwnd = peer_rwnd
        self.next_tsn = initial_tsn
        self.expirations = 0
        self.abandoned: list[MessageAbandoned] = []
        self.sent_chunks = 0
        self.retransmitted_chunks = 0
        self.fast_retransmits = 0
        self.timeouts = 0
        self._partial_reliability = partial_reliability
        self._packet_number = 0
        self._fast_packet_due = False
        self._forward_tsn_due = False
        self._forwarded_tsn: int | None = None
        self._forwarded_at = -math.inf
        self._is_probe_due = False
        self._is_probing = False
        self._is_window_used = False
        self._last_sent_at = -math.inf
        self._recovery_exit: int | None = None
        self._timed_tsn: int | None = None
        self._timed_at = 0.0

    @property
    def is_all_acknowledged(self) -> bool:
        """Whether nothing waits to be sent or acknowledged."""
        return not self.outstanding.chunks and self.queue.is_empty

    @property
    def may_send(self) -> bool:
        """Whether data is likely to leave with the next packet."""
        return bool(self.outstanding.lost) or (
            not self.queue.is_empty and self.outstanding.flight_size < self.congestion.cwnd
        )

    # Packets out.

    def fill(self, builder: PacketBuilder, now: float, *, is_ending: bool = False) -> None:
        """Put FORWARD TSN, retransmissions and new data into packets, as far as the windows allow.

        Args:
            builder: the packets.
            now: the time.
            is_ending: whether the association ends once all data is acknowledged.
        """
        if self._forward_tsn_due:
            self._add_forward_tsn(builder, now)
        if self.outstanding.lost:
            self._fill_lost(builder, now)
        if not self.outstanding.lost and not self.queue.is_empty:
            self._fill_new(builder, now, is_ending)

    def _add_forward_tsn(self, builder: PacketBuilder, now: float) -> None:
        self._forward_tsn_due = False
        if not self.outstanding.is_front_abandoned:
            return
        # RFC 3758 section 3.5, C4: one packet, and no more streams than it holds.
        forward_tsn = self.outstanding.forward_tsn((builder.capacity - _FORWARD_TSN_HEADER) // 4)
        if not builder.add(encode_forward_tsn(forward_tsn)):
            self._forward_tsn_due = True
            return
        self._forwarded_tsn = forward_tsn.new_cumulative_tsn
        self._forwarded_at = now
        if not self.t3.is_running:  # C5
            self.t3.start(now + self.rto.rto)

    def _fill_lost(self, builder: PacketBuilder, now: float) -> None:
        outstanding = self.outstanding
        free_packet: int | None = None
        for tsn in outstanding.lost_in_order():
            chunk = outstanding.lost.get(tsn)
            if chunk is None:
                continue  # abandoned with its message a moment ago
            if chunk.message.expires_at <= now and self._abandon(chunk.message, now):
                continue
            if outstanding.flight_size:
                # RFC 9260 section 7.2.4, rule 3: one packet leaves whatever the window says.
                is_free = self._fast_packet_due and (
                    free_packet is None or (builder.number == free_packet and chunk.size <= builder.room)
                )
                is_window_used = outstanding.flight_size >= self.congestion.cwnd
                if not is_free and (is_window_used or chunk.length > self.peer_rwnd):
                    self._is_window_used = is_window_used
                    break
            elif chunk.length > self.peer_rwnd:
                self._is_probing = True
            if outstanding.flight_size + chunk.size >= self.congestion.cwnd:
                chunk.ask_for_sack()  # RFC 7053: nothing more may leave before one; a delayed one could meet the RTO
            if not builder.add(chunk.data):
                break
            if free_packet is None:
                free_packet = builder.number
            outstanding.mark_sent_again(tsn, self._packet_number + builder.number)
            self.peer_rwnd = max(self.peer_rwnd - chunk.length, 0)
            self.retransmitted_chunks += 1
            if not self.t3.is_running or tsn == (outstanding.cumulative_tsn_ack + 1) & _MASK:
                self.t3.start(now + self.rto.rto)  # section 7.2.4, rule 4
        if free_packet is not None:
            self._fast_packet_due = False
        self._packet_number += builder.number + 1
        self._timed_tsn = None  # section 6.3.1, C5: Karn's algorithm
        self._last_sent_at = now

    def _fill_new(self, builder: PacketBuilder, now: float, is_ending: bool) -> None:
        queue = self.queue
        outstanding = self.outstanding
        was_idle = not outstanding.chunks
        if was_idle:
            self._decay(now)
        cwnd = self.congestion.cwnd
        records = outstanding.chunks
        flight_size = outstanding.flight_size
        peer_rwnd = self.peer_rwnd
        tsn = first_tsn = self.next_tsn
        capacity = builder.capacity
        largest_payload = (capacity - DATA_HEADER_SIZE) & ~3
        packets = builder.packets
        header = builder.header
        limit = builder.limit
        spare_records = _MOST_OUTSTANDING - len(records)
        is_window_used = False
        message = queue.peek()
        while message is not None:
            offset = message.offset
            if not offset and message.expires_at <= now:
                self._give_up(message)
                message = queue.peek()
                continue
            if flight_size >= cwnd:
                is_window_used = True
                break
            if len(packets) >= limit or spare_records <= 0:
                break
            size = message.size
            left = size - offset
            if builder.chunks:
                room = (builder.room - DATA_HEADER_SIZE) & ~3
                if left > room and (left <= largest_payload or room < _WORTHWHILE_FRAGMENT):
                    builder.flush()
                    continue
            else:
                room = largest_payload
            length = left
            if left > room:
                length = room
            if length > peer_rwnd:
                # Section 6.1, A: nothing more fits, but an RTO after the last flight one chunk probes the window.
                if flight_size:
                    break
                if not self._is_probe_due:
                    if not self.t3.is_running:
                        self.t3.start(now + self.rto.rto)
                    break
                self._is_probing = True
            stream = message.stream
            following: QueuedMessage | None = message
            flags = message.unordered  # and I where RFC 7053 section 5.1 advises it
            if not offset:
                flags |= BEGINNING
                message.first_tsn = tsn
                if not flags & UNORDERED:
                    message.ssn = stream.next_ssn
                    stream.next_ssn = (message.ssn + 1) & 0xFFFF
            end = offset + length
            chunk_size = (DATA_HEADER_SIZE + length + 3) & ~3
            flight_size += chunk_size
            peer_rwnd -= length
            message.offset = end
            message.fragments += 1
            stream.buffered_size -= length
            spare_records -= 1
            packet_number = self._packet_number + len(packets)
            if end == size:
                flags |= ENDING
                following = queue.finish()
                if stream.is_resetting and not stream.queue:
                    flags |= IMMEDIATE  # the reset waits for the SACK
                elif following is None and (
                    # The SACK of a lone packet may ride on the reply.
                    is_ending or offset or (tsn != first_tsn and records[first_tsn].packet_number != packet_number)
                ):
                    flags |= IMMEDIATE
            if flight_size >= cwnd or peer_rwnd < largest_payload or not spare_records:
                flags |= IMMEDIATE  # nothing more may leave before a SACK
            chunk = (
                DATA_HEADER.pack(0, flags, DATA_HEADER_SIZE + length, tsn, stream.stream_id, message.ssn, message.ppid)
                + message.data[offset:end]
            )
            if length & 3:
                chunk += _PADDING[length & 3]
            records[tsn] = SentChunk(chunk, chunk_size, length, message, packet_number)
            if end == size:
                message.data = b""
                message = following
            tsn = (tsn + 1) & _MASK
            if length == largest_payload and not builder.chunks:
                packets.append(header + chunk)
            else:
                builder.add(chunk)
        outstanding.flight_size = flight_size
        self.peer_rwnd = max(0, peer_rwnd)
        self._is_window_used = is_window_used
        if tsn != first_tsn:
            self._is_probe_due = False
            self.next_tsn = tsn
            self.sent_chunks += (tsn - first_tsn) & _MASK
            self._packet_number += len(packets) + 1
            self._last_sent_at = now
            if self._timed_tsn is None:
                self._timed_tsn = (tsn - 1) & _MASK
                self._timed_at = now
            if was_idle or not self.t3.is_running:
                self.t3.start(now + self.rto.rto)  # section 6.3.2, R1

    def _decay(self, now: float) -> None:
        """The window of an idle sender shrinks by half every RTO (section 7.2.1, last rule)."""
        idle_for = now - self._last_sent_at
        rto = self.rto.rto
        if rto < idle_for < math.inf:
            for _ in range(min(int(idle_for / rto), _MOST_HALVINGS)):
                self.congestion.idle()

    # SACKs in.

    def receive_sack(self, cumulative_tsn_ack: int, a_rwnd: int, blocks: tuple[GapAckBlock, ...], now: float) -> bool:
        """Take what a SACK says.

        Returns:
            False when it acknowledges what was never sent.
        """
        outstanding = self.outstanding
        count = (cumulative_tsn_ack - outstanding.cumulative_tsn_ack) & _MASK
        if count >= 0x80000000:
            return True  # section 6.2.1, D i: an old one
        if blocks and not _are_in_order(blocks):
            blocks = outstanding.gaps_after(count)  # They say nothing, so that what was known stays.
        highest = count + blocks[-1][1] if blocks else count
        if highest > len(outstanding.chunks):
            return False
        flight_size = outstanding.flight_size
        in_recovery = self._recovery_exit is not None
        acked_size, highest_packet = outstanding.pop_acknowledged(count, self.queue) if count else (0, -1)
        lost: list[int] = []
        if blocks or outstanding.has_gaps:
            gap_size, lost = outstanding.apply_gaps(blocks, highest_packet if in_recovery else -1)
            acked_size += gap_size
        if count:
            self._cumulative_moved(cumulative_tsn_ack, acked_size, flight_size, now)
        if acked_size:
            self._is_probing = False
        if acked_size or count or a_rwnd < _SHUT_WINDOW:
            # Section 8.1. A peer that follows a FORWARD TSN, or says that its window is shut, is there too.
            self.expirations = 0
        if self._is_probing and a_rwnd >= _SHUT_WINDOW:
            # The window opened, and what probed it had been dropped: it goes again now, not after a backed-off RTO.
            self._is_probing = False
            lost = outstanding.in_flight()
        elif lost and not in_recovery:
            self.congestion.lost(now)
            self.fast_retransmits += 1
            self._recovery_exit = (self.next_tsn - 1) & _MASK
            self._fast_packet_due = True
        for tsn in lost:
            self._mark_lost(tsn, now)
        self.peer_rwnd = max(a_rwnd - outstanding.flight_size, 0)
        self._plan_forward_tsn(now)
        return True

    def _cumulative_moved(self, cumulative_tsn_ack: int, acked_size: int, flight_size: int, now: float) -> None:
        if self.expirations:
            self.rto.progressed()
        timed = self._timed_tsn
        if timed is not None and (cumulative_tsn_ack - timed) & _MASK < 0x80000000:
            self._timed_tsn = None
            self.rto.measured(now - self._timed_at)
        if self._recovery_exit is None:
            if self._is_window_used:  # section 7.2.1: only when the window is in full use
                self.congestion.acknowledged(acked_size, flight_size, now)
        elif (cumulative_tsn_ack - self._recovery_exit) & _MASK < 0x80000000:
            self._recovery_exit = None
        if self.outstanding.chunks:
            self.t3.start(now + self.rto.rto)  # section 6.3.2, R3
        else:
            self.t3.stop()  # R2
            self.congestion.all_acknowledged()

    def receive_shutdown(self, cumulative_tsn_ack: int, now: float) -> bool:
        """SHUTDOWN acknowledges like a SACK without gaps or window (section 9.2).

        Returns:
            False when it acknowledges what was never sent.
        """
        outstanding = self.outstanding
        count = (cumulative_tsn_ack - outstanding.cumulative_tsn_ack) & _MASK
        if count == 0 or count >= 0x80000000:
            return True
        if count > len(outstanding.chunks):
            return False
        return self.receive_sack(
            cumulative_tsn_ack, self.peer_rwnd + outstanding.flight_size, outstanding.gaps_after(count), now
        )

    # Time.

    def handle_t3(self, now: float) -> None:
        """T3-rtx has expired (section 6.3.3), or the window has been shut for that long."""
        self.rto.expired()  # E2
        self._is_probe_due = not self.outstanding.flight_size
        if not self.outstanding.chunks:
            return
        self.timeouts += 1
        self.expirations += 1
        if not self._is_probing:  # which does not affect cwnd (section 6.1, A)
            self.congestion.timed_out(now)  # E1
        self._lose_flight(now)
        if self.outstanding.chunks:
            self.t3.start(now + self.rto.rto)

    def _lose_flight(self, now: float) -> None:
        """Everything that is not acknowledged goes again."""
        self._recovery_exit = None
        self._fast_packet_due = False
        self.peer_rwnd += self.outstanding.flight_size  # section 6.2.1, C
        for tsn in self.outstanding.in_flight():
            self._mark_lost(tsn, now)
        for chunk in self.outstanding.lost.values():
            chunk.is_fast_retransmitted = False
        self._forward_tsn_due = self.outstanding.is_front_abandoned  # RFC 3758 section 3.5, A5

    def change_path(self, now: float) -> None:
        """Packets take another path, with a window of its own, beside what is in flight on the one before (7.2.1)."""
        waited = now - (self.t3.deadline - self.rto.rto) if self.t3.is_running else 0.0
        is_overdue = self.rto.srtt is not None and waited > _OVERDUE_ROUND_TRIPS * self.rto.srtt
        self.rto.restart()
        if is_overdue:
            self.recover_path(now)
            return
        self.congestion.begin(self.outstanding.flight_size)
        self._timed_tsn = None
        if self.t3.is_running:
            self.t3.start(now + self.rto.rto)

    def recover_path(self, now: float) -> None:
        """The path was silent for a while, which says nothing about how much it carries (section 7.2.1, idle)."""
        self.expirations = 0
        self._is_probe_due = not self.outstanding.flight_size
        self._lose_flight(now)
        self.congestion.begin(0)
        self._timed_tsn = None
        if self.outstanding.chunks:
            self.t3.start(now + self.rto.rto)

    def rto_measured(self, now: float) -> None:
        """The RTO may have come down; T3-rtx does not wait longer than that."""
        self.t3.deadline = min(self.t3.deadline, now + self.rto.rto) if self.t3.is_running else math.inf

    def expire_messages(self, now: float) -> None:
        """Give up messages whose lifetime is over and that have not been sent to their end."""
        for message in self.queue.take_expired(now):
            if message.offset:
                self._abandon(message, now)
            else:
                self._give_up(message)

    # Giving up.

    def _mark_lost(self, tsn: int, now: float) -> None:
        outstanding = self.outstanding
        chunk = outstanding.chunks[tsn]
        message = chunk.message
        if message.is_abandoned:
            return
        limit = message.max_retransmits
        is_over = (limit is not None and chunk.retransmissions >= limit) or message.expires_at <= now
        if is_over and self._abandon(message, now):
            return
        chunk.is_fast_retransmitted = True
        outstanding.mark_lost(tsn)

    def _abandon(self, message: QueuedMessage, now: float) -> bool:
        """Give up a message that has been sent in part or whole; False if the peer does not know how."""
        if not self._partial_reliability:
            return False
        is_cut = message.offset < message.size
        self._give_up(message)
        self.outstanding.abandon(message)
        self._timed_tsn = None  # it may be acknowledged by FORWARD TSN only, which says nothing about the path
        if is_cut:
            self.outstanding.add_placeholder(self.next_tsn, message)
            message.fragments += 1
            self.next_tsn = (self.next_tsn + 1) & _MASK
        self._plan_forward_tsn(now)
        return True

    def _give_up(self, message: QueuedMessage) -> None:
        self.abandoned.append(self.queue.give_up(message))

    def _plan_forward_tsn(self, now: float) -> None:
        """FORWARD TSN is due when there is news for it, or when the last one seems lost (RFC 3758 section 3.5, C3)."""
        outstanding = self.outstanding
        if not outstanding.is_front_abandoned:
            self._forwarded_tsn = None
        elif (
            self._forwarded_tsn is None
            or self._forwarded_tsn not in outstanding.chunks  # the peer stands before the next hole
            or now - self._forwarded_at >= self.rto.rto
        ):
            self._forward_tsn_due = True
        else:
            following = outstanding.chunks.get((self._forwarded_tsn + 1) & _MASK)
            if following is not None and following.is_abandoned:
                self._forward_tsn_due = True


def _are_in_order(blocks: tuple[GapAckBlock, ...]) -> bool:
    """Whether the blocks are as section 3.3.4 wants them: ascending, apart, not empty."""
    previous = 0
    for start, end in blocks:
        if not previous < start <= end:
            return False
        previous = end
    return True
