"""HEARTBEAT: whether an idle path is alive (RFC 9260 section 8.3)."""

from __future__ import annotations

import hmac
import math
from typing import final

from xp2p_trio.sansio import RandomBytes, Timer
from xp2p_trio.sctp.wire import encode_heartbeat

_NONCE_SIZE = 16


@final
class Heartbeat:
    """Asks the peer for a sign of life when nothing else does.

    Attributes:
        interval_timer: when the next one is due.
        answer_timer: when the present one counts as lost.
    """

    __slots__ = ("_interval", "_nonce", "_random_bytes", "_sent_at", "answer_timer", "interval_timer")

    def __init__(self, interval: float, random_bytes: RandomBytes) -> None:
        self._interval = interval
        self._random_bytes = random_bytes
        self._nonce = b""
        self._sent_at = 0.0
        self.interval_timer = Timer()
        self.answer_timer = Timer()

    def restart(self, now: float, rto: float) -> None:
        """The path has just shown that it is alive, or is about to be used."""
        self.interval_timer.start(now + self._interval + rto)

    def stop(self) -> None:
        """No more of them: the association is shutting down."""
        self.interval_timer.stop()
        self.answer_timer.stop()

    def measure(self, now: float) -> bytes:
        """A HEARTBEAT chunk for the round-trip time alone; that it stays unanswered is no error."""
        self._nonce = self._random_bytes(_NONCE_SIZE)
        self._sent_at = now
        return encode_heartbeat(self._nonce)

    def send(self, now: float, rto: float) -> bytes:
        """A HEARTBEAT chunk, whose answer is due within `rto`."""
        self.answer_timer.start(now + rto)
        return self.measure(now)

    def answered(self, information: bytes, now: float) -> float:
        """Take what a HEARTBEAT ACK carries.

        Returns:
            The round-trip time in seconds, or `math.nan` when it is not the answer to our last HEARTBEAT.
        """
        if not self._nonce or not hmac.compare_digest(information, self._nonce):
            return math.nan
        self._nonce = b""
        self.answer_timer.stop()
        return now - self._sent_at
