"""A TURN server (RFC 8656) without I/O: allocations of UDP, permissions, channels, data, quotas, faults to order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias, final

import attrs

from xp2p_trio.errors import DecodeError
from xp2p_trio.sansio import Address, Burst, RandomBytes
from xp2p_trio.stun import (
    TRANSACTION_ID_SIZE,
    AlternateServer,
    Attribute,
    ChannelNumber,
    Data,
    ErrorCode,
    Lifetime,
    Message,
    MessageClass,
    Method,
    RequestedAddressFamily,
    RequestedTransport,
    Software,
    UnknownAttributes,
    XorMappedAddress,
    XorPeerAddress,
    XorRelayedAddress,
    decode_message,
    encode_message,
)
from xp2p_trio.testing.stun_server import MAX_QUEUED_BURSTS, answer_binding
from xp2p_trio.testing.turn_authentication import Authenticated, Gatekeeper, Rejected
from xp2p_trio.testing.turn_configuration import TurnFaults, TurnServerConfiguration
from xp2p_trio.turn import (
    CHANNEL_LIFETIME,
    FIRST_CHANNEL,
    LAST_CHANNEL,
    PERMISSION_LIFETIME,
    decode_channel_data,
    encode_channel_data,
)

_UDP = 17
_IPV4, _IPV6 = 1, 2

FiveTuple: TypeAlias = tuple[Address, Address]
"""The server's address and the client's."""


@attrs.frozen
class AllocationCreated:
    """A relayed address is in use from now on: a real server binds a socket to it."""

    client: Address
    relayed_address: Address
    username: str


@attrs.frozen
class AllocationDeleted:
    """It is no longer in use."""

    client: Address
    relayed_address: Address
    username: str
    is_expired: bool


TurnServerEvent: TypeAlias = AllocationCreated | AllocationDeleted


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
    """

    path: FiveTuple
    relayed_address: Address
    username: str
    transaction_id: bytes
    expires: float
    permissions: dict[str, float] = attrs.field(factory=dict)
    channels: dict[int, tuple[Address, float]] = attrs.field(factory=dict)

    def may_relay(self, host: str, now: float) -> bool:
        """Whether the host has a permission."""
        return self.permissions.get(host, -math.inf) > now

    def channel_of(self, peer: Address, now: float) -> int | None:
        """The number that is bound to a peer."""
        for number, (bound, expires) in self.channels.items():
            if bound == peer and expires > now:
                return number
        return None


@attrs.frozen
class _Success:
    attributes: tuple[Attribute, ...] = ()


_Answer: TypeAlias = _Success | Rejected


