"""sctp_zero_len: a length below its own header makes no progress, wherever it stands."""

from __future__ import annotations

import pytest

from tests.sctp.evil import EvilPeer
from xp2p_trio.sctp import State
from xp2p_trio.sctp.wire import ChunkType, encode_chunk, encode_heartbeat

CARRIERS = [ChunkType.HEARTBEAT, ChunkType.ERROR, ChunkType.RE_CONFIG]


@pytest.mark.parametrize("length", range(4))
def test_chunk_length(length: int) -> None:
    peer = EvilPeer()
    answers = peer.send(encode_heartbeat(b"fine"), bytes((0x80, 0)) + length.to_bytes(2, "big") + bytes(8))
    assert answers == []
    assert peer.association.statistics.dropped_malformed == 1


@pytest.mark.parametrize("length", range(4))
@pytest.mark.parametrize("chunk_type", CARRIERS)
def test_parameter_length(length: int, chunk_type: ChunkType) -> None:
    peer = EvilPeer()
    answers = peer.send(encode_chunk(chunk_type, 0, b"\0\x01" + length.to_bytes(2, "big") + bytes(20)))
    assert answers == []
    assert peer.association.statistics.dropped_malformed == 1
    assert peer.association.state == State.ESTABLISHED


@pytest.mark.parametrize("length", range(4))
def test_init_parameter_length(length: int) -> None:
    peer = EvilPeer(State.CLOSED)
    fields = bytes.fromhex("00000001 00020000 0001 0001 00000001")
    chunk = encode_chunk(ChunkType.INIT, 0, fields + b"\xc0\x00" + length.to_bytes(2, "big"))
    assert peer.send(chunk, tag=0, crc=True) == []
    assert peer.association.statistics.dropped_malformed == 1
