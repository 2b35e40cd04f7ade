"""Messages that wait to be sent: a queue a stream, and a turn a message between streams.

The fragments of a DATA message have consecutive TSNs (RFC 9260 section 6.9), so a message that has begun goes on until
it is done; then the next stream has its turn.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.sctp.events import MessageAbandoned
from xp2p_trio.sctp.messages import OutgoingMessage
from xp2p_trio.sctp.wire import UNORDERED

MESSAGE_OVERHEAD: Final = 128
"""Bytes of the send buffer that a message takes beside its data: about what its record costs, which is far more than
the data of tiny messages."""

_SWEEP_SIZE: Final = 64
"""Messages with a lifetime that may be done before they are swept from the heap."""


@final
class OutgoingStream:
    """One stream's queue; it exists while there is something to remember about the stream.

    Attributes:
        stream_id: its number.
        next_ssn: stream sequence number of the next ordered message.
        queue: messages not yet transmitted to their end, oldest first.
        held: messages that wait for the stream's reset to be done.
        buffered_size: user bytes not yet transmitted once.
        unacknowledged_size: user bytes neither acknowledged nor abandoned.
        held_size: user bytes in `held`.
        is_resetting: whether a reset was asked for and is not yet answered.
        is_waiting: whether it has its place among the streams that take turns.
    """

    __slots__ = (
        "buffered_size",
        "held",
        "held_size",
        "is_resetting",
        "is_waiting",
        "next_ssn",
        "queue",
        "stream_id",
        "unacknowledged_size",
    )

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        self.next_ssn = 0
        self.queue: deque[QueuedMessage] = deque()
        self.held: deque[QueuedMessage] = deque()
        self.held_size = 0
        self.buffered_size = 0
        self.unacknowledged_size = 0
        self.is_resetting = False
        self.is_waiting = False

    @property
    def is_drained(self) -> bool:
        """Whether all that was queued before a reset was asked for is acknowledged or abandoned."""
        return self.unacknowledged_size == self.held_size


@final
class QueuedMessage:
    """A message on its way.

    Attributes:
        stream: where it is sent.
        ppid: its payload protocol identifier.
        data: its bytes.
        offset: how many of them have been transmitted once.
        acknowledged: how many are acknowledged for good.
        unordered: the U flag, or 0.
        ssn: stream sequence number, once the first fragment is made.
        max_retransmits: see `OutgoingMessage`.
        expires_at: absolute time, `math.inf` without limit.
        first_tsn: TSN of its first fragment.
        fragments: how many have been made.
        size: its bytes, also when `data` was let go after the last fragment was made.
        is_abandoned: whether it was given up.
    """

    __slots__ = (
        "acknowledged",
        "data",
        "expires_at",
        "first_tsn",
        "fragments",
        "is_abandoned",
        "max_retransmits",
        "offset",
        "ppid",
        "size",
        "ssn",
        "stream",
        "unordered",
    )

    def __init__(self, stream: OutgoingStream, message: OutgoingMessage, now: float) -> None:
        self.stream = stream
        self.ppid = message.ppid
        self.data = bytes(message.data)
        self.offset = 0
        self.acknowledged = 0
        self.unordered = 0 if message.ordered else UNORDERED
        self.ssn = 0
        self.max_retransmits = message.max_retransmits
        self.expires_at = math.inf if message.lifetime is None else now + message.lifetime
        self.size = len(message.data)
        self.first_tsn = 0
        self.fragments = 0
        self.is_abandoned = False


@final
class SendQueue:
    """All messages that are not yet transmitted to their end, and the counts of those that are not yet acknowledged.

    Attributes:
        unacknowledged_size: user bytes accepted and neither acknowledged nor abandoned.
        unacknowledged_count: messages of which that is true in part or whole.
    """

    __slots__ = (
        "_current",
        "_expiring",
        "_order",
        "_streams",
        "_sweep_at",
        "_waiting",
        "unacknowledged_count",
        "unacknowledged_size",
    )

    def __init__(self) -> None:
        self._streams: dict[int, OutgoingStream] = {}
        self._waiting: deque[OutgoingStream] = deque()
        self._current: OutgoingStream | None = None
        self._expiring: list[tuple[float, int, QueuedMessage]] = []
        self._order = 0
        self._sweep_at = _SWEEP_SIZE
        self.unacknowledged_size = 0
        self.unacknowledged_count = 0

    @property
    def charged_size(self) -> int:
        """What the messages take of the send buffer: each its unacknowledged bytes and `MESSAGE_OVERHEAD`."""
        return self.unacknowledged_size + MESSAGE_OVERHEAD * self.unacknowledged_count

    def add(self, messages: Sequence[OutgoingMessage], now: float) -> None:
        """Queue messages that have been checked."""
        streams = self._streams
        self.unacknowledged_count += len(messages)
        for message in messages:
            stream = streams.get(message.stream_id)
            if stream is None:
                stream = streams[message.stream_id] = OutgoingStream(message.stream_id)
            queued = QueuedMessage(stream, message, now)
            size = len(message.data)
            stream.buffered_size += size
            stream.unacknowledged_size += size
            self.unacknowledged_size += size
            if message.lifetime is not None:
                self._watch(queued)
            if stream.is_resetting:
                stream.held.append(queued)
                stream.held_size += size
            else:
                stream.queue.append(queued)
                if not stream.is_waiting:
                    stream.is_waiting = True
                    self._waiting.append(stream)

    def _watch(self, message: QueuedMessage) -> None:
        """Have the message found when its lifetime is over; now and then those that no longer wait are left out."""
        self._order += 1
        heapq.heappush(self._expiring, (message.expires_at, self._order, message))
        if len(self._expiring) > self._sweep_at:
            self._expiring = [entry for entry in self._expiring if not _is_over(entry[2])]
            heapq.heapify(self._expiring)
            self._sweep_at = 2 * len(self._expiring) + _SWEEP_SIZE

    def peek(self) -> QueuedMessage | None:
        """The message whose turn it is, or None."""
        stream = self._current
        if stream is None:
            if not self._waiting:
                return None
            stream = self._current = self._waiting.popleft()
        return stream.queue[0]

    def finish(self) -> QueuedMessage | None:
        """The message whose turn it is has been transmitted to its end or given up.

        Returns:
            The message whose turn comes, or None.
        """
        stream = self._current
        assert stream is not None
        stream.queue.popleft()
        self._current = None
        if stream.queue:
            self._waiting.append(stream)
        else:
            stream.is_waiting = False
            if not self._waiting:
                return None
        stream = self._current = self._waiting.popleft()
        return stream.queue[0]

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be transmitted for the first time now."""
        return self._current is None and not self._waiting

    def stream(self, stream_id: int) -> OutgoingStream | None:
        """The stream, if there is something to remember about it."""
        return self._streams.get(stream_id)

    def acknowledged(self, message: QueuedMessage, size: int) -> None:
        """`size` more bytes of `message` are acknowledged for good."""
        message.acknowledged = acknowledged = message.acknowledged + size
        message.stream.unacknowledged_size -= size
        self.unacknowledged_size -= size
        if acknowledged == message.size:
            self.unacknowledged_count -= 1

    def abandon(self, message: QueuedMessage) -> None:
        """Give up a message: nothing of it is transmitted any more, and none of it counts as unacknowledged."""
        message.is_abandoned = True
        stream = message.stream
        rest = message.size - message.acknowledged
        stream.unacknowledged_size -= rest
        self.unacknowledged_size -= rest
        self.unacknowledged_count -= 1
        stream.buffered_size -= message.size - message.offset
        if message in stream.held:
            stream.held.remove(message)
            stream.held_size -= rest
        elif stream is self._current and stream.queue[0] is message:
            self.finish()
        elif message in stream.queue:
            stream.queue.remove(message)
            if not stream.queue:
                stream.is_waiting = False
                self._waiting.remove(stream)
        message.data = b""

    def give_up(self, message: QueuedMessage) -> MessageAbandoned:
        """Abandon a message and say so."""
        event = MessageAbandoned(message.stream.stream_id, message.ppid, message.size, transmitted=message.offset > 0)
        self.abandon(message)
        return event

    def drop_streams(self, limit: int) -> list[MessageAbandoned]:
        """Give up what was queued, before the peer said how many streams it takes, on `limit` and above."""
        beyond = [stream for stream in self._streams.values() if stream.stream_id >= limit]
        return [self.give_up(message) for stream in beyond for message in list(stream.queue)]

    def next_expiry(self) -> float:
        """When `take_expired` has work."""
        expiring = self._expiring
        while expiring and _is_over(expiring[0][2]):
            heapq.heappop(expiring)
        return expiring[0][0] if expiring else math.inf

    def take_expired(self, now: float) -> list[QueuedMessage]:
        """Messages whose lifetime is over at `now` and that are not yet transmitted to their end."""
        expired: list[QueuedMessage] = []
        expiring = self._expiring
        while expiring and expiring[0][0] <= now:
            message = heapq.heappop(expiring)[2]
            if not _is_over(message):
                expired.append(message)
        return expired

    def begin_reset(self, stream_id: int) -> bool:
        """Hold back what is queued on a stream from now on; False if it already is."""
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._streams[stream_id] = OutgoingStream(stream_id)
        if stream.is_resetting:
            return False
        stream.is_resetting = True
        return True

    def end_reset(self, stream_id: int, *, performed: bool) -> None:
        """Let the stream go on, at SSN 0 if the peer has performed the reset."""
        stream = self._streams[stream_id]
        stream.is_resetting = False
        if performed:
            stream.next_ssn = 0
        stream.held_size = 0
        if stream.held:
            stream.queue.extend(stream.held)
            stream.held.clear()
            if not stream.is_waiting:
                stream.is_waiting = True
                self._waiting.append(stream)
        elif performed and not stream.unacknowledged_size:
            del self._streams[stream_id]

    def clear(self) -> None:
        """Forget everything (restart of the association, or its end)."""
        self._streams.clear()
        self._waiting.clear()
        self._expiring.clear()
        self._current = None
        self.unacknowledged_size = 0
        self.unacknowledged_count = 0


def _is_over(message: QueuedMessage) -> bool:
    return message.is_abandoned or message.offset == message.size
