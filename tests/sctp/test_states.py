"""Eight states, every chunk type, a good packet, one with a wrong tag, one with a wrong length."""

from __future__ import annotations

import itertools

import pytest

from tests.sctp.evil import EvilPeer
from xp2p_trio.sctp import State
from xp2p_trio.sctp.state import DISPOSITIONS, Disposition
from xp2p_trio.sctp.wire import (
    Cause,
    CauseCode,
    ChunkType,
    ForwardTsn,
    Init,
    OutgoingResetRequest,
    encode_abort,
    encode_chunk,
    encode_cookie_echo,
    encode_error,
    encode_forward_tsn,
    encode_heartbeat,
    encode_heartbeat_ack,
    encode_init,
    encode_reconfig,
    encode_shutdown,
    encode_shutdown_complete,
)

ALL = tuple(State)
CONNECTED = (State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_SENT, State.SHUTDOWN_RECEIVED)
UNKNOWN = (15, 63, 64, 127, 128, 129, 132, 193, 194, 255)

# What a good chunk leads to: the state afterwards and the chunks that answer it at once.
Outcome = tuple[State, list[ChunkType]]
STAYS: dict[State, Outcome] = {state: (state, []) for state in ALL}

EXPECTED: dict[ChunkType, dict[State, Outcome]] = {
    ChunkType.DATA: STAYS | {State.SHUTDOWN_SENT: (State.SHUTDOWN_SENT, [ChunkType.SHUTDOWN])},
    ChunkType.INIT: {state: (state, [ChunkType.INIT_ACK]) for state in ALL}
    | {State.SHUTDOWN_ACK_SENT: (State.SHUTDOWN_ACK_SENT, [ChunkType.SHUTDOWN_ACK])},
    ChunkType.INIT_ACK: STAYS | {State.COOKIE_WAIT: (State.COOKIE_ECHOED, [ChunkType.COOKIE_ECHO])},
    ChunkType.SACK: STAYS
    | {
        State.SHUTDOWN_PENDING: (State.SHUTDOWN_SENT, [ChunkType.SHUTDOWN]),
        State.SHUTDOWN_RECEIVED: (State.SHUTDOWN_ACK_SENT, [ChunkType.SHUTDOWN_ACK]),
    },
    ChunkType.HEARTBEAT: STAYS
    | {state: (state, [ChunkType.HEARTBEAT_ACK]) for state in (*CONNECTED, State.COOKIE_ECHOED)}
    | {State.COOKIE_ECHOED: (State.COOKIE_ECHOED, [])},  # leaves with the next COOKIE ECHO, or after it
    ChunkType.HEARTBEAT_ACK: STAYS,
    ChunkType.ABORT: STAYS | {state: (State.CLOSED, []) for state in ALL},
    ChunkType.SHUTDOWN: STAYS
    | {
        State.ESTABLISHED: (State.SHUTDOWN_ACK_SENT, [ChunkType.SHUTDOWN_ACK]),
        State.SHUTDOWN_PENDING: (State.SHUTDOWN_ACK_SENT, [ChunkType.SHUTDOWN_ACK]),
        State.SHUTDOWN_SENT: (State.SHUTDOWN_ACK_SENT, [ChunkType.SHUTDOWN_ACK]),
        State.SHUTDOWN_RECEIVED: (State.SHUTDOWN_ACK_SENT, [ChunkType.SHUTDOWN_ACK]),
        State.SHUTDOWN_ACK_SENT: (State.SHUTDOWN_ACK_SENT, [ChunkType.SHUTDOWN_ACK]),
    },
    ChunkType.SHUTDOWN_ACK: STAYS
    | {
        State.CLOSED: (State.CLOSED, [ChunkType.SHUTDOWN_COMPLETE]),
        State.COOKIE_WAIT: (State.COOKIE_WAIT, [ChunkType.SHUTDOWN_COMPLETE]),
        State.COOKIE_ECHOED: (State.COOKIE_ECHOED, [ChunkType.SHUTDOWN_COMPLETE]),
        State.SHUTDOWN_SENT: (State.CLOSED, [ChunkType.SHUTDOWN_COMPLETE]),
        State.SHUTDOWN_ACK_SENT: (State.CLOSED, [ChunkType.SHUTDOWN_COMPLETE]),
    },
    ChunkType.ERROR: STAYS | {State.COOKIE_ECHOED: (State.COOKIE_WAIT, [ChunkType.INIT])},
    ChunkType.COOKIE_ECHO: STAYS,  # with a cookie that is not ours; the good ones have their own tests
    ChunkType.COOKIE_ACK: STAYS | {State.COOKIE_ECHOED: (State.ESTABLISHED, [])},
    ChunkType.SHUTDOWN_COMPLETE: STAYS | {State.SHUTDOWN_ACK_SENT: (State.CLOSED, [])},
    ChunkType.RE_CONFIG: STAYS | {state: (state, [ChunkType.SACK, ChunkType.RE_CONFIG]) for state in CONNECTED},
    ChunkType.FORWARD_TSN: STAYS,
}


