"""Invariants that hold in every run: watchers that are given to a `Network` and fail it when one breaks.

`ConsentSpy`, `AmplificationSpy` and `NonceSpy` watch every run of `Peers` and `connected_pair`; `LimitSpy` is for the
caps of whatever has statistics. The three look at datagrams, not into streams. That no layer's timer spins and no
exception escapes is `drive`'s own business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, final

from xp2p_trio.dtls import Record, decode_records
from xp2p_trio.errors import DecodeError
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.stun import (
    Message,
    MessageClass,
    MessageIntegrity,
    MessageIntegritySha256,
    decode_message,
)

_Path: TypeAlias = tuple[Address, Address]

CONSENT_LIFETIME = 30.0
"""Seconds from the last answer (RFC 7675 section 5.1)."""

UNANSWERED_CHECKS_SIZE = 70_000
"""Bytes of checks to one address that has never answered: what a list of candidates can make an agent send."""

_LAST_STUN_BYTE = 3  # RFC 7983 section 7
_FIRST_DTLS_BYTE, _LAST_DTLS_BYTE = 20, 63  # the same


class InvariantBroken(AssertionError):
    """Something happened that must not; the text says when, from where and to where."""


def _is_stun(datagram: bytes) -> bool:
    return bool(datagram) and datagram[0] <= _LAST_STUN_BYTE


def _records(datagram: bytes) -> list[Record]:
    try:
        return decode_records(datagram)
    except DecodeError:
        return []


def _decoded(datagram: bytes) -> Message | None:
    try:
        return decode_message(datagram)
    except DecodeError:
        return None


@final
class _AnsweredChecks:
    """Which paths have seen an answer, with integrity, to a request that was sent on them."""

    def __init__(self) -> None:
        self._requests: dict[tuple[_Path, bytes], None] = {}
        self.answered_at: dict[_Path, float] = {}

    def sent(self, path: _Path, message: Message) -> None:
        if message.message_class is MessageClass.REQUEST:
            self._requests[path, message.transaction_id] = None

    def delivered(self, path: _Path, message: Message, now: float) -> None:
        if message.message_class is not MessageClass.SUCCESS_RESPONSE:
            return
        has_integrity = message.get(MessageIntegrity) or message.get(MessageIntegritySha256)
        if has_integrity and (path, message.transaction_id) in self._requests:
            self.answered_at[path] = now


@final
class ConsentSpy:
    """Nothing but STUN leaves for an address that has not answered an authenticated check in the last 30 seconds.

    The spy has no passwords: it takes an answer with a matching transaction and an integrity attribute for authentic.

    Args:
        ip_addresses: of the hosts to watch; None watches all.
        servers: where TURN servers take data for others; what goes between them and their clients is left out, and so
            their hosts are to be watched as well, for what they pass on.
        lite: those of hosts with an ICE-lite agent, which makes no checks: what it has accepted of the peer counts.
    """

    def __init__(
        self,
        ip_addresses: Collection[str] | None = None,
        *,
        servers: Collection[Address] = (),
        lite: Collection[str] = (),
    ) -> None:
        self._ip_addresses = ip_addresses
        self._servers = servers
        self._lite = lite
        self._checks = _AnsweredChecks()

    def sent(self, burst: Burst, now: float) -> None:
        """As `Monitor.sent`.

        Raises:
            InvariantBroken: the datagram had no consent.
        """
        if burst.local in self._servers or burst.remote in self._servers:
            return
        if burst.transport.is_stream:
            return
        path = burst.local, burst.remote
        if self._ip_addresses is not None and burst.local[0] not in self._ip_addresses:
            return
        for datagram in burst.datagrams:
            if _is_stun(datagram):
                message = _decoded(datagram)
                if message is not None:
                    self._checks.sent(path, message)
                    if path[0][0] in self._lite and message.message_class is MessageClass.SUCCESS_RESPONSE:
                        self._checks.answered_at[path] = now
                continue
            age = now - self._checks.answered_at.get(path, -math.inf)
            if age > CONSENT_LIFETIME:
                raise InvariantBroken(
                    f"t={now!r} s: {burst.local} sent {len(datagram)} bytes that are no STUN ({datagram[:4].hex()}...) "
                    f"to {burst.remote}, which answered its last check {age:g} s ago"
                )

    def delivered(self, burst: Burst, now: float) -> None:
        """As `Monitor.delivered`."""
        if burst.transport.is_stream:
            return
        for datagram in burst.datagrams:
            if _is_stun(datagram) and (message := _decoded(datagram)) is not None:
                self._checks.delivered((burst.local, burst.remote), message, now)


@final
class AmplificationSpy:
    """Nobody is made to send more than was sent to it, and checks to the silent end.

    Counted by path until an authenticated check has been answered on it: answers to requests stay within the bytes and
    the number of what came, and unanswered checks within `UNANSWERED_CHECKS_SIZE`.

    Args:
        ip_addresses: of the hosts to watch; None watches all.

    Attributes:
        received_size: bytes delivered, by (local, remote).
        sent_size: bytes sent, by (local, remote).
    """

    def __init__(self, ip_addresses: Collection[str] | None = None) -> None:
        self._ip_addresses = ip_addresses
        self.received_size: Counter[_Path] = Counter()
        self.sent_size: Counter[_Path] = Counter()
        self._received: Counter[_Path] = Counter()
        self._answers: Counter[_Path] = Counter()
        self._answers_size: Counter[_Path] = Counter()
        self._checks_size: Counter[_Path] = Counter()
        self._checks = _AnsweredChecks()

    def ratio(self, local: Address, remote: Address) -> float:
        """Bytes sent for each byte received on a path; `math.inf` when none came and some left."""
        sent, received = self.sent_size[local, remote], self.received_size[local, remote]
        if not received:
            return math.inf if sent else 0.0
        return sent / received

    def sent(self, burst: Burst, now: float) -> None:
        """As `Monitor.sent`.

        Raises:
            InvariantBroken: more left than may.
        """
        if burst.transport.is_stream:
            return
        path = burst.local, burst.remote
        self.sent_size[path] += sum(map(len, burst.datagrams))
        if path in self._checks.answered_at:
            return
        if self._ip_addresses is not None and burst.local[0] not in self._ip_addresses:
            return
        for datagram in burst.datagrams:
            message = _decoded(datagram) if _is_stun(datagram) else None
            if message is None:
                continue
            self._checks.sent(path, message)
            if message.message_class in (MessageClass.SUCCESS_RESPONSE, MessageClass.ERROR_RESPONSE):
                self._answers[path] += 1
                self._answers_size[path] += len(datagram)
            else:
                self._checks_size[path] += len(datagram)
        received, received_size = self._received[path], self.received_size[path]
        if self._answers[path] > received or self._answers_size[path] > received_size:
            raise InvariantBroken(
                f"t={now!r} s: {burst.local} answered {burst.remote} {self._answers[path]} times with "
                f"{self._answers_size[path]} bytes, for {received} datagrams of {received_size} bytes that came"
            )
        if self._checks_size[path] > UNANSWERED_CHECKS_SIZE:
            raise InvariantBroken(
                f"t={now!r} s: {burst.local} sent {self._checks_size[path]} bytes of checks to {burst.remote}, "
                "which never answered one"
            )

    def delivered(self, burst: Burst, now: float) -> None:
        """As `Monitor.delivered`."""
        if burst.transport.is_stream:
            return
        path = burst.local, burst.remote
        self._received[path] += len(burst.datagrams)
        self.received_size[path] += sum(map(len, burst.datagrams))
        if path not in self._checks.answered_at:
            for datagram in burst.datagrams:
                if _is_stun(datagram) and (message := _decoded(datagram)) is not None:
                    self._checks.delivered(path, message, now)


@final
class NonceSpy:
    """No record number is used twice under one key: epoch and sequence number rise with every record on a path.

    The number of a record is its nonce (RFC 5288 section 3, RFC 7905 section 2), so a repeated one gives the key away.

    Args:
        ip_addresses: of the hosts to watch; None watches all.
    """

    def __init__(self, ip_addresses: Collection[str] | None = None) -> None:
        self._ip_addresses = ip_addresses
        self._last: dict[_Path, tuple[int, int]] = {}

    def sent(self, burst: Burst, now: float) -> None:
        """As `Monitor.sent`.

        Raises:
            InvariantBroken: a number was used before, or is older than one that was.
        """
        if burst.transport.is_stream:
            return
        path = burst.local, burst.remote
        if self._ip_addresses is not None and burst.local[0] not in self._ip_addresses:
            return
        for datagram in burst.datagrams:
            if not datagram or not _FIRST_DTLS_BYTE <= datagram[0] <= _LAST_DTLS_BYTE:
                continue
            for record in _records(datagram):
                number = record.epoch, record.sequence_number
                if record.epoch and number <= self._last.get(path, (0, 0)):
                    raise InvariantBroken(
                        f"t={now!r} s: {burst.local} sent record {number} to {burst.remote} after {self._last[path]}"
                    )
                if record.epoch:
                    self._last[path] = number

    def delivered(self, burst: Burst, now: float) -> None:
        """As `Monitor.delivered`."""


@final
class LimitSpy:
    """Watches numbers that have a cap, whenever anything passes.

    Args:
        read: gives the statistics to look at, an object with the attributes named in `limits`.
        limits: the cap of each.
    """

    def __init__(self, read: Callable[[], Any], limits: Mapping[str, float]) -> None:
        self._read = read
        self._limits = dict(limits)

    def sent(self, burst: Burst, now: float) -> None:
        """As `Monitor.sent`.

        Raises:
            InvariantBroken: a number is above its cap.
        """
        self._look(now)

    def delivered(self, burst: Burst, now: float) -> None:
        """As `Monitor.delivered`.

        Raises:
            InvariantBroken: a number is above its cap.
        """
        self._look(now)

    def _look(self, now: float) -> None:
        statistics = self._read()
        for name, limit in self._limits.items():
            value = getattr(statistics, name)
            if value > limit:
                raise InvariantBroken(f"t={now!r} s: {name} is {value}, above its cap of {limit}")
