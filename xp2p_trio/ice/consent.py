"""Consent freshness (RFC 7675) of the selected pair."""

from __future__ import annotations

import math
from typing import Final, final

from xp2p_trio.ice.configuration import CONSENT_EXPIRY
from xp2p_trio.sansio import RandomBytes, Timer

MIN_DOUBT: Final = 0.5
"""Seconds without an answer on a path that the peer seems to have left; twice the round trip where that is longer."""

UNKNOWN_ROUND_TRIP: Final = 1.0
"""Seconds, where every check so far had to be repeated, so that no answer could be measured."""


@final
class Consent:
    """When to ask the peer whether it still wants our data, and what its silence means.

    Args:
        interval: seconds between two checks; None for a lite agent, which makes none.
        disconnected_timeout: seconds without an answer until the path counts as lost.

    Attributes:
        check: when the next consent check is due.
        expires_at: when no more data may leave; `math.inf` while no pair is selected.
        silent_since: when the oldest check left that no answer has followed, or `math.inf`.
        is_lost: whether checks have been unanswered for the timeout.
        doubted_at: when the peer's checks began to come over another path, so that less silence is enough to believe
            it; `math.inf` otherwise.
        is_given_up: whether that is believed, so that another path which has answered meanwhile is as good as this one.
    """

    __slots__ = (
        "_disconnected_timeout", "_doubt", "_interval", "check", "doubted_at", "expires_at", "is_given_up", "is_lost",
        "silent_since",
    )  # fmt: skip

    def __init__(self, interval: float | None, disconnected_timeout: float) -> None:
        self._interval = interval
        self._disconnected_timeout = disconnected_timeout
        self.silent_since = math.inf
        self.check = Timer()
        self.expires_at = math.inf
        self.is_lost = False
        self.doubted_at = math.inf
        self.is_given_up = False
        self._doubt = MIN_DOUBT

    @property
    def give_up_at(self) -> float:
        """When the doubt has lasted for long enough."""
        return math.inf if self.is_given_up else max(self.silent_since, self.doubted_at) + self._doubt

    @property
    def lost_at(self) -> float:
        """When the path counts as lost."""
        return math.inf if self.is_lost else self.silent_since + self._disconnected_timeout

    def start(self, last_answer: float, now: float, random_bytes: RandomBytes) -> None:
        """Watch a pair, whose consent is as old as its last answer."""
        self.expires_at = last_answer + CONSENT_EXPIRY
        self._believe()
        self.schedule(now, random_bytes)
        # A pair that has answered long ago is asked at once, so that its consent is not gone before the first check.
        if self._interval is not None and now - last_answer >= self._interval:
            self.check.start(now)

    def schedule(self, now: float, random_bytes: RandomBytes) -> None:
        """Randomise the interval by 0.8 to 1.2, so that checks of many peers do not fall together (section 5.1)."""
        if self._interval is None:
            return
        fraction = int.from_bytes(random_bytes(4), "big") / 0xFFFFFFFF
        self.check.start(now + self._interval * (0.8 + 0.4 * fraction))

    def doubt(self, now: float, round_trip_time: float | None) -> None:
        """The peer's checks come over another path, as when a NAT maps it anew: ask at once whether this one works.

        Args:
            now: the time.
            round_trip_time: of this path, as far as it is known: an answer takes that long, over relays a second.
        """
        if self.doubted_at == math.inf and not self.is_lost:
            self.doubted_at = now
            self._doubt = max(MIN_DOUBT, 2 * (UNKNOWN_ROUND_TRIP if round_trip_time is None else round_trip_time))
            self.check.start(now)

    def note_request(self, now: float) -> None:
        """A consent check has left."""
        self.silent_since = min(self.silent_since, now)

    def note_answer(self, now: float) -> None:
        """Any authenticated answer on the pair renews consent."""
        self.expires_at = now + CONSENT_EXPIRY
        self._believe()

    def stop(self) -> None:
        """The session is over."""
        self.check.stop()
        self.expires_at = -math.inf
        self._believe()

    def next_timeout(self) -> float:
        """The earliest of its timers."""
        expires_at = self.expires_at if self.expires_at > -math.inf else math.inf
        return min(self.check.deadline, self.lost_at, self.give_up_at, expires_at)

    def _believe(self) -> None:
        self.silent_since = math.inf
        self.doubted_at = math.inf
        self.is_given_up = False
