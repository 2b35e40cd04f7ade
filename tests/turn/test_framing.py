"""Messages on a stream."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stun.strategies import messages
from xp2p_trio import stun, turn
from xp2p_trio.errors import DecodeError

channel_data = st.builds(
    lambda number, data: turn.encode_channel_data(number, data, padded=True),
    st.integers(turn.FIRST_CHANNEL, turn.LAST_CHANNEL),
    st.binary(max_size=50),
)
frames = st.lists(st.one_of(channel_data, messages.map(stun.encode_message)), max_size=8)


@given(frames, st.lists(st.integers(1, 60), min_size=1))
def test_whatever_the_pieces_the_frames_are_the_same(sent: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(sent)
    framer = turn.StreamFramer()
    got: list[bytes] = []
    position = step = 0
    while position < len(stream):
        size = sizes[step % len(sizes)]
        got += framer.decode_frames(stream[position : position + size])
        position, step = position + size, step + 1
    assert got == sent
    assert framer.buffered_size == 0


@pytest.mark.parametrize(
    "start",
    [
        b"\x50\x00\x00\x00",  # a reserved channel
        b"\x80\x00\x00\x00",
        b"SSH-2.0-",
        b"\x01\x01\x00\x02",  # a STUN length that is no multiple of 4
        b"\x01\x01\x00\x04\x21\x12\xa4\x43",  # no magic cookie
        b"\x01\x01\x00\x04\x22",
    ],
)
def test_what_is_neither_ends_the_stream(start: bytes) -> None:
    framer = turn.StreamFramer()
    good = turn.encode_channel_data(0x4000, b"abc", padded=True)
    assert framer.decode_frames(good + start) == [good]
    for _ in range(2):
        with pytest.raises(DecodeError):
            framer.decode_frames(good)
    assert framer.buffered_size == 0
    with pytest.raises(DecodeError):
        turn.StreamFramer().decode_frames(start)


def test_the_padding_is_awaited() -> None:
    framer = turn.StreamFramer()
    message = turn.encode_channel_data(0x4000, b"a", padded=True)
    assert len(message) == 8
    assert framer.decode_frames(message[:5]) == []
    assert framer.decode_frames(message[5:]) == [message]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_noise_raises_one_error_and_fills_no_memory(pieces: list[bytes]) -> None:
    framer = turn.StreamFramer()
    for piece in pieces:
        try:
            framer.decode_frames(piece)
        except DecodeError:
            break
        assert framer.buffered_size < turn.MAX_FRAME_SIZE


def test_the_largest_frame_byte_by_byte_is_no_quadratic_work() -> None:
    message = turn.encode_channel_data(0x4000, bytes(65535), padded=True)
    framer = turn.StreamFramer()
    started = time.process_time()
    got = [frame for start in range(len(message)) for frame in framer.decode_frames(message[start : start + 1])]
    assert got == [message]
    assert time.process_time() - started < 2.0
