"""What has been sent and is not yet acknowledged for good (RFC 9260 sections 6.2.1 and 7.2.4, RFC 3758 section 3.5).

Every TSN from the Cumulative TSN Ack Point to the last one assigned has its record, under its TSN, in order.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.sctp.tx.send_queue import QueuedMessage, SendQueue
from xp2p_trio.sctp.wire import IMMEDIATE, ForwardTsn, GapAckBlock

MISS_INDICATIONS: Final = 3
"""Reports of a TSN as missing that mark it as lost (section 7.2.4)."""

_MASK: Final = 0xFFFFFFFF


class Fate(enum.IntEnum):
    """What is known about a chunk."""

    IN_FLIGHT = 0
    GAP_ACKED = 1  # acknowledged, but the peer may take it back
    LOST = 2  # to be retransmitted
    ABANDONED = 3  # finally acknowledged, as far as the sender is concerned (RFC 3758 section 3.5, A2)


_IN_FLIGHT: Final = int(Fate.IN_FLIGHT)
_GAP_ACKED: Final = int(Fate.GAP_ACKED)
_LOST: Final = int(Fate.LOST)
_ABANDONED: Final = int(Fate.ABANDONED)


@final
class SentChunk:
    """A DATA chunk that was sent at least once.

    Attributes:
        data: the whole encoded chunk.
        size: its length, padding included.
        length: user bytes in it.
        message: what it is a part of.
        packet_number: the packet in which it was last sent; packets are counted from 0.
        fate: a `Fate`.
        misses: reports of it as missing since it was last sent.
        retransmissions: how often it was marked as lost.
        is_fast_retransmitted: whether only T3-rtx may mark it again (section 7.2.4, rule 5).
    """

    __slots__ = (
        "data",
        "fate",
        "is_fast_retransmitted",
        "length",
        "message",
        "misses",
        "packet_number",
        "retransmissions",
        "size",
    )

    def __init__(self, data: bytes, size: int, length: int, message: QueuedMessage, packet_number: int) -> None:
        self.data = data
        self.size = size
        self.length = length
        self.message = message
        self.packet_number = packet_number
        self.fate = _IN_FLIGHT
        self.misses = 0
        self.retransmissions = 0
        self.is_fast_retransmitted = False

    def ask_for_sack(self) -> None:
        """Set the I bit, which makes the peer acknowledge at once (RFC 7053 section 4)."""
        data = self.data
        self.data = data[:1] + bytes((data[1] | IMMEDIATE,)) + data[2:]

    @property
    def is_abandoned(self) -> bool:
        """Whether it was given up with its message."""
        return self.fate == _ABANDONED


@final
class OutstandingData:
    """The records, and the sums over them.

    Attributes:
        cumulative_tsn_ack: the last TSN that the peer has acknowledged for good.
        chunks: the records after it, by TSN.
        flight_size: bytes of chunks in flight.
        lost: TSNs to be retransmitted, in no order.
    """

    __slots__ = ("_gap_ranges", "chunks", "cumulative_tsn_ack", "flight_size", "lost")

    def __init__(self, initial_tsn: int) -> None:
        self.cumulative_tsn_ack = (initial_tsn - 1) & _MASK
        self.chunks: dict[int, SentChunk] = {}
        self.flight_size = 0
        self.lost: dict[int, SentChunk] = {}
        self._gap_ranges: list[GapAckBlock] = []

    def pop_acknowledged(self, count: int, queue: SendQueue) -> tuple[int, int]:
        """Move the Cumulative TSN Ack Point by `count` and let go of the records that it passes.

        Returns:
            The bytes that are newly acknowledged, and the highest number of a packet that brought them.
        """
        pop = self.chunks.pop
        tsn = self.cumulative_tsn_ack
        flight_size = self.flight_size
        acked_size = 0
        highest_packet = -1
        message: QueuedMessage | None = None
        length = 0
        for _ in range(count):
            tsn = (tsn + 1) & _MASK
            chunk = pop(tsn)
            if chunk.message is not message:
                if message is not None:
                    queue.acknowledged(message, length)
                message = chunk.message
                length = 0
            fate = chunk.fate
            if fate == _IN_FLIGHT:
                size = chunk.size
                flight_size -= size
                acked_size += size
                if chunk.packet_number > highest_packet:
                    highest_packet = chunk.packet_number
            elif fate == _LOST:
                acked_size += chunk.size
                del self.lost[tsn]
            elif fate == _ABANDONED:
                continue
            length += chunk.length
        if message is not None:
            queue.acknowledged(message, length)
        self.flight_size = flight_size
        self.cumulative_tsn_ack = tsn
        if self._gap_ranges and count:
            self._gap_ranges = list(self.gaps_after(count))
        return acked_size, highest_packet

    def apply_gaps(self, blocks: tuple[GapAckBlock, ...], recovery_packet: int) -> tuple[int, list[int]]:
        """Take the gap ack blocks of a SACK, sorted and disjoint, after its cumulative part.

        Only what differs from the SACK before is looked at, so that a long-standing gap costs little.

        Args:
            blocks: the blocks.
            recovery_packet: in fast recovery, when the SACK has moved the cumulative TSN, the highest number of a
                packet that did so; -1 otherwise.

        Returns:
            The bytes that are newly acknowledged, and the TSNs that have now been missed often enough.
        """
        base = self.cumulative_tsn_ack
        chunks = self.chunks
        before = self._gap_ranges
        self._gap_ranges = list(blocks)
        for start, end in _subtract(before, blocks):
            for offset in range(start, end + 1):
                self._renege((base + offset) & _MASK)
        acked_size = 0
        highest_new = 0
        packets: set[int] = set()
        for start, end in _subtract(blocks, before):
            for offset in range(start, end + 1):
                tsn = (base + offset) & _MASK
                chunk = chunks[tsn]
                fate = chunk.fate
                if fate == _IN_FLIGHT:
                    self.flight_size -= chunk.size
                elif fate == _LOST:
                    del self.lost[tsn]
                else:
                    continue
                chunk.fate = _GAP_ACKED
                acked_size += chunk.size
                highest_new = offset
                packets.add(chunk.packet_number)
        # HTNA: what lies before the highest TSN newly acknowledged is missed (section 7.2.4). In fast recovery, when
        # the cumulative TSN moves, everything that the SACK reports missing is.
        limit = blocks[-1][1] if recovery_packet >= 0 and blocks else highest_new
        if recovery_packet >= 0:
            packets.add(recovery_packet)
        in_order = sorted(packets)
        lost: list[int] = []
        position = 1
        for start, end in blocks:
            for offset in range(position, min(start, limit + 1)):
                tsn = (base + offset) & _MASK
                chunk = chunks[tsn]
                if chunk.fate == _IN_FLIGHT:
                    # A SACK that covers a batch stands for the SACKs that its packets would have caused one by
                    # one; a packet that left before this chunk was last sent says nothing about it.
                    chunk.misses += len(in_order) - bisect_right(in_order, chunk.packet_number)
                    if chunk.misses >= MISS_INDICATIONS and not chunk.is_fast_retransmitted:
                        lost.append(tsn)
            position = end + 1
            if position > limit:
                break
        return acked_size, lost

    @property
    def has_gaps(self) -> bool:
        """Whether the SACK before had gap ack blocks."""
        return bool(self._gap_ranges)

    def gaps_after(self, count: int) -> tuple[GapAckBlock, ...]:
        """The last gap ack blocks, as they look after the Cumulative TSN Ack Point has moved by `count`."""
        return tuple((max(start - count, 1), end - count) for start, end in self._gap_ranges if end > count)

    def mark_lost(self, tsn: int) -> None:
        """Take a chunk out of flight, to be retransmitted."""
        chunk = self.chunks[tsn]
        self.flight_size -= chunk.size
        chunk.fate = _LOST
        chunk.misses = 0
        chunk.retransmissions += 1
        self.lost[tsn] = chunk

    def mark_sent_again(self, tsn: int, packet_number: int) -> None:
        """A lost chunk is in flight again."""
        chunk = self.lost.pop(tsn)
        chunk.fate = _IN_FLIGHT
        chunk.packet_number = packet_number
        self.flight_size += chunk.size

    def lost_in_order(self) -> list[int]:
        """The TSNs to be retransmitted, lowest first."""
        base = self.cumulative_tsn_ack
        return sorted(self.lost, key=lambda tsn: (tsn - base) & _MASK)

    def in_flight(self) -> list[int]:
        """The TSNs in flight, lowest first."""
        return [tsn for tsn, chunk in self.chunks.items() if chunk.fate == _IN_FLIGHT]

    def add_placeholder(self, tsn: int, message: QueuedMessage) -> None:
        """Spend a TSN on the end that an abandoned message will never have.

        The fragments before it may be acknowledged for good; only a TSN after them lets FORWARD TSN tell the peer to
        forget the message.
        """
        chunk = SentChunk(b"", 0, 0, message, 0)
        chunk.fate = _ABANDONED
        self.chunks[tsn] = chunk

    def abandon(self, message: QueuedMessage) -> None:
        """Give up all fragments of a message (RFC 3758 section 3.5, A3)."""
        for number in range(message.fragments):
            tsn = (message.first_tsn + number) & _MASK
            chunk = self.chunks.get(tsn)
            if chunk is not None and chunk.message is message:
                if chunk.fate == _IN_FLIGHT:
                    self.flight_size -= chunk.size
                elif chunk.fate == _LOST:
                    del self.lost[tsn]
                chunk.fate = _ABANDONED
                chunk.data = b""

    @property
    def is_front_abandoned(self) -> bool:
        """Whether the first record is of something given up, which FORWARD TSN has to tell."""
        chunk = self.chunks.get((self.cumulative_tsn_ack + 1) & _MASK)
        return chunk is not None and chunk.fate == _ABANDONED

    def forward_tsn(self, limit: int) -> ForwardTsn:
        """What FORWARD TSN has to say, with at most `limit` streams (RFC 3758 section 3.5, C2 to C4)."""
        tsn = self.cumulative_tsn_ack
        skipped: dict[int, int] = {}
        for following, chunk in self.chunks.items():
            if chunk.fate != _ABANDONED:
                break
            message = chunk.message
            if not message.unordered:
                stream_id = message.stream.stream_id
                if stream_id not in skipped and len(skipped) == limit:
                    break
                skipped[stream_id] = message.ssn
            tsn = following
        return ForwardTsn(tsn, tuple(skipped.items()))

    def clear(self) -> None:
        """Forget everything: the association is over."""
        self.chunks.clear()
        self.lost.clear()
        self._gap_ranges.clear()
        self.flight_size = 0

    def _renege(self, tsn: int) -> None:
        """The peer has taken back what it had acknowledged (section 6.2.1, D iii)."""
        chunk = self.chunks.get(tsn)
        if chunk is not None and chunk.fate == _GAP_ACKED:
            chunk.fate = _IN_FLIGHT
            self.flight_size += chunk.size


def _subtract(blocks: Sequence[GapAckBlock], others: Sequence[GapAckBlock]) -> list[GapAckBlock]:
    """What of `blocks` is not in `others`; both are sorted and disjoint."""
    rest: list[GapAckBlock] = []
    index = 0
    for start, end in blocks:
        while index < len(others) and others[index][1] < start:
            index += 1
        at = index
        while at < len(others) and others[at][0] <= end:
            if others[at][0] > start:
                rest.append((start, others[at][0] - 1))
            start = others[at][1] + 1
            at += 1
        if start <= end:
            rest.append((start, end))
    return rest
