"""Retransmission by RFC 8489 section 6.2.1."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.stun import Transaction


def drive(transaction: Transaction, start: float, late: float = 0.0) -> tuple[list[float], float]:
    """When the request leaves, and when the transaction times out."""
    now, sent = start, []
    for _ in range(20):
        if transaction.is_due:
            assert transaction.take_request(now) == b"request"
            sent.append(now)
        if transaction.is_timed_out:
            return sent, now
        now = transaction.deadline + late
        transaction.handle_timeout(now)
    raise AssertionError("does not end")


def test_the_schedule_of_the_rfc() -> None:
    sent, ended = drive(Transaction(bytes(12), b"request"), 100.0)
    assert [at - 100 for at in sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert ended - 100 == 39.5


@given(st.floats(0, 5), st.floats(0.5, 3), st.integers(1, 9), st.floats(1, 40))
def test_late_handling_delays_and_nothing_else(late: float, rto: float, requests: int, last_wait: float) -> None:
    transaction = Transaction(bytes(12), b"request", rto=rto, max_requests=requests, last_wait=last_wait)
    sent, ended = drive(transaction, 0.0, late)
    assert len(sent) == requests
    gaps = [b - a for a, b in itertools.pairwise(sent)]
    assert all(math.isclose(gap, rto * 2**n + late) for n, gap in enumerate(gaps))
    assert math.isclose(ended - sent[-1], last_wait * rto + late)


def test_early_handling_is_harmless() -> None:
    transaction = Transaction(bytes(12), b"request")
    transaction.handle_timeout(5.0)
    transaction.take_request(10.0)
    transaction.handle_timeout(10.4)
    assert not transaction.is_due
    assert transaction.deadline == 10.5


def test_a_cancelled_transaction_waits_silently_to_the_same_end() -> None:
    transaction = Transaction(bytes(12), b"request")
    transaction.take_request(10.0)
    transaction.cancel()
    transaction.cancel()
    assert transaction.deadline == 49.5
    transaction.handle_timeout(49.5)
    assert transaction.is_timed_out
    assert not transaction.is_due


def test_a_transaction_cancelled_before_its_first_request_is_over() -> None:
    transaction = Transaction(bytes(12), b"request")
    transaction.cancel()
    assert transaction.is_timed_out
    assert not transaction.is_due
