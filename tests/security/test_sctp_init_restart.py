"""sctp_init_restart: INIT and COOKIE ECHO in every state (RFC 9260 section 5.2.4, table 12)."""

from __future__ import annotations

import attrs
import pytest

from tests.sctp.evil import OUR_TAG, EvilPeer
from xp2p_trio.sctp import AssociationEstablished, AssociationRestarted, Message, OutgoingMessage, State
from xp2p_trio.sctp.wire import ChunkType

OPEN = [State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_SENT, State.SHUTDOWN_RECEIVED]


def restarted(peer: EvilPeer) -> object:
    return attrs.evolve(peer.init, initiate_tag=0xBBBBBBBB, initial_tsn=77)


@pytest.mark.parametrize("state", OPEN)
def test_a_restarted_peer(state: State) -> None:
    """Action A."""
    peer = EvilPeer(state)
    echo, init_ack = peer.cookie_echo_for(restarted(peer))  # type: ignore[arg-type]
    assert init_ack.initiate_tag != peer.tag
    assert peer.association.state == state, "an INIT alone changes nothing"
    peer.events.clear()
    answers = peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    assert peer.chunk_types(answers)[0] == ChunkType.COOKIE_ACK
    assert answers[0].verification_tag == 0xBBBBBBBB
    # What the user has asked for goes on with the new association.
    wanted = state in {State.SHUTDOWN_PENDING, State.SHUTDOWN_SENT}
    assert peer.association.state == (State.SHUTDOWN_SENT if wanted else State.ESTABLISHED)
    assert peer.events[0] == AssociationRestarted()
    assert peer.association.unacknowledged_size == 0


def test_data_flows_after_a_restart() -> None:
    peer = EvilPeer()
    peer.send(peer.data(0, b"before"))
    assert peer.association.take_received() == [Message(0, 53, b"before")]
    init = attrs.evolve(peer.init, initiate_tag=0xBBBBBBBB)
    echo, init_ack = peer.cookie_echo_for(init)
    peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    peer.tag, peer.tsn = init_ack.initiate_tag, init_ack.initial_tsn
    peer.send(peer.data(0, b"after"))
    assert peer.association.take_received() == [Message(0, 53, b"after")]
    peer.association.send([OutgoingMessage(1, 53, b"hello")], peer.now)
    assert ChunkType.DATA in peer.chunk_types(peer.pull())
    peer.send(peer.sack(1))
    assert peer.association.unacknowledged_size == 0


def test_no_restart_while_the_shutdown_is_acknowledged() -> None:
    peer = EvilPeer()
    echo, init_ack = peer.cookie_echo_for(restarted(peer))  # type: ignore[arg-type]
    peer.send(b"\x07\0\0\x08" + ((peer.tsn - 1) & 0xFFFFFFFF).to_bytes(4, "big"))
    assert peer.association.state == State.SHUTDOWN_ACK_SENT
    answers = peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    assert peer.chunk_types(answers) == [ChunkType.SHUTDOWN_ACK, ChunkType.ERROR]
    assert peer.association.state == State.SHUTDOWN_ACK_SENT


@pytest.mark.parametrize("state", [State.CLOSED, State.COOKIE_WAIT])
def test_simultaneous_open_before_the_init_ack(state: State) -> None:
    """Action B with the peer's tag unknown, and the plain case."""
    peer = EvilPeer(state)
    echo, init_ack = peer.cookie_echo_for(peer.init)
    if state == State.COOKIE_WAIT:
        assert init_ack.initiate_tag == peer.tag, "section 5.2.1: the same tag as in our INIT"
    answers = peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    assert peer.chunk_types(answers) == [ChunkType.COOKIE_ACK]
    assert [type(event) for event in peer.events] == [AssociationEstablished]


@pytest.mark.parametrize("tag", [OUR_TAG, 0xCCCCCCCC])
def test_simultaneous_open_after_the_init_ack(tag: int) -> None:
    """Actions D and B."""
    peer = EvilPeer(State.COOKIE_ECHOED)
    echo, init_ack = peer.cookie_echo_for(attrs.evolve(peer.init, initiate_tag=tag))
    answers = peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    assert answers[0].verification_tag == tag
    assert peer.association.state == State.ESTABLISHED
    peer.send(peer.data(0, b"x"))
    assert peer.association.take_received() == [Message(0, 53, b"x")]


def test_a_late_cookie_is_silently_discarded() -> None:
    """Action C: made before there was an association, for a tag of ours that was not used."""
    peer = EvilPeer(State.CLOSED)
    echo, init_ack = peer.cookie_echo_for(peer.init)
    peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    answers = peer.send(echo, tag=init_ack.initiate_tag, crc=True)
    assert peer.chunk_types(answers) == [ChunkType.COOKIE_ACK], "D: a duplicate is only confirmed"
    assert [type(event) for event in peer.events] == [AssociationEstablished]


@pytest.mark.parametrize("state", list(State))
def test_a_hundred_inits_change_nothing(state: State) -> None:
    peer = EvilPeer(state)
    for number in range(100):
        peer.cookie_echo_for(attrs.evolve(peer.init, initiate_tag=number + 1)) if state < 7 else peer.pull()
    assert peer.association.state == state


@pytest.mark.parametrize(
    "change",
    [{"initiate_tag": 0}, {"a_rwnd": 1499}, {"outbound_streams": 0}, {"inbound_streams": 0}],
)
@pytest.mark.parametrize("state", [State.CLOSED, State.ESTABLISHED])
def test_an_impossible_init(change: dict[str, int], state: State) -> None:
    from xp2p_trio.sctp.wire import encode_init

    peer = EvilPeer(state)
    answers = peer.send(encode_init(attrs.evolve(peer.init, **change), ChunkType.INIT), tag=0, crc=True)
    assert peer.chunk_types(answers) == ([] if "initiate_tag" in change else [ChunkType.ABORT])
    assert all(packet.verification_tag == OUR_TAG for packet in answers)
    assert peer.association.state == state
