"""Hosts joined by links: a whole network as one deterministic sans-IO object."""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import shake_256
from random import Random
from typing import TYPE_CHECKING, Protocol, final
from weakref import WeakSet

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst, RandomBytes, Transport
from xp2p_trio.testing.datagrams import Datagrams
from xp2p_trio.testing.host import Host, canonical
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.middlebox import Firewall, Nat
from xp2p_trio.testing.multicast import Groups
from xp2p_trio.testing.nat import PORT_RESTRICTED_CONE, STATEFUL, FirewallPolicy, NatBehaviour
from xp2p_trio.testing.realm import Realm
from xp2p_trio.testing.statistics import NetworkStatistics
from xp2p_trio.testing.streams import StreamNews, Streams
from xp2p_trio.testing.trace import Recorder, TraceEntry
from xp2p_trio.testing.wire import Wire

if TYPE_CHECKING:
    from xp2p_trio.testing.realm import Middlebox


class Monitor(Protocol):
    """Watches everything that passes; it raises to fail the run. Bursts are as their sender or receiver sees them."""

    def sent(self, burst: Burst, now: float) -> None:
        """A host handed these datagrams, or pieces of a stream, to the network."""

    def delivered(self, burst: Burst, now: float) -> None:
        """These datagrams, or pieces of a stream, are about to be handed to their host."""


class Watcher(Protocol):
    """Hears of what happens outside of `send` and `deliver`."""

    def addresses_changed(self) -> None:
        """A host has other addresses than before, or streams that ended with one."""


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

    Attributes:
        groups: who hears multicast; `Host.join_group` is the way to it.
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
        self._watchers: WeakSet[Watcher] = WeakSet()
        self.groups = Groups()
        self._now = -math.inf
        self._counters: Counter[str] = Counter()
        self._recorder = Recorder(keep=keep_trace)
        self._datagrams = Datagrams(self._wire, self._recorder, self._counters)
        self._streams = Streams(self._wire, self._recorder, self._counters)

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
        self._tell_watchers()

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

    def watch(self, watcher: Watcher) -> None:
        """Tell this one of changes, for as long as somebody else holds it."""
        self._watchers.add(watcher)

    def add_monitor(self, monitor: Monitor) -> None:
        """Let this one watch as well, from now on."""
        self._monitors.append(monitor)

    def send(self, burst: Burst, now: float, *, host: str | None = None) -> None:
        """Take the datagrams of a sender, as it sees them, or what it writes to a stream that was made by `connect`.

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
        if burst.transport.is_stream:
            for monitor in self._monitors:
                monitor.sent(burst, now)
            self._streams.send(sender, burst, now)
            return
        if max(map(len, burst.datagrams), default=0) > 65507:  # RFC 768: 16-bit length; RFC 791: 20 bytes of header
            raise InvalidArgument("a datagram is longer than the 65507 bytes that UDP carries")
        for monitor in self._monitors:
            monitor.sent(burst, now)
        receivers = self.groups.receivers(sender, source[0], destination)
        for datagram in burst.datagrams:
            self._recorder.sent(now, source, destination, datagram, burst.transport)
            for receiver in receivers:
                self._datagrams.send(sender, source, receiver, datagram, now)

    def listen(self, host: str, address: Address, *, transport: Transport = Transport.TCP) -> Address:
        """Let a host take streams.

        Args:
            host: its name.
            address: one of its own; port 0 picks a free one.
            transport: TCP or TLS, which is nothing but another word here: nothing is encrypted.

        Returns:
            The address with its port.

        Raises:
            OSError: the address is not of this host, or taken.
            InvalidArgument: there is no such host, or the address is none.
        """
        return self._streams.listen(self.host(host), address, transport)

    def stop_listening(self, host: str, address: Address) -> None:
        """End `listen`; the streams that it took go on."""
        self._streams.stop_listening(self.host(host), address)

    def connect(
        self,
        host: str,
        remote: Address,
        now: float,
        *,
        transport: Transport = Transport.TCP,
        local_ip: str | None = None,
    ) -> Address:
        """Open a stream, at once: `send` takes bursts for it from now on, which arrive behind the news of it.

        Args:
            host: the name of the host that connects.
            remote: whom to.
            now: the time.
            transport: TCP or TLS, as at the listener.
            local_ip: one of its own addresses; None takes the first of the family.

        Returns:
            The local address, which names the stream together with the remote one and the transport.

        Raises:
            ConnectionRefusedError: nobody listens there.
            TimeoutError: no way leads there: a NAT, a firewall, a link that loses everything, or nobody's address.
            OSError: the host has no address of that family; the listener speaks the other transport.
            InvalidArgument: there is no such host, or it has no such address.
        """
        return self._streams.connect(
            self.host(host), remote, self._advance(now), transport=transport, local_ip=local_ip
        )

    def close_stream(self, host: str, local: Address, remote: Address, now: float) -> None:
        """Close an end of a stream: the other gets what is under way, and then its end. Again is harmless."""
        self._streams.close(self.host(host), local, remote, self._advance(now))

    def take_stream_news(self) -> list[StreamNews]:
        """Drain what `deliver` found about streams, oldest first: those that were accepted, and those that ended.

        When a batch of `deliver` brings both, the first come before its bursts, and the second behind them.
        """
        return self._streams.take_news()

    @property
    def streams(self) -> Streams:
        """What the sockets of a host ask about streams."""
        return self._streams

    def address_gone(self, host: Host, ip_address: str) -> None:
        """A host says that it has no longer this address."""
        self._streams.address_gone(host, ip_address, self._now)
        self._tell_watchers()

    def next_timeout(self) -> float:
        """When the next arrival is due, in absolute seconds; `math.inf` when nothing is under way."""
        return min(self._datagrams.next_arrival(), self._streams.next_arrival())

    def deliver(self, now: float) -> list[Burst]:
        """What has arrived by `now`, as the receivers see it; neighbours on one path share a burst."""
        return [burst for _, burst in self.deliver_to_hosts(now)]

    def deliver_to_hosts(self, now: float) -> list[tuple[str, Burst]]:
        """`deliver`, with the name of the receiving host."""
        now = self._advance(now)
        bursts = self._datagrams.deliver(now) + self._streams.deliver(now)
        for _, burst in bursts:
            for monitor in self._monitors:
                monitor.delivered(burst, now)
        return bursts

    @property
    def in_flight(self) -> int:
        """Number of datagrams, and of pieces of streams, under way."""
        return self._datagrams.in_flight + self._streams.in_flight

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
        if self._recorder.entries is None:
            raise InvalidArgument("this network keeps no trace; make it with Network(keep_trace=True)")
        return tuple(self._recorder.entries)

    @property
    def trace_hash(self) -> str:
        """A digest of the same, with times and addresses: equal runs have equal hashes."""
        return self._recorder.hash

    def _advance(self, now: float) -> float:
        self._now = max(self._now, now)
        return self._now

    def _tell_watchers(self) -> None:
        for watcher in list(self._watchers):
            watcher.addresses_changed()

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

    def _wire(self, source: str, destination: str) -> Wire:
        pair = source, destination
        wire = self._wires.get(pair)
        if wire is None:
            # Each direction draws from its own sequence, so that traffic on one does not change the fate of another.
            random = Random(f"{self._seed}/{source}>{destination}")  # noqa: S311 - a simulation, not a secret
            wire = self._wires[pair] = Wire(self.link(source, destination), random)
        return wire


def _places(member: Host | Middlebox) -> Sequence[Realm]:
    return member.realms if isinstance(member, Host) else (member.outside,)
