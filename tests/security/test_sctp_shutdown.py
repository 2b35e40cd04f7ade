"""sctp_shutdown: each state answers each shutdown chunk, repeated ones too, and the whole is bounded in time."""

from __future__ import annotations

import math

import pytest

from tests.sctp.evil import EvilPeer
from tests.sctp.simulation import Simulation
from xp2p_trio.errors import InvalidState, Reason
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.sctp import OutgoingMessage, State
from xp2p_trio.sctp.wire import ChunkType, decode_packet, encode_chunk, encode_shutdown

SHUTDOWN_ACK = encode_chunk(ChunkType.SHUTDOWN_ACK, 0, b"")


def test_repeated_shutdown_is_answered_again() -> None:
    peer = EvilPeer(State.SHUTDOWN_ACK_SENT)
    for _ in range(3):
        assert peer.chunk_types(peer.send(encode_shutdown((peer.tsn - 1) & 0xFFFFFFFF))) == [ChunkType.SHUTDOWN_ACK]


def test_data_during_shutdown_sent_is_delivered_and_answered() -> None:
    peer = EvilPeer(State.SHUTDOWN_SENT)
    answers = peer.send(peer.data(0, b"late"))
    assert ChunkType.SHUTDOWN in peer.chunk_types(answers)
    assert peer.association.take_received()[0].data == b"late"


def test_messages_not_yet_taken_survive_the_end() -> None:
    peer = EvilPeer(State.SHUTDOWN_SENT)
    peer.send(peer.data(0, b"late"))
    peer.send(SHUTDOWN_ACK)
    assert peer.events[-1] == Closed()
    assert peer.association.take_received()[0].data == b"late"
    assert peer.association.take_received() == []


@pytest.mark.parametrize("state", [State.SHUTDOWN_SENT, State.SHUTDOWN_PENDING, State.SHUTDOWN_ACK_SENT])
def test_a_silent_peer_does_not_hold_it_for_ever(state: State) -> None:
    peer = EvilPeer(state)
    started = peer.now
    while (due := peer.association.next_timeout()) < math.inf:
        peer.now = due
        peer.association.handle_timeout(due)
        peer.pull()
    assert peer.now - started < 90
    assert isinstance(peer.events[-1], Failed | Closed)
    if isinstance(peer.events[-1], Failed):
        assert peer.events[-1].failure.reason == Reason.PEER_UNREACHABLE


@pytest.mark.parametrize("kind", [ChunkType.SHUTDOWN, ChunkType.SHUTDOWN_ACK, ChunkType.SHUTDOWN_COMPLETE])
@pytest.mark.parametrize("both", [True, False])
def test_each_lost_once(kind: ChunkType, both: bool) -> None:
    lost = [False]

    def fate(_sender: int, packet: bytes) -> list[tuple[float, bytes]]:
        if not lost[0] and any(chunk.type == kind for chunk in decode_packet(packet).chunks):
            lost[0] = True
            return []
        return [(0.0, packet)]

    simulation = Simulation(fate=fate).connect()
    for end in simulation.ends[: 2 if both else 1]:
        end.shutdown(simulation.now)
    simulation.run(seconds=200)
    assert lost[0]
    assert all(isinstance(events[-1], Closed) for events in simulation.events)


def test_nothing_is_taken_any_more() -> None:
    peer = EvilPeer(State.SHUTDOWN_RECEIVED)
    with pytest.raises(InvalidState):
        peer.association.send([OutgoingMessage(0, 51, b"x")], peer.now)
