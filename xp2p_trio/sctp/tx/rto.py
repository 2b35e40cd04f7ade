"""The retransmission timeout (RFC 9260 section 6.3.1)."""

from __future__ import annotations

from typing import Final, final

_ALPHA: Final = 1 / 8  # RFC 9260 section 16
_BETA: Final = 1 / 4
_GRANULARITY: Final = 0.001
"""Least variation in seconds (rule G1), the resolution of the timers of an event loop."""


@final
class RetransmissionTimeout:
    """SRTT, RTTVAR and the RTO that follows from them.

    Attributes:
        srtt: smoothed round-trip time in seconds, or None before the first measurement.
        rto: the timeout, doubled as often as it expired without a measurement since.
    """

    __slots__ = ("_base", "_initial", "_maximum", "_minimum", "_rttvar", "rto", "srtt")

    def __init__(self, *, initial: float, minimum: float, maximum: float) -> None:
        self._initial = initial
        self._minimum = minimum
        self._maximum = maximum
        self._rttvar = 0.0
        self.srtt: float | None = None
        self.rto = self._base = initial

    def restart(self) -> None:
        """Forget what was measured, as on a path that is used for the first time (rule C1)."""
        self.srtt = None
        self.rto = self._base = self._initial

    def measured(self, rtt: float) -> None:
        """Take a round-trip time in seconds that is not ambiguous (rules C2, C3, C6, C7)."""
        if self.srtt is None:
            self.srtt = rtt
            self._rttvar = rtt / 2
        else:
            self._rttvar += _BETA * (abs(self.srtt - rtt) - self._rttvar)
            self.srtt += _ALPHA * (rtt - self.srtt)
        variation = max(self._rttvar, _GRANULARITY)
        self.rto = self._base = min(max(self.srtt + 4 * variation, self._minimum), self._maximum)

    def expired(self) -> None:
        """Back off (section 6.3.3, E2)."""
        self.rto = min(2 * self.rto, self._maximum)

    def progressed(self) -> None:
        """The peer has acknowledged data after an expiration: the path works, and the back-off ends.

        RFC 9260 section 6.3.3 would wait for a measurement, which retransmitted chunks never give; the association
        asks for one with a HEARTBEAT at every expiration, so that an RTO that is too short does not last.
        """
        self.rto = self._base
