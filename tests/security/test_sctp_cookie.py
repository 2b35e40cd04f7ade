"""sctp_cookie: a state cookie is ours, whole, fresh, and for these ports and tags, or it is nothing."""

from __future__ import annotations

import attrs
import pytest

from tests.sctp.evil import EvilPeer
from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp import State
from xp2p_trio.sctp.state_cookie import Extensions, StateCookie, decode_state_cookie, encode_state_cookie
from xp2p_trio.sctp.wire import CauseCode, ChunkType, decode_causes, encode_chunk, encode_init

COOKIE = StateCookie(1.5, 5000, 5000, 1, 2, 3, 4, 131072, 1024, 1024, Extensions(True, False, True))


def test_every_bit_is_protected() -> None:
    encoded = encode_state_cookie(COOKIE, b"k" * 32)
    assert decode_state_cookie(encoded, b"k" * 32) == COOKIE
    for bit in range(8 * len(encoded)):
        flipped = bytearray(encoded)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            decode_state_cookie(bytes(flipped), b"k" * 32)
    for size in range(len(encoded)):
        with pytest.raises(DecodeError):
            decode_state_cookie(encoded[:size], b"k" * 32)
    with pytest.raises(DecodeError):
        decode_state_cookie(encoded, b"K" * 32)


def test_a_flipped_cookie_sets_nothing_up() -> None:
    peer = EvilPeer(State.CLOSED)
    echo, init_ack = peer.cookie_echo_for(peer.init)
    for at in range(4, len(echo) - 3, 5):
        flipped = echo[:at] + bytes([echo[at] ^ 4]) + echo[at + 1 :]
        assert peer.send(flipped, tag=init_ack.initiate_tag, crc=True) == []
        assert peer.association.state == State.CLOSED
    answers = peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    assert peer.chunk_types(answers) == [ChunkType.COOKIE_ACK]


def test_a_stale_cookie_is_told_so() -> None:
    peer = EvilPeer(State.CLOSED)
    echo, init_ack = peer.cookie_echo_for(peer.init)
    peer.now += 61
    (answer,) = peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    assert decode_causes(answer.chunks[0].value)[0].code == CauseCode.STALE_COOKIE
    assert peer.association.state == State.CLOSED


def test_a_cookie_under_another_tag_or_of_another_association() -> None:
    peer = EvilPeer(State.CLOSED)
    echo, init_ack = peer.cookie_echo_for(peer.init)
    assert peer.send(echo, tag=init_ack.initiate_tag ^ 1, crc=True) == []
    other = EvilPeer(State.CLOSED)
    forged = encode_state_cookie(attrs.evolve(COOKIE, local_tag=init_ack.initiate_tag), bytes(32))
    assert other.send(encode_chunk(ChunkType.COOKIE_ECHO, 0, forged), tag=init_ack.initiate_tag, crc=True) == []
    assert peer.association.state == other.association.state == State.CLOSED


def test_the_cookie_is_short_and_the_init_ack_too() -> None:
    peer = EvilPeer(State.CLOSED)
    unknown = tuple(0x4100.to_bytes(2, "big") + b"\0\x40" + bytes(60) for _ in range(10))
    init = encode_init(peer.init, ChunkType.INIT)
    longer = encode_chunk(ChunkType.INIT, 0, init[4:] + b"".join(b"\xc1" + each[1:] for each in unknown))
    peer.association.receive([peer.packet(longer, tag=0, crc=True)], peer.now)
    (answer,) = peer.association.transmit(peer.now, 50)
    assert len(answer) <= 400
