"""sdp_size: a description has limits, and the time to read one grows with its size only."""

from __future__ import annotations

import time

import pytest

from xp2p_trio.errors import SdpError
from xp2p_trio.sdp import decode_candidate, decode_session, encode_session

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD + "a=x\r\n" * 13108, "65536 are allowed"),
        (HEAD + "a=x\r\n" * 1000, "1000 lines"),
        ("\n" * 1001, "1000 lines"),
        (HEAD + "a=" + "x" * 8191 + "\r\n", "8192 are allowed"),
        (HEAD + "m=a 1 p f\r\n" * 33, "32 media sections"),
    ],
)
def test_limits(text: str, reason: str) -> None:
    with pytest.raises(SdpError, match=reason):
        decode_session(text)


def test_what_is_just_allowed() -> None:
    assert len(decode_session(HEAD + "a=x\r\n" * 996).attributes) == 996
    assert len(decode_session(HEAD + "a=" + "x" * 8190 + "\r\n").attributes) == 1
    assert len(decode_session(HEAD + "m=a 1 p f\r\n" * 32).media) == 32
    with pytest.raises(SdpError, match="8192 are allowed"):
        decode_candidate("candidate:1 1 udp 1 192.0.2.1 1 typ host x " + "y" * 8192)


def seconds(text: str) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        try:
            encode_session(decode_session(text))
        except SdpError as error:
            str(error)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(
    "unit",
    ["a=", ":", " ", "/", "a=x:y\r\n" + "z" * 200, "\r", "\r\n" + "a" * 100, "m=a 1 p f\r\n" + "=" * 3000, "a.local "],
)
def test_time_is_linear(unit: str) -> None:
    half, whole = HEAD + unit * (30_000 // len(unit)), HEAD + unit * (60_000 // len(unit))
    assert seconds(whole) < 0.01 or seconds(whole) / seconds(half) <= 2.5
