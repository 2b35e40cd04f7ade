"""The table of channel states."""

from __future__ import annotations

import itertools

from xp2p_trio.datachannel import TRANSITIONS, ChannelState, Input


def test_every_cell_is_declared() -> None:
    assert set(TRANSITIONS) == set(itertools.product(ChannelState, Input))


def test_states_only_grow() -> None:
    assert all(after >= before for (before, _), after in TRANSITIONS.items())


def test_closed_is_absorbing() -> None:
    assert {TRANSITIONS[ChannelState.CLOSED, step] for step in Input} == {ChannelState.CLOSED}


def test_values_are_those_of_the_seed() -> None:
    assert [state.value for state in ChannelState] == [0, 1, 2, 3]
