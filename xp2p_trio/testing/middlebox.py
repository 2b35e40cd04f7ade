"""NATs and firewalls at work: made by `Network.nat` and `Network.firewall`."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import final

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address
from xp2p_trio.testing.host import canonical
from xp2p_trio.testing.mappings import MappingTable
from xp2p_trio.testing.nat import FirewallPolicy, NatBehaviour
from xp2p_trio.testing.realm import Realm


class DropReason(enum.Enum):
    """Why a box dropped a datagram, or did not let a stream through. It says nothing to the sender."""

    BLOCKED = "blocked"
    """UDP, or TCP, may not use the remote port."""
    NO_PORT = "no_port"
    """All external ports are taken."""
    NO_HAIRPIN = "no_hairpin"
    """A host inside sent to an external address, and the NAT does no hairpinning."""
    NO_MAPPING = "no_mapping"
    """It came for an external address that leads nowhere."""
    FILTERED = "filtered"
    """Its sender may not send to this mapping."""


@attrs.frozen(kw_only=True)
class MiddleboxStatistics:
    """A snapshot; numbers of datagrams but for `mappings_created`. A stream counts where it is not let through.

    Attributes:
        outbound: let out.
        inbound: let in.
        mappings_created: sockets inside that became visible, once for each external address.
        blocked: dropped for `DropReason.BLOCKED`; the others likewise.
        no_port: see there.
        no_hairpin: see there.
        no_mapping: see there.
        filtered: see there.
    """

    outbound: int = 0
    inbound: int = 0
    mappings_created: int = 0
    blocked: int = 0
    no_port: int = 0
    no_hairpin: int = 0
    no_mapping: int = 0
    filtered: int = 0


@attrs.frozen
class Passage:
    """How a stream came through a box when it was opened.

    Attributes:
        is_outward: whether it was opened from inside.
        source: who opened it, on the side it came from.
        destination: whom it was for, on that side.
        translated: its source on the other side if it goes outward, else its destination there.
    """

    is_outward: bool
    source: Address
    destination: Address
    translated: Address


def _is_ipv6(ip_address: str) -> bool:
    return ":" in ip_address


def _same(internal: Address, is_free: Callable[[Address], bool]) -> Address | None:
    """The allocation of a box that does not translate: mappings of one socket are one."""
    return internal


def _firewall_table(policy: NatBehaviour | FirewallPolicy) -> MappingTable:
    return MappingTable(
        mapping="endpoint-independent",
        filtering=policy.filtering or "endpoint-independent",
        timeout=policy.timeout,
        inbound_refresh=policy.inbound_refresh,
        allocate=_same,
    )


@final
class Nat:
    """Translates UDP and TCP over IPv4 between its inside and where it stands; IPv6 passes a stateful filter.

    Whatever it does with UDP, TCP that is opened from inside always comes through, each stream with an external port of
    its own (RFC 5382), and nothing else does but for `forward_tcp`. A stream never times out.

    Attributes:
        name: as the network knows it.
        behaviour: what it does.
        inside: its hosts and boxes.
        outside: where its own addresses are.
    """

    def __init__(
        self, name: str, ip_addresses: Iterable[str], behaviour: NatBehaviour, outside: Realm, random: Random
    ) -> None:
        self.name = name
        self.behaviour = behaviour
        self.inside = Realm(self)
        self.outside = outside
        self._ip_addresses = list(dict.fromkeys(map(canonical, ip_addresses)))
        self._random = random
        self._ipv4 = MappingTable(
            mapping=behaviour.mapping,
            filtering=behaviour.filtering,
            timeout=behaviour.timeout,
            inbound_refresh=behaviour.inbound_refresh,
            allocate=self._allocate,
        )
        self._ipv6 = _firewall_table(behaviour)
        self._streams: dict[Address, Passage] = {}
        self._forwarded: dict[int, Address] = {}
        self._external_ips: dict[str, str] = {}
        self._next_port = behaviour.port_range[0]
        self._retired: set[Address] = set()
        self._counters: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Nat {self.name!r} {', '.join(self._ip_addresses)}>"

    @property
    def ip_addresses(self) -> Sequence[str]:
        """Its external addresses. A host inside always gets the same one (RFC 4787 section 4.1, REQ-2)."""
        return tuple(self._ip_addresses)

    @property
    def statistics(self) -> MiddleboxStatistics:
        """The numbers so far."""
        return MiddleboxStatistics(**self._counters, mappings_created=self._ipv4.created + self._ipv6.created)

    def forward_tcp(self, port: int, internal: Address) -> None:
        """Let streams to this external port through to an address inside, from now on."""
        self._forwarded[port] = (canonical(internal[0]), internal[1])

    def rebind(self, *ip_addresses: str) -> None:
        """Forget all mappings, as after a restart: no socket gets an external address again that was in use before.

        What is still sent on a stream from inside is answered by its end.

        Args:
            ip_addresses: new external addresses, as after a new connection to the provider; none keeps the old ones.

        Raises:
            InvalidArgument: an address is no IPv4 address, or taken.
        """
        new = list(dict.fromkeys(map(canonical, ip_addresses)))
        if any(map(_is_ipv6, new)):
            raise InvalidArgument("a NAT has external addresses of IPv4")
        for ip_address in new:
            if ip_address not in self._ip_addresses:
                self.outside.check_free(ip_address)
        self._retired = self._ipv4.clear() | self._streams.keys()
        self._streams.clear()
        self._ipv6.clear()
        self._external_ips.clear()
        if new:
            for ip_address in self._ip_addresses:
                self.outside.remove(ip_address)
            self._ip_addresses = new
            for ip_address in new:
                self.outside.add(ip_address, self)

    def hides(self, ip_address: str) -> bool:
        """Whether an address inside cannot be seen from outside."""
        return not _is_ipv6(ip_address)

    def send_out(self, source: Address, destination: Address, now: float) -> Address | DropReason:
        """Let a datagram out. Returns the source address that it has from here on."""
        if destination[0] in self._ip_addresses and self.behaviour.hairpinning == "off":
            return self._drop(DropReason.NO_HAIRPIN)
        table = self._ipv6 if _is_ipv6(source[0]) else self._ipv4
        external = table.outbound(source, destination, now)
        if external is None:
            return self._drop(DropReason.NO_PORT)
        self._counters["outbound"] += 1
        return external

    def take_in(self, source: Address, destination: Address, now: float) -> Address | DropReason:
        """Let a datagram in. Returns the destination address that it has from here on."""
        table = self._ipv6 if _is_ipv6(destination[0]) else self._ipv4
        internal = table.inbound(destination, source, now)
        if internal is None:
            is_mapped = table.is_mapped(destination, now)
            return self._drop(DropReason.FILTERED if is_mapped else DropReason.NO_MAPPING)
        self._counters["inbound"] += 1
        return internal

    def open_out(self, source: Address, destination: Address) -> Passage | DropReason:
        """Let a stream out that is being opened."""
        if destination[0] in self._ip_addresses and self.behaviour.hairpinning == "off":
            return self._drop(DropReason.NO_HAIRPIN)
        external = source if _is_ipv6(source[0]) else self._allocate(source, self._is_free_for_stream)
        if external is None:
            return self._drop(DropReason.NO_PORT)
        passage = self._streams[external] = Passage(True, source, destination, external)
        return passage

    def open_in(self, source: Address, destination: Address) -> Passage | DropReason:
        """Let a stream in that is being opened."""
        internal = None if _is_ipv6(destination[0]) else self._forwarded.get(destination[1])
        if internal is None:
            return self._drop(DropReason.FILTERED if _is_ipv6(destination[0]) else DropReason.NO_MAPPING)
        return Passage(False, source, destination, internal)

    def carries(self, passage: Passage) -> bool:
        """Whether what a stream brings still comes through."""
        if passage.is_outward:
            return self._streams.get(passage.translated) is passage
        is_ours = passage.destination[0] in self._ip_addresses
        return is_ours and self._forwarded.get(passage.destination[1]) == passage.translated

    def forget(self, passage: Passage) -> None:
        """A stream is over."""
        if passage.is_outward and self._streams.get(passage.translated) is passage:
            del self._streams[passage.translated]

    def hairpins_as_internal(self, destination: Address) -> bool:
        """Whether what a host inside sends there comes back in with its internal source address."""
        return self.behaviour.hairpinning == "internal" and destination[0] in self._ip_addresses

    def owner(self, external: Address) -> Address | None:
        """The address inside that an external one leads to, filter and time aside."""
        return external if _is_ipv6(external[0]) else self._ipv4.owner(external)

    def _is_free_for_stream(self, external: Address) -> bool:
        return external not in self._streams and external[1] not in self._forwarded

    def _drop(self, reason: DropReason) -> DropReason:
        self._counters[reason.value] += 1
        return reason

    def _allocate(self, internal: Address, is_free: Callable[[Address], bool]) -> Address | None:
        ip_address = self._external_ips.get(internal[0])
        if ip_address is None:
            ip_address = self._ip_addresses[len(self._external_ips) % len(self._ip_addresses)]
            self._external_ips[internal[0]] = ip_address
        first, last = self.behaviour.port_range
        count = last - first + 1
        start = first + int(self._random.random() * count)
        match self.behaviour.ports:
            case "preserving" if (
                first <= internal[1] <= last
                and is_free((ip_address, internal[1]))
                and (ip_address, internal[1]) not in self._retired
            ):
                return ip_address, internal[1]
            case "contiguous":
                start = self._next_port
            case _:
                pass
        for step in range(count):
            external = ip_address, first + (start - first + step) % count
            if is_free(external) and external not in self._retired:
                self._next_port = external[1] + 1
                return external
        return None


@final
class Firewall:
    """Stands between its inside and the rest without changing an address.

    A stream that is opened from inside comes through if the policy allows its remote port, and for as long as it does;
    one that is opened from outside only where the policy has neither a filter nor a list of ports.

    Attributes:
        name: as the network knows it.
        inside: its hosts and boxes.
        outside: where it stands.
    """

    def __init__(self, name: str, policy: FirewallPolicy, outside: Realm) -> None:
        self.name = name
        self.inside = Realm(self)
        self.outside = outside
        self._created_before = 0
        self._counters: Counter[str] = Counter()
        self._policy = policy
        self._table = _firewall_table(policy)

    def __repr__(self) -> str:
        return f"<Firewall {self.name!r}>"

    @property
    def policy(self) -> FirewallPolicy:
        """What it lets through. Setting it forgets who may answer."""
        return self._policy

    @policy.setter
    def policy(self, policy: FirewallPolicy) -> None:
        self._created_before += self._table.created
        self._policy = policy
        self._table = _firewall_table(policy)

    @property
    def statistics(self) -> MiddleboxStatistics:
        """The numbers so far."""
        return MiddleboxStatistics(**self._counters, mappings_created=self._created_before + self._table.created)

    def hides(self, ip_address: str) -> bool:
        """Whether an address inside cannot be seen from outside: never."""
        return False

    def send_out(self, source: Address, destination: Address, now: float) -> Address | DropReason:
        """Let a datagram out. Returns its source address."""
        if not self._allows(destination[1]):
            return self._drop(DropReason.BLOCKED)
        self._table.outbound(source, destination, now)
        self._counters["outbound"] += 1
        return source

    def take_in(self, source: Address, destination: Address, now: float) -> Address | DropReason:
        """Let a datagram in. Returns its destination address."""
        if not self._allows(source[1]):
            return self._drop(DropReason.BLOCKED)
        is_let_in = self._table.inbound(destination, source, now) is not None
        if self._policy.filtering is not None and not is_let_in:
            return self._drop(DropReason.FILTERED)
        self._counters["inbound"] += 1
        return destination

    def open_out(self, source: Address, destination: Address) -> Passage | DropReason:
        """Let a stream out that is being opened."""
        passage = Passage(True, source, destination, source)
        return passage if self.carries(passage) else self._drop(DropReason.BLOCKED)

    def open_in(self, source: Address, destination: Address) -> Passage | DropReason:
        """Let a stream in that is being opened."""
        passage = Passage(False, source, destination, destination)
        return passage if self.carries(passage) else self._drop(DropReason.FILTERED)

    def carries(self, passage: Passage) -> bool:
        """Whether what a stream brings still comes through."""
        ports = self._policy.tcp_ports
        if passage.is_outward:
            return ports is None or passage.destination[1] in ports
        return ports is None and self._policy.filtering is None

    def forget(self, passage: Passage) -> None:
        """A stream is over."""

    def hairpins_as_internal(self, destination: Address) -> bool:
        """Nothing comes back in: who is inside is found there."""
        return False

    def owner(self, external: Address) -> Address:
        """The address inside that it leads to."""
        return external

    def _allows(self, port: int) -> bool:
        return self._policy.allowed_ports is None or port in self._policy.allowed_ports

    def _drop(self, reason: DropReason) -> DropReason:
        self._counters[reason.value] += 1
        return reason
