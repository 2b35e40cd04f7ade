"""The table of states: every state against every input."""

from __future__ import annotations

import itertools

import pytest

from xp2p_trio.ice import TRANSITIONS, Input, Role, State


@pytest.mark.parametrize(("state", "input_"), list(itertools.product(State, Input)))
def test_every_cell(state: State, input_: Input) -> None:
    following = TRANSITIONS[state].get(input_, state)
    if state >= State.FAILED:
        assert following is state
    elif input_ is Input.FAIL:
        assert following is State.FAILED
    elif input_ is Input.CLOSE:
        assert following is State.CLOSED
    else:
        assert state <= following <= State.COMPLETED


def test_the_seeds_numbers_and_path() -> None:
    assert [state.name for state in State] == [
        "NEW",
        "GATHERING",
        "CHECKING",
        "CONNECTED",
        "COMPLETED",
        "FAILED",
        "CLOSED",
    ]
    assert [state.value for state in State] == list(range(7))
    assert (Role.CONTROLLING, Role.CONTROLLED) == (0, 1)
    assert (Role.CONTROLLING.opposite, Role.CONTROLLED.opposite) == (Role.CONTROLLED, Role.CONTROLLING)
    state = State.NEW
    for input_ in (Input.GATHER, Input.CREDENTIALS, Input.PAIR_VALID, Input.PAIR_NOMINATED):
        state = TRANSITIONS[state][input_]
    assert state is State.COMPLETED
