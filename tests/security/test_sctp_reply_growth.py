"""sctp_reply_growth: at most one packet for one, never above the packet size, never what the peer chose at length."""

from __future__ import annotations

import pytest

from tests.sctp.evil import EvilPeer
from tests.sctp.test_states import good
from xp2p_trio.sctp import State
from xp2p_trio.sctp.wire import ChunkType, encode_chunk, encode_heartbeat, encode_init


def answer_sizes(peer: EvilPeer, packet: bytes) -> list[int]:
    peer.association.receive([packet], peer.now)
    sizes = []
    while packets := peer.association.transmit(peer.now, 50):
        sizes += [len(each) for each in packets]
    return sizes


def test_two_hundred_unknown_chunks() -> None:
    peer = EvilPeer()
    sizes = answer_sizes(peer, peer.packet(*(encode_chunk(0xC5, 0, b"u") for _ in range(200))))
    assert len(sizes) <= 1
    assert sum(sizes) < 200


def test_a_long_list_of_unknown_parameters() -> None:
    peer = EvilPeer(State.CLOSED)
    fields = encode_init(peer.init, ChunkType.INIT)[4:]
    chunk = encode_chunk(ChunkType.INIT, 0, fields + b"\xc1\x00\x00\x04" * 16_000)
    sizes = answer_sizes(peer, peer.packet(chunk, tag=0, crc=True))
    assert len(sizes) == 1
    assert sizes[0] <= 400


@pytest.mark.parametrize("size", [4, 1100, 1171, 1172, 5000, 60_000])
def test_heartbeat_comes_back_only_if_it_fits(size: int) -> None:
    peer = EvilPeer()
    sizes = answer_sizes(peer, peer.packet(encode_heartbeat(bytes(size))))
    assert all(each <= 1191 for each in sizes)
    assert bool(sizes) is (size + 8 <= 1176)


def test_many_heartbeats_in_one_packet() -> None:
    peer = EvilPeer()
    packet = peer.packet(*(encode_heartbeat(bytes([n])) for n in range(90)))
    sizes = answer_sizes(peer, packet)
    assert len(sizes) == 1
    assert sum(sizes) <= len(packet)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("chunk_type", list(ChunkType))
def test_a_thousand_of_the_same(state: State, chunk_type: ChunkType) -> None:
    peer = EvilPeer(state)
    tag = 0 if chunk_type == ChunkType.INIT else None
    packet = peer.packet(good(chunk_type, peer), tag=tag, crc=True)
    peer.association.receive([packet] * 1000, peer.now)
    total = 0
    while packets := peer.association.transmit(peer.now, 50):
        total += len(packets)
    assert total <= 20, "what waits to be answered is bounded"


def test_forged_heartbeat_ack_is_nothing() -> None:
    peer = EvilPeer()
    before = peer.association.statistics.rto
    peer.send(encode_chunk(ChunkType.HEARTBEAT_ACK, 0, encode_heartbeat(bytes(16))[4:]))
    assert peer.association.statistics.rto == before
    assert peer.association.statistics.dropped_unexpected == 1
