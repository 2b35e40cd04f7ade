from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.sctp import Message
from xp2p_trio.sctp.rx import Reassembly
from xp2p_trio.sctp.wire import BEGINNING, ENDING, UNORDERED

FIRST = 2**32 + 2**32 - 5

messages = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=6)),
    min_size=1,
    max_size=12,
)


def chunks_of(sent: list[tuple[int, bool, list[bytes]]]) -> list[tuple[int, int, int, int, int, bytes]]:
    chunks = []
    tsn = FIRST
    next_ssn = dict.fromkeys(range(3), 0)
    for stream_id, ordered, parts in sent:
        ssn = next_ssn[stream_id] if ordered else 0
        next_ssn[stream_id] += ordered
        for number, part in enumerate(parts):
            flags = (0 if ordered else UNORDERED) | (BEGINNING if number == 0 else 0)
            flags |= ENDING if number == len(parts) - 1 else 0
            chunks.append((tsn, flags, stream_id, ssn, 53, part))
            tsn += 1
    return chunks


@given(messages, st.integers())
def test_any_order_of_arrival(sent: list[tuple[int, bool, list[bytes]]], seed: int) -> None:
    reassembly = Reassembly(1000)
    chunks = chunks_of(sent)
    random.Random(seed).shuffle(chunks)
    got: list[Message] = []
    for chunk in chunks:
        reassembly.add(*chunk)
        got += reassembly.take()
    assert reassembly.charged == 0
    whole = [(stream_id, ordered, b"".join(parts)) for stream_id, ordered, parts in sent]
    assert sorted((message.stream_id, message.data) for message in got) == sorted(
        (stream_id, data) for stream_id, _, data in whole
    )
    for number in range(3):
        if all(ordered for stream_id, ordered, _ in whole if stream_id == number):
            assert [message.data for message in got if message.stream_id == number] == [
                data for stream_id, _, data in whole if stream_id == number
            ]


@given(messages, st.integers(), st.integers(0, 12), st.floats(0, 1))
def test_skipping_leaves_nothing_behind(
    sent: list[tuple[int, bool, list[bytes]]], seed: int, count: int, kept: float
) -> None:
    """The first `count` messages are given up after some of their chunks came; the others all arrive."""
    source = random.Random(seed)
    reassembly = Reassembly(1000)
    chunks = chunks_of(sent)
    count = min(count, len(sent))
    given_up = sum(len(parts) for _, _, parts in sent[:count])
    late = [chunk for chunk in chunks[:given_up] if source.random() < kept] + chunks[given_up:]
    source.shuffle(late)
    for chunk in late:
        reassembly.add(*chunk)
    skipped = {chunk[2]: chunk[3] for chunk in chunks[:given_up] if not chunk[1] & UNORDERED}
    if given_up:
        reassembly.skip(FIRST + given_up - 1, tuple(skipped.items()))
    got = [message.data for message in reassembly.take()]
    assert reassembly.charged == 0
    for _, _, parts in sent[count:]:
        assert b"".join(parts) in got


def test_small_chunks_cost_what_they_hold() -> None:
    reassembly = Reassembly(1000)
    reassembly.add(FIRST, BEGINNING, 0, 0, 53, b"x")
    reassembly.add(FIRST + 1, 0, 0, 0, 53, bytes(900))
    assert reassembly.charged == 256 + 900
    reassembly.add(FIRST + 2, ENDING, 0, 0, 53, b"x")
    assert reassembly.charged == 256 + 900 + 256
    assert len(reassembly.take()[0].data) == 902
    assert reassembly.charged == 0


def test_fragments_of_different_messages_are_not_mixed() -> None:
    reassembly = Reassembly(1000)
    reassembly.add(FIRST, BEGINNING, 0, 0, 53, b"a")
    reassembly.add(FIRST + 1, ENDING, 1, 0, 53, b"b")
    reassembly.add(FIRST + 2, BEGINNING, 0, 1, 53, b"c")
    reassembly.add(FIRST + 3, ENDING | UNORDERED, 0, 1, 53, b"d")
    assert reassembly.take() == []
    assert reassembly.charged == 4 * 256


def test_a_reset_starts_over_and_drops_what_can_no_longer_come() -> None:
    reassembly = Reassembly(1000)
    whole = BEGINNING | ENDING
    reassembly.add(FIRST, whole, 1, 0, 53, b"first")
    reassembly.add(FIRST + 1, whole, 1, 5, 53, b"never")
    reassembly.add(FIRST + 2, whole, 2, 0, 53, b"other")
    reassembly.reset((1,))
    reassembly.add(FIRST + 3, whole, 1, 0, 53, b"again")
    reassembly.add(FIRST + 4, whole, 2, 1, 53, b"goes on")
    assert [message.data for message in reassembly.take()] == [b"first", b"other", b"again", b"goes on"]
    assert reassembly.charged == 0
    reassembly.reset(())
    reassembly.add(FIRST + 5, whole, 2, 0, 53, b"all")
    assert [message.data for message in reassembly.take()] == [b"all"]


def test_too_large_a_message_is_a_violation() -> None:
    reassembly = Reassembly(1000)
    reassembly.add(FIRST, BEGINNING, 0, 0, 53, bytes(600))
    assert not reassembly.violation
    reassembly.add(FIRST + 1, 0, 0, 0, 53, bytes(600))
    assert "1000" in reassembly.violation


def test_fragments_of_an_unordered_message_may_have_any_stream_sequence_number() -> None:
    """RFC 9260 section 6.6: the receiver ignores it."""
    reassembly = Reassembly(1000)
    for tsn, flags, ssn in ((1, BEGINNING | UNORDERED, 7), (3, ENDING | UNORDERED, 9), (2, UNORDERED, 8)):
        reassembly.add(tsn, flags, 0, ssn, 51, b"x")
    assert [message.data for message in reassembly.take()] == [b"xxx"]
