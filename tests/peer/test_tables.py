"""The state tables: every cell is declared, and every cell is tried."""

import itertools

import pytest

from xp2p_trio.errors import InvalidState
from xp2p_trio.peer import ConnectionState, SignalingState
from xp2p_trio.peer.signaling import TRANSITIONS as SIGNALING
from xp2p_trio.peer.signaling import Side, next_state
from xp2p_trio.peer.state import TRANSITIONS as CONNECTION
from xp2p_trio.peer.state import Input

KINDS = ("offer", "answer", "pranswer", "rollback")


@pytest.mark.parametrize("cell", list(itertools.product(SignalingState, Side, KINDS)), ids=str)
def test_signaling(cell):
    state, _side, kind = cell
    if cell in SIGNALING:
        assert next_state(*cell) is SIGNALING[cell]
    else:
        with pytest.raises(InvalidState) as info:
            next_state(*cell)
        assert state.name in str(info.value)
        assert kind in str(info.value)


def test_closed_allows_nothing():
    assert not [cell for cell in SIGNALING if cell[0] is SignalingState.CLOSED]


def test_every_allowed_answer_leads_to_stable():
    assert {SIGNALING[cell] for cell in SIGNALING if cell[2] == "answer"} == {SignalingState.STABLE}


def test_the_connection_table_is_complete():
    assert set(CONNECTION) == set(itertools.product(ConnectionState, Input))


def test_the_end_absorbs():
    for step in Input:
        assert CONNECTION[ConnectionState.FAILED, step] is ConnectionState.FAILED
        assert CONNECTION[ConnectionState.CLOSED, step] is ConnectionState.CLOSED
    for state in set(ConnectionState) - {ConnectionState.CLOSED}:
        assert CONNECTION[state, Input.FAILED] is ConnectionState.FAILED
