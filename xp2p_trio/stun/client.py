"""A `Layer` that asks one STUN server for the mapped address of one socket (RFC 8489 sections 6 and 12)."""

from __future__ import annotations

import math
from typing import TypeAlias, final

import attrs

from xp2p_trio.errors import DecodeError, Failure, InvalidState, Reason
from xp2p_trio.sansio import Address, Burst, Closed, Failed, RandomBytes
from xp2p_trio.stun.attributes import ErrorCode, MappedAddress, XorMappedAddress
from xp2p_trio.stun.message import (
    TRANSACTION_ID_SIZE,
    Message,
    MessageClass,
    Method,
    decode_message,
    encode_message,
)
from xp2p_trio.stun.transaction import INITIAL_RTO, Transaction


@attrs.frozen
class MappedAddressFound:
    """The server has answered.

    Attributes:
        address: our address as the server sees it.
        round_trip_time: seconds from the first request to the answer, or None if the request was repeated.
    """

    address: Address
    round_trip_time: float | None


ClientEvent: TypeAlias = MappedAddressFound | Closed | Failed
"""What a client says; after `MappedAddressFound` comes `Closed`."""


@attrs.frozen
class ClientStatistics:
    """Counts of one client.

    Attributes:
        requests_sent: requests, retransmissions included.
        datagrams_ignored: datagrams that are no answer to our request.
    """

    requests_sent: int
    datagrams_ignored: int


@final
class Client:
    """Asks `server` once.

    Args:
        server: where the requests go.
        local: the socket that they leave from.
        random_bytes: source of the transaction id.
        rto: the initial retransmission timeout in seconds.
    """

    def __init__(self, server: Address, local: Address, random_bytes: RandomBytes, *, rto: float = INITIAL_RTO) -> None:
        self._server = server
        self._local = local
        self._random_bytes = random_bytes
        self._rto = rto
        self._transaction: Transaction | None = None
        self._is_done = False
        self._events: list[ClientEvent] = []
        self._requests_sent = 0
        self._datagrams_ignored = 0
        self._now = -math.inf

    @property
    def server(self) -> Address:
        """The server asked."""
        return self._server

    @property
    def local(self) -> Address:
        """The socket asked about."""
        return self._local

    @property
    def is_done(self) -> bool:
        """Whether the terminal event has come."""
        return self._is_done

    @property
    def is_request_due(self) -> bool:
        """Whether `transmit` has something to give."""
        return not self._is_done and self._transaction is not None and self._transaction.is_due

    @property
    def statistics(self) -> ClientStatistics:
        """A snapshot of the counters."""
        return ClientStatistics(self._requests_sent, self._datagrams_ignored)

    def start(self, now: float) -> None:
        """Ask.

        Raises:
            InvalidState: the client has been started already.
        """
        if self._transaction is not None or self._is_done:
            raise InvalidState("the client has been started already; make another one")
        self._now = max(self._now, now)
        transaction_id = self._random_bytes(TRANSACTION_ID_SIZE)
        request = Message(MessageClass.REQUEST, Method.BINDING, transaction_id)
        # A server reached on its own port needs no FINGERPRINT to tell STUN from other protocols (section 7).
        self._transaction = Transaction(transaction_id, encode_message(request), rto=self._rto)

    def close(self, now: float) -> None:
        """Stop asking."""
        self._now = max(self._now, now)
        if not self._is_done:
            self._finish(Closed())

    def receive(self, batch: Burst, now: float) -> None:
        """Take datagrams; what is no answer of the server to our request is counted."""
        self._now = max(self._now, now)
        for datagram in batch.datagrams:
            if self._is_done:
                return
            if batch.remote != self._server or batch.local != self._local or not self._receive_answer(datagram):
                self._datagrams_ignored += 1

    def handle_timeout(self, now: float) -> None:
        """Retransmit, or give up."""
        self._now = max(self._now, now)
        transaction = self._transaction
        if transaction is None or self._is_done:
            return
        transaction.handle_timeout(self._now)
        if transaction.is_timed_out:
            detail = (
                f"the STUN server {self._server[0]} port {self._server[1]} did not answer "
                f"{transaction.requests_sent} requests; check its address, and whether UDP gets out"
            )
            self._finish(Failed(Failure("stun", Reason.PEER_UNREACHABLE, detail)))

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """The request, when it is due."""
        self._now = max(self._now, now)
        transaction = self._transaction
        if transaction is None or not self.is_request_due or limit < 1:
            return []
        self._requests_sent += 1
        return [Burst(self._local, self._server, [transaction.take_request(self._now)])]

    def take_events(self) -> list[ClientEvent]:
        """Drain the news."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float:
        """When `handle_timeout` is due."""
        return math.inf if self._transaction is None or self._is_done else self._transaction.deadline

    def _receive_answer(self, datagram: bytes) -> bool:
        transaction = self._transaction
        if transaction is None or not transaction.requests_sent:
            return False
        try:
            message = decode_message(datagram)
        except DecodeError:
            return False
        if message.transaction_id != transaction.transaction_id or message.method != Method.BINDING:
            return False
        # An answer with something that must be understood and is not counts as none (RFC 8489 section 6.3.3).
        if message.unknown_required:
            return False
        if message.message_class is MessageClass.SUCCESS_RESPONSE:
            mapped = message.get(XorMappedAddress) or message.get(MappedAddress)
            if mapped is None:
                return False
            rtt = self._now - transaction.first_sent if transaction.requests_sent == 1 else None
            self._events.append(MappedAddressFound(mapped.address, rtt))
            self._finish(Closed())
            return True
        if message.message_class is MessageClass.ERROR_RESPONSE:
            error = message.get(ErrorCode)
            said = "an error without a code" if error is None else f"error {error.code} {error.reason!r}"
            detail = f"the STUN server {self._server[0]} port {self._server[1]} answered {said}"
            self._finish(Failed(Failure("stun", Reason.PROTOCOL_VIOLATION, detail)))
            return True
        return False

    def _finish(self, event: Closed | Failed) -> None:
        self._is_done = True
        self._events.append(event)
