"""The receiving half of an association: admission, tracking and reassembly of DATA, and when to acknowledge it."""

from __future__ import annotations

from typing import Final, final

from xp2p_trio.sctp.messages import Message
from xp2p_trio.sctp.rx.data_tracker import MAX_OFFSET, DataTracker
from xp2p_trio.sctp.rx.reassembly import SMALLEST_CHARGE, Reassembly
from xp2p_trio.sctp.wire import IMMEDIATE, SACK_HEADER_SIZE, ForwardTsn, encode_sack

_MASK: Final = 0xFFFFFFFF
_PACKETS_PER_SACK: Final = 2  # RFC 9260 section 6.2
_QUICK_PACKETS: Final = 128
"""Packets after a gap or a duplicate that are acknowledged one by one: the path loses, and may lose SACKs as well."""

_MAX_KEPT_SACKS: Final = 16
_MAX_KEPT_RANGES: Final = 64
"""Bounds of what acknowledging packet by packet may cost; beyond them the last SACK speaks for its batch alone."""

_OVERDRAFT: Final = 4
"""A quarter on top of the window is kept for what advances the cumulative TSN, so that gaps can always close."""


@final
class Inbound:
    """What arrives.

    Attributes:
        tracker: which TSNs are here.
        reassembly: what they make up.
        sack_due: whether a SACK goes out with the next packet.
        sack_delayed: whether one goes out when its timer ends.
        quick_packets: packets with DATA that are still to be acknowledged one by one.
        kept_sacks: SACKs for earlier packets of a batch than the last one, oldest first.
        duplicates: DATA chunks that came again, for the statistics.
        is_stream_error_reported: whether data on a stream that does not exist was reported since the last SACK.
        refused: DATA chunks that there was no room for, for the statistics.
    """

    __slots__ = (
        "_advertised",
        "_hard_limit",
        "_has_data",
        "_is_packet_unacknowledged",
        "_packet_size",
        "_unacknowledged_packets",
        "_window",
        "duplicates",
        "is_stream_error_reported",
        "kept_sacks",
        "quick_packets",
        "reassembly",
        "refused",
        "sack_delayed",
        "sack_due",
        "tracker",
    )

    def __init__(self, *, peer_initial_tsn: int, window: int, max_message_size: int, packet_size: int) -> None:
        self.tracker = DataTracker(peer_initial_tsn)
        self.reassembly = Reassembly(max_message_size)
        self.sack_due = False
        self.sack_delayed = False
        self.kept_sacks: list[bytes] = []
        self.quick_packets = 0
        self.duplicates = 0
        self.refused = 0
        self.is_stream_error_reported = False
        self._window = window
        self._hard_limit = window + window // _OVERDRAFT
        self._packet_size = packet_size
        self._advertised = window
        self._unacknowledged_packets = 0
        self._has_data = False
        self._is_packet_unacknowledged = False

    def receive_data(self, tsn: int, flags: int, stream_id: int, ssn: int, ppid: int, payload: bytes) -> None:
        """Take one DATA chunk with at least one byte of user data, on a stream that exists."""
        tracker = self.tracker
        reassembly = self.reassembly
        cumulative_tsn = tracker.cumulative_tsn
        offset = (tsn - cumulative_tsn) & _MASK
        if offset == 1:
            if reassembly.charged >= self._window and self._is_full(len(payload)):
                self._refuse()
                return
            absolute = cumulative_tsn + 1
            if tracker.starts:
                tracker.advance_to(absolute)
                self.sack_due = True
            else:
                tracker.cumulative_tsn = absolute
        else:
            # RFC 9260 section 6.2: duplicates and gaps are acknowledged at once.
            self.sack_due = True
            self.quick_packets = _QUICK_PACKETS
            absolute = cumulative_tsn + (offset if offset < 0x80000000 else offset - 0x100000000)
            if absolute > cumulative_tsn and reassembly.charged + SMALLEST_CHARGE > self._window:
                self._refuse()
                return
            outcome = tracker.observe(absolute)
            if outcome <= 0:
                if outcome:
                    self.refused += 1
                else:
                    self.duplicates += 1
                return
        if flags & IMMEDIATE:
            self.sack_due = True
        reassembly.add(absolute, flags, stream_id, ssn, ppid, payload)

    def begin_packet(self) -> None:
        """Another packet with DATA follows, of those that are acknowledged one by one.

        RFC 9260 section 6.7 asks for it while there is a gap: the peer's fast retransmission waits for three SACKs,
        each with news (section 7.2.4), and one SACK for a whole batch would leave it to T3-rtx. After a gap, a batch
        may be all that a small window let the peer send: the loss of its only SACK would mean T3-rtx as well.
        """
        if self._is_packet_unacknowledged or self.sack_due:
            self.keep_sack()
        self.quick_packets -= 1
        self._is_packet_unacknowledged = True

    def keep_sack(self) -> None:
        """Acknowledge what has come so far, although a later packet of the batch will be acknowledged as well.

        RFC 9260 section 6.2 asks for one SACK for every two packets, and it matters: senders let their window grow by
        one packet a SACK, and answer a SACK by four packets at most (section 6.1, D).
        """
        if len(self.kept_sacks) < _MAX_KEPT_SACKS and len(self.tracker.starts) <= _MAX_KEPT_RANGES:
            self.kept_sacks.append(self.build_sack(self._packet_size))

    def acknowledge_only(self, tsn: int) -> None:
        """Count a TSN as received without keeping its data."""
        tracker = self.tracker
        absolute = tracker.unwrap(tsn)
        if absolute == tracker.cumulative_tsn + 1:
            tracker.advance_to(absolute)
        elif not tracker.observe(absolute):
            self.duplicates += 1
        self.sack_due = True

    def end_of_packets(self, count: int) -> None:
        """Note that packets with DATA are done; every second one is acknowledged (RFC 9260 section 6.2)."""
        if not self._has_data:
            self._has_data = self.sack_due = True  # section 5.1: the first DATA chunk is acknowledged at once
        self._unacknowledged_packets += count
        if self._unacknowledged_packets >= _PACKETS_PER_SACK or self.quick_packets:
            self.sack_due = True
        else:
            self.sack_delayed = True

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has arrived yet."""
        return not self._has_data

    def receive_forward_tsn(self, forward_tsn: ForwardTsn, inbound_streams: int) -> bool:
        """Give up what the sender has given up (RFC 3758 section 3.6).

        Returns:
            False when the new cumulative TSN lies further ahead than data could.
        """
        tracker = self.tracker
        absolute = tracker.unwrap(forward_tsn.new_cumulative_tsn)
        self.sack_due = True  # the sender can skip its next hole only when it knows that this one is skipped
        if absolute <= tracker.cumulative_tsn:
            return True
        if absolute - tracker.cumulative_tsn > MAX_OFFSET:
            return False
        tracker.advance_to(absolute)
        self.reassembly.skip(absolute, tuple(entry for entry in forward_tsn.skipped if entry[0] < inbound_streams))
        return True

    def take(self) -> list[Message]:
        """The messages for the reader; a window that was nearly shut and opens is announced."""
        messages = self.reassembly.take()
        if messages:
            free = self.a_rwnd
            gain = free - self._advertised
            if gain >= self._window // 2 or (self._advertised < self._packet_size and gain >= self._packet_size):
                self.sack_due = True
        return messages

    @property
    def a_rwnd(self) -> int:
        """Bytes of the window that are free."""
        free = self._window - self.reassembly.charged
        return max(0, free)

    def build_sack(self, room: int) -> bytes:
        """A SACK of the present state, at most `room` bytes long; what was due is then done."""
        tracker = self.tracker
        self.sack_due = False
        self.sack_delayed = False
        self.is_stream_error_reported = False
        self._unacknowledged_packets = 0
        self._is_packet_unacknowledged = False
        self._advertised = a_rwnd = self.a_rwnd
        duplicates = tracker.take_duplicates()
        blocks = tracker.gap_ack_blocks((room - SACK_HEADER_SIZE) // 4 - len(duplicates)) if tracker.starts else []
        return encode_sack(tracker.cumulative_tsn & _MASK, a_rwnd, blocks, duplicates)

    def _is_full(self, size: int) -> bool:
        """Whether the next TSN has to be dropped although it moves the cumulative one.

        Messages that wait for the reader make room by being read, and then the sender tries again. Otherwise only this
        chunk can make room, by closing a gap or completing a message.
        """
        reassembly = self.reassembly
        if reassembly.has_ready and not self.tracker.starts:
            return True
        return reassembly.charged + max(size, SMALLEST_CHARGE) > self._hard_limit

    def _refuse(self) -> None:
        """Drop a chunk for want of room, and say at once how little there is (RFC 9260 section 6.2)."""
        self.refused += 1
        self.sack_due = True
