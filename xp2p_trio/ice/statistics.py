"""What an agent counts."""

from __future__ import annotations

from typing import final

import attrs


@attrs.frozen
class Statistics:
    """A snapshot of an agent's counters.

    Attributes:
        datagrams_sent: data datagrams that left.
        bytes_sent: their bytes.
        datagrams_received: data datagrams that came in over a valid pair.
        bytes_received: their bytes.
        datagrams_dropped: neither STUN nor DTLS by the first byte, from a path that never became valid, or of a TURN
            server and of no use.
        datagrams_unsent: data given to `send` that was not sent: without fresh consent, or larger than the path takes.
        requests_sent: checks and consent checks, retransmissions included.
        requests_received: authenticated checks of the peer.
        responses_sent: success responses.
        responses_received: authenticated answers to our checks.
        errors_sent: error responses.
        stun_malformed: datagrams that start like STUN and do not parse.
        stun_unauthenticated: messages whose fingerprint, user name or integrity is missing or wrong.
        stun_unmatched: responses that fit no check of ours, indications, and messages of other methods.
        role_conflicts: conflicts seen, whoever had to yield.
        candidates_ignored: remote candidates that cannot be used.
        candidates_mdns: those with an mDNS name that nobody has resolved.
        candidates_refused: candidates and pairs over a limit, or to an address that is never sent to.
        consent_checks_sent: consent checks.
    """

    datagrams_sent: int = 0
    bytes_sent: int = 0
    datagrams_received: int = 0
    bytes_received: int = 0
    datagrams_dropped: int = 0
    datagrams_unsent: int = 0
    requests_sent: int = 0
    requests_received: int = 0
    responses_sent: int = 0
    responses_received: int = 0
    errors_sent: int = 0
    stun_malformed: int = 0
    stun_unauthenticated: int = 0
    stun_unmatched: int = 0
    role_conflicts: int = 0
    candidates_ignored: int = 0
    candidates_mdns: int = 0
    candidates_refused: int = 0
    consent_checks_sent: int = 0


@final
class Counters:
    """The counters themselves, by the names of `Statistics`."""

    __slots__ = tuple(field.name for field in attrs.fields(Statistics))

    datagrams_sent: int
    bytes_sent: int
    datagrams_received: int
    bytes_received: int
    datagrams_dropped: int
    datagrams_unsent: int
    requests_sent: int
    requests_received: int
    responses_sent: int
    responses_received: int
    errors_sent: int
    stun_malformed: int
    stun_unauthenticated: int
    stun_unmatched: int
    role_conflicts: int
    candidates_ignored: int
    candidates_mdns: int
    candidates_refused: int
    consent_checks_sent: int

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def snapshot(self) -> Statistics:
        """The counters as a value."""
        return Statistics(**{name: getattr(self, name) for name in self.__slots__})
