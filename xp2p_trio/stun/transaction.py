"""The retransmission of a request over UDP (RFC 8489 section 6.2.1) as plain data."""

from __future__ import annotations

import math
from typing import final

INITIAL_RTO = 0.5
"""Seconds; RFC 8489 section 6.2.1: 500 ms, doubled with each retransmission."""

MAX_REQUESTS = 7
"""Rc: how often a request is sent in all."""

LAST_WAIT = 16
"""Rm: how many initial RTOs to wait after the last request. The defaults end a transaction after 39.5 s."""


@final
class Transaction:
    """One request, its retransmissions and its end.

    The request is due when the transaction is made. Its owner pulls it with `take_request`, calls `handle_timeout`
    when `deadline` has come, and ends it by forgetting it.

    Attributes:
        transaction_id: 12 bytes.
        request: the datagram, the same for every retransmission.
        requests_sent: how often it has left.
        first_sent: when it left first, `math.inf` before.
        deadline: when `handle_timeout` is due, `math.inf` while the request waits to be pulled or after the end.
        is_due: whether the request is to be pulled.
        is_timed_out: whether the last wait is over.
    """

    __slots__ = (
        "_initial_rto",
        "_is_cancelled",
        "_last_wait",
        "_max_requests",
        "_rto",
        "deadline",
        "first_sent",
        "is_due",
        "is_timed_out",
        "request",
        "requests_sent",
        "transaction_id",
    )

    def __init__(
        self,
        transaction_id: bytes,
        request: bytes,
        *,
        rto: float = INITIAL_RTO,
        max_requests: int = MAX_REQUESTS,
        last_wait: float = LAST_WAIT,
    ) -> None:
        self.transaction_id = transaction_id
        self.request = request
        self.requests_sent = 0
        self.first_sent = math.inf
        self.deadline = math.inf
        self.is_due = True
        self.is_timed_out = False
        self._initial_rto = self._rto = rto
        self._max_requests = max_requests
        self._last_wait = last_wait
        self._is_cancelled = False

    def take_request(self, now: float) -> bytes:
        """The request as it leaves at `now`."""
        self.is_due = False
        if not self.requests_sent:
            self.first_sent = now
        self.requests_sent += 1
        if self.requests_sent < self._max_requests:
            self.deadline = now + self._rto
            self._rto *= 2
        else:
            self.deadline = now + self._last_wait * self._initial_rto
        return self.request

    def handle_timeout(self, now: float) -> None:
        """Make the request due once more, or time out."""
        if now < self.deadline:
            return
        self.deadline = math.inf
        if self.requests_sent < self._max_requests and not self._is_cancelled:
            self.is_due = True
        else:
            self.is_timed_out = True

    def cancel(self) -> None:
        """Send no more, but wait for an answer as long as before (RFC 8445 section 7.3.1.4)."""
        if self._is_cancelled or self.is_timed_out:
            return
        self._is_cancelled = True
        self.is_due = False
        if self.requests_sent:
            # The full schedule is 2^(Rc-1) - 1 intervals and the last wait.
            whole = (2 ** (self._max_requests - 1) - 1 + self._last_wait) * self._initial_rto
            self.deadline = self.first_sent + whole
        else:
            self.is_timed_out = True
