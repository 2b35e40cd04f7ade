from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.sctp.tx import RetransmissionTimeout


def new() -> RetransmissionTimeout:
    return RetransmissionTimeout(initial=0.5, minimum=0.2, maximum=10.0)


def test_the_rules_of_section_6_3_1() -> None:
    rto = new()
    assert (rto.srtt, rto.rto) == (None, 0.5)
    rto.measured(0.4)
    assert (rto.srtt, rto.rto) == (0.4, pytest.approx(0.4 + 4 * 0.2))
    rto.measured(0.8)
    assert rto.srtt == pytest.approx(0.45)
    assert rto.rto == pytest.approx(0.45 + 4 * (0.75 * 0.2 + 0.25 * 0.4))


def test_back_off_ends_with_progress_or_a_measurement() -> None:
    rto = new()
    rto.measured(0.01)
    assert rto.rto == 0.2
    for expected in (0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0):
        rto.expired()
        assert rto.rto == pytest.approx(expected)
    rto.progressed()
    assert rto.rto == 0.2
    rto.expired()
    rto.measured(0.01)
    assert rto.rto == 0.2


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_bounds(measurements: list[float]) -> None:
    rto = new()
    for rtt in measurements:
        rto.measured(rtt)
        assert 0.2 <= rto.rto <= 10.0
