"""The table of states: every state against every input."""

from __future__ import annotations

import itertools

import pytest

from xp2p_trio.turn import TRANSITIONS, Input, State


@pytest.mark.parametrize(("state", "cause"), list(itertools.product(State, Input)))
def test_every_cell(state: State, cause: Input) -> None:
    following = TRANSITIONS[state].get(cause, state)
    assert following >= state
    if state >= State.CLOSED:
        assert following is state
    if following is State.ALLOCATED and state is not State.ALLOCATED:
        assert (state, cause) == (State.ALLOCATING, Input.ALLOCATED)
    if following is State.FAILED and state is not State.FAILED:
        assert cause is Input.FAIL


def test_every_state_is_reached() -> None:
    reached = {State.NEW}
    for _ in State:
        reached |= {following for state in reached for following in TRANSITIONS[state].values()}
    assert reached == set(State)