@final
class TurnServer:
    """A server on a host of `Network`, for `drive`; or behind sockets, which its events tell to bind.

    What comes for one of its relayed addresses is taken as from a peer, all else as from a client.

    Args:
        configuration: what it does.
        random_bytes: for ports, transaction ids and the secret of its nonces.

    Attributes:
        faults: what it does wrong.
        requests_received: requests by method, retransmissions included.
    """

    def __init__(self, configuration: TurnServerConfiguration, random_bytes: RandomBytes) -> None:
        self.faults = TurnFaults()
        self.requests_received: dict[int, int] = {}
        self._configuration = configuration
        self._random_bytes = random_bytes
        self._gatekeeper = Gatekeeper(configuration, random_bytes)
        self._allocations: dict[FiveTuple, ServerAllocation] = {}
        self._by_relayed_address: dict[Address, ServerAllocation] = {}
        self._outgoing: list[Burst] = []
        self._events: list[TurnServerEvent] = []
        self._now = -math.inf
        self._handlers: dict[int, Callable[[Message, FiveTuple, str], _Answer]] = {
            Method.ALLOCATE: self._allocate,
            Method.REFRESH: self._refresh,
            Method.CREATE_PERMISSION: self._create_permission,
            Method.CHANNEL_BIND: self._channel_bind,
        }

    @property
    def allocations(self) -> list[ServerAllocation]:
        """Those that exist."""
        return list(self._allocations.values())

    def set_password(self, username: str, password: str | None) -> None:
        """Change what a user has to prove, or, with None, remove the user."""
        users = self._gatekeeper.users
        if users is not None and password is None:
            users.pop(username, None)
        elif users is not None and password is not None:
            users[username] = password

    def receive(self, batch: Burst, now: float) -> None:
        """Take datagrams of a client or of a peer."""
        self._advance(now)
        if self.faults.is_silent:
            return
        allocation = self._by_relayed_address.get(batch.local)
        for datagram in batch.datagrams:
            if allocation is not None:
                self._from_peer(allocation, batch.remote, datagram)
            else:
                self._from_client((batch.local, batch.remote), datagram)

    def handle_timeout(self, now: float) -> None:
        """Let allocations expire."""
        self._advance(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """Responses, and data to clients and peers."""
        self._advance(now)
        bursts, self._outgoing = self._outgoing[:limit], self._outgoing[limit:]
        return bursts

    def take_events(self) -> list[TurnServerEvent]:
        """Which relayed addresses came and went."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float:
        """When the next allocation expires."""
        return min((allocation.expires for allocation in self._allocations.values()), default=math.inf)

    # --- clients ---

    def _from_client(self, path: FiveTuple, datagram: bytes) -> None:
        if datagram and 64 <= datagram[0] <= 79:  # RFC 7983 section 7
            self._channel_data(path, datagram)
            return
        try:
            message = decode_message(datagram)
        except DecodeError:
            return
        if message.message_class is MessageClass.INDICATION and message.method == Method.SEND:
            self._send_indication(path, message)
        elif message.message_class is MessageClass.REQUEST:
            self.requests_received[message.method] = self.requests_received.get(message.method, 0) + 1
            if message.method == Method.BINDING:
                self._put(path, answer_binding(message, path[1], self._configuration.software))
            elif message.method in self._handlers:
                self._request(path, message)

    def _request(self, path: FiveTuple, request: Message) -> None:
        found = self._gatekeeper.check(request, path[1], self._now, always_stale=self.faults.always_stale)
        if isinstance(found, Rejected):
            self._respond(path, request, found, None)
            return
        if unknown := request.unknown_required:  # RFC 8489 section 6.3.1
            self._respond(path, request, Rejected(420, "Unknown Attribute", (UnknownAttributes(unknown),)), found)
            return
        if self.faults.forgets:
            self.faults.forgets = False
            self._forget(path, is_expired=True)
        code = self.faults.error_codes.get(Method(request.method))
        allocation = self._allocations.get(path)
        if code is not None:
            answer: _Answer = Rejected(code, "as configured")
        elif request.method != Method.ALLOCATE and allocation is None:
            answer = Rejected(437, "Allocation Mismatch")
        elif request.method != Method.ALLOCATE and allocation is not None and allocation.username != found.username:
            answer = Rejected(441, "Wrong Credentials")
        else:
            answer = self._handlers[request.method](request, path, found.username)
        self._respond(path, request, answer, found)

    def _respond(self, path: FiveTuple, request: Message, answer: _Answer, found: Authenticated | None) -> None:
        attributes = list(answer.attributes)
        kind = MessageClass.SUCCESS_RESPONSE
        if isinstance(answer, Rejected):
            kind = MessageClass.ERROR_RESPONSE
            attributes.insert(0, ErrorCode(answer.code, answer.reason))
        if request.method in (Method.ALLOCATE, Method.REFRESH):
            attributes.append(Software(self._configuration.software))
        response = Message(kind, request.method, request.transaction_id, tuple(attributes))
        if found is None or found.key is None or self.faults.no_integrity:
            self._put(path, encode_message(response, fingerprint=True))
        else:
            key = bytes(16) if self.faults.wrong_integrity else found.key
            self._put(path, encode_message(response, key=key, algorithm=found.integrity, fingerprint=True))

    def _allocate(self, request: Message, path: FiveTuple, username: str) -> _Answer:
        """RFC 8656 section 7.2; EVEN-PORT, RESERVATION-TOKEN and DONT-FRAGMENT are unknown attributes here."""
        old = self._allocations.get(path)
        if old is not None:
            if old.transaction_id == request.transaction_id:  # repeated: the same answer once more
                return self._allocated(old)
            return Rejected(437, "Allocation Mismatch")
        transport = request.get(RequestedTransport)
        if transport is None:
            return Rejected(400, "Bad Request")
        if transport.number != _UDP:
            return Rejected(442, "Unsupported Transport Protocol")
        family = request.get(RequestedAddressFamily)
        host = self._relay_host(_IPV4 if family is None else family.number)
        if host is None:
            return Rejected(440, "Address Family not Supported")
        if self._configuration.alternate_server is not None:
            return Rejected(300, "Try Alternate", (AlternateServer(self._configuration.alternate_server),))
        if sum(one.username == username for one in self._allocations.values()) >= self._configuration.user_quota:
            return Rejected(486, "Allocation Quota Reached")
        port = self._free_port(host)
        if port is None or len(self._allocations) >= self._configuration.capacity:
            return Rejected(508, "Insufficient Capacity")
        expires = self._now + self._lifetime(request)
        allocation = ServerAllocation(path, (host, port), username, request.transaction_id, expires)
        self._allocations[path] = self._by_relayed_address[host, port] = allocation
        self._events.append(AllocationCreated(path[1], allocation.relayed_address, username))
        return self._allocated(allocation)

    def _allocated(self, allocation: ServerAllocation) -> _Success:
        return _Success(
            (
                XorRelayedAddress(allocation.relayed_address),
                Lifetime(round(allocation.expires - self._now)),
                XorMappedAddress(allocation.path[1]),
            )
        )

    def _refresh(self, request: Message, path: FiveTuple, username: str) -> _Answer:
        """RFC 8656 section 8.2."""
        allocation = self._allocations[path]
        family = request.get(RequestedAddressFamily)
        if family is not None and family.number != _family(allocation.relayed_address[0]):
            return Rejected(443, "Peer Address Family Mismatch")
        lifetime = self._lifetime(request)
        if lifetime:
            allocation.expires = self._now + lifetime
        else:
            self._forget(path, is_expired=False)
        return _Success((Lifetime(lifetime),))

    def _create_permission(self, request: Message, path: FiveTuple, username: str) -> _Answer:
        """RFC 8656 section 10.2."""
        allocation = self._allocations[path]
        peers = [attribute.address for attribute in request.attributes if isinstance(attribute, XorPeerAddress)]
        if not peers:
            return Rejected(400, "Bad Request")
        for peer in peers:
            if (refusal := self._refuse_peer(allocation, peer)) is not None:
                return refusal
        allocation.permissions.update(dict.fromkeys((host for host, _ in peers), self._now + PERMISSION_LIFETIME))
        return _Success()

    def _channel_bind(self, request: Message, path: FiveTuple, username: str) -> _Answer:
        """RFC 8656 section 12.2."""
        allocation = self._allocations[path]
        number, peer = request.get(ChannelNumber), request.get(XorPeerAddress)
        if number is None or peer is None or not FIRST_CHANNEL <= number.number <= LAST_CHANNEL:
            return Rejected(400, "Bad Request")
        bound, expires = allocation.channels.get(number.number, (peer.address, -math.inf))
        if expires > self._now and bound != peer.address:
            return Rejected(400, "Bad Request")
        if allocation.channel_of(peer.address, self._now) not in (None, number.number):
            return Rejected(400, "Bad Request")
        if (refusal := self._refuse_peer(allocation, peer.address)) is not None:
            return refusal
        allocation.channels[number.number] = peer.address, self._now + CHANNEL_LIFETIME
        allocation.permissions[peer.address[0]] = self._now + PERMISSION_LIFETIME
        return _Success()

    def _refuse_peer(self, allocation: ServerAllocation, peer: Address) -> Rejected | None:
        if _family(peer[0]) != _family(allocation.relayed_address[0]):
            return Rejected(443, "Peer Address Family Mismatch")
        if self._configuration.refuses_peer(peer[0]):
            return Rejected(403, "Forbidden")
        return None

    # --- data ---

    def _send_indication(self, path: FiveTuple, message: Message) -> None:
        """RFC 8656 section 11.2."""
        allocation, peer, data = self._allocations.get(path), message.get(XorPeerAddress), message.get(Data)
        if allocation is None or peer is None or data is None or message.unknown_required:
            return
        if allocation.may_relay(peer.address[0], self._now):
            self._put((allocation.relayed_address, peer.address), data.data)

    def _channel_data(self, path: FiveTuple, datagram: bytes) -> None:
        """RFC 8656 section 12.6."""
        allocation = self._allocations.get(path)
        try:
            number, data = decode_channel_data(datagram)
        except DecodeError:
            return
        if allocation is None:
            return
        peer, expires = allocation.channels.get(number, (("", 0), -math.inf))
        if expires > self._now and allocation.may_relay(peer[0], self._now):
            self._put((allocation.relayed_address, peer), data)

    def _from_peer(self, allocation: ServerAllocation, peer: Address, datagram: bytes) -> None:
        """RFC 8656 section 11.3."""
        if not allocation.may_relay(peer[0], self._now):
            return
        number = allocation.channel_of(peer, self._now)
        if number is not None:
            padded = allocation.path[0] in self._configuration.stream_addresses
            self._put(allocation.path, encode_channel_data(number, datagram, padded=padded))
            return
        transaction_id = self._random_bytes(TRANSACTION_ID_SIZE)
        attributes = (XorPeerAddress(peer), Data(datagram))
        self._put(
            allocation.path,
            encode_message(Message(MessageClass.INDICATION, Method.DATA, transaction_id, attributes)),
        )

    # --- the rest ---

    def _put(self, path: FiveTuple, datagram: bytes) -> None:
        if len(self._outgoing) < MAX_QUEUED_BURSTS:
            self._outgoing.append(Burst(path[0], path[1], [datagram]))

    def _advance(self, now: float) -> None:
        self._now = max(self._now, now)
        for path in [path for path, allocation in self._allocations.items() if allocation.expires <= self._now]:
            self._forget(path, is_expired=True)

    def _forget(self, path: FiveTuple, *, is_expired: bool) -> None:
        allocation = self._allocations.pop(path, None)
        if allocation is not None:
            del self._by_relayed_address[allocation.relayed_address]
            self._events.append(AllocationDeleted(path[1], allocation.relayed_address, allocation.username, is_expired))

    def _lifetime(self, request: Message) -> int:
        """RFC 8656 sections 7.2 and 8.2: never below the default, but 0, which deletes."""
        asked = request.get(Lifetime)
        if asked is None:
            return self._configuration.default_lifetime
        if asked.seconds == 0 and request.method == Method.REFRESH:
            return 0
        return max(min(asked.seconds, self._configuration.max_lifetime), self._configuration.default_lifetime)

    def _relay_host(self, family: int) -> str | None:
        return next((host for host in self._configuration.relay_hosts if _family(host) == family), None)

    def _free_port(self, host: str) -> int | None:
        """A random one (RFC 8656 section 7.2), or the next free one after it."""
        first, last = self._configuration.ports
        count = last - first + 1
        start = int.from_bytes(self._random_bytes(4), "big")
        for step in range(min(count, len(self._allocations) + 1)):
            port = first + (start + step) % count
            if (host, port) not in self._by_relayed_address:
                return port
        return None


def _family(host: str) -> int:
    return _IPV6 if ":" in host else _IPV4
