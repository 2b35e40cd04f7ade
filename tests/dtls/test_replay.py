"""The replay window against a set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.dtls.replay import REPLAY_WINDOW_SIZE, ReplayWindow

STEPS = st.lists(st.one_of(st.integers(0, 600), st.integers(0, 2**48 - 1)), max_size=80)


@given(STEPS)
def test_against_a_set(numbers: list[int]) -> None:
    window, seen, newest = ReplayWindow(), set[int](), -1
    for number in numbers:
        expected = number in seen or number <= newest - REPLAY_WINDOW_SIZE
        assert window.is_replay(number) is expected
        assert window.is_replay(number) is expected  # asking changes nothing
        if not expected:
            window.accept(number)
            seen.add(number)
            newest = max(newest, number)
