"""`Layer` and `Carrier`: the five words, and the two more of a layer that carries data."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

import attrs

Address: TypeAlias = tuple[str, int]
"""Numeric host and port, spelled as `ipaddress` spells it (RFC 5952 for IPv6), so that equal addresses are equal."""

RandomBytes: TypeAlias = Callable[[int], bytes]
"""A source of that many random bytes. The core has no default: a program injects `os.urandom`, a test a seeded one."""


class Transport(enum.Enum):
    """What carries bytes between two addresses. An address and its like of another transport have nothing in common."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    __hash__ = object.__hash__  # members are singletons, and Enum's own is a function in Python for each burst's path

    @property
    def is_stream(self) -> bool:
        """Whether the bytes come as one stream, so that whoever reads them finds the messages in it."""
        return self is not Transport.UDP


@attrs.frozen
class Burst:
    """Datagrams that share one path, in order.

    On the way out of a layer, each item for a stream is one whole frame, so that a driver whose buffer is full may drop
    items, as UDP would. On the way in, an item is whatever piece of the stream was read.

    Attributes:
        local: our end of the path.
        remote: the peer's end.
        datagrams: one or more UDP payloads, or parts of a stream.
        transport: what they travel by.
    """

    local: Address
    remote: Address
    datagrams: Sequence[bytes]
    transport: Transport = Transport.UDP

    def reversed(self) -> Burst:
        """The same datagrams as the other end of the path receives them."""
        return Burst(self.remote, self.local, self.datagrams, self.transport)


InT = TypeVar("InT", contravariant=True)
OutT = TypeVar("OutT")
EventT = TypeVar("EventT")
DownT = TypeVar("DownT", contravariant=True)
UpT = TypeVar("UpT")


class Layer(Protocol[InT, OutT, EventT]):
    """A protocol engine without I/O.

    Times are float seconds of any monotonic clock; an older time counts as the newest seen.
    """

    def receive(self, batch: InT, now: float) -> None:
        """Take what arrived. Never raises for what a peer sent: bad input is counted and forgotten."""

    def handle_timeout(self, now: float) -> None:
        """Act on the timers that are due at `now`. Calling it early or late is harmless."""

    def transmit(self, now: float, limit: int) -> list[OutT]:
        """Build what is to leave now, at most `limit` datagrams. A layer that is not pulled stays silent."""

    def take_events(self) -> list[EventT]:
        """Drain the news, oldest first."""

    def next_timeout(self) -> float:
        """When `handle_timeout` is due, in absolute seconds; `math.inf` when idle. A pure query."""


class Carrier(Layer[InT, OutT, EventT], Protocol[InT, OutT, EventT, DownT, UpT]):
    """A layer that carries the data of the one above."""

    def send(self, items: Sequence[DownT], now: float) -> None:
        """Queue data on its way down: all of it, or none and a `LocalError`."""

    def take_received(self) -> list[UpT]:
        """Drain the data on its way up, oldest first. Not taking it is the back-pressure."""
