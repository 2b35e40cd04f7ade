"""Fragments belong together by message_seq alone, and of two that contradict each other the later one begins anew."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio import dtls
from xp2p_trio.dtls.reassembly import Disposition, Reassembler
from xp2p_trio.errors import DecodeError


@st.composite
def disturbed_flights(draw: st.DrawFn) -> tuple[list[dtls.Message], list[dtls.Fragment]]:
    """Messages, and all their fragments in any order, with overlaps and copies."""
    messages = [
        dtls.Message(draw(st.sampled_from([1, 2, 11, 12, 20])), index, draw(st.binary(max_size=60)))
        for index in range(draw(st.integers(1, 5)))
    ]
    fragments = []
    for message in messages:
        size = len(message.body)
        cuts = sorted({0, size, *draw(st.lists(st.integers(0, size), max_size=5))})
        spans = list(itertools.pairwise(cuts)) or [(0, 0)]
        for start, stop in draw(st.lists(st.tuples(st.integers(0, size), st.integers(0, size)), max_size=4)):
            if start < stop:
                spans.append((start, stop))
        for start, stop in spans:
            fragments.append(
                dtls.Fragment(message.handshake_type, size, message.message_seq, start, message.body[start:stop])
            )
    fragments = draw(st.permutations(fragments))
    return messages, fragments + draw(st.lists(st.sampled_from(fragments), max_size=5))


@given(disturbed_flights())
def test_any_order_overlap_and_copy(case: tuple[list[dtls.Message], list[dtls.Fragment]]) -> None:
    messages, fragments = case
    reassembler = Reassembler()
    delivered = []
    for fragment in fragments:
        assert reassembler.add(fragment) is not Disposition.REFUSED
        while (message := reassembler.take_message()) is not None:
            delivered.append(message)
    assert delivered == messages


@given(disturbed_flights(), st.integers(0, 2**32))
def test_conflicting_fragments_do_not_mix_messages(
    case: tuple[list[dtls.Message], list[dtls.Fragment]], seed: int
) -> None:
    """Fragments of other types, lengths and contents in between: what is delivered was said so by every part of it."""
    _messages, fragments = case
    generator = random.Random(seed)
    reassembler = Reassembler()
    accepted: dict[int, list[dtls.Fragment]] = {}
    for fragment in fragments:
        evil = generator.choice(
            (
                fragment._replace(handshake_type=99),
                fragment._replace(length=fragment.length + 1),
                fragment._replace(body=generator.randbytes(len(fragment.body))),
            )
        )
        offered = evil if generator.random() < 0.3 else fragment
        if reassembler.add(offered) is not Disposition.STALE:
            accepted.setdefault(offered.message_seq, []).append(offered)
        while (message := reassembler.take_message()) is not None:
            fitting = bytearray(len(message.body))
            for part in accepted[message.message_seq]:
                part_end = part.offset + len(part.body)
                if (part.handshake_type, part.length) == (message.handshake_type, len(message.body)) and (
                    message.body[part.offset : part_end] == part.body
                ):
                    fitting[part.offset : part_end] = b"\x01" * len(part.body)
            assert all(fitting)


@given(disturbed_flights(), st.data())
def test_whatever_came_before_all_fragments_once_more_are_the_message(
    case: tuple[list[dtls.Message], list[dtls.Fragment]], data: st.DataObject
) -> None:
    """A forged fragment costs a repetition, never the message."""
    messages, fragments = case
    reassembler = Reassembler()
    for fragment in fragments:
        if data.draw(st.booleans()):
            evil = fragment._replace(message_seq=0, handshake_type=data.draw(st.sampled_from([1, 2, 99])))
            reassembler.add(evil._replace(length=evil.length + data.draw(st.integers(1, 9))))
    delivered = []
    for fragment in fragments:
        reassembler.add(fragment)
        while (message := reassembler.take_message()) is not None:
            delivered.append(message)
    assert delivered == messages


def test_contradiction_begins_the_message_anew() -> None:
    reassembler = Reassembler()
    assert reassembler.add(dtls.Fragment(1, 6, 0, 2, b"cd")) is Disposition.KEPT
    assert reassembler.add(dtls.Fragment(1, 6, 0, 1, b"bcde")) is Disposition.KEPT
    assert reassembler.add(dtls.Fragment(1, 6, 0, 0, b"ab")) is Disposition.KEPT
    assert reassembler.add(dtls.Fragment(1, 6, 0, 4, b"Xf")) is Disposition.REPLACED
    assert reassembler.add(dtls.Fragment(1, 6, 0, 0, b"abcd")) is Disposition.KEPT
    assert reassembler.take_message() == dtls.Message(1, 0, b"abcdXf")
    assert reassembler.add(dtls.Fragment(1, 6, 1, 0, b"abc")) is Disposition.KEPT
    assert reassembler.add(dtls.Fragment(2, 6, 1, 3, b"def")) is Disposition.REPLACED
    assert reassembler.add(dtls.Fragment(2, 7, 1, 3, b"def")) is Disposition.REPLACED
    assert reassembler.take_message() is None


@pytest.mark.parametrize(
    ("length", "offset", "size"),
    [(5, 5, 1), (5, 0, 6), (5, 6, 0), (5, 2, 0), (0, 1, 0), (0, 0, 1), (0xFFFFFF, 0xFFFFFF, 1), (5, 0xFFFFFF, 5)],
)
def test_fragment_outside_of_its_message(length: int, offset: int, size: int) -> None:
    """CVE-2026-33845 and the like: lengths that do not belong together never leave the decoder."""
    header = b"\x01" + length.to_bytes(3, "big") + b"\x00\x00" + offset.to_bytes(3, "big") + size.to_bytes(3, "big")
    with pytest.raises(DecodeError):
        dtls.decode_fragments(header + bytes(size))


def test_empty_fragment_of_an_empty_message() -> None:
    reassembler = Reassembler()
    [fragment] = dtls.decode_fragments(b"\x0e" + bytes(11))
    assert reassembler.add(fragment) is Disposition.KEPT
    assert reassembler.take_message() == dtls.Message(14, 0, b"")
    assert reassembler.add(fragment) is Disposition.STALE
