"""The reset of streams (RFC 6525), outgoing ones on our side and on the peer's, as RFC 8831 section 6.7 uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import attrs

from xp2p_trio.sansio import Timer
from xp2p_trio.sctp.events import Event, IncomingStreamsReset, OutgoingStreamsReset, OutgoingStreamsResetDenied
from xp2p_trio.sctp.rx import Inbound
from xp2p_trio.sctp.tx import Outbound
from xp2p_trio.sctp.wire import OtherRequest, OutgoingResetRequest, Reconfiguration, Response, Result, encode_reconfig

_MASK: Final = 0xFFFFFFFF
_FIXED_SIZE: Final = 20
"""Chunk header, parameter header and the three numbers of an Outgoing SSN Reset Request."""


@final
class StreamReset:
    """One request at a time in each direction.

    Attributes:
        timer: when our request is sent again.
        errors: how often it was, without a sign that the peer works on it.
    """

    __slots__ = (
        "_asked",
        "_deferred",
        "_expected",
        "_inbound",
        "_is_due",
        "_is_overdue",
        "_is_supported",
        "_largest_request",
        "_late",
        "_next_number",
        "_outbound",
        "_overdue_count",
        "_responses",
        "_results",
        "_waiting",
        "errors",
        "timer",
    )

    def __init__(
        self,
        *,
        inbound: Inbound,
        outbound: Outbound,
        local_initial_tsn: int,
        peer_initial_tsn: int,
        packet_room: int,
        is_supported: bool,
    ) -> None:
        self.timer = Timer()
        self.errors = 0
        self._inbound = inbound
        self._outbound = outbound
        self._is_supported = is_supported
        self._largest_request = (packet_room - _FIXED_SIZE) // 2
        # RFC 6525 section 4.1: the numbers start at the initial TSN.
        self._next_number = local_initial_tsn
        self._expected = peer_initial_tsn
        self._waiting: dict[int, None] = {}
        self._asked: OutgoingResetRequest | None = None
        self._is_due = False
        self._is_overdue = False
        self._overdue_count = 0
        self._deferred: OutgoingResetRequest | None = None
        self._late: OutgoingResetRequest | None = None
        self._results: dict[int, int] = {}
        self._responses: list[Response] = []

    # Our streams.

    def request(self, stream_ids: Sequence[int], events: list[Event]) -> None:
        """Reset streams once all that is queued on them is acknowledged."""
        fresh = tuple(stream_id for stream_id in stream_ids if self._outbound.queue.begin_reset(stream_id))
        if self._is_supported:
            self._waiting.update(dict.fromkeys(fresh))
            return
        self._finish(fresh, Result.DENIED, events)

    def advance(self) -> None:
        """Ask for the reset of the streams that have become quiet, if no request is under way (section 5.1.1)."""
        if self._asked is not None or not self._waiting:
            return
        queue = self._outbound.queue
        quiet = []
        for stream_id in self._waiting:
            stream = queue.stream(stream_id)
            if stream is None or stream.is_drained:
                quiet.append(stream_id)
        if not quiet:
            return
        stream_ids = tuple(quiet[: self._largest_request])
        for stream_id in stream_ids:
            del self._waiting[stream_id]
        self._asked = OutgoingResetRequest(
            self._next_number, (self._expected - 1) & _MASK, (self._outbound.next_tsn - 1) & _MASK, stream_ids
        )
        self._next_number = (self._next_number + 1) & _MASK
        self._is_due = True

    def handle_timeout(self, now: float) -> bool:
        """The request was not answered, or is in progress: it goes again.

        Returns:
            Whether that counts as an error.
        """
        self._is_due = self._asked is not None
        if self.errors < 0:  # the peer said "In progress" (section 5.2.7, H2)
            self.errors = 0
            return False
        self.errors += 1
        return True

    @property
    def is_pending(self) -> bool:
        """Whether a chunk is due, or a reset waits until it can be asked for."""
        return bool(self._responses or self._is_due or self._waiting)

    def take_chunk(self, now: float, rto: float) -> bytes | None:
        """The RE-CONFIG chunk that is due, or None."""
        if self._responses:
            responses = self._responses[:2]
            del self._responses[:2]
            return encode_reconfig(*responses)
        if self._is_due and self._asked is not None:
            self._is_due = False
            # Whether the peer, when this arrives, has all that it could have to wait for.
            acknowledged = self._outbound.outstanding.cumulative_tsn_ack
            self._is_overdue = (acknowledged - self._asked.last_assigned_tsn) & _MASK < 0x80000000
            self.timer.start(now + rto * 2 ** min(max(self.errors, 0), 10))
            request = attrs.evolve(self._asked, response_number=(self._expected - 1) & _MASK)
            return encode_reconfig(request)
        return None

    # The peer's chunks.

    def receive(
        self, parameters: Sequence[Reconfiguration], inbound_streams: int, now: float, rto: float, events: list[Event]
    ) -> None:
        """Take the parameters of a RE-CONFIG chunk."""
        for parameter in parameters:
            if isinstance(parameter, Response):
                self._receive_response(parameter, now, rto, events)
            else:
                self._receive_request(parameter, inbound_streams, events)

    def _receive_response(self, response: Response, now: float, rto: float, events: list[Event]) -> None:
        asked = self._asked
        if asked is None or response.response_number != asked.request_number:
            return
        if response.result == Result.IN_PROGRESS:
            self._overdue_count += self._is_overdue
            self._is_overdue = self._is_due = False
            if self._overdue_count == _OVERDUE:
                # dcSCTP before 2026 answers a repeated number with the result of the first time for ever, and wants
                # the next number.
                self._overdue_count = 0
                self._asked = attrs.evolve(asked, request_number=self._next_number)
                self._next_number = (self._next_number + 1) & _MASK
            self.errors = -1
            self.timer.start(now + rto)
            return
        self._asked = None
        self._is_due = self._is_overdue = False
        self._overdue_count = 0
        self.errors = 0
        self.timer.stop()
        self._finish(asked.stream_ids, response.result, events)

    def _finish(self, stream_ids: tuple[int, ...], result: int, events: list[Event]) -> None:
        performed = result in {Result.PERFORMED, Result.NOTHING_TO_DO}
        for stream_id in stream_ids:
            self._outbound.queue.end_reset(stream_id, performed=performed)
        if stream_ids:
            events.append(OutgoingStreamsReset(stream_ids) if performed else OutgoingStreamsResetDenied(stream_ids))

    def _receive_request(
        self, request: OutgoingResetRequest | OtherRequest, inbound_streams: int, events: list[Event]
    ) -> None:
        number = request.request_number
        self._inbound.sack_due = True  # section 5.2.1
        if number == self._expected:
            late = self._late
            if late is not None and isinstance(request, OutgoingResetRequest) and _is_repetition(request, late):
                result = self._results[late.request_number]
                self._late = None
                if self._deferred is not None:
                    self._late = request
                    self._deferred = attrs.evolve(self._deferred, request_number=number)
            elif self._deferred is not None:
                # One at a time (section 5.1.1): the peer has not waited for the answer to the request before.
                self._respond(number, Result.REQUEST_ALREADY_IN_PROGRESS)
                return
            elif isinstance(request, OtherRequest):
                result = Result.DENIED
            else:
                self._late = None
                result = self._perform(request, inbound_streams, events)
            self._expected = (self._expected + 1) & _MASK
            self._results = {number: result}
        elif number not in self._results:
            self._respond(number, Result.BAD_SEQUENCE_NUMBER)
            return
        self._respond(number, self._results[number])

    def _perform(self, request: OutgoingResetRequest, inbound_streams: int, events: list[Event]) -> Result:
        known = tuple(stream_id for stream_id in request.stream_ids if stream_id < inbound_streams)
        if request.stream_ids and not known:
            return Result.NOTHING_TO_DO
        last_tsn = self._inbound.tracker.unwrap(request.last_assigned_tsn)
        if last_tsn > self._inbound.tracker.cumulative_tsn:
            self._late = request
            self._deferred = attrs.evolve(request, stream_ids=known)
            self._inbound.reassembly.defer_reset(last_tsn, known)
            return Result.IN_PROGRESS
        self._inbound.reassembly.reset(known)
        events.append(IncomingStreamsReset(known))
        return Result.PERFORMED

    def cumulative_tsn_moved(self, events: list[Event]) -> None:
        """Perform the reset that waited for data sent before it (section 5.2.2, E2 to E6)."""
        request = self._deferred
        if request is None:
            return
        tracker = self._inbound.tracker
        if tracker.cumulative_tsn < tracker.unwrap(request.last_assigned_tsn):
            return
        self._deferred = None
        self._inbound.reassembly.reset(request.stream_ids)
        events.append(IncomingStreamsReset(request.stream_ids))
        self._results[request.request_number] = Result.PERFORMED
        self._respond(request.request_number, Result.PERFORMED)

    def _respond(self, number: int, result: int) -> None:
        response = Response(number, result)
        if response not in self._responses and len(self._responses) < _MOST_RESPONSES:
            self._responses.append(response)


_OVERDUE: Final = 2
"""Requests with nothing left to wait for that are answered "In progress" before the peer is taken for one that never
looks again: the first answer may have crossed the last data on its way."""

_MOST_RESPONSES: Final = 4
"""Answers that wait to leave; a peer that asks faster than it is answered asks again."""


def _is_repetition(request: OutgoingResetRequest, late: OutgoingResetRequest) -> bool:
    """Whether the peer asks again, under the next number, what was answered with "In progress".

    So does dcSCTP before 2026, without a look at the later answer. It gives itself away by a response number that is
    its own request number; from others an equal request is another reset of a stream that saw no data in between.
    """
    return (
        request.response_number == request.request_number
        and request.last_assigned_tsn == late.last_assigned_tsn
        and request.stream_ids == late.stream_ids
    )
