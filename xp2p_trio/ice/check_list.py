"""The check list and its triggered-check queue (RFC 8445 sections 6.1.2 and 6.1.4).

One data stream with one component makes a check list set of one list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, final

from xp2p_trio.ice.pair import Pair, PairState, Path
from xp2p_trio.ice.state import Role

MAX_TRIGGERED_IN_A_ROW: Final = 3
"""Triggered checks before an ordinary one has its turn. RFC 8445 section 6.1.4.2 has no such limit; but behind two NATs
that map anew for each port they trigger each other without end, and the pair by way of a server is never checked."""


@final
class CheckList:
    """Pairs by their path.

    Args:
        limit: how many at most.
        is_held_back: whether a pair cannot be checked now, and others go before it.

    Attributes:
        pairs: all pairs; equal paths are one pair, which is the pruning of RFC 8445 section 6.1.2.4.
        triggered: the triggered-check queue.
        is_completed: whether a pair has been nominated; then only triggered checks are made, and those that may still
            lead to a better nomination.
        pinned: the pair that data goes over, which makes room for no other; it may have failed.
        floor: once completed, the priority above which pairs are still checked; None when nothing more is nominated.
    """

    __slots__ = ("_in_a_row", "_is_held_back", "_limit", "floor", "is_completed", "pairs", "pinned", "triggered")

    def __init__(self, limit: int, is_held_back: Callable[[Pair], bool] = lambda _: False) -> None:
        self._limit = limit
        self._is_held_back = is_held_back
        self._in_a_row = 0
        self.pairs: dict[Path, Pair] = {}
        self.triggered: deque[Pair] = deque()
        self.is_completed = False
        self.pinned: Pair | None = None
        self.floor: int | None = None

    @property
    def takes_pairs(self) -> bool:
        """Whether a new pair would be checked at all."""
        return not self.is_completed or self.floor is not None

    def add(self, pair: Pair, *, is_checked_by_peer: bool = False) -> bool:
        """Insert a pair, freezing it as RFC 8838 section 12 says. False when the limit leaves no room for it.

        One that the peer's check came over goes before untried ones of any priority: half of it works, and the peer may
        have nominated it.
        """
        if len(self.pairs) >= self._limit and not self._make_room(None if is_checked_by_peer else pair.priority):
            return False
        self.pairs[pair.path] = pair
        peers = [other.state for other in self.pairs.values() if other is not pair and self._alike(other, pair)]
        # The first of its foundation, or one of a foundation that works, is to be checked; the rest wait for those.
        if not peers or PairState.SUCCEEDED in peers:
            pair.state = PairState.WAITING
        return True

    def _alike(self, one: Pair, other: Pair) -> bool:
        return one.foundation == other.foundation

    def _make_room(self, priority: int | None) -> bool:
        """Drop the lowest pair that is not in use, if it is below this priority (RFC 8445 section 6.1.2.5)."""
        expendable = (PairState.FROZEN, PairState.WAITING, PairState.FAILED)
        in_use = (*self.triggered, self.pinned)
        unused = [p for p in self.pairs.values() if p.state in expendable and p not in in_use]
        lowest = min(unused, key=lambda p: (p.state is not PairState.FAILED, p.priority), default=None)
        if lowest is None:
            return False
        if lowest.state is not PairState.FAILED and priority is not None and lowest.priority >= priority:
            return False
        del self.pairs[lowest.path]
        return True

    def compute_priorities(self, role: Role) -> None:
        """Follow a change of role (RFC 8445 section 7.3.1.1)."""
        for pair in self.pairs.values():
            pair.compute_priority(role)

    def trigger(self, pair: Pair) -> None:
        """Enqueue a triggered check (RFC 8445 section 7.3.1.4)."""
        pair.state = PairState.WAITING
        if pair not in self.triggered:
            self.triggered.append(pair)

    def succeed(self, pair: Pair) -> None:
        """Note the success of a check and thaw its like (RFC 8445 section 7.2.5.3.3)."""
        pair.state = PairState.SUCCEEDED
        self._forget_trigger(pair)
        for other in self.pairs.values():
            if other.state is PairState.FROZEN and self._alike(other, pair):
                other.state = PairState.WAITING

    def fail(self, pair: Pair, why: str) -> None:
        """Note the failure of a check; pairs of the same foundation keep their state (RFC 8445 section 7.2.5.2)."""
        pair.state = PairState.FAILED
        pair.valid_local = None
        pair.nomination = 0
        pair.nominate_on_success = 0
        pair.failure = why
        self._forget_trigger(pair)

    def complete(self, floor: int | None) -> None:
        """A pair is nominated: drop what has not been checked and is not to be (RFC 8445 section 8.1.2)."""
        self.is_completed = True
        self.floor = floor
        self.triggered = deque(pair for pair in self.triggered if self._may_lead(pair))
        self.pairs = {
            path: pair
            for path, pair in self.pairs.items()
            if pair.state >= PairState.IN_PROGRESS or pair in self.triggered or self.is_above_floor(pair)
        }

    def rename(self, pair: Pair, path: Path) -> None:
        """The pair has another path: its stream is connected."""
        del self.pairs[pair.path]
        pair.path = path
        self.pairs[path] = pair

    def remove(self, pair: Pair) -> None:
        """Forget a pair, whatever its state."""
        self._forget_trigger(pair)
        self.pairs.pop(pair.path, None)

    def peek(self) -> Pair | None:
        """The pair that Ta would check next (RFC 8445 section 6.1.4.2, steps 1 to 3), changing nothing."""
        first = next((pair for pair in self.triggered if not self._is_held_back(pair)), None)
        if first is not None and self._in_a_row < MAX_TRIGGERED_IN_A_ROW:
            return first
        return self._peek_ordinary() or first

    def _peek_ordinary(self) -> Pair | None:
        if not self.takes_pairs:
            return None
        best: Pair | None = None
        wanted = [pair for pair in self.pairs.values() if self.is_above_floor(pair) and not self._is_held_back(pair)]
        for pair in wanted:
            is_next = pair.state is PairState.WAITING and pair not in self.triggered
            if is_next and (best is None or pair.priority > best.priority):
                best = pair
        if best is not None:
            return best
        # RFC 8445 waits for the end of a check before it thaws its like: 39.5 s, when patience may have long ended.
        # Here a check that had to be repeated holds them no more, and one over TCP, which never is, not at all.
        in_progress = (pair for pair in self.pairs.values() if pair.state is PairState.IN_PROGRESS)
        busy = {p.foundation for p in in_progress if not p.is_overdue and not p.local.transport.is_stream}
        for pair in wanted:
            if pair.state is PairState.FROZEN and pair.foundation not in busy:
                best = pair if best is None or pair.priority > best.priority else best
        return best

    def take(self) -> Pair | None:
        """The pair to check now, out of the queue and In-Progress."""
        pair = self.peek()
        if pair is not None:
            self._in_a_row = self._in_a_row + 1 if pair in self.triggered else 0
            self._forget_trigger(pair)
            pair.state = PairState.IN_PROGRESS
        return pair

    def _may_lead(self, pair: Pair) -> bool:
        return bool(pair.nominate_on_success) or pair.is_valid or self.is_above_floor(pair)

    def is_above_floor(self, pair: Pair) -> bool:
        """Whether it may still be nominated."""
        return not self.is_completed or (self.floor is not None and pair.priority > self.floor)

    def _forget_trigger(self, pair: Pair) -> None:
        if pair in self.triggered:
            self.triggered.remove(pair)
