"""The four requests of TURN, and the transactions that carry them: few at a time, challenged, never a storm."""

from __future__ import annotations

import math
from collections import deque
from typing import ClassVar, Final, TypeAlias, final

import attrs

from xp2p_trio.sansio import Address, RandomBytes
from xp2p_trio.stun import (
    INITIAL_RTO,
    LAST_WAIT,
    MAX_REQUESTS,
    TRANSACTION_ID_SIZE,
    Attribute,
    ChannelNumber,
    ErrorCode,
    Lifetime,
    Message,
    MessageClass,
    Method,
    RequestedAddressFamily,
    RequestedTransport,
    Software,
    Transaction,
    XorPeerAddress,
    encode_message,
)
from xp2p_trio.turn.authentication import Authentication, Challenge, Session
from xp2p_trio.turn.configuration import DEFAULT_LIFETIME, AddressFamily, Configuration
from xp2p_trio.turn.statistics import Counters

MAX_IN_FLIGHT: Final = 2
MAX_STARTS: Final = 3
REFUSAL_WINDOW: Final = 1.0
"""While the last answer was a refusal, at most three transactions start within these seconds: the two that were under
way, and one that tries again at once. When that one succeeds, the rest follow."""

STREAM_TIMEOUT: Final = 39.5
"""Ti of RFC 8489 section 6.2.2."""

_UDP: Final = 17  # the IP protocol number


@attrs.frozen
class Allocate:
    """RFC 8656 section 7.1."""

    configuration: Configuration

    method: ClassVar[Method] = Method.ALLOCATE
    is_urgent: ClassVar[bool] = True

    def attributes(self) -> list[Attribute]:
        """What it asks for."""
        attributes: list[Attribute] = [RequestedTransport(_UDP)]
        if self.configuration.address_family is not AddressFamily.IPV4:  # the default, also of servers of RFC 5766
            attributes.append(RequestedAddressFamily(self.configuration.address_family))
        if self.configuration.lifetime != DEFAULT_LIFETIME:
            attributes.append(Lifetime(self.configuration.lifetime))
        if self.configuration.software:
            attributes.append(Software(self.configuration.software))
        return attributes


@attrs.frozen
class Refresh:
    """RFC 8656 section 8.1; a lifetime of 0 deletes the allocation."""

    lifetime: int
    software: str

    method: ClassVar[Method] = Method.REFRESH
    is_urgent: ClassVar[bool] = True

    def attributes(self) -> list[Attribute]:
        """What it asks for."""
        attributes: list[Attribute] = []
        if self.lifetime != DEFAULT_LIFETIME:
            attributes.append(Lifetime(self.lifetime))
        if self.software:
            attributes.append(Software(self.software))
        return attributes


@attrs.frozen
class CreatePermission:
    """RFC 8656 section 10.1."""

    hosts: tuple[str, ...]

    method: ClassVar[Method] = Method.CREATE_PERMISSION
    is_urgent: ClassVar[bool] = False

    def attributes(self) -> list[Attribute]:
        """The hosts; their ports are ignored."""
        return [XorPeerAddress((host, 0)) for host in self.hosts]


@attrs.frozen
class ChannelBind:
    """RFC 8656 section 12.1."""

    peer: Address
    number: int

    method: ClassVar[Method] = Method.CHANNEL_BIND
    is_urgent: ClassVar[bool] = False

    def attributes(self) -> list[Attribute]:
        """Number and peer."""
        return [ChannelNumber(self.number), XorPeerAddress(self.peer)]


Request: TypeAlias = Allocate | Refresh | CreatePermission | ChannelBind


@attrs.frozen
class Succeeded:
    """A success response; lifetimes count from `sent_at`, since the server's may not start earlier."""

    request: Request
    response: Message
    sent_at: float


@attrs.frozen
class Refused:
    """An error response that ends the request.

    Attributes:
        request: which one.
        code: 300 to 699.
        reason: the server's phrase, or ours where the answer to a challenge is at fault.
        realm: of the server as far as known.
        response: the whole of it.
        challenge: what a 401 or 438 came to, None for other codes.
    """

    request: Request
    code: int
    reason: str
    realm: str
    response: Message
    challenge: Challenge | None = None


