"""sctp_chunk_caps: what was not negotiated does not exist: all 256 chunk types."""

from __future__ import annotations

import pytest

from tests.sctp.evil import EvilPeer
from xp2p_trio.sctp import State
from xp2p_trio.sctp.wire import CauseCode, ChunkType, decode_causes, encode_chunk, encode_heartbeat

UNKNOWN = sorted(set(range(256)) - set(ChunkType))


@pytest.mark.parametrize("chunk_type", UNKNOWN)
def test_unknown_types(chunk_type: int) -> None:
    peer = EvilPeer()
    answers = peer.send(encode_chunk(chunk_type, 0xFF, bytes(40)), encode_heartbeat(b"next"))
    kinds = peer.chunk_types(answers)
    assert kinds.count(ChunkType.HEARTBEAT_ACK) == (chunk_type >> 7)
    assert kinds.count(ChunkType.ERROR) == (chunk_type >> 6 & 1)
    for packet in answers:
        for chunk in packet.chunks:
            if chunk.type == ChunkType.ERROR:
                (cause,) = decode_causes(chunk.value)
                assert cause.code == CauseCode.UNRECOGNIZED_CHUNK_TYPE
                assert cause.information[0] == chunk_type
    assert peer.association.state == State.ESTABLISHED
    assert peer.association.take_received() == []
    assert peer.association.statistics.received_size == 0
