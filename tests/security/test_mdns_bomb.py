"""mdns_bomb: 9000 bytes to the group, which anybody on the link can send, cost no more than 9000 bytes of anything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mdns.link import ALICE, BOB, NAME, record
from xp2p_trio import mdns
from xp2p_trio.errors import DecodeError
from xp2p_trio.sansio import Burst

SIZE = 8999
LONG = b"\x01a" * 126 + b"\0"
"""A name as long as one may be, of labels as short as they may be."""
TYPE_AND_CLASS = b"\0\1\0\1"


def header(questions: int, answers: int = 0) -> bytes:
    return pack("!6H", 0, 0x8400 if answers else 0, questions, answers, 0, 0)


def one_name_again_and_again() -> bytes:
    count = (SIZE - len(LONG) - 16) // 6
    return header(1 + count) + LONG + TYPE_AND_CLASS + (b"\xc0\x0c" + TYPE_AND_CLASS) * count


def every_label_of_it() -> bytes:
    """Pointers to wherever a label begins."""
    count = (SIZE - len(LONG) - 16) // 6
    pointers = b"".join(pack("!H", 0xC000 | 12 + 2 * (number % 126)) + TYPE_AND_CLASS for number in range(count))
    return header(1 + count) + LONG + TYPE_AND_CLASS + pointers


def pointers_to_pointers() -> bytes:
    out, last = LONG[20:] + TYPE_AND_CLASS, 12
    questions = 1
    while len(out) < SIZE - 20:
        place = 12 + len(out)
        out += b"\x01b" + pack("!H", 0xC000 | last) + TYPE_AND_CLASS
        last = place if questions % 10 else 12
        questions += 1
    return header(questions) + out


def records() -> bytes:
    tail = TYPE_AND_CLASS + pack("!IH", 10, 4) + bytes([192, 0, 2, 1])
    count = (SIZE - len(LONG) - 26) // 16
    return header(0, 1 + count) + LONG + tail + (b"\xc0\x0c" + tail) * count


def plain() -> bytes:
    """The same number of short names."""
    return header(1456) + (b"\0" + TYPE_AND_CLASS) * 1456


def steps(work: Callable[[], object]) -> int:
    """How many functions are called, those of the interpreter included: a time that no other program disturbs."""
    count = 0

    def look(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("bomb", [one_name_again_and_again, every_label_of_it, pointers_to_pointers, records])
def test_compression_costs_nothing(bomb: Callable[[], bytes]) -> None:
    usual, datagram = plain(), bomb()
    assert len(datagram) <= mdns.MAX_MESSAGE_SIZE
    assert steps(lambda: mdns.decode_message(datagram)) < 5 * steps(lambda: mdns.decode_message(usual))


def test_one_message_of_a_thousand_questions_is_answered_once() -> None:
    endpoint = mdns.Endpoint(bytes)
    endpoint.add_local_address((BOB, mdns.PORT), 0.0, prefix_length=24)
    endpoint.publish(NAME, BOB, 0.0)
    endpoint.transmit(0.0, 10)
    labels = tuple(NAME.encode().split(b"."))
    known = tuple(record(NAME, f"198.51.100.{number % 250}") for number in range(260))
    questions = tuple(mdns.Question(labels, mdns.TYPE_A, unicast=True) for _ in range(700))
    datagram = mdns.encode_message(mdns.Message(questions=questions, answers=known))
    assert len(datagram) <= mdns.MAX_MESSAGE_SIZE
    usual = steps(lambda: mdns.decode_message(datagram))
    burst = Burst((BOB, mdns.PORT), (ALICE, mdns.PORT), [datagram])
    assert steps(lambda: endpoint.receive(burst, 1.0)) < 2 * usual
    answers = endpoint.transmit(1.0, 100)
    assert len([answer for answer in answers if answer.remote == (ALICE, mdns.PORT)]) == 1
    assert sum(len(each) for answer in answers for each in answer.datagrams) < len(datagram)


@settings(max_examples=300)
@given(
    st.lists(
        st.lists(st.sampled_from([b"\x01a", b"\x02bc", b"\0", "pointer"]), min_size=1, max_size=6),
        min_size=1,
        max_size=20,
    ),
    st.data(),
)
def test_what_is_pointed_to_is_what_stands_there(parts: list[list[bytes | str]], data: st.DataObject) -> None:
    """Names with pointers to anywhere before, against a reader that follows each of them."""
    out = bytearray()
    for part in parts:
        for piece in part:
            place = 12 + len(out)
            if piece == "pointer":
                out += pack("!H", 0xC000 | data.draw(st.integers(12, max(12, place - 1))))
            else:
                assert isinstance(piece, bytes)
                out += piece
        out += TYPE_AND_CLASS
    datagram = header(len(parts)) + bytes(out)
    expected = _follow_all(datagram, len(parts))
    if expected is None:
        with pytest.raises(DecodeError):
            mdns.decode_message(datagram)
    else:
        assert [each.name for each in mdns.decode_message(datagram).questions] == expected


def _follow_all(data: bytes, count: int) -> list[tuple[bytes, ...]] | None:
    """The names of so many questions of class IN; None if one is malformed."""
    names, offset = [], 12
    for _ in range(count):
        labels: list[bytes] = []
        at, begun, end, jumps = offset, offset, 0, 0
        while True:
            if at >= len(data):
                return None
            length = data[at]
            if length >= 0xC0 and at + 1 < len(data):
                target = (length & 0x3F) << 8 | data[at + 1]
                jumps += 1
                if not 12 <= target < begun or jumps > 16:
                    return None
                end = end or at + 2
                at = begun = target
            elif length == 0:
                end = end or at + 1
                break
            else:
                if length >= 0x40 or at + 1 + length > len(data):
                    return None
                labels.append(data[at + 1 : at + 1 + length].lower())
                at += 1 + length
        if sum(map(len, labels)) + len(labels) + 1 > 255 or len(data) - end < 4:
            return None
        if data[end + 2 : end + 4] == b"\0\1":
            names.append(tuple(labels))
        offset = end + 4
    return names