def good(chunk_type: ChunkType, peer: EvilPeer) -> bytes:
    match chunk_type:
        case ChunkType.DATA:
            return peer.data(0)
        case ChunkType.INIT:
            return encode_init(peer.init, ChunkType.INIT)
        case ChunkType.INIT_ACK:
            return encode_init(
                Init(peer.init.initiate_tag, 131072, 1, 1, peer.init.initial_tsn, state_cookie=b"c"), chunk_type
            )
        case ChunkType.SACK:
            return peer.sack(1 if peer.association.unacknowledged_size else 0)
        case ChunkType.HEARTBEAT:
            return encode_heartbeat(b"nonce")
        case ChunkType.HEARTBEAT_ACK:
            return encode_heartbeat_ack(encode_heartbeat(b"nonce")[4:])
        case ChunkType.ABORT:
            return encode_abort((Cause(CauseCode.USER_INITIATED_ABORT),))
        case ChunkType.SHUTDOWN:
            return encode_shutdown((peer.tsn - 1 + bool(peer.association.unacknowledged_size)) & 0xFFFFFFFF)
        case ChunkType.ERROR:
            return encode_error((Cause(CauseCode.STALE_COOKIE, bytes(4)),))
        case ChunkType.COOKIE_ECHO:
            return encode_cookie_echo(b"not ours")
        case ChunkType.SHUTDOWN_COMPLETE:
            return encode_shutdown_complete()
        case ChunkType.RE_CONFIG:
            request = OutgoingResetRequest(
                peer.init.initial_tsn, (peer.tsn - 1) & 0xFFFFFFFF, (peer.init.initial_tsn - 1) & 0xFFFFFFFF, (1,)
            )
            return encode_reconfig(request)
        case ChunkType.FORWARD_TSN:
            return encode_forward_tsn(ForwardTsn(peer.init.initial_tsn))
        case _:
            return encode_chunk(chunk_type, 0, b"")


def right_tag(chunk_type: ChunkType, peer: EvilPeer) -> int:
    return 0 if chunk_type == ChunkType.INIT else peer.tag


EVERY = list(itertools.product(ALL, ChunkType))


def test_the_table_is_complete() -> None:
    assert set(DISPOSITIONS) == set(EVERY)
    assert set(EXPECTED) == set(ChunkType)
    assert all(set(row) == set(ALL) for row in EXPECTED.values())


@pytest.mark.parametrize(("state", "chunk_type"), EVERY)
def test_a_good_chunk(state: State, chunk_type: ChunkType) -> None:
    peer = EvilPeer(state)
    before = peer.association.statistics.dropped_unexpected
    needs_crc = chunk_type in {ChunkType.INIT, ChunkType.COOKIE_ECHO}
    answers = peer.send(good(chunk_type, peer), tag=right_tag(chunk_type, peer), crc=needs_crc)
    expected_state, expected_answers = EXPECTED[chunk_type][state]
    assert peer.association.state == expected_state
    answered = [kind for kind in peer.chunk_types(answers) if kind != ChunkType.SACK or kind in expected_answers]
    assert sorted(answered) == sorted(expected_answers)
    assert len(answers) <= 1, "one packet for one"
    discarded = DISPOSITIONS[state, chunk_type] is Disposition.DISCARD
    if discarded and chunk_type != ChunkType.ABORT:
        assert peer.association.statistics.dropped_unexpected + peer.association.statistics.dropped_tag > before


@pytest.mark.parametrize(("state", "chunk_type"), EVERY)
def test_a_wrong_tag_changes_nothing(state: State, chunk_type: ChunkType) -> None:
    peer = EvilPeer(state)
    wrong = peer.tag ^ 0x10
    answers = peer.send(good(chunk_type, peer), tag=wrong, crc=True)
    if chunk_type == ChunkType.SHUTDOWN_ACK and state <= State.COOKIE_ECHOED:
        assert answers[0].verification_tag == wrong  # out of the blue: reflected (RFC 9260 section 8.4)
        assert answers[0].chunks[0].flags == 1
    else:
        assert answers == []
        statistics = peer.association.statistics
        assert statistics.dropped_tag + statistics.dropped_malformed == 1
    assert peer.association.state == state


@pytest.mark.parametrize(("state", "chunk_type"), EVERY)
@pytest.mark.parametrize("length", [0, 3, 0xFFFF])
def test_a_wrong_length_changes_nothing(state: State, chunk_type: ChunkType, length: int) -> None:
    peer = EvilPeer(state)
    chunk = good(chunk_type, peer)
    chunk = chunk[:2] + length.to_bytes(2, "big") + chunk[4:]
    assert peer.send(chunk, tag=right_tag(chunk_type, peer), crc=True) == []
    assert peer.association.state == state
    assert peer.association.statistics.dropped_malformed == 1


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("chunk_type", UNKNOWN)
def test_an_unknown_chunk(state: State, chunk_type: int) -> None:
    """The two high bits: 00 stop, 01 stop and report, 10 skip, 11 skip and report (RFC 9260 section 3.2)."""
    peer = EvilPeer(state)
    answers = peer.send(encode_chunk(chunk_type, 0, b"what?"), encode_heartbeat(b"after"))
    kinds = peer.chunk_types(answers)
    is_open = state in CONNECTED
    assert (ChunkType.HEARTBEAT_ACK in kinds) is (is_open and chunk_type >= 128)
    if is_open:
        assert (ChunkType.ERROR in kinds) is bool(chunk_type & 0x40)
    assert peer.association.state == state
