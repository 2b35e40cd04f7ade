"""Congestion control behind a small interface, and the algorithm of RFC 9260 section 7.2."""

from __future__ import annotations

from typing import Final, Protocol, final

_MINIMUM_PACKETS: Final = 4
"""Least window after a loss that acknowledgements revealed, in packets (section 7.2.3)."""

_SLOW_START_PACKETS: Final = 64
"""Most growth for one SACK in slow start, in packets: the L of section 7.2.1.

A receiver that answers a batch of datagrams with one SACK would hold a sender with L = 1 to one packet a batch. Growth
counts bytes, so that splitting acknowledgements gains nothing. For the same reason there is no Max.Burst (section 6.1,
D): four packets a SACK would be four packets a batch.
"""


class CongestionControl(Protocol):
    """How much may be in flight. Sizes count chunk headers and padding.

    Attributes:
        cwnd: the window in bytes.
    """

    cwnd: int

    @property
    def ssthresh(self) -> int:
        """Where slow start ends, in bytes."""

    def acknowledged(self, size: int, flight_size: int, now: float) -> None:
        """A SACK has moved the cumulative TSN, outside fast recovery and with the window in full use.

        Args:
            size: the bytes that it newly acknowledged.
            flight_size: what was in flight before the SACK.
            now: the time.
        """

    def all_acknowledged(self) -> None:
        """Nothing is outstanding any more."""

    def lost(self, now: float) -> None:
        """Fast recovery begins."""

    def timed_out(self, now: float) -> None:
        """T3-rtx expired."""

    def idle(self) -> None:
        """Another RTO has passed without anything to send."""

    def begin(self, flight_size: int) -> None:
        """Nothing is known of the path.

        Args:
            flight_size: what is in flight on another one, which takes no room on this.
        """


@final
class StandardCongestionControl:
    """Slow start and congestion avoidance (RFC 9260 sections 7.2.1 to 7.2.3)."""

    __slots__ = ("_initial_cwnd", "_initial_ssthresh", "_partial_bytes_acked", "_pmdcs", "cwnd", "ssthresh")

    def __init__(self, *, pmdcs: int, initial_packets: int, peer_window: int) -> None:
        self._pmdcs = pmdcs
        self._initial_cwnd = initial_packets * pmdcs
        self._initial_ssthresh = max(peer_window, self._initial_cwnd)
        self.begin(0)

    def begin(self, flight_size: int) -> None:
        """See `CongestionControl.begin`; section 7.2.1, the first two rules."""
        self._partial_bytes_acked = 0
        self.cwnd = self._initial_cwnd + flight_size
        self.ssthresh = self._initial_ssthresh

    def acknowledged(self, size: int, flight_size: int, now: float) -> None:
        """See `CongestionControl.acknowledged`."""
        if self.cwnd <= self.ssthresh:
            # Not further beyond ssthresh than one packet, which is as far as L = 1 leads.
            growth = min(size, _SLOW_START_PACKETS * self._pmdcs)
            self.cwnd = min(self.cwnd + growth, self.ssthresh + self._pmdcs)
            return
        self._partial_bytes_acked += size
        if self._partial_bytes_acked >= self.cwnd:
            self._partial_bytes_acked -= self.cwnd
            self.cwnd += self._pmdcs

    def all_acknowledged(self) -> None:
        """See `CongestionControl.all_acknowledged`."""
        self._partial_bytes_acked = 0

    def lost(self, now: float) -> None:
        """See `CongestionControl.lost`."""
        self.ssthresh = max(self.cwnd // 2, _MINIMUM_PACKETS * self._pmdcs)
        self.cwnd = self.ssthresh
        self._partial_bytes_acked = 0

    def timed_out(self, now: float) -> None:
        """See `CongestionControl.timed_out`."""
        self.ssthresh = max(self.cwnd // 2, _MINIMUM_PACKETS * self._pmdcs)
        self.cwnd = self._pmdcs
        self._partial_bytes_acked = 0

    def idle(self) -> None:
        """See `CongestionControl.idle`; section 7.2.1, last rule.

        Where it lowers ssthresh to the window, this does not: nothing was lost.
        """
        smaller = max(self.cwnd // 2, _MINIMUM_PACKETS * self._pmdcs)
        if smaller < self.cwnd:
            self.ssthresh = max(self.ssthresh, self.cwnd)
            self.cwnd = smaller
