"""States are genuine AsyncValues that users cannot assign, and whose predicates cannot hurt the driver."""

import pytest
import trio
import trio.testing
import trio_util

from xp2p_trio.driver import StateValue


async def test_waiting_for_a_value_and_for_a_predicate():
    state = StateValue(1)
    assert await state.wait_value(1) == 1
    seen = []

    async def wait():
        seen.append(await state.wait_value(lambda value: value > 2))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        state.publish(2)
        state.publish(3)
    assert seen == [3]
    assert state.value == 3


def test_users_cannot_assign():
    state = StateValue(1)
    with pytest.raises(AttributeError):
        state.value = 2


def test_it_composes():
    with trio_util.compose_values(a=StateValue(1), b=StateValue(2)) as both:
        assert both.value == (1, 2)


async def test_an_error_in_a_predicate_is_raised_in_the_waiting_task():
    state = StateValue(1)

    def fragile(value):
        if value == 2:
            raise ZeroDivisionError
        return False

    async def wait():
        with pytest.raises(ZeroDivisionError):
            await state.wait_value(fragile)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        state.publish(2)
