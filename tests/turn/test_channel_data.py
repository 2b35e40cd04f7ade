"""The ChannelData codec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio import turn
from xp2p_trio.errors import DecodeError

numbers = st.integers(turn.FIRST_CHANNEL, turn.LAST_CHANNEL)


def test_the_wire() -> None:
    assert turn.encode_channel_data(0x4001, b"abcde", padded=False) == bytes.fromhex("40010005") + b"abcde"
    assert turn.encode_channel_data(0x4001, b"abcde", padded=True) == bytes.fromhex("40010005") + b"abcde\0\0\0"


@given(numbers, st.binary(max_size=100), st.booleans())
def test_round_trip(number: int, data: bytes, padded: bool) -> None:
    assert turn.decode_channel_data(turn.encode_channel_data(number, data, padded=padded)) == (number, data)


@given(numbers, st.binary(max_size=40))
def test_every_truncation_is_refused(number: int, data: bytes) -> None:
    message = turn.encode_channel_data(number, data, padded=False)
    for size in range(len(message)):
        with pytest.raises(DecodeError):
            turn.decode_channel_data(message[:size])
    with pytest.raises(DecodeError):
        turn.decode_channel_data(message + bytes(4))


@given(st.binary(max_size=40))
def test_noise_is_refused_or_decoded(noise: bytes) -> None:
    try:
        number, data = turn.decode_channel_data(noise)
    except DecodeError:
        return
    assert turn.FIRST_CHANNEL <= number <= turn.LAST_CHANNEL
    assert noise[4:].startswith(data)
