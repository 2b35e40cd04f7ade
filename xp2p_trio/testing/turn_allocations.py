"""What a TURN server keeps: allocations with their permissions and channels, and the ports that they have."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias, final

import attrs

from xp2p_trio.sansio import Address, RandomBytes, Transport
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.turn import CHANNEL_LIFETIME, PERMISSION_LIFETIME

MAX_PORTS_TRIED = 16
"""Ports that one Allocate tries, where a real server finds them taken by other programs."""


class FiveTuple(NamedTuple):
    """How a client is known (RFC 8656 section 3.2)."""

    transport: Transport
    server: Address
    client: Address


@attrs.frozen
class AllocationCreated:
    """A relayed address is in use from now on: a real server binds a socket to it, or says `relayed_address_taken`."""

    client: Address
    relayed_address: Address
    username: str
    transport: Transport = Transport.UDP


@attrs.frozen
class AllocationDeleted:
    """It is no longer in use."""

    client: Address
    relayed_address: Address
    username: str
    is_expired: bool
    transport: Transport = Transport.UDP


@attrs.frozen
class StreamDropped:
    """The server has done with a client's stream, which is to be closed. What is still to be transmitted goes first."""

    local: Address
    remote: Address
    transport: Transport
    reason: str


TurnServerEvent: TypeAlias = AllocationCreated | AllocationDeleted | StreamDropped


@attrs.define
class ServerAllocation:
    """One client's. Times are when something ends.

    Attributes:
        path: the five-tuple, as which it is known.
        relayed_address: where peers send to.
        username: who made it.
        transaction_id: of the Allocate that made it, which may be repeated.
        expires: of the allocation.
        permissions: by host.
        channels: by number, the peer and the end.
        numbers: of channels, by peer.
        ports_tried: for its relayed address.
    """

    path: FiveTuple
    relayed_address: Address
    username: str
    transaction_id: bytes
    expires: float
    permissions: dict[str, float] = attrs.field(factory=dict)
    channels: dict[int, tuple[Address, float]] = attrs.field(factory=dict)
    numbers: dict[Address, int] = attrs.field(factory=dict)
    ports_tried: int = 1

    def may_relay(self, host: str, now: float) -> bool:
        """Whether the host has a permission."""
        return self.permissions.get(host, -math.inf) > now

    def channel_of(self, peer: Address, now: float) -> int | None:
        """The number that is bound to a peer."""
        number = self.numbers.get(peer)
        return number if number is not None and self.channels[number][1] > now else None

    def peer_of(self, number: int, now: float) -> Address | None:
        """The peer that a channel is bound to."""
        peer, expires = self.channels.get(number, (None, -math.inf))
        return peer if expires > now else None

    def permit(self, hosts: set[str], now: float, limit: int) -> bool:
        """Let these hosts in. Returns False, and does nothing, where that would be more than `limit`."""
        if len(self.permissions.keys() | hosts) > limit:
            self.permissions = {host: expires for host, expires in self.permissions.items() if expires > now}
            if len(self.permissions.keys() | hosts) > limit:
                return False
        self.permissions.update(dict.fromkeys(hosts, now + PERMISSION_LIFETIME))
        return True

    def bind(self, number: int, peer: Address, now: float, limit: int) -> bool:
        """Bind a channel that is free, or bound to this peer. Returns False where that would be more than `limit`."""
        if len(self.channels) >= limit and number not in self.channels:
            self.channels = {number: bound for number, bound in self.channels.items() if bound[1] > now}
            self.numbers = {bound[0]: number for number, bound in self.channels.items()}
            if len(self.channels) >= limit:
                return False
        # What either was bound to has expired.
        self.numbers.pop(self.channels.pop(number, (peer, now))[0], None)
        self.channels.pop(self.numbers.pop(peer, number), None)
        self.channels[number] = peer, now + CHANNEL_LIFETIME
        self.numbers[peer] = number
        return True


@final
class Allocations:
    """All of a server.

    Args:
        configuration: of the server.
        random_bytes: for ports.
        events: where the news goes.
    """

    def __init__(
        self, configuration: TurnServerConfiguration, random_bytes: RandomBytes, events: list[TurnServerEvent]
    ) -> None:
        self._ports = configuration.ports
        self._random_bytes = random_bytes
        self._events = events
        self._by_path: dict[FiveTuple, ServerAllocation] = {}
        self._by_relayed_address: dict[Address, ServerAllocation] = {}

    def __len__(self) -> int:
        return len(self._by_path)

    def all(self) -> list[ServerAllocation]:
        """Those that exist."""
        return list(self._by_path.values())

    def get(self, path: FiveTuple) -> ServerAllocation | None:
        """A client's."""
        return self._by_path.get(path)

    def at(self, relayed_address: Address) -> ServerAllocation | None:
        """The one that peers reach there."""
        return self._by_relayed_address.get(relayed_address)

    def count(self, username: str) -> int:
        """Of a user."""
        return sum(one.username == username for one in self._by_path.values())

    def create(
        self, path: FiveTuple, host: str, username: str, transaction_id: bytes, expires: float
    ) -> ServerAllocation | None:
        """Make one; None where the host has no port left."""
        port = self._free_port(host, 0)
        if port is None:
            return None
        allocation = ServerAllocation(path, (host, port), username, transaction_id, expires)
        self._by_path[path] = allocation
        self._register(allocation)
        return allocation

    def move(self, relayed_address: Address) -> None:
        """Give the allocation there another port, or, where there is none, forget it."""
        allocation = self._by_relayed_address.get(relayed_address)
        if allocation is None:
            return
        host, taken = relayed_address
        # The old port stays registered meanwhile, so that another one is found.
        port = self._free_port(host, taken) if allocation.ports_tried < MAX_PORTS_TRIED else None
        del self._by_relayed_address[relayed_address]
        if port is None:
            del self._by_path[allocation.path]
            return
        allocation.ports_tried += 1
        allocation.relayed_address = host, port
        self._register(allocation)

    def delete(self, path: FiveTuple, *, is_expired: bool) -> None:
        """Forget a client's, if it has one."""
        allocation = self._by_path.pop(path, None)
        if allocation is None:
            return
        del self._by_relayed_address[allocation.relayed_address]
        self._events.append(
            AllocationDeleted(path.client, allocation.relayed_address, allocation.username, is_expired, path.transport)
        )

    def expire(self, now: float) -> None:
        """Forget those whose time is over."""
        for path in [path for path, allocation in self._by_path.items() if allocation.expires <= now]:
            self.delete(path, is_expired=True)

    def next_expiry(self) -> float:
        """When the next one ends."""
        return min((allocation.expires for allocation in self._by_path.values()), default=math.inf)

    def _register(self, allocation: ServerAllocation) -> None:
        path = allocation.path
        self._by_relayed_address[allocation.relayed_address] = allocation
        self._events.append(
            AllocationCreated(path.client, allocation.relayed_address, allocation.username, path.transport)
        )

    def _free_port(self, host: str, taken: int) -> int | None:
        """The next one behind the one that is taken, or behind a random one (RFC 8656 section 7.2)."""
        first, last = self._ports
        count = last - first + 1
        start = taken - first + 1 if taken else int.from_bytes(self._random_bytes(4), "big")
        for step in range(min(count, len(self._by_path) + 1)):
            port = first + (start + step) % count
            if (host, port) not in self._by_relayed_address:
                return port
        return None
