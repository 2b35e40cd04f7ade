"""From DATA chunks to messages in their order (RFC 9260 sections 6.5, 6.6 and 6.9).

The fragments of a message have consecutive TSNs. Fragments that lie side by side are kept as one run; a run that
begins with B and ends with E is a message, wherever the cumulative TSN stands, so that a gap on one stream delays
no other. The run that grew last is at hand without a look-up, which is the path of bulk data in order.

Every chunk is charged at least `SMALLEST_CHARGE` bytes until its message is taken, so that a flood of tiny
chunks cannot hold more memory than the window stands for.
"""

from __future__ import annotations

from array import array
from typing import Final, final

from xp2p_trio.sctp.messages import Message
from xp2p_trio.sctp.wire import BEGINNING, ENDING, UNORDERED

SMALLEST_CHARGE: Final = 256
"""What a chunk costs at least, about the size of the objects that hold it."""


@final
class _Run:
    """Fragments of one message with consecutive TSNs."""

    __slots__ = ("begins", "charge", "first", "last", "parts", "ppid", "size", "ssn", "stream_id", "unordered")

    def __init__(self, tsn: int, flags: int, stream_id: int, ssn: int, ppid: int, payload: bytes) -> None:
        self.first = tsn
        self.last = tsn
        self.begins = flags & BEGINNING
        self.unordered = flags & UNORDERED
        self.stream_id = stream_id
        self.ssn = ssn
        self.ppid = ppid
        self.parts = [payload]
        self.size = len(payload)
        self.charge = 0


@final
class _DeferredReset:
    """A reset that waits until all data assigned before it is here (RFC 6525 section 5.2.2, E2)."""

    __slots__ = ("held", "last_tsn", "stream_ids")

    def __init__(self, last_tsn: int, stream_ids: frozenset[int]) -> None:
        self.last_tsn = last_tsn
        self.stream_ids = stream_ids
        self.held: list[tuple[Message, int, int, int]] = []

    def concerns(self, stream_id: int, tsn: int) -> bool:
        """Whether a message that ended with `tsn` belongs to the time after the reset."""
        return tsn > self.last_tsn and (not self.stream_ids or stream_id in self.stream_ids)


