"""Which TSNs have arrived, and what a SACK says about them (RFC 9260 sections 6.2 and 6.7).

TSNs are kept unwrapped: integers that only grow and whose low 32 bits are the TSN on the wire.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, final

from xp2p_trio.sctp.wire import GapAckBlock

MAX_RANGES: Final = 4096
"""Ranges beyond the cumulative TSN that are remembered (docs/design.md, caps)."""

MAX_OFFSET: Final = 0xFFFF
"""A gap block's offsets have 16 bits, so that data further ahead could not be acknowledged."""

MAX_DUPLICATES: Final = 20
"""Duplicate TSNs reported in one SACK."""

_MASK: Final = 0xFFFFFFFF


@final
class DataTracker:
    """The cumulative TSN and the ranges beyond it.

    Attributes:
        cumulative_tsn: the last TSN, unwrapped, up to which all have arrived or were given up.
        starts: the first TSNs of the ranges beyond it, unwrapped and ascending; empty without a gap.
        duplicates: TSNs that arrived again since the last SACK, wrapped.
    """

    __slots__ = ("_ends", "cumulative_tsn", "duplicates", "starts")

    def __init__(self, peer_initial_tsn: int) -> None:
        # One lap of the number space on top, so that unwrapped numbers are never negative.
        self.cumulative_tsn = peer_initial_tsn + _MASK
        self.starts: list[int] = []
        self._ends: list[int] = []
        self.duplicates: list[int] = []

    def observe(self, tsn: int) -> int:
        """Note the arrival of an unwrapped TSN that is not `cumulative_tsn + 1`.

        Returns:
            1 when it is new, 0 when it is a duplicate, -1 when it cannot be remembered and must be dropped.
        """
        offset = tsn - self.cumulative_tsn
        if offset <= 0:
            return self._duplicate(tsn)
        if offset > MAX_OFFSET:
            return -1
        starts = self.starts
        ends = self._ends
        index = bisect_right(starts, tsn)
        if index and ends[index - 1] >= tsn:
            return self._duplicate(tsn)
        joins_left = index > 0 and ends[index - 1] == tsn - 1
        joins_right = index < len(starts) and starts[index] == tsn + 1
        if joins_left and joins_right:
            ends[index - 1] = ends.pop(index)
            del starts[index]
        elif joins_left:
            ends[index - 1] = tsn
        elif joins_right:
            starts[index] = tsn
        elif len(starts) >= MAX_RANGES:
            return -1
        else:
            starts.insert(index, tsn)
            ends.insert(index, tsn)
        return 1

    def advance_to(self, tsn: int) -> None:
        """Make the unwrapped `tsn` the cumulative one, and take in the ranges that it reaches."""
        starts = self.starts
        ends = self._ends
        reached = bisect_right(starts, tsn + 1)
        if reached:
            tsn = max(tsn, ends[reached - 1])
            del starts[:reached]
            del ends[:reached]
        self.cumulative_tsn = tsn

    def unwrap(self, tsn: int) -> int:
        """The unwrapped number of a TSN from the wire, which is less than half the number space away."""
        offset = (tsn - self.cumulative_tsn) & _MASK
        return self.cumulative_tsn + (offset if offset < 0x80000000 else offset - 0x100000000)

    def gap_ack_blocks(self, limit: int) -> list[GapAckBlock]:
        """The first `limit` ranges as offsets from the cumulative TSN."""
        base = self.cumulative_tsn
        return [(start - base, end - base) for start, end in zip(self.starts[:limit], self._ends, strict=False)]

    def take_duplicates(self) -> list[int]:
        """The duplicates to report, which are then forgotten."""
        duplicates = self.duplicates
        if duplicates:
            self.duplicates = []
        return duplicates

    def _duplicate(self, tsn: int) -> int:
        if len(self.duplicates) < MAX_DUPLICATES:
            self.duplicates.append(tsn & _MASK)
        return 0
