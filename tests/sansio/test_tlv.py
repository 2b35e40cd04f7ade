"""The one walker: total, forward by at least four bytes a step, exact."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.errors import DecodeError
from xp2p_trio.sansio import walk_tlv

ELEMENTS = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=20)
PREFIX = st.binary(max_size=8)
BOTH = st.booleans()


def build(elements: list[tuple[int, bytes]], *, counts_header: bool) -> bytes:
    excess = 4 if counts_header else 0
    return b"".join(
        struct.pack("!HH", kind, len(value) + excess) + value + bytes(-len(value) % 4) for kind, value in elements
    )


@given(prefix=PREFIX, elements=ELEMENTS, counts_header=BOTH)
def test_round_trip(prefix: bytes, elements: list[tuple[int, bytes]], counts_header: bool) -> None:
    data = prefix + build(elements, counts_header=counts_header)
    walked = walk_tlv(data, len(prefix), length_counts_header=counts_header)
    assert [(kind, data[start:stop]) for kind, start, stop in walked] == elements


@given(prefix=PREFIX, elements=ELEMENTS.filter(bool), counts_header=BOTH, data=st.data())
def test_a_truncation_ends_between_elements_or_is_an_error(
    prefix: bytes, elements: list[tuple[int, bytes]], counts_header: bool, data: st.DataObject
) -> None:
    whole = prefix + build(elements, counts_header=counts_header)
    cut = data.draw(st.integers(len(prefix), len(whole) - 1))
    starts = {len(prefix)}
    ends = set()
    for number in range(len(elements)):
        starts.add(len(prefix) + len(build(elements[: number + 1], counts_header=counts_header)))
        unpadded = (
            len(prefix) + len(build(elements[:number], counts_header=counts_header)) + 4 + len(elements[number][1])
        )
        ends.update(range(unpadded, max(starts)))
    if cut in starts | ends:
        assert len(walk_tlv(whole[:cut], len(prefix), length_counts_header=counts_header)) <= len(elements)
    else:
        with pytest.raises(DecodeError):
            walk_tlv(whole[:cut], len(prefix), length_counts_header=counts_header)


@given(data=st.binary(max_size=200), start=st.integers(0, 210), counts_header=BOTH)
def test_any_bytes_give_elements_in_order_or_a_decode_error(data: bytes, start: int, counts_header: bool) -> None:
    try:
        walked = walk_tlv(data, start, length_counts_header=counts_header)
    except DecodeError:
        return
    position = start
    for _, value, stop in walked:
        assert value == position + 4
        assert value <= stop <= len(data)
        position = stop + (-(stop - value)) % 4


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_a_length_below_its_header_makes_no_progress_and_is_refused(length: int) -> None:
    with pytest.raises(DecodeError, match=f"length {length}"):
        walk_tlv(struct.pack("!HH", 1, length) + bytes(20), 0, length_counts_header=True)


@pytest.mark.parametrize("stray", [1, 2, 3])
def test_stray_bytes_are_refused(stray: int) -> None:
    with pytest.raises(DecodeError, match=f"{stray} stray"):
        walk_tlv(build([(1, b"abcd")], counts_header=True) + bytes(stray), 0, length_counts_header=True)


def test_the_last_padding_may_be_missing() -> None:
    assert walk_tlv(struct.pack("!HH", 7, 5) + b"x", 0, length_counts_header=True) == [(7, 4, 5)]
