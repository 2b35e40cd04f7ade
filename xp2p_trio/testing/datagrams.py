"""UDP on the simulated network: each datagram goes its own way, through the boxes between two hosts."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing.host import Host
from xp2p_trio.testing.middlebox import DropReason
from xp2p_trio.testing.realm import Realm
from xp2p_trio.testing.trace import Dropped, Recorder, Translated
from xp2p_trio.testing.wire import Wire

if TYPE_CHECKING:
    from xp2p_trio.testing.realm import Middlebox

_IPV4_HEADERS_SIZE: Final = 20 + 8  # RFC 791, RFC 768
_IPV6_HEADERS_SIZE: Final = 40 + 8  # RFC 8200, RFC 768

_InFlight: TypeAlias = tuple[float, int, Realm, Address, Address | None, Address, bytes]
"""Arrival time, order among equal times, where it arrives, source, source after a hairpin, destination, datagram."""


@final
class Datagrams:
    """All that is under way.

    Args:
        wire: gives what joins two hosts, named.
        recorder: gets each step.
        counters: of the whole network.
    """

    def __init__(self, wire: Callable[[str, str], Wire], recorder: Recorder, counters: Counter[str]) -> None:
        self._wire = wire
        self._recorder = recorder
        self._counters = counters
        self._in_flight: list[_InFlight] = []
        self._order = 0

    @property
    def in_flight(self) -> int:
        """How many there are."""
        return len(self._in_flight)

    def next_arrival(self) -> float:
        """When the next one arrives, `math.inf` if none does."""
        return self._in_flight[0][0] if self._in_flight else math.inf

    def send(self, sender: Host, source: Address, destination: Address, datagram: bytes, now: float) -> None:
        """Out through the boxes around the sender, and onto the wire."""
        is_ipv6 = ":" in source[0]
        realm = sender.realm_of(source[0]) if is_ipv6 == (":" in destination[0]) else None
        shown: Address | None = None
        while realm is not None and destination[0] not in realm.members:
            box = realm.gateway
            if box is None:
                realm = None
                break
            external = box.send_out(source, destination, now)
            if isinstance(external, DropReason):
                self._counters["sent"] += 1
                self._counters["sent_size"] += len(datagram)
                self._drop(box, external, source, destination, datagram, now)
                return
            if external != source:
                self._recorder.note(Translated(now, box.name, source, external, datagram))
            shown = source if box.hairpins_as_internal(destination) else None
            source, realm = external, box.outside
        if realm is None:
            self._counters["sent"] += 1
            self._counters["sent_size"] += len(datagram)
            self._counters["unroutable"] += 1
            return
        wire = self._wire(sender.name, _receiver_name(realm, destination))
        header_size = _IPV6_HEADERS_SIZE if is_ipv6 else _IPV4_HEADERS_SIZE
        for arrives, arriving in wire.carry(datagram, header_size, now):
            self._order += 1
            heapq.heappush(self._in_flight, (arrives, self._order, realm, source, shown, destination, arriving))

    def deliver(self, now: float) -> list[tuple[str, Burst]]:
        """What has arrived by `now`, with the name of the host; neighbours on one path share a burst."""
        bursts: list[tuple[str, Burst]] = []
        datagrams: list[bytes] = []
        path: tuple[Host, Address, Address] | None = None
        while self._in_flight and self._in_flight[0][0] <= now:
            _, _, realm, source, shown, destination, datagram = heapq.heappop(self._in_flight)
            arrived = self._arrive(realm, source, shown, destination, datagram, now)
            if arrived is None:
                continue
            host, source, destination = arrived
            self._counters["delivered"] += 1
            self._counters["delivered_size"] += len(datagram)
            self._recorder.delivered(now, source, destination, datagram, Transport.UDP)
            if path != arrived:
                path = arrived
                datagrams = []
                bursts.append((host.name, Burst(destination, source, datagrams)))
            datagrams.append(datagram)
        return bursts

    def _arrive(
        self, realm: Realm, source: Address, shown: Address | None, destination: Address, datagram: bytes, now: float
    ) -> tuple[Host, Address, Address] | None:
        """In through the boxes around the receiver. Returns that, and the two addresses as it sees them."""
        while True:
            member = realm.members.get(destination[0])
            if member is None:
                self._counters["unroutable"] += 1
                return None
            if isinstance(member, Host):
                return member, source, destination
            internal = member.take_in(source, destination, now)
            if isinstance(internal, DropReason):
                self._drop(member, internal, source, destination, datagram, now)
                return None
            if internal != destination:
                self._recorder.note(Translated(now, member.name, destination, internal, datagram))
            source, shown = shown or source, None
            destination, realm = internal, member.inside

    def _drop(
        self, box: Middlebox, reason: DropReason, source: Address, destination: Address, datagram: bytes, now: float
    ) -> None:
        self._counters["filtered"] += 1
        self._recorder.note(Dropped(now, box.name, reason, source, destination, datagram))


def _receiver_name(realm: Realm, destination: Address) -> str:
    """The host that an address leads to, filters aside; else the last box on the way."""
    name = ""
    while (member := realm.members.get(destination[0])) is not None:
        name = member.name
        inner = None if isinstance(member, Host) else member.owner(destination)
        if inner is None or isinstance(member, Host):
            break
        destination, realm = inner, member.inside
    return name
