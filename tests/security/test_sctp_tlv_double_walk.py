"""sctp_tlv_double_walk: one walk decides whether the last, partial parameter is in or the chunk is out."""

from __future__ import annotations

import pytest

from tests.sctp.evil import EvilPeer
from xp2p_trio.sctp import State
from xp2p_trio.sctp.wire import ChunkType, encode_chunk

FIELDS = bytes.fromhex("00000001 00020000 0001 0001 00000001")


@pytest.mark.parametrize("length", range(32))
def test_length_of_the_last_parameter(length: int) -> None:
    value = b"c00kie!!"
    for chunk_type, state in ((ChunkType.INIT, State.CLOSED), (ChunkType.INIT_ACK, State.COOKIE_WAIT)):
        peer = EvilPeer(state)
        chunk = encode_chunk(chunk_type, 0, FIELDS + b"\0\x07" + length.to_bytes(2, "big") + value)
        answers = peer.send(chunk, tag=0 if chunk_type == ChunkType.INIT else None, crc=True)
        # Shorter than the bytes there are, the rest is padding up to 3 bytes or a further, broken parameter.
        is_whole = 9 <= length <= 12
        assert bool(answers) is is_whole
        assert peer.association.statistics.dropped_malformed == (0 if is_whole else 1)
        if is_whole and chunk_type == ChunkType.INIT_ACK:
            assert answers[0].chunks[0].value == value[: length - 4]
