"""sctp_stream_id: data on a stream that does not exist is acknowledged, reported once a SACK, and forgotten."""

from __future__ import annotations

import pytest

from tests.sctp.evil import OUR_TSN, EvilPeer
from xp2p_trio.sctp import State
from xp2p_trio.sctp.wire import CauseCode, ChunkType, decode_causes, decode_sack


@pytest.mark.parametrize("stream", [1024, 40_000, 65_535])
def test_invalid_stream(stream: int) -> None:
    peer = EvilPeer()
    answers = peer.send(*(peer.data(n, b"lost", stream=stream) for n in range(5)))
    assert peer.chunk_types(answers) == [ChunkType.ERROR, ChunkType.SACK]
    (cause,) = decode_causes(answers[0].chunks[0].value)
    assert cause.code == CauseCode.INVALID_STREAM_IDENTIFIER
    assert cause.information == stream.to_bytes(2, "big") + bytes(2)
    assert decode_sack(answers[0].chunks[1].value).cumulative_tsn_ack == (OUR_TSN + 4) & 0xFFFFFFFF
    assert peer.association.take_received() == []
    assert peer.association.statistics.received_size == 0
    assert peer.association.state == State.ESTABLISHED
