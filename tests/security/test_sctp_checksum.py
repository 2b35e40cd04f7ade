"""sctp_checksum: zero is taken only where we announced it, and never with INIT or COOKIE ECHO (RFC 9653)."""

from __future__ import annotations

import attrs
import pytest

from tests.sctp.evil import EvilPeer
from tests.sctp.simulation import Simulation
from xp2p_trio.sctp import Configuration, OutgoingMessage, State
from xp2p_trio.sctp.wire import ChunkType, decode_packet, encode_heartbeat, encode_init, has_correct_checksum


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("kind", ["zero", "right", "wrong"])
def test_what_is_accepted(announced: bool, kind: str) -> None:
    peer = EvilPeer(zero_checksum=announced) if announced else with_crc()
    packet = peer.packet(encode_heartbeat(b"x"), crc=kind != "zero")
    if kind == "wrong":
        packet = packet[:8] + bytes([packet[8] ^ 1]) + packet[9:]
    accepted = kind == "right" or (kind == "zero" and announced)
    assert bool(peer.send_raw(packet)) is accepted
    assert peer.association.statistics.dropped_checksum == (0 if accepted else 1)


def with_crc() -> EvilPeer:
    """An association that never announced a zero checksum; COOKIE ACK with a real one sets it up."""
    peer = EvilPeer(State.COOKIE_ECHOED, zero_checksum=False)
    peer.send(b"\x0b\0\0\x04", crc=True)
    assert peer.association.state == State.ESTABLISHED
    return peer


@pytest.mark.parametrize("state", [State.CLOSED, State.COOKIE_WAIT, State.ESTABLISHED])
def test_init_and_cookie_echo_need_one(state: State) -> None:
    peer = EvilPeer(state)
    assert peer.send(encode_init(peer.init, ChunkType.INIT), tag=0) == []
    echo, init_ack = peer.cookie_echo_for(attrs.evolve(peer.init, initiate_tag=9))
    assert peer.send(echo, tag=init_ack.initiate_tag) == []
    assert peer.association.statistics.dropped_checksum == 2


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_what_is_sent(first: bool, second: bool) -> None:
    """Each direction on its own: zero only to a peer that announced that it takes it."""
    configurations = [Configuration(zero_checksum=each) for each in (first, second)]
    simulation = Simulation(configuration=configurations[0], other_configuration=configurations[1]).connect()
    simulation.run(seconds=1)
    for end in (0, 1):
        for packet in simulation.sent[end]:
            kinds = {chunk.type for chunk in decode_packet(packet).chunks}
            if kinds & {ChunkType.INIT, ChunkType.INIT_ACK, ChunkType.COOKIE_ECHO}:
                assert has_correct_checksum(packet)
        simulation.send(end, OutgoingMessage(0, 51, b"x"))
        simulation.pump()
        zero = simulation.sent[end][-1][8:12] == bytes(4)
        assert zero is (first and second)
        assert zero or has_correct_checksum(simulation.sent[end][-1])
