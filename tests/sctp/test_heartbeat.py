from __future__ import annotations

import math

from xp2p_trio.sctp.heartbeat import Heartbeat
from xp2p_trio.sctp.wire import decode_heartbeat


def test_only_the_answer_to_the_last_one_counts_and_only_once() -> None:
    numbers = iter(range(1, 100))
    heartbeat = Heartbeat(30.0, lambda size: bytes([next(numbers)]) * size)
    assert math.isnan(heartbeat.answered(b"", 0.0))
    first = decode_heartbeat(heartbeat.send(1.0, 0.5)[4:])
    assert heartbeat.answer_timer.deadline == 1.5
    second = decode_heartbeat(heartbeat.send(2.0, 0.5)[4:])
    assert math.isnan(heartbeat.answered(first, 2.1))
    assert heartbeat.answered(second, 2.25) == 0.25
    assert not heartbeat.answer_timer.is_running
    assert math.isnan(heartbeat.answered(second, 2.3))


def test_a_measurement_waits_for_nothing() -> None:
    heartbeat = Heartbeat(30.0, bytes)
    heartbeat.restart(10.0, 0.5)
    assert heartbeat.interval_timer.deadline == 40.5
    heartbeat.measure(11.0)
    assert not heartbeat.answer_timer.is_running
    heartbeat.stop()
    assert not heartbeat.interval_timer.is_running
