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
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst, RandomBytes
from xp2p_trio.testing.host import Host, canonical
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.middlebox import DropReason, Firewall, Nat
from xp2p_trio.testing.nat import PORT_RESTRICTED_CONE, STATEFUL, FirewallPolicy, NatBehaviour
from xp2p_trio.testing.realm import Realm
from xp2p_trio.testing.statistics import NetworkStatistics
from xp2p_trio.testing.trace import Delivered, Dropped, Sent, TraceEntry, Translated
from xp2p_trio.testing.wire import Wire

if TYPE_CHECKING:
    from xp2p_trio.testing.realm import Middlebox

_IPV4_HEADERS_SIZE = 20 + 8  # RFC 791, RFC 768
_IPV6_HEADERS_SIZE = 40 + 8  # RFC 8200, RFC 768
_TRACE_ENTRY = Struct("!dcI")

_InFlight: TypeAlias = tuple[float, int, Realm, Address, Address | None, Address, bytes]
"""Arrival time, order among equal times, where it arrives, source, source after a hairpin, destination, datagram."""


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

    Hosts stand on the Internet or inside of NATs and firewalls. A link joins two hosts whatever boxes are in between;
    boxes take no time: those around the sender act when a datagram is sent, those around the receiver when it arrives.
    What goes to an address of a NAT that leads to no host has the network's default link.

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
        self._hosts_by_ip: dict[str, list[Host]] = {}
        self._boxes: dict[str, Middlebox] = {}
        self._internet = Realm()
        self._links: dict[tuple[str, str], Link] = {}
        self._wires: dict[tuple[str, str], Wire] = {}
        self._in_flight: list[_InFlight] = []
        self._order = 0
        self._now = -math.inf
        self._counters: Counter[str] = Counter()
        self._trace: list[TraceEntry] | None = [] if keep_trace else None
        self._digest = blake2b(digest_size=16)

    def __repr__(self) -> str:
        return f"<Network seed={self._seed} hosts={sorted(self._hosts)}>"

    @property
    def seed(self) -> int:
        """What replays a run."""
        return self._seed

    def host(self, name: str, *ip_addresses: str, inside: str | None = None) -> Host:
        """The host of that name; it is made when IP addresses are given, at least one.

        Args:
            name: for links, and for `resolve`.
            ip_addresses: its addresses.
            inside: the NAT or firewall that it stands behind; None is the Internet.

        Raises:
            InvalidArgument: there is no such host or box, or the name or an address is taken.
        """
        if not ip_addresses:
            if name not in self._hosts:
                raise InvalidArgument(f"no host {name!r}; give its IP addresses to make it")
            return self._hosts[name]
        self._check_name(name)
        realm = self.realm(inside)
        host = Host(self, name)
        canonical_addresses = dict.fromkeys(canonical(ip_address) for ip_address in ip_addresses)
        for ip_address in canonical_addresses:
            realm.check_free(ip_address)
        self._hosts[name] = host
        for ip_address in canonical_addresses:
            host.add_ip_address(ip_address, inside=inside)
        return host

    def nat(
        self,
        name: str,
        *ip_addresses: str,
        behaviour: NatBehaviour = PORT_RESTRICTED_CONE,
        inside: Iterable[str] = (),
    ) -> Nat:
        """Put a NAT between some hosts or boxes and where they stand, which is the Internet at first.

        NATs in NATs are made from the inside out: `nat("carrier", "203.0.113.7", inside=["home"])`.

        Args:
            name: for `inside`, and for the trace.
            ip_addresses: its external IPv4 addresses, at least one.
            behaviour: what it does.
            inside: names of hosts and boxes; more come by `host(..., inside=name)`.

        Raises:
            InvalidArgument: a name or an address is taken or unknown, or is not what it should be.
        """
        self._check_name(name)
        if not ip_addresses or any(":" in ip_address for ip_address in ip_addresses):
            raise InvalidArgument(f"NAT {name!r} needs external addresses, of IPv4")
        outside, members = self._place(inside)
        # Drawn from a sequence of its own, so that other boxes and links do not change its ports.
        random = Random(f"{self._seed}/nat/{name}")  # noqa: S311 - a simulation, not a secret
        box = Nat(name, ip_addresses, behaviour, outside, random)
        for ip_address in box.ip_addresses:
            outside.check_free(ip_address)
        for ip_address in box.ip_addresses:
            outside.add(ip_address, box)
        self._install(box, members)
        return box

    def firewall(self, name: str, *, policy: FirewallPolicy = STATEFUL, inside: Iterable[str] = ()) -> Firewall:
        """Put a firewall between some hosts or boxes and where they stand.

        Args:
            name: for `inside`, and for the trace.
            policy: what it lets through; it can be changed at any time.
            inside: names of hosts and boxes; more come by `host(..., inside=name)`.

        Raises:
            InvalidArgument: a name is taken or unknown, or those inside stand in different places.
        """
        self._check_name(name)
        outside, members = self._place(inside)
        box = Firewall(name, policy, outside)
        self._install(box, members)
        return box

    def realm(self, inside: str | None) -> Realm:
        """The inside of the box of that name; None is the Internet.

        Raises:
            InvalidArgument: there is no such box.
        """
        if inside is None:
            return self._internet
        if inside not in self._boxes:
            raise InvalidArgument(f"no NAT or firewall {inside!r}")
        return self._boxes[inside].inside

    def host_of(self, ip_address: str) -> Host | None:
        """The host that has the IP address, or None; the first that was made, if several have it in different homes."""
        return next((host for host in self._hosts_by_ip.get(ip_address, ()) if host.realm_of(ip_address)), None)

    def note_address(self, host: Host, ip_address: str) -> None:
        """A host says that it has, or will have had, this address."""
        hosts = self._hosts_by_ip.setdefault(ip_address, [])
        if host not in hosts:
            hosts.append(host)

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

    def send(self, burst: Burst, now: float, *, host: str | None = None) -> None:
        """Take the datagrams of a sender, as it sees them.

        Args:
            burst: where from, where to, and what.
            now: the time.
            host: the name of the sender, which matters when several have the same address in different homes.

        Raises:
            InvalidArgument: no host has, or ever had, the local address; a datagram is longer than UDP carries.
        """
        now = self._advance(now)
        source, destination = burst.local, burst.remote
        sender = self._sender(source[0], host)
        if max(map(len, burst.datagrams), default=0) > 65507:  # RFC 768: 16-bit length; RFC 791: 20 bytes of header
            raise InvalidArgument("a datagram is longer than the 65507 bytes that UDP carries")
        for monitor in self._monitors:
            monitor.sent(burst, now)
        for datagram in burst.datagrams:
            self._record(Sent, now, source, destination, datagram)
            self._forward(sender, source, destination, datagram, now)

    def next_timeout(self) -> float:
        """When the next datagram arrives, in absolute seconds; `math.inf` when none is under way."""
        return self._in_flight[0][0] if self._in_flight else math.inf

    def deliver(self, now: float) -> list[Burst]:
        """What has arrived by `now`, as the receivers see it; neighbours on one path share a burst."""
        return [burst for _, burst in self.deliver_to_hosts(now)]

    def deliver_to_hosts(self, now: float) -> list[tuple[str, Burst]]:
        """`deliver`, with the name of the receiving host."""
        now = self._advance(now)
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
            self._record(Delivered, now, source, destination, datagram)
            if path != arrived:
                path = arrived
                datagrams = []
                bursts.append((host.name, Burst(destination, source, datagrams)))
            datagrams.append(datagram)
        for _, burst in bursts:
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
    def trace(self) -> Sequence[TraceEntry]:
        """All that was sent, translated, dropped by a box and delivered, oldest first.

        Raises:
            InvalidArgument: the network was made without `keep_trace`.
        """
        if self._trace is None:
            raise InvalidArgument("this network keeps no trace; make it with Network(keep_trace=True)")
        return tuple(self._trace)

    @property
    def trace_hash(self) -> str:
        """A digest of the same, with times and addresses: equal runs have equal hashes."""
        return self._digest.hexdigest()

    def _advance(self, now: float) -> float:
        self._now = max(self._now, now)
        return self._now

    def _check_name(self, name: str) -> None:
        if name in self._hosts:
            raise InvalidArgument(f"host {name!r} exists already")
        if name in self._boxes:
            raise InvalidArgument(f"{self._boxes[name]!r} exists already")

    def _place(self, inside: Iterable[str]) -> tuple[Realm, list[Host | Middlebox]]:
        """Where a new box comes to stand, and who moves behind it."""
        members: list[Host | Middlebox] = []
        for name in inside:
            if name not in self._hosts and name not in self._boxes:
                raise InvalidArgument(f"no host, NAT or firewall {name!r}")
            members.append(self._hosts[name] if name in self._hosts else self._boxes[name])
        places = {id(realm): realm for member in members for realm in _places(member)}
        if len(places) > 1:
            raise InvalidArgument("those inside of one box stand in different places")
        return next(iter(places.values()), self._internet), members

    def _install(self, box: Middlebox, members: list[Host | Middlebox]) -> None:
        self._boxes[box.name] = box
        for member in members:
            for ip_address in [ip for ip, there in box.outside.members.items() if there is member]:
                box.outside.move(ip_address, box.inside)
            if isinstance(member, Host):
                member.moved(box.inside)
            else:
                member.outside = box.inside

    def _sender(self, ip_address: str, name: str | None) -> Host:
        known = self._hosts_by_ip.get(ip_address, ())
        if name is not None:
            known = [host for host in known if host.name == name]
        present = [host for host in known if host.realm_of(ip_address)] or known[:1]
        if not present:
            raise InvalidArgument(f"no host has the address {ip_address}")
        if len(present) > 1:
            raise InvalidArgument(
                f"{', '.join(host.name for host in present)} have the address {ip_address}; give `host`"
            )
        return present[0]

    def _forward(self, sender: Host, source: Address, destination: Address, datagram: bytes, now: float) -> None:
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
                self._note(Translated(now, box.name, source, external, datagram))
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
                self._note(Translated(now, member.name, destination, internal, datagram))
            source, shown = shown or source, None
            destination, realm = internal, member.inside

    def _drop(
        self, box: Middlebox, reason: DropReason, source: Address, destination: Address, datagram: bytes, now: float
    ) -> None:
        self._counters["filtered"] += 1
        self._note(Dropped(now, box.name, reason, source, destination, datagram))

    def _note(self, entry: Translated | Dropped) -> None:
        self._digest.update(repr(entry).encode())
        if self._trace is not None:
            self._trace.append(entry)

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


def _places(member: Host | Middlebox) -> Sequence[Realm]:
    return member.realms if isinstance(member, Host) else (member.outside,)


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
