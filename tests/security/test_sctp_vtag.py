"""sctp_vtag: nobody without the tag is heard (RFC 9260 sections 8.5 and 8.5.1)."""

from __future__ import annotations

import pytest

from tests.sctp.evil import OUR_TAG, EvilPeer
from tests.sctp.test_states import good
from xp2p_trio.sctp import State
from xp2p_trio.sctp.wire import ChunkType, encode_chunk, encode_heartbeat, encode_init

REFLECTABLE = {ChunkType.ABORT, ChunkType.SHUTDOWN_COMPLETE}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("chunk_type", list(ChunkType))
@pytest.mark.parametrize("flags", [0, 1])
def test_every_tag_that_is_not_the_right_one(state: State, chunk_type: ChunkType, flags: int) -> None:
    peer = EvilPeer(state)
    chunk = good(chunk_type, peer)
    if chunk_type in REFLECTABLE:
        chunk = chunk[:1] + bytes([flags]) + chunk[2:]
    refused = 0
    for tag in (0, OUR_TAG, 0x12345678, peer.tag):
        is_right = tag == 0 if chunk_type == ChunkType.INIT else tag == peer.tag
        if chunk_type in REFLECTABLE and flags:
            is_right = tag == OUR_TAG and state >= State.COOKIE_ECHOED
        if is_right or (chunk_type == ChunkType.SHUTDOWN_ACK and state <= State.COOKIE_ECHOED):
            continue
        refused += 1
        assert peer.send(chunk, tag=tag, crc=True) == []
        assert peer.association.state == state
    statistics = peer.association.statistics
    assert statistics.dropped_tag + statistics.dropped_malformed == refused


@pytest.mark.parametrize("state", [State.COOKIE_ECHOED, State.ESTABLISHED, State.SHUTDOWN_SENT])
def test_a_reflected_abort_counts(state: State) -> None:
    peer = EvilPeer(state)
    peer.send(encode_chunk(ChunkType.ABORT, 1, b""), tag=OUR_TAG)
    assert peer.association.state == State.CLOSED
    assert len([event for event in peer.events if type(event).__name__ == "Failed"]) == 1


def test_init_is_alone() -> None:
    peer = EvilPeer()
    assert peer.send(encode_init(peer.init, ChunkType.INIT), encode_heartbeat(b"x"), tag=0, crc=True) == []
    assert peer.send(encode_heartbeat(b"x"), encode_init(peer.init, ChunkType.INIT), tag=0, crc=True) == []


def test_wrong_ports() -> None:
    peer = EvilPeer()
    packet = peer.packet(encode_heartbeat(b"x"))
    assert peer.send_raw(b"\x13\x89" + packet[2:], packet[:2] + b"\x13\x89" + packet[4:]) == []
    assert peer.association.statistics.dropped_tag == 2
