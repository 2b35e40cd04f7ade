"""A STUN server (RFC 8489 section 12) without I/O."""

from __future__ import annotations

import math
from typing import final

from xp2p_trio.errors import DecodeError
from xp2p_trio.sansio import Address, Burst, Closed
from xp2p_trio.stun import (
    Attribute,
    ErrorCode,
    Message,
    MessageClass,
    Method,
    UnknownAttributes,
    XorMappedAddress,
    decode_message,
    encode_message,
)

MAX_QUEUED_BURSTS = 4096
"""Answers that wait to be pulled; what does not fit is dropped, and UDP forgives it."""


def answer_binding(request: Message, source: Address) -> bytes:
    """The response to a Binding request from `source`."""
    if unknown := request.unknown_required:  # RFC 8489 section 6.3.1
        return encode_error(request, 420, "Unknown Attribute", UnknownAttributes(unknown))
    attributes = (XorMappedAddress(source),)
    return encode_message(Message(MessageClass.SUCCESS_RESPONSE, request.method, request.transaction_id, attributes))


def encode_error(request: Message, code: int, reason: str, *extra: Attribute) -> bytes:
    """An error response without integrity."""
    attributes = (ErrorCode(code, reason), *extra)
    return encode_message(Message(MessageClass.ERROR_RESPONSE, request.method, request.transaction_id, attributes))


@final
class StunServer:
    """Tells every client its mapped address, from whichever address of its host was asked.

    A layer for `drive`, or for a socket: nothing is remembered about clients.

    Attributes:
        is_silent: whether to answer nothing, as a dead server.
        error_code: what to answer in place of an address, 0 for none.
        requests_received: Binding requests that came, also while silent.
    """

    def __init__(self, *, is_silent: bool = False, error_code: int = 0) -> None:
        self.is_silent = is_silent
        self.error_code = error_code
        self.requests_received = 0
        self._outgoing: list[Burst] = []

    def receive(self, batch: Burst, now: float) -> None:
        """Answer the requests among these datagrams."""
        for datagram in batch.datagrams:
            try:
                request = decode_message(datagram)
            except DecodeError:
                continue
            if request.message_class is not MessageClass.REQUEST or request.method != Method.BINDING:
                continue
            self.requests_received += 1
            if self.is_silent or len(self._outgoing) >= MAX_QUEUED_BURSTS:
                continue
            if self.error_code:
                answer = encode_error(request, self.error_code, "as configured")
            else:
                answer = answer_binding(request, batch.remote)
            self._outgoing.append(Burst(batch.local, batch.remote, [answer]))

    def handle_timeout(self, now: float) -> None:
        """There are no timers."""

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """Answers."""
        answers, self._outgoing = self._outgoing[:limit], self._outgoing[limit:]
        return answers

    def take_events(self) -> list[Closed]:
        """There are none."""
        return []

    def next_timeout(self) -> float:
        """Never."""
        return math.inf
