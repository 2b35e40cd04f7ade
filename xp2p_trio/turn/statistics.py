"""Counts of an allocation."""

from __future__ import annotations

from typing import final

import attrs


@attrs.frozen
class Statistics:
    """A snapshot.

    Attributes:
        requests_sent: requests, retransmissions included.
        requests_refused: error responses that counted, challenges included.
        responses_unauthenticated: responses without valid integrity where it is due; they are dropped.
        datagrams_ignored: what came and was of no use: from elsewhere, malformed, unmatched, of an unknown channel.
        datagrams_sent, bytes_sent: relayed data that left.
        datagrams_received, bytes_received: relayed data that came.
        datagrams_unsent: data dropped because its peer has no permission, a queue was full, or the end came.
        datagrams_unread: relayed data dropped because nobody took what came before.
        permissions: how many hosts have a permission now.
        channels: how many channels are bound now.
    """

    requests_sent: int
    requests_refused: int
    responses_unauthenticated: int
    datagrams_ignored: int
    datagrams_sent: int
    bytes_sent: int
    datagrams_received: int
    bytes_received: int
    datagrams_unsent: int
    datagrams_unread: int
    permissions: int
    channels: int


@final
class Counters:
    """The running counts."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "datagrams_ignored",
        "datagrams_received",
        "datagrams_sent",
        "datagrams_unread",
        "datagrams_unsent",
        "requests_refused",
        "requests_sent",
        "responses_unauthenticated",
    )

    def __init__(self) -> None:
        self.requests_sent = 0
        self.requests_refused = 0
        self.responses_unauthenticated = 0
        self.datagrams_ignored = 0
        self.datagrams_sent = 0
        self.bytes_sent = 0
        self.datagrams_received = 0
        self.bytes_received = 0
        self.datagrams_unsent = 0
        self.datagrams_unread = 0

    def snapshot(self, *, permissions: int, channels: int) -> Statistics:
        """The public form."""
        return Statistics(
            self.requests_sent,
            self.requests_refused,
            self.responses_unauthenticated,
            self.datagrams_ignored,
            self.datagrams_sent,
            self.bytes_sent,
            self.datagrams_received,
            self.bytes_received,
            self.datagrams_unsent,
            self.datagrams_unread,
            permissions,
            channels,
        )
