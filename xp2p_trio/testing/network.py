"""Hosts joined by links: a whole network as one deterministic sans-IO object."""

from __future__ import annotations

import heapq
import ipaddress
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b, shake_256
from random import Random
from struct import Struct
from typing import Protocol, TypeAlias, final

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst, RandomBytes
from xp2p_trio.testing.host import Host
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.statistics import NetworkStatistics
from xp2p_trio.testing.wire import Wire

_IPV4_HEADERS_SIZE = 20 + 8  # RFC 791, RFC 768
_IPV6_HEADERS_SIZE = 40 + 8  # RFC 8200, RFC 768
_TRACE_ENTRY = Struct("!dcI")

_InFlight: TypeAlias = tuple[float, int, Address, Address, bytes]
"""Arrival time, order among equal times, source, destination, datagram."""


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


class Monitor(Protocol):
    """Watches everything that passes; it raises to fail the run. Bursts are as their sender or receiver sees them."""

    def sent(self, burst: Burst, now: float) -> None:
        """A host handed these datagrams to the network."""

    def delivered(self, burst: Burst, now: float) -> None:
        """These datagrams are about to be handed to their host."""


@final
class Network:
    """A network under virtual time, in which equal seeds and equal calls give equal traces.

    It is spoken to in bursts: `send` takes those of a sender, `deliver` gives those that have arrived, turned to the
    receiver's view. `drive` and, under trio, the sockets of `host` do that for you.

    Middle boxes and servers have their place in `_forward`, which alone knows how a datagram travels.

    Args:
        seed: drives all randomness: that of the links, and that of `random_bytes`.
        link: what joins two hosts that `set_link` was not told about.
        keep_trace: whether to keep each event in `trace`; `trace_hash` is there anyway.
        monitors: watch everything that passes.
    """

    def __init__(
        self, *, seed: int = 0, link: Link | None = None, keep_trace: bool = False, monitors: Iterable[Monitor] = ()
    ) -> None:
        self._seed = seed
        self._default_link = Link() if link is None else link
        self._monitors = list(monitors)
        self._hosts: dict[str, Host] = {}
        self._host_by_ip: dict[str, Host] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._wires: dict[tuple[str, str], Wire] = {}
        self._in_flight: list[_InFlight] = []
        self._order = 0
        self._now = -math.inf
        self._counters: Counter[str] = Counter()
        self._trace: list[Sent | Delivered] | None = [] if keep_trace else None
        self._digest = blake2b(digest_size=16)

    def __repr__(self) -> str:
        return f"<Network seed={self._seed} hosts={sorted(self._hosts)}>"

    @property
    def seed(self) -> int:
        """What replays a run."""
        return self._seed

    def host(self, name: str, *ip_addresses: str) -> Host:
        """The host of that name; it is made when IP addresses are given, at least one.

        Raises:
            InvalidArgument: there is no such host, or the name or an address is taken.
        """
        if not ip_addresses:
            if name not in self._hosts:
                raise InvalidArgument(f"no host {name!r}; give its IP addresses to make it")
            return self._hosts[name]
        if name in self._hosts:
            raise InvalidArgument(f"host {name!r} exists already")
        host = Host(self, name, ip_addresses)
        for ip_address in host.ip_addresses:
            if ip_address in self._host_by_ip:
                raise InvalidArgument(f"{ip_address} belongs to host {self._host_by_ip[ip_address].name!r}")
        self._hosts[name] = host
        self._host_by_ip.update(dict.fromkeys(host.ip_addresses, host))
        return host

    def host_of(self, ip_address: str) -> Host | None:
        """The host that has the IP address, or None."""
        return self._host_by_ip.get(ip_address)

    def resolve(self, name: str) -> Sequence[str]:
        """The IP addresses behind the name of a host; a numeric address is its own answer, no host has no addresses."""
        try:
            return [str(ipaddress.ip_address(name))]
        except ValueError:
            return self._hosts[name].ip_addresses if name in self._hosts else []

    def set_link(self, source: str, destination: str, link: Link) -> None:
        """Join two hosts, named, in one direction from now on; what is under way arrives as before.

        Raises:
            InvalidArgument: there is no such host.
        """
        pair = self.host(source).name, self.host(destination).name
        self._links[pair] = link
        if pair in self._wires:
            self._wires[pair].link = link

    def set_links(self, one: str, other: str, link: Link) -> None:
        """`set_link` in both directions."""
        self.set_link(one, other, link)
        self.set_link(other, one, link)

    def link(self, source: str, destination: str) -> Link:
        """What joins two hosts in this direction."""
        return self._links.get((source, destination), self._default_link)

    def random_bytes(self, name: str) -> RandomBytes:
        """A seeded source of random bytes: equal for equal seeds and names, whatever else happens."""
        drawn = 0

        def random_bytes(size: int) -> bytes:
            nonlocal drawn
            drawn += 1
            return shake_256(f"{self._seed}/{name}/{drawn}".encode()).digest(size)

        return random_bytes

    def add_monitor(self, monitor: Monitor) -> None:
        """Let this one watch as well, from now on."""
        self._monitors.append(monitor)

    def send(self, burst: Burst, now: float) -> None:
        """Take the datagrams of a sender, as it sees them.

        Raises:
            InvalidArgument: no host has the local address; a datagram is longer than UDP carries.
        """
        now = self._advance(now)
        source, destination = burst.local, burst.remote
        if source[0] not in self._host_by_ip:
            raise InvalidArgument(f"no host has the address {source[0]}")
        if max(map(len, burst.datagrams), default=0) > 65507:  # RFC 768: 16-bit length; RFC 791: 20 bytes of header
            raise InvalidArgument("a datagram is longer than the 65507 bytes that UDP carries")
        for monitor in self._monitors:
            monitor.sent(burst, now)
        for datagram in burst.datagrams:
            self._record(Sent, now, source, destination, datagram)
            self._forward(source, destination, datagram, now)

    def next_timeout(self) -> float:
        """When the next datagram arrives, in absolute seconds; `math.inf` when none is under way."""
        return self._in_flight[0][0] if self._in_flight else math.inf

    def deliver(self, now: float) -> list[Burst]:
        """What has arrived by `now`, as the receivers see it; neighbours on one path share a burst."""
        now = self._advance(now)
        bursts: list[Burst] = []
        datagrams: list[bytes] = []
        path: tuple[Address, Address] | None = None
        while self._in_flight and self._in_flight[0][0] <= now:
            _, _, source, destination, datagram = heapq.heappop(self._in_flight)
            if destination[0] not in self._host_by_ip:
                self._counters["unroutable"] += 1
                continue
            self._counters["delivered"] += 1
            self._counters["delivered_size"] += len(datagram)
            self._record(Delivered, now, source, destination, datagram)
            if path != (source, destination):
                path = source, destination
                datagrams = []
                bursts.append(Burst(destination, source, datagrams))
            datagrams.append(datagram)
        for burst in bursts:
            for monitor in self._monitors:
                monitor.delivered(burst, now)
        return bursts

    @property
    def in_flight(self) -> int:
        """Number of datagrams under way."""
        return len(self._in_flight)

    @property
    def statistics(self) -> NetworkStatistics:
        """The numbers of the whole network."""
        total = sum((wire.counters for wire in self._wires.values()), Counter(self._counters))
        return NetworkStatistics(**total)

    def link_statistics(self, source: str, destination: str) -> NetworkStatistics:
        """The numbers of one direction between two hosts; arrivals are counted for the whole network only."""
        wire = self._wires.get((source, destination))
        return NetworkStatistics() if wire is None else NetworkStatistics(**wire.counters)

    @property
    def trace(self) -> Sequence[Sent | Delivered]:
        """All that was sent and delivered, oldest first.

        Raises:
            InvalidArgument: the network was made without `keep_trace`.
        """
        if self._trace is None:
            raise InvalidArgument("this network keeps no trace; make it with Network(keep_trace=True)")
        return tuple(self._trace)

    @property
    def trace_hash(self) -> str:
        """A digest of all that was sent and delivered, with times and addresses: equal runs have equal hashes."""
        return self._digest.hexdigest()

    def _advance(self, now: float) -> float:
        self._now = max(self._now, now)
        return self._now

    def _forward(self, source: Address, destination: Address, datagram: bytes, now: float) -> None:
        receiver = self._host_by_ip.get(destination[0])
        is_ipv6 = ":" in source[0]
        if receiver is None or is_ipv6 != (":" in destination[0]):
            self._counters["sent"] += 1
            self._counters["sent_size"] += len(datagram)
            self._counters["unroutable"] += 1
            return
        wire = self._wire(self._host_by_ip[source[0]].name, receiver.name)
        header_size = _IPV6_HEADERS_SIZE if is_ipv6 else _IPV4_HEADERS_SIZE
        for arrives, arriving in wire.carry(datagram, header_size, now):
            self._order += 1
            heapq.heappush(self._in_flight, (arrives, self._order, source, destination, arriving))

    def _wire(self, source: str, destination: str) -> Wire:
        pair = source, destination
        wire = self._wires.get(pair)
        if wire is None:
            # Each direction draws from its own sequence, so that traffic on one does not change the fate of another.
            random = Random(f"{self._seed}/{source}>{destination}")  # noqa: S311 - a simulation, not a secret
            wire = self._wires[pair] = Wire(self.link(source, destination), random)
        return wire

    def _record(
        self,
        kind: Callable[[float, Address, Address, bytes], Sent | Delivered],
        now: float,
        source: Address,
        destination: Address,
        datagram: bytes,
    ) -> None:
        letter = b">" if kind is Sent else b"<"
        self._digest.update(_TRACE_ENTRY.pack(now, letter, len(datagram)))
        self._digest.update(f"{source}{destination}".encode())
        self._digest.update(datagram)
        if self._trace is not None:
            self._trace.append(kind(now, source, destination, datagram))
