"""What a `Network(keep_trace=True)` writes down."""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import TypeAlias, final

import attrs

from xp2p_trio.sansio import Address, Transport
from xp2p_trio.testing.middlebox import DropReason

_MOVED = Struct("!dcI")


@attrs.frozen
class Sent:
    """Trace: a datagram, or a piece of a stream, was handed to the network."""

    time: float
    source: Address
    destination: Address
    datagram: bytes
    transport: Transport = Transport.UDP


@attrs.frozen
class Delivered:
    """Trace: a datagram, or a piece of a stream, reached the host that has the destination address."""

    time: float
    source: Address
    destination: Address
    datagram: bytes
    transport: Transport = Transport.UDP


@attrs.frozen
class Translated:
    """Trace: a NAT gave a datagram another source on its way out, or another destination on its way in."""

    time: float
    box: str
    old: Address
    new: Address
    datagram: bytes


@attrs.frozen
class Dropped:
    """Trace: a NAT or firewall did not let a datagram through, or a stream, which has an empty one."""

    time: float
    box: str
    reason: DropReason
    source: Address
    destination: Address
    datagram: bytes


TraceEntry: TypeAlias = Sent | Delivered | Translated | Dropped
"""One line of `Network.trace`."""


@final
class Recorder:
    """Keeps the trace, if wanted, and its digest.

    Attributes:
        entries: the trace so far, oldest first; None when none is kept.
    """

    def __init__(self, *, keep: bool) -> None:
        self.entries: list[TraceEntry] | None = [] if keep else None
        self._digest = blake2b(digest_size=16)

    @property
    def hash(self) -> str:
        """Equal for equal traces, with their times and addresses."""
        return self._digest.hexdigest()

    def sent(self, now: float, source: Address, destination: Address, data: bytes, transport: Transport) -> None:
        """A host handed this to the network."""
        self._hash(b"}" if transport.is_stream else b">", now, source, destination, data)
        if self.entries is not None:
            self.entries.append(Sent(now, source, destination, data, transport))

    def delivered(self, now: float, source: Address, destination: Address, data: bytes, transport: Transport) -> None:
        """This reached its host."""
        self._hash(b"{" if transport.is_stream else b"<", now, source, destination, data)
        if self.entries is not None:
            self.entries.append(Delivered(now, source, destination, data, transport))

    def note(self, entry: Translated | Dropped) -> None:
        """A box did this."""
        self._digest.update(repr(entry).encode())
        if self.entries is not None:
            self.entries.append(entry)

    def digest(self, now: float, news: object) -> None:
        """Let the hash, but not the trace, depend on this."""
        self._digest.update(f"{now!r}{news!r}".encode())

    def _hash(self, letter: bytes, now: float, source: Address, destination: Address, data: bytes) -> None:
        self._digest.update(_MOVED.pack(now, letter, len(data)))
        self._digest.update(f"{source}{destination}".encode())
        self._digest.update(data)
