"""What a `Network(keep_trace=True)` writes down."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio.sansio import Address
from xp2p_trio.testing.middlebox import DropReason


@attrs.frozen
class Sent:
    """Trace: a datagram was handed to the network."""

    time: float
    source: Address
    destination: Address
    datagram: bytes


@attrs.frozen
class Delivered:
    """Trace: a datagram reached the host that has the destination address."""

    time: float
    source: Address
    destination: Address
    datagram: bytes


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
    """Trace: a NAT or firewall did not let a datagram through."""

    time: float
    box: str
    reason: DropReason
    source: Address
    destination: Address
    datagram: bytes


TraceEntry: TypeAlias = Sent | Delivered | Translated | Dropped
"""One line of `Network.trace`."""
