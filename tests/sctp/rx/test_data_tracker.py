from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.sctp.rx import DataTracker
from xp2p_trio.sctp.rx.data_tracker import MAX_DUPLICATES, MAX_OFFSET, MAX_RANGES

INITIAL = 0xFFFFFFFB
MASK = 0xFFFFFFFF


@given(st.lists(st.integers(-3, 40), max_size=80))
def test_against_a_set(offsets: list[int]) -> None:
    tracker = DataTracker(INITIAL)
    base = tracker.cumulative_tsn
    assert base & MASK == INITIAL - 1
    seen: set[int] = set()
    cumulative = 0
    for offset in offsets:
        tsn = tracker.unwrap((INITIAL - 1 + offset) & MASK)
        assert tsn == base + offset
        if offset == cumulative + 1:
            tracker.advance_to(tsn)
            seen.add(offset)
        else:
            outcome = tracker.observe(tsn)
            assert outcome == (offset > cumulative and offset not in seen)
            if outcome:
                seen.add(offset)
        while cumulative + 1 in seen:
            cumulative += 1
        assert tracker.cumulative_tsn == base + cumulative
        blocks = tracker.gap_ack_blocks(1000)
        covered = {number for start, end in blocks for number in range(start, end + 1)}
        assert covered == {number - cumulative for number in seen if number > cumulative}
        assert all(left[1] + 1 < right[0] for left, right in itertools.pairwise(blocks))


def test_caps() -> None:
    tracker = DataTracker(INITIAL)
    base = tracker.cumulative_tsn
    assert tracker.observe(base + MAX_OFFSET + 1) == -1
    for number in range(MAX_RANGES):
        assert tracker.observe(base + 2 + 2 * number) == 1
    assert tracker.observe(base + 4 + 2 * MAX_RANGES) == -1
    assert tracker.observe(base + 3) == 1, "what joins two ranges needs no room"
    for _ in range(100):
        assert tracker.observe(base + 2) == 0
    assert tracker.take_duplicates() == [(base + 2) & MASK] * MAX_DUPLICATES
    assert tracker.take_duplicates() == []
    assert len(tracker.gap_ack_blocks(7)) == 7


def test_advance_swallows_what_it_reaches() -> None:
    tracker = DataTracker(10)
    base = tracker.cumulative_tsn
    for number in (3, 4, 7):
        tracker.observe(base + number)
    tracker.advance_to(base + 2)
    assert tracker.cumulative_tsn == base + 4
    tracker.advance_to(base + 20)
    assert tracker.cumulative_tsn == base + 20
    assert tracker.gap_ack_blocks(9) == []
