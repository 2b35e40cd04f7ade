from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.sctp import OutgoingMessage
from xp2p_trio.sctp.tx import SendQueue
from xp2p_trio.sctp.tx.outstanding_data import Fate, OutstandingData, SentChunk
from xp2p_trio.sctp.wire import ForwardTsn

INITIAL = 0xFFFFFFFB
MASK = 0xFFFFFFFF
SIZE = 100


def sent(count: int, **policy: object) -> tuple[OutstandingData, SendQueue]:
    """`count` messages of one chunk each, each in a packet of its own."""
    queue = SendQueue()
    outstanding = OutstandingData(INITIAL)
    for number in range(count):
        queue.add([OutgoingMessage(0, 53, bytes(SIZE), **policy)], 0.0)  # type: ignore[arg-type]
        message = queue.peek()
        assert message is not None
        message.offset, message.fragments, message.ssn = SIZE, 1, number
        message.first_tsn = (INITIAL + number) & MASK
        queue.finish()
        outstanding.chunks[message.first_tsn] = SentChunk(b"d", SIZE, SIZE, message, number)
        outstanding.flight_size += SIZE
    return outstanding, queue


def flight_of(outstanding: OutstandingData) -> int:
    return sum(chunk.size for chunk in outstanding.chunks.values() if chunk.fate == Fate.IN_FLIGHT)


def blocks_of(offsets: set[int]) -> tuple[tuple[int, int], ...]:
    blocks: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if blocks and blocks[-1][1] == offset - 1:
            blocks[-1] = (blocks[-1][0], offset)
        else:
            blocks.append((offset, offset))
    return tuple(blocks)


sacks = st.lists(st.tuples(st.integers(0, 6), st.sets(st.integers(2, 24)), st.booleans()), max_size=8)


@given(sacks)
def test_flight_is_the_sum_of_what_is_neither_acknowledged_nor_lost(
    reports: list[tuple[int, set[int], bool]],
) -> None:
    outstanding, queue = sent(30)
    packet_number = 30
    for count, offsets, resend in reports:
        count = min(count, len(outstanding.chunks))
        if count:
            outstanding.pop_acknowledged(count, queue)
        assert outstanding.flight_size == flight_of(outstanding)
        offsets = {offset for offset in offsets if offset <= len(outstanding.chunks)}
        _, lost = outstanding.apply_gaps(blocks_of(offsets), -1)
        assert outstanding.flight_size == flight_of(outstanding)
        fates = [chunk.fate for chunk in outstanding.chunks.values()]
        assert {number + 1 for number, fate in enumerate(fates) if fate == Fate.GAP_ACKED} == offsets
        for tsn in lost:
            outstanding.mark_lost(tsn)
        assert outstanding.flight_size == flight_of(outstanding)
        assert set(outstanding.lost) == {t for t, c in outstanding.chunks.items() if c.fate == Fate.LOST}
        if resend:
            for tsn in outstanding.lost_in_order():
                outstanding.mark_sent_again(tsn, packet_number)
                packet_number += 1
            assert outstanding.flight_size == flight_of(outstanding)
    assert queue.unacknowledged_size == SIZE * len(outstanding.chunks)


def test_three_packets_above_reveal_a_loss_in_one_sack_or_in_three() -> None:
    for reports in ([(2, 4)], [(2, 2), (2, 3), (2, 4)]):
        outstanding, _ = sent(5)
        lost: list[int] = []
        for block in reports:
            lost = outstanding.apply_gaps((block,), -1)[1]
        assert lost == [INITIAL]
    outstanding, _ = sent(5)
    assert outstanding.apply_gaps(((2, 3),), -1)[1] == []


def test_only_what_is_below_the_highest_newly_acknowledged_is_missed() -> None:
    outstanding, _ = sent(10)
    outstanding.apply_gaps(((8, 8),), -1)
    for end in (2, 3, 4, 5):
        lost = outstanding.apply_gaps(((2, end), (8, 8)), -1)[1]
    assert lost == [INITIAL], "6 and 7 had one report only"


def test_packets_sent_before_a_retransmission_say_nothing_about_it() -> None:
    outstanding, _ = sent(10)
    (first,) = outstanding.apply_gaps(((2, 4),), -1)[1]
    outstanding.mark_lost(first)
    outstanding.mark_sent_again(first, 10)
    assert outstanding.apply_gaps(((2, 10),), -1)[1] == []


def test_abandoned_chunks_are_what_forward_tsn_tells() -> None:
    outstanding, queue = sent(6, max_retransmits=0)
    messages = [chunk.message for chunk in outstanding.chunks.values()]
    for number in (0, 1, 3):
        queue.abandon(messages[number])
        outstanding.abandon(messages[number])
    assert outstanding.flight_size == 3 * SIZE == flight_of(outstanding)
    assert outstanding.is_front_abandoned
    assert outstanding.forward_tsn(10) == ForwardTsn((INITIAL + 1) & MASK, ((0, 1),))
    assert outstanding.pop_acknowledged(2, queue)[0] == 0
    assert not outstanding.is_front_abandoned
    assert queue.unacknowledged_size == 3 * SIZE
