"""Framing of handshake messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio import dtls
from xp2p_trio.dtls.handshake import encode_message
from xp2p_trio.errors import DecodeError

MESSAGES = st.builds(dtls.Message, st.integers(0, 255), st.integers(0, 0xFFFF), st.binary(max_size=80))


def test_layout() -> None:
    """RFC 6347 section 4.2.2, written out by hand."""
    wire = bytes.fromhex("0b 000005 0102 000002 000003 636465")
    assert dtls.decode_fragments(wire) == [dtls.Fragment(11, 5, 0x0102, 2, b"cde")]
    assert dtls.encode_fragment(dtls.Message(11, 0x0102, b"abcde"), 2, 3) == wire


def test_large_numbers() -> None:
    message = dtls.Message(11, 0xFFFF, bytes(70_000))
    [fragment] = dtls.decode_fragments(dtls.encode_fragment(message, 66_000, 4_000))
    assert fragment == dtls.Fragment(11, 70_000, 0xFFFF, 66_000, bytes(4_000))


@given(st.lists(MESSAGES, min_size=1, max_size=4))
def test_round_trip(messages: list[dtls.Message]) -> None:
    fragments = dtls.decode_fragments(b"".join(map(encode_message, messages)))
    assert [dtls.Message(item.handshake_type, item.message_seq, item.body) for item in fragments] == messages
    assert all((item.offset, item.length) == (0, len(item.body)) for item in fragments)


@given(MESSAGES)
def test_every_truncation_is_an_error(message: dtls.Message) -> None:
    wire = encode_message(message)
    for size in range(len(wire)):
        with pytest.raises(DecodeError):
            dtls.decode_fragments(wire[:size])
    with pytest.raises(DecodeError):
        dtls.decode_fragments(wire + b"x")


@given(MESSAGES, st.integers(0, 2**16))
def test_no_bit_flip_raises_anything_else(message: dtls.Message, bit: int) -> None:
    wire = bytearray(encode_message(message))
    wire[bit // 8 % len(wire)] ^= 1 << bit % 8
    try:
        fragments = dtls.decode_fragments(bytes(wire))
    except DecodeError:
        return
    assert all(item.offset + len(item.body) <= item.length for item in fragments)
