"""What comes out of a block with a hidden nursery is what went wrong in it, and nothing else."""

import contextlib

import pytest
import trio
import trio.testing

from xp2p_trio.driver.nursery import hidden_nursery
from xp2p_trio.errors import InternalError


class Subject:
    def __init__(self, close_takes=0.0):
        self.calls = []
        self.close_takes = close_takes

    async def close(self):
        self.calls.append("close")
        await trio.sleep(self.close_takes)
        self.calls.append("closed")

    def abort(self):
        self.calls.append("abort")

    @contextlib.asynccontextmanager
    async def open(self, *tasks):
        async with hidden_nursery(close=self.close, abort=self.abort) as nursery:
            for task in tasks:
                nursery.start_soon(task)
            yield self


async def crash():
    raise ZeroDivisionError("a bug")


async def test_a_normal_end_closes(autojump_clock):
    subject = Subject()
    async with subject.open(trio.sleep_forever):
        pass
    assert subject.calls == ["close", "closed"]


async def test_an_exception_aborts_and_comes_out_unchanged():
    subject, error = Subject(), KeyError("mine")
    with pytest.raises(KeyError) as info:
        async with subject.open(trio.sleep_forever):
            raise error
    assert info.value is error
    assert subject.calls == ["abort"]


async def test_a_group_of_the_body_is_not_unwrapped():
    with pytest.RaisesGroup(ValueError):
        async with Subject().open(trio.sleep_forever):
            raise ExceptionGroup("body", [ValueError()])


@pytest.mark.parametrize("round", range(20))
async def test_cancellation_from_outside_aborts(round, autojump_clock):
    subject = Subject()
    with trio.move_on_after(1) as scope:
        async with subject.open(trio.sleep_forever, trio.sleep_forever):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert subject.calls == ["abort"]


async def test_cancellation_of_the_goodbye_aborts(autojump_clock):
    subject = Subject(close_takes=100)
    with trio.move_on_after(1) as scope:
        async with subject.open():
            pass
    assert scope.cancelled_caught
    assert trio.current_time() < 2
    assert subject.calls == ["close", "abort"]


async def test_a_crash_in_the_background_is_our_bug():
    with pytest.raises(InternalError) as info:
        async with Subject().open(crash):
            await trio.sleep_forever()
    assert pytest.RaisesGroup(ZeroDivisionError).matches(info.value.__cause__)


async def test_a_crash_besides_an_error_of_the_body_hides_neither():
    async def crash_when_cancelled():
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as info:
        async with Subject().open(crash_when_cancelled):
            await trio.testing.wait_all_tasks_blocked()
            raise KeyError
    assert info.group_contains(KeyError)
    assert info.group_contains(ZeroDivisionError)


async def test_a_crash_that_repeats_itself_in_the_abort_hangs_nothing(autojump_clock):
    def abort():
        raise ZeroDivisionError("the same bug again")

    with trio.fail_after(1), pytest.raises(InternalError) as info:
        async with hidden_nursery(close=trio.lowlevel.checkpoint, abort=abort) as background:
            background.start_soon(trio.sleep_forever)
            background.start_soon(crash)
            await trio.sleep_forever()
    assert pytest.RaisesGroup(ZeroDivisionError, ZeroDivisionError).matches(info.value.__cause__)


async def test_an_interrupt_in_the_background_stays_an_interrupt():
    async def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with Subject().open(interrupt):
            await trio.sleep_forever()


async def test_no_task_outlives_the_block():
    before = trio.lowlevel.current_statistics().tasks_living
    async with Subject().open(trio.sleep_forever, trio.sleep_forever):
        assert trio.lowlevel.current_statistics().tasks_living == before + 2
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_the_background_works_for_a_shielded_clean_up(autojump_clock):
    served = []

    async def serve(asked, answered):
        await asked.wait()
        answered.set()

    with trio.move_on_after(1) as scope:
        async with hidden_nursery(close=trio.lowlevel.checkpoint, abort=lambda: None) as background:
            asked, answered = trio.Event(), trio.Event()
            background.start_soon(serve, asked, answered)
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    asked.set()
                    await answered.wait()
                    served.append(trio.current_time())
    assert scope.cancelled_caught
    assert len(served) == 1


async def test_a_task_that_is_started_too_late_ends_at_once(autojump_clock):
    ended = []

    async def start_another(background):
        try:
            await trio.sleep_forever()
        finally:
            background.start_soon(trio.sleep_forever)
            ended.append(True)

    with trio.fail_after(5):
        async with hidden_nursery(close=trio.lowlevel.checkpoint, abort=lambda: None) as background:
            background.start_soon(start_another, background)
            await trio.testing.wait_all_tasks_blocked()
    assert ended