@final
class Reassembly:
    """Puts messages together and in order.

    Attributes:
        charged: bytes held: fragments, messages out of order and messages not yet taken.
        violation: what the peer did that ends the association, or empty.
    """

    __slots__ = (
        "_by_first",
        "_by_last",
        "_deferred",
        "_hot",
        "_max_message_size",
        "_next_ssn",
        "_pending",
        "_ready",
        "_ready_charge",
        "charged",
        "violation",
    )

    def __init__(self, max_message_size: int) -> None:
        self.charged = 0
        self.violation = ""
        self._max_message_size = max_message_size
        self._ready: list[Message] = []
        self._ready_charge = 0
        self._hot: _Run | None = None
        self._by_first: dict[int, _Run] = {}
        self._by_last: dict[int, _Run] = {}
        self._next_ssn = array("H")
        self._pending: dict[int, dict[int, tuple[Message, int]]] = {}
        self._deferred: _DeferredReset | None = None

    def add(self, tsn: int, flags: int, stream_id: int, ssn: int, ppid: int, payload: bytes) -> None:
        """Take a chunk that has not been seen before; `tsn` is unwrapped."""
        size = len(payload)
        charge = max(SMALLEST_CHARGE, size)
        self.charged += charge
        if flags & (BEGINNING | ENDING) == BEGINNING | ENDING:
            if size > self._max_message_size:
                self._too_large(size)
                return
            self._complete(stream_id, ssn, Message(stream_id, ppid, payload), charge, flags & UNORDERED, tsn)
            return
        if flags & UNORDERED:
            ssn = 0  # section 6.6: the sender may put in anything
        run = self._hot
        if (
            run is not None
            and not self._by_first  # else the chunk may close the gap to a later run
            and run.last == tsn - 1
            and run.stream_id == stream_id
            and run.ssn == ssn
            and not flags & BEGINNING
            and run.unordered == flags & UNORDERED
        ):
            run.last = tsn
            run.size += size
            run.charge += charge
            run.parts.append(payload)
            if run.size > self._max_message_size:
                self._too_large(run.size)
            elif flags & ENDING:
                if run.begins:
                    self._hot = None
                    self._complete_run(run)
                else:
                    self._settle(run, ends=True)
                    self._hot = None
            return
        self._add_apart(_Run(tsn, flags, stream_id, ssn, ppid, payload), charge, ends=bool(flags & ENDING))

    def take(self) -> list[Message]:
        """The messages that are whole and in order; their charge ends."""
        ready = self._ready
        if ready:
            self._ready = []
            self.charged -= self._ready_charge
            self._ready_charge = 0
        return ready

    @property
    def has_ready(self) -> bool:
        """Whether `take` would give something."""
        return bool(self._ready)

    @property
    def ready_count(self) -> int:
        """How many messages `take` would give."""
        return len(self._ready)

    def skip(self, cumulative_tsn: int, skipped: tuple[tuple[int, int], ...]) -> None:
        """Forget what the sender has given up (RFC 3758 section 3.6).

        Args:
            cumulative_tsn: the new one, unwrapped.
            skipped: stream and its highest given-up stream sequence number.
        """
        hot = self._hot
        if hot is not None:
            self._hot = None
            self._settle(hot, ends=False)
        given_up = [run for run in self._by_first.values() if run.first <= cumulative_tsn]
        for run in given_up:
            del self._by_first[run.first]
            self._by_last.pop(run.last, None)
            self.charged -= run.charge
        # RFC 3758 section 3.5, C4 names a stream once; a peer that repeats one pays no more than its last word.
        for stream_id, ssn in dict(skipped).items():
            self._skip_stream(stream_id, ssn)

    def _skip_stream(self, stream_id: int, ssn: int) -> None:
        expected = self._expected(stream_id)
        reach = (ssn - expected) & 0xFFFF
        if reach >= 0x8000:
            return
        pending = self._pending.get(stream_id)
        if pending:
            # Whichever is shorter, so that a flood of small steps past many messages costs little.
            distances = range(reach + 1) if reach < len(pending) else sorted((n - expected) & 0xFFFF for n in pending)
            for distance in distances:
                number = (expected + distance) & 0xFFFF
                if distance <= reach and number in pending:
                    self._make_ready(*pending.pop(number))
        self._next_ssn[stream_id] = (ssn + 1) & 0xFFFF
        self._release(stream_id)

    def defer_reset(self, last_tsn: int, stream_ids: tuple[int, ...]) -> None:
        """Hold back what is sent on `stream_ids`, or all streams if empty, after the unwrapped `last_tsn`."""
        self._deferred = _DeferredReset(last_tsn, frozenset(stream_ids))

    def reset(self, stream_ids: tuple[int, ...]) -> None:
        """Start over at SSN 0 on `stream_ids`, or on all streams if there are none."""
        next_ssn = self._next_ssn
        if not stream_ids:
            self._next_ssn = array("H", bytes(next_ssn.itemsize * len(next_ssn)))
        for stream_id in stream_ids:
            if stream_id < len(next_ssn):
                next_ssn[stream_id] = 0
        for stream_id in stream_ids or tuple(self._pending):
            for _, charge in self._pending.pop(stream_id, {}).values():
                self.charged -= charge  # Its predecessors can no longer come.
        deferred = self._deferred
        if deferred is not None:
            self._deferred = None
            for message, charge, unordered, ssn in deferred.held:
                self._complete(message.stream_id, ssn, message, charge, unordered, deferred.last_tsn)

    def _too_large(self, size: int) -> None:
        self.violation = f"a message of at least {size} bytes, where {self._max_message_size} were announced"

    def _add_apart(self, run: _Run, charge: int, *, ends: bool) -> None:
        """Take a fragment that does not continue the run at hand."""
        hot = self._hot
        if hot is not None:
            self._hot = None
            self._settle(hot, ends=False)
        run.charge = charge
        if not run.begins:
            left = self._by_last.get(run.first - 1)
            if left is not None and _same_message(left, run):
                del self._by_last[left.last]
                del self._by_first[left.first]
                run = _join(left, run)
        if not ends:
            right = self._by_first.get(run.last + 1)
            if right is not None and not right.begins and _same_message(run, right):
                del self._by_first[right.first]
                # A run whose end is known is not to be found by its last TSN, since nothing continues it.
                ends = self._by_last.pop(right.last, None) is None
                run = _join(run, right)
        if run.size > self._max_message_size:
            self._too_large(run.size)
        if ends and run.begins:
            self._complete_run(run)
        elif ends:
            self._settle(run, ends=True)
        else:
            self._hot = run

    def _settle(self, run: _Run, *, ends: bool) -> None:
        """Put a run where its neighbours find it."""
        self._by_first[run.first] = run
        if not ends:
            self._by_last[run.last] = run

    def _complete_run(self, run: _Run) -> None:
        message = Message(run.stream_id, run.ppid, b"".join(run.parts))
        self._complete(run.stream_id, run.ssn, message, run.charge, run.unordered, run.last)

    def _complete(self, stream_id: int, ssn: int, message: Message, charge: int, unordered: int, tsn: int) -> None:
        if self._deferred is not None and self._deferred.concerns(stream_id, tsn):
            self._deferred.held.append((message, charge, unordered, ssn))
            return
        if unordered:
            self._ready.append(message)
            self._ready_charge += charge
            return
        next_ssn = self._next_ssn
        expected = next_ssn[stream_id] if stream_id < len(next_ssn) else self._expected(stream_id)
        if ssn == expected:
            next_ssn[stream_id] = (ssn + 1) & 0xFFFF
            self._ready.append(message)
            self._ready_charge += charge
            if self._pending:
                self._release(stream_id)
            return
        pending = self._pending.setdefault(stream_id, {})
        if (ssn - expected) & 0xFFFF >= 0x8000 or ssn in pending:
            # A number that was delivered, skipped or used before: no conforming sender does that.
            self.charged -= charge
            if not pending:
                del self._pending[stream_id]
        else:
            pending[ssn] = (message, charge)

    def _release(self, stream_id: int) -> None:
        """Make ready what waited for its turn on this stream."""
        pending = self._pending.get(stream_id)
        if pending is None:
            return
        ssn = self._next_ssn[stream_id]
        while (waiting := pending.pop(ssn, None)) is not None:
            self._make_ready(*waiting)
            ssn = (ssn + 1) & 0xFFFF
        self._next_ssn[stream_id] = ssn
        if not pending:
            del self._pending[stream_id]

    def _make_ready(self, message: Message, charge: int) -> None:
        self._ready.append(message)
        self._ready_charge += charge

    def _expected(self, stream_id: int) -> int:
        """The next SSN of a stream; the table reaches as far as the highest stream used."""
        next_ssn = self._next_ssn
        if stream_id >= len(next_ssn):
            next_ssn.frombytes(bytes(next_ssn.itemsize * (stream_id + 1 - len(next_ssn))))
        return next_ssn[stream_id]


def _same_message(left: _Run, right: _Run) -> bool:
    return left.stream_id == right.stream_id and left.ssn == right.ssn and left.unordered == right.unordered


def _join(left: _Run, right: _Run) -> _Run:
    left.parts += right.parts
    left.last = right.last
    left.size += right.size
    left.charge += right.charge
    return left
