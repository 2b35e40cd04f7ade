"""COOKIE ACK is the first chunk of its packet (RFC 9260 section 5.1, D)."""

from __future__ import annotations

from tests.sctp.evil import EvilPeer
from xp2p_trio.sctp import State
from xp2p_trio.sctp.wire import ChunkType, decode_packet, encode_heartbeat


def test_it_comes_before_what_waited_already_and_once() -> None:
    peer = EvilPeer(State.COOKIE_ECHOED)
    cookie_echo, _ = peer.cookie_echo_for(peer.init)
    peer.association.receive([peer.packet(*(encode_heartbeat(bytes([n])) for n in range(16)))], peer.now)
    peer.association.receive([peer.packet(cookie_echo, peer.data(0), crc=True)] * 2, peer.now)
    (packet,) = peer.association.transmit(peer.now, 50)
    types = [chunk.type for chunk in decode_packet(packet).chunks]
    assert types[0] == ChunkType.COOKIE_ACK
    assert types.count(ChunkType.COOKIE_ACK) == 1
