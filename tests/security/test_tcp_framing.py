"""tcp_framing: whatever a stream brings, in whatever pieces, is datagrams, nothing yet, or the end of that stream."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ice.lone import PORT, TCP, Lone, frame, framed, passive
from xp2p_trio import stun
from xp2p_trio.ice import PairState, Role, State, StreamReleased
from xp2p_trio.ice.tcp import Framer, encode_frame
from xp2p_trio.sansio import Address

SOURCE: Address = ("198.51.100.7", 1234)


@given(
    st.lists(st.binary(max_size=300), max_size=10),
    st.lists(st.integers(1, 400), min_size=1, max_size=20),
)
def test_pieces_of_any_size_are_the_same_datagrams(datagrams: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(map(encode_frame, datagrams))
    framer, taken, start = Framer(), [], 0
    while start < len(stream):
        size = sizes[start % len(sizes)]
        taken += framer.take(stream[start : start + size])
        start += size
    assert taken == datagrams


@given(st.lists(st.binary(max_size=2000), max_size=8))
def test_no_bytes_are_wrong_to_a_framer(chunks: list[bytes]) -> None:
    framer = Framer()
    size = sum(len(datagram) + 2 for chunk in chunks for datagram in framer.take(chunk))
    assert size <= sum(map(len, chunks))


def test_the_largest_frame_and_the_smallest() -> None:
    assert Framer().take(encode_frame(bytes(65535)) + encode_frame(b"")) == [bytes(65535), b""]


def test_a_check_may_come_byte_by_byte() -> None:
    lone = Lone(Role.CONTROLLED)
    path = lone.accept(SOURCE)
    for byte in frame(lone.check()):
        assert lone.pull() == []
        lone.bring(path, bytes([byte]))
    answer = stun.decode_message(framed(lone.wait(0.01))[0])
    assert answer.get(stun.XorMappedAddress) == stun.XorMappedAddress(SOURCE)


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"\0\0",  # an empty frame
        b"\0\x13" + bytes(19),  # less than a header
        b"\xff\xff",
        b"\x08\x01",  # more than a check takes
        frame(b"\x16\xfe\xfd" + bytes(60)),  # DTLS
        frame(b"\x80data, and not even DTLS..."),
        frame(b"\x00\x01\x00\x00" + b"\x12\x34\x56\x78" + bytes(12)),  # STUN of old, without the cookie
        b"\0\x14\x04",
    ],
    ids=repr,
)
@pytest.mark.parametrize("is_ours", [True, False], ids=["one that we made", "one that was accepted"])
@pytest.mark.parametrize("in_pieces", [True, False])
def test_a_stream_that_begins_with_anything_but_stun_is_closed(
    beginning: bytes, *, is_ours: bool, in_pieces: bool
) -> None:
    lone = Lone()
    if is_ours:
        lone.agent.add_remote_candidate(passive(), lone.now)
        lone.pull()
        path = lone.open(lone.requested()[0])
        lone.wait(0.1)
    else:
        path = lone.accept(SOURCE)
    lone.bring(path, *([bytes([byte]) for byte in beginning] if in_pieces else [beginning]))
    assert lone.released() == [StreamReleased(*path)]
    assert lone.agent.take_received() == []
    if is_ours:
        (pair,) = lone.agent.pair_report
        assert (pair.state, pair.detail) == (PairState.FAILED, "sent something else than STUN")
    lone.bring(path, frame(lone.check()))  # too late
    assert framed(lone.wait(1.0)) == []


def test_no_other_interface_tries_what_is_no_peer() -> None:
    """RFC 6544 section 7.1: every pair with that candidate fails."""
    lone = Lone()
    lone.agent.add_local_address(("192.0.2.2", 6001), lone.now, TCP)
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.wait(0.2)
    first, second = lone.requested()
    path = lone.open(first)
    other = lone.open(second, 50002)
    lone.wait(0.2)
    lone.bring(path, b"220 mail.example ESMTP\r\n")
    assert [pair.state for pair in lone.agent.pair_report] == [PairState.FAILED] * 2
    assert sorted(lone.released(), key=str) == sorted([StreamReleased(*path), StreamReleased(*other)], key=str)


def test_behind_its_first_check_a_peer_may_send_data_of_any_size() -> None:
    lone = Lone()
    path = lone.connect()
    largest = b"\x80" * 65535
    lone.bring(path, frame(largest), frame(b"\x81"))
    assert lone.agent.take_received() == [largest, b"\x81"]
    lone.agent.send([b"\x80" * 65536, largest], lone.now)  # the first fits into no frame
    assert largest in framed(lone.wait(0.1))
    assert lone.agent.state is State.COMPLETED


def test_malformed_stun_behind_the_first_check_changes_nothing() -> None:
    lone = Lone()
    path = lone.connect()
    draw = random.Random(1)
    for _ in range(500):
        lone.bring(path, frame(bytes([draw.randrange(4)]) + draw.randbytes(draw.randrange(100))))
    assert lone.agent.state is State.COMPLETED
    assert lone.agent.statistics.stun_malformed == 500
    assert not any(isinstance(event, StreamReleased) for event in lone.take(object))


def test_half_frames_of_many_streams_stay_small() -> None:
    """Each stream may hold one frame of 2 KiB before its first check, and there are so many of them."""
    lone = Lone()
    half = frame(lone.check() + bytes(2048 - len(lone.check())))[:-1]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for n in range(2000):
        path = lone.accept((f"198.51.{n >> 8}.{n & 255}", 1234), PORT)
        lone.bring(path, half)
    lone.take(object)
    lone.events.clear()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 256 * 1024