@attrs.frozen
class Unanswered:
    """No response counted.

    Attributes:
        request: which one.
        requests_sent: how often it left.
        is_forged: whether there were responses, all of them without valid integrity (RFC 8489 section 9.2.5).
    """

    request: Request
    requests_sent: int
    is_forged: bool


Outcome: TypeAlias = Succeeded | Refused | Unanswered


@final
class _Attempt:
    """A request and how often it was challenged."""

    __slots__ = ("is_forged", "request", "session", "stale_nonces", "transaction", "unauthorized")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.unauthorized = 0
        self.stale_nonces = 0
        self.session: Session | None = None
        self.transaction: Transaction | None = None
        self.is_forged = False


@final
class Requests:
    """Requests wait here, leave signed, and end exactly once, unless `clear` forgets them.

    Attributes:
        authentication: what signs.
        is_paused: whether nothing starts until there are other credentials.
    """

    def __init__(
        self,
        authentication: Authentication,
        random_bytes: RandomBytes,
        configuration: Configuration,
        counters: Counters,
    ) -> None:
        self.authentication = authentication
        self.is_paused = False
        self._random_bytes = random_bytes
        self._is_stream = configuration.transport.is_stream
        self._rto = configuration.rto
        self._counters = counters
        self._waiting: deque[_Attempt] = deque()
        self._in_flight: dict[bytes, _Attempt] = {}
        self._starts: deque[float] = deque(maxlen=MAX_STARTS)
        self._refused_at = -math.inf

    def add(self, request: Request) -> None:
        """Let this one leave as soon as it may."""
        self._put(_Attempt(request))

    def clear(self) -> None:
        """Forget all of them, and what the server thought of them."""
        self._waiting.clear()
        self._in_flight.clear()
        self._refused_at = -math.inf
        self.is_paused = False

    def transmit(self, now: float, limit: int) -> list[bytes]:
        """Retransmissions that are due, and new requests."""
        datagrams: list[bytes] = []
        for attempt in self._in_flight.values():
            if len(datagrams) >= limit:
                break
            if attempt.transaction is not None and attempt.transaction.is_due:
                datagrams.append(attempt.transaction.take_request(now))
        while len(datagrams) < limit and self._may_start(now):
            datagrams.append(self._start(self._waiting.popleft(), now))
        self._counters.requests_sent += len(datagrams)
        return datagrams

    def handle_timeout(self, now: float) -> list[Outcome]:
        """Retransmit later, or give up."""
        outcomes: list[Outcome] = []
        for transaction_id, attempt in list(self._in_flight.items()):
            transaction = attempt.transaction
            assert transaction is not None
            transaction.handle_timeout(now)
            if transaction.is_timed_out:
                del self._in_flight[transaction_id]
                outcomes.append(Unanswered(attempt.request, transaction.requests_sent, attempt.is_forged))
        return outcomes

    @property
    def oldest(self) -> Unanswered | None:
        """What is under way for the longest time, as if it were never answered."""
        for attempt in self._in_flight.values():
            assert attempt.transaction is not None
            return Unanswered(attempt.request, attempt.transaction.requests_sent, attempt.is_forged)
        return None

    def next_timeout(self, now: float) -> float:
        """When `handle_timeout` is due, or when the next request may start."""
        soonest = math.inf
        for attempt in self._in_flight.values():
            if attempt.transaction is not None and attempt.transaction.deadline < soonest:
                soonest = attempt.transaction.deadline
        if self._waiting and not self.is_paused and self._held_until() > now:
            soonest = min(soonest, self._held_until())
        return soonest

    def receive(self, response: Message, now: float) -> Outcome | None:
        """Take a response; None when it ends no request, be it unmatched, forged, or a challenge to be answered."""
        attempt = self._in_flight.get(response.transaction_id)
        # A response with something that must be understood and is not counts as none (RFC 8489 section 6.3.3).
        if attempt is None or attempt.request.method != response.method or response.unknown_required:
            self._counters.datagrams_ignored += 1
            return None
        transaction = attempt.transaction
        assert transaction is not None
        error = response.get(ErrorCode) if response.message_class is MessageClass.ERROR_RESPONSE else None
        if response.message_class is MessageClass.ERROR_RESPONSE and error is None:
            self._counters.datagrams_ignored += 1
            return None
        is_challenge = error is not None and error.code in (401, 438)
        # RFC 8489 section 9.2.5: all but a challenge is authentic, or never came.
        if attempt.session is not None and not is_challenge and not attempt.session.verifies(response):
            self._counters.responses_unauthenticated += 1
            attempt.is_forged = True
            if self._is_stream:
                # What broke in on a stream will not be followed by the true response.
                del self._in_flight[response.transaction_id]
                return Unanswered(attempt.request, transaction.requests_sent, is_forged=True)
            return None
        del self._in_flight[response.transaction_id]
        if error is None:
            self._refused_at = -math.inf
            return Succeeded(attempt.request, response, transaction.first_sent)
        self._counters.requests_refused += 1
        if attempt.session is not None:  # the first challenge is no refusal
            self._refused_at = now
        if is_challenge:
            return self._answer(attempt, error, response)
        return Refused(attempt.request, error.code, error.reason, self.realm, response)

    @property
    def realm(self) -> str:
        """Of the server, empty before it is known."""
        session = self.authentication.session
        return "" if session is None else session.realm

    def put_back(self, request: Request) -> None:
        """Let this one leave first once there are other credentials."""
        self._waiting.appendleft(_Attempt(request))

    def _answer(self, attempt: _Attempt, error: ErrorCode, response: Message) -> Refused | None:
        challenge = self.authentication.challenge(error.code, response, attempt.session)
        if error.code == 438:
            attempt.stale_nonces += 1
            is_last = attempt.stale_nonces > 1  # two in a row end the request
        else:
            attempt.unauthorized += 1
            is_last = attempt.unauthorized > 1
        if challenge is Challenge.RETRY and not is_last:
            # First of all, but behind what is urgent.
            is_behind = bool(self._waiting) and self._waiting[0].request.is_urgent and not attempt.request.is_urgent
            self._waiting.insert(int(is_behind), attempt)
            return None
        reason = error.reason if challenge in (Challenge.RETRY, Challenge.WRONG_CREDENTIALS) else challenge.value
        return Refused(attempt.request, error.code, reason, self.realm, response, challenge)

    def _put(self, attempt: _Attempt) -> None:
        if attempt.request.is_urgent:
            self._waiting.appendleft(attempt)
        else:
            self._waiting.append(attempt)

    def _held_until(self) -> float:
        if len(self._starts) < MAX_STARTS:
            return -math.inf
        if len(self._in_flight) >= MAX_IN_FLIGHT and self._waiting[0].request.is_urgent:
            return self._starts[0] + REFUSAL_WINDOW  # past those that wait for a server that is slow
        return min(self._starts[0], self._refused_at) + REFUSAL_WINDOW

    def _may_start(self, now: float) -> bool:
        if not self._waiting or self.is_paused or self._held_until() > now:
            return False
        return len(self._in_flight) < MAX_IN_FLIGHT or self._waiting[0].request.is_urgent

    def _start(self, attempt: _Attempt, now: float) -> bytes:
        request, session = attempt.request, self.authentication.session
        transaction_id = self._random_bytes(TRANSACTION_ID_SIZE)
        message = Message(MessageClass.REQUEST, request.method, transaction_id, tuple(request.attributes()))
        attempt.session = session
        attempt.is_forged = False
        attempt.transaction = Transaction(
            transaction_id,
            encode_message(message, fingerprint=True) if session is None else session.sign(message),
            rto=INITIAL_RTO if self._is_stream else self._rto,
            max_requests=1 if self._is_stream else MAX_REQUESTS,
            last_wait=STREAM_TIMEOUT / INITIAL_RTO if self._is_stream else LAST_WAIT,
        )
        self._in_flight[transaction_id] = attempt
        self._starts.append(now)
        return attempt.transaction.take_request(now)
