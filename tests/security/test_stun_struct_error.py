"""stun_struct_error: one error type leaves the codec, and none the agent."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from tests.stun.vectors import RFC5769
from xp2p_trio.errors import DecodeError
from xp2p_trio.stun import Message, decode_message


@given(st.binary(max_size=600))
def test_noise(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert isinstance(decode_message(data), Message)


@given(st.sampled_from(sorted(RFC5769)), st.lists(st.tuples(st.integers(20, 120), st.integers(0, 255)), max_size=8))
def test_mutated_messages(name: str, changes: list[tuple[int, int]]) -> None:
    raw = bytearray(RFC5769[name])
    for position, value in changes:
        raw[position % len(raw)] = value
    with contextlib.suppress(DecodeError):
        assert isinstance(decode_message(bytes(raw)), Message)
