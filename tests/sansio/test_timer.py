import math

from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.sansio import Timer

TIMES = st.floats(0, 1e9)


def test_a_new_timer_is_stopped() -> None:
    timer = Timer()
    assert not timer.is_running
    assert timer.deadline == math.inf
    assert not timer.expire(1e300)


@given(TIMES, TIMES)
def test_it_expires_once_and_not_before_its_deadline(deadline: float, now: float) -> None:
    timer = Timer()
    timer.start(deadline)
    assert timer.is_running
    assert timer.expire(now) == (now >= deadline)
    assert timer.is_running == (now < deadline)
    assert timer.expire(deadline) == (now < deadline)
    assert not timer.expire(deadline)


@given(TIMES, TIMES)
def test_start_replaces_and_stop_forgets(first: float, second: float) -> None:
    timer = Timer()
    timer.start(first)
    timer.start(second)
    assert timer.deadline == second
    timer.stop()
    assert not timer.is_running
    assert not timer.expire(math.nextafter(math.inf, 0))
