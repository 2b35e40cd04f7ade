"""The eight sentences of docs/design.md, "The shape", over every layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.duo import Call, Duo, End, Recorder, is_idle, play, told
from tests.contract.subjects import SUBJECTS, Make
from xp2p_trio.errors import LocalError

every_layer = pytest.mark.parametrize("make", SUBJECTS.values(), ids=SUBJECTS.keys())
SEEDS = st.integers(0, 2**32)
LOSSES = st.frozensets(st.integers(0, 12), max_size=4)


def ours(duo: Duo) -> list[End]:
    """The ends that are layers of this package."""
    return [end for end in duo.ends if type(end.layer.wrapped).__module__.startswith("xp2p_trio.")]


def life(make: Make, seed: int, lose: frozenset[int] = frozenset()) -> Duo:
    """A whole life: set up over some loss, a few messages each way, the end."""
    duo = make(seed)
    duo.lose = lose
    duo.establish()
    for number in range(3):
        for end in duo.ends:
            end.send(bytes([number, *range(50)]) * (number + 1), duo.now)
        duo.settle()
        for end in duo.ends:
            end.taken()
    duo.run(lambda: True)
    duo.left.close(duo.now)
    duo.run(lambda: all(end.terminal is not None for end in ours(duo)))
    return duo


def replay(make: Make, seed: int, duo: Duo, change: Callable[[list[Call]], list[Call]]) -> list[tuple[End, list[Call]]]:
    """Play what each end lived through once more to a fresh layer, changed."""
    ends = ours(duo)
    fresh = [end for end, old in zip(make(seed).ends, duo.ends, strict=True) if old in ends]
    return [(end, play(new.layer.wrapped, change(end.layer.calls))) for end, new in zip(ends, fresh, strict=True)]


def gave(calls: list[Call]) -> list[tuple[str, Any]]:
    """What came out of the calls that say something."""
    return [(call.name, call.result) for call in calls if call.name not in ("next_timeout", "statistics")]


def reach(duo: Duo, progress: int) -> None:
    """Bring the two to somewhere on their way: 0 is untouched, large is connected and at rest."""
    if progress == 0:
        return
    duo.start()
    for _ in range(progress - 1):
        if not duo.shuttle():
            duo.now = max(duo.now, min(end.layer.wrapped.next_timeout() for end in duo.ends))
            if duo.now == math.inf:
                duo.now = 2000.0
                return
            for end in duo.ends:
                end.layer.handle_timeout(duo.now)


# 1. `receive` never raises for what a peer sent; bad input is counted in `statistics` and forgotten.


@every_layer
def test_1_noise_never_raises_and_is_counted(make: Make) -> None:
    @given(seed=SEEDS, progress=st.integers(0, 40), noise=st.lists(st.binary(max_size=300), min_size=1, max_size=6))
    def holds(seed: int, progress: int, noise: list[bytes]) -> None:
        duo = make(seed)
        reach(duo, progress)
        for end in ours(duo):
            end.news(duo.other(end), duo.now)
            before = end.layer.wrapped.statistics
            end.incoming([end.noise(data) for data in noise], duo.now)
            if end.terminal is None and any(end.is_counted(data) for data in noise):
                assert end.layer.wrapped.statistics != before

    holds()


@every_layer
def test_1_what_the_peer_said_mutated_never_raises(make: Make) -> None:
    @given(
        seed=SEEDS,
        progress=st.integers(0, 40),
        picks=st.lists(st.tuples(st.integers(0), st.integers(0), st.integers(0, 255)), min_size=1, max_size=8),
        cut=st.integers(0, 40),
    )
    def holds(seed: int, progress: int, picks: list[tuple[int, int, int]], cut: int) -> None:
        donor, duo = make(seed), make(seed)
        donor.establish()
        reach(duo, progress)
        for which, where, value in picks:
            sender, item = donor.travelled[which % len(donor.travelled)]
            data = bytearray(sender.content(item))
            if data:
                data[where % len(data)] = value
            for end in ours(duo):
                end.incoming([end.noise(bytes(data[: len(data) - cut % (len(data) + 1)]))], duo.now)
                end.outgoing(duo.now)
        for end in ours(duo):
            end.news(duo.other(end), duo.now)
            assert end.layer.wrapped.next_timeout() >= 0.0

    holds()


@every_layer
def test_1_statistics_are_a_frozen_snapshot(make: Make) -> None:
    duo = make(1)
    for end in ours(duo):
        snapshot = end.layer.wrapped.statistics
        assert snapshot == end.layer.wrapped.statistics
        assert attrs.has(type(snapshot))
        name = attrs.fields(type(snapshot))[0].name
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(snapshot, name, None)
    before = [end.layer.wrapped.statistics for end in ours(duo)]
    copies = [attrs.evolve(snapshot) for snapshot in before]
    duo.establish()
    assert before == copies
    assert before != [end.layer.wrapped.statistics for end in ours(duo)]


# 2. Commands, `receive` and `handle_timeout` only change state; output is pulled. No order of calls is forbidden.

WORDS = ("start", "incoming", "outgoing", "timeout", "late", "news", "send", "taken", "close", "replay")


@every_layer
def test_2_any_order_of_calls(make: Make) -> None:
    @given(
        seed=SEEDS,
        script=st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 1), st.integers(0, 9)), max_size=40),
    )
    def holds(seed: int, script: list[tuple[str, int, int]]) -> None:
        duo = make(seed)
        mail: dict[int, list[Any]] = {0: [], 1: []}
        for word, side, number in script:
            end, other = duo.ends[side], duo.ends[1 - side]
            duo.now += number * 0.05
            if word == "outgoing":
                mail[1 - side] += end.outgoing(duo.now, number)
            elif word == "incoming":
                batch, mail[side] = mail[side][: number + 1], mail[side][number + 1 :]
                if batch:
                    end.incoming(batch, duo.now)
            elif word == "replay" and duo.travelled:
                end.incoming([item for sender, item in duo.travelled if sender is other][-3:], duo.now)
            elif word == "timeout":
                end.layer.handle_timeout(min(end.layer.wrapped.next_timeout(), duo.now + 100.0))
            elif word == "late":
                duo.now += 20.0
                end.layer.handle_timeout(duo.now)
            elif word == "news":
                end.news(other, duo.now)
            elif word == "taken":
                end.taken()
            elif word in ("start", "send", "close"):
                _command(end, word, duo.now)
        for end in ours(duo):
            assert end.layer.wrapped.next_timeout() > -math.inf

    def _command(end: End, word: str, now: float) -> None:
        try:
            if word == "send":
                end.send(b"payload", now)
            else:
                getattr(end, word)(now)
        except LocalError:
            pass

    holds()


# 3. `transmit` builds packets as they leave. A layer that is not pulled stays silent.


@every_layer
def test_3_one_datagram_at_a_time_is_enough(make: Make) -> None:
    duo = make(3)
    duo.establish(limit=1)
    assert all(end.is_ready for end in duo.ends)


@every_layer
def test_3_a_limit_of_zero_gives_nothing_and_loses_nothing(make: Make) -> None:
    def first_words(*, ask_for_nothing_before: bool) -> list[Any]:
        duo = make(3)
        duo.start()
        for end in duo.ends:
            end.news(duo.other(end), duo.now)
        if ask_for_nothing_before:
            assert [end.outgoing(duo.now, 0) for end in duo.ends] == [[], []]
        return [end.outgoing(duo.now) for end in duo.ends]

    assert first_words(ask_for_nothing_before=True) == first_words(ask_for_nothing_before=False)


# 4. `handle_timeout(next_timeout())` makes progress: then `next_timeout()` is later, or there is output or an event.


@every_layer
def test_4_each_timeout_makes_progress_while_nobody_answers(make: Make) -> None:
    @given(
        seed=SEEDS, progress=st.integers(1, 40), lateness=st.lists(st.sampled_from([0.0, 0.0, 0.001, 3.0]), min_size=1)
    )
    def holds(seed: int, progress: int, lateness: list[float]) -> None:
        duo = make(seed)
        reach(duo, progress)
        for end in ours(duo):
            now = duo.now
            end.outgoing(now)
            end.news(end, now)
            for step in range(60):
                due = end.layer.wrapped.next_timeout()
                if due == math.inf or end.terminal:
                    break
                now = max(now, due + lateness[step % len(lateness)])
                end.layer.handle_timeout(now)
                later = end.layer.wrapped.next_timeout() > due
                output = end.outgoing(now, 1000)
                news = end.layer.take_events()
                assert later or output or news or end.is_indirect, f"stuck at {due}"
                assert end.layer.wrapped.next_timeout() > due, f"timer stays at {due}"

    holds()


@every_layer
def test_4_queries_and_early_timeouts_change_nothing(make: Make) -> None:
    @given(seed=SEEDS, lose=LOSSES)
    def holds(seed: int, lose: frozenset[int]) -> None:
        lived = life(make, seed, lose)
        for end, fresh in zip(ours(lived), ours(make(seed)), strict=True):
            layer, newest, again = fresh.layer.wrapped, -math.inf, []
            for call in end.layer.calls:
                assert layer.next_timeout() == layer.next_timeout()
                assert layer.statistics == layer.statistics
                if newest < layer.next_timeout() and newest > -math.inf:
                    layer.handle_timeout(newest)
                newest = max(newest, call.now if call.now is not None else newest)
                again.append(attrs.evolve(call, result=call.on(layer)))
            assert gave(again) == gave(end.layer.calls)

    holds()


# 5. Time never runs back: an older `now` counts as the newest seen.


@every_layer
def test_5_older_times_count_as_the_newest_seen(make: Make) -> None:
    @given(seed=SEEDS, lose=LOSSES, back=st.lists(st.floats(0.0, 500.0), min_size=1, max_size=20))
    def holds(seed: int, lose: frozenset[int], back: list[float]) -> None:
        def older(calls: list[Call]) -> list[Call]:
            changed, newest = [], -math.inf
            for number, call in enumerate(calls):
                if call.now is not None and call.now <= newest:
                    call = call.at(call.now - back[number % len(back)])
                elif call.now is not None:
                    newest = call.now
                changed.append(call)
            return changed

        lived = life(make, seed, lose)
        for end, again in replay(make, seed, lived, older):
            assert gave(again) == gave(end.layer.calls)

    holds()


# 6. A batch equals its datagrams one by one, in events and received data.


@every_layer
def test_6_a_batch_equals_its_datagrams_one_by_one(make: Make) -> None:
    @given(seed=SEEDS, lose=LOSSES)
    def holds(seed: int, lose: frozenset[int]) -> None:
        def split(calls: list[Call]) -> list[Call]:
            return [single for call in calls for single in (singles(call) if call.name == "receive" else [call])]

        lived = life(make, seed, lose)
        for end, again in replay(make, seed, lived, split):
            for names in (("take_events",), ("take_received",)):
                assert told(again, *names) == told(end.layer.calls, *names)

    holds()


def singles(call: Call) -> list[Call]:
    """The same `receive`, one datagram a call."""
    batch, now = call.args
    if hasattr(batch, "datagrams"):
        return [attrs.evolve(call, args=(attrs.evolve(batch, datagrams=[one]), now)) for one in batch.datagrams]
    return [attrs.evolve(call, args=([one], now)) for one in batch]


# 7. Same configuration, random bytes, inputs and times: the same bytes out.


@every_layer
def test_7_the_same_inputs_give_the_same_bytes(make: Make) -> None:
    @given(seed=SEEDS, lose=LOSSES)
    def holds(seed: int, lose: frozenset[int]) -> None:
        lived = life(make, seed, lose)
        for end, again in replay(make, seed, lived, list):
            assert again == end.layer.calls

    holds()


@every_layer
def test_7_other_random_bytes_give_other_bytes(make: Make) -> None:
    def bytes_out(seed: int) -> list[list[Any]]:
        return [told(end.layer.calls, "transmit") for end in ours(life(make, seed))]

    if make is not SUBJECTS["datachannel.ChannelMux"]:  # which draws no randomness
        assert bytes_out(1) != bytes_out(2)


# 8. After the terminal event (`Closed` or `Failed(failure)`, always the last) a layer is inert.


@every_layer
def test_8_inert_after_the_end(make: Make) -> None:
    @given(seed=SEEDS, lose=LOSSES, noise=st.lists(st.binary(max_size=100), max_size=3))
    def holds(seed: int, lose: frozenset[int], noise: list[bytes]) -> None:
        duo = life(make, seed, lose)
        for end in ours(duo):
            layer = end.layer.wrapped
            assert is_idle(layer)
            end.taken()
            for wait in (0.0, 1.0, 1000.0):
                items = [item for sender, item in duo.travelled if sender is not end][-20:]
                end.incoming([*items, *(end.noise(data) for data in noise)], duo.now + wait)
                layer.handle_timeout(duo.now + wait)
                assert is_idle(layer)
                assert layer.transmit(duo.now + wait, 100) == []
                assert layer.take_events() == []
                assert end.taken() == []

    holds()


@every_layer
def test_8_closing_twice_or_at_any_moment_ends_it_once(make: Make) -> None:
    @given(seed=SEEDS, progress=st.integers(0, 40))
    def holds(seed: int, progress: int) -> None:
        duo = make(seed)
        reach(duo, progress)
        for _ in range(2):
            for end in duo.ends:
                try:
                    end.close(duo.now)
                except LocalError:
                    assert end.terminal is not None or progress == 0
        duo.run(lambda: all(end.terminal is not None for end in ours(duo)), timeout=600.0)
        for end in ours(duo):
            assert is_idle(end.layer.wrapped)

    holds()


def test_the_recorder_passes_everything_on() -> None:
    recorder = Recorder([3, 1])
    recorder.append(2)
    assert recorder.wrapped == [3, 1, 2]
    assert recorder.calls == [Call("append", (2,), {})]
