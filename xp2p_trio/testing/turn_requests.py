"""What a TURN server does with the requests of clients that it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import attrs

from xp2p_trio.sansio import Scope, host_scopes
from xp2p_trio.stun import (
    AlternateServer,
    Attribute,
    ChannelNumber,
    Lifetime,
    Message,
    Method,
    RequestedAddressFamily,
    RequestedTransport,
    XorMappedAddress,
    XorPeerAddress,
    XorRelayedAddress,
)
from xp2p_trio.testing.turn_allocations import Allocations, FiveTuple, ServerAllocation
from xp2p_trio.testing.turn_authentication import Rejected
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.turn import FIRST_CHANNEL, LAST_CHANNEL

_UDP = 17
_IPV4, _IPV6 = 1, 2
_NEVER_RELAYED_TO = {Scope.UNSPECIFIED, Scope.MULTICAST, Scope.RESERVED}


@attrs.frozen
class Success:
    """The success response that a request gets."""

    attributes: tuple[Attribute, ...] = ()


Answer: TypeAlias = Success | Rejected


@final
class Requests:
    """Allocate, Refresh, CreatePermission and ChannelBind, once they are authenticated."""

    def __init__(self, configuration: TurnServerConfiguration, allocations: Allocations) -> None:
        self._configuration = configuration
        self._allocations = allocations
        self._handlers: dict[int, Callable[[Message, ServerAllocation, float], Answer]] = {
            Method.REFRESH: self._refresh,
            Method.CREATE_PERMISSION: self._create_permission,
            Method.CHANNEL_BIND: self._channel_bind,
        }

    def knows(self, method: int) -> bool:
        """Whether it is one of them."""
        return method == Method.ALLOCATE or method in self._handlers

    def answer(self, request: Message, path: FiveTuple, username: str, now: float) -> Answer | None:
        """Do what is asked; None where `allocated` is the answer, once the relayed address is certain."""
        allocation = self._allocations.get(path)
        if request.method == Method.ALLOCATE:
            return self._allocate(request, path, username, allocation, now)
        if allocation is None:
            return Rejected(437, "Allocation Mismatch")
        if allocation.username != username:
            return Rejected(441, "Wrong Credentials")
        return self._handlers[request.method](request, allocation, now)

    def allocated(self, path: FiveTuple, now: float) -> Answer:
        """The answer to an Allocate that was granted."""
        allocation = self._allocations.get(path)
        if allocation is None:
            return Rejected(508, "Insufficient Capacity")
        return Success(
            (
                XorRelayedAddress(allocation.relayed_address),
                Lifetime(round(allocation.expires - now)),
                XorMappedAddress(path.client),
            )
        )

    def _allocate(
        self, request: Message, path: FiveTuple, username: str, old: ServerAllocation | None, now: float
    ) -> Rejected | None:
        """RFC 8656 section 7.2; EVEN-PORT, RESERVATION-TOKEN and DONT-FRAGMENT are unknown attributes here."""
        if old is not None:
            if old.transaction_id == request.transaction_id:  # repeated: the same answer once more
                return None
            return Rejected(437, "Allocation Mismatch")
        transport = request.get(RequestedTransport)
        if transport is None:
            return Rejected(400, "Bad Request")
        if transport.number != _UDP:
            return Rejected(442, "Unsupported Transport Protocol")
        configuration = self._configuration
        wanted = request.get(RequestedAddressFamily)
        family = _IPV4 if wanted is None else wanted.number
        host = next((host for host in configuration.relay_hosts if _family(host) == family), None)
        if host is None:
            return Rejected(440, "Address Family not Supported")
        if configuration.alternate_server is not None:
            return Rejected(300, "Try Alternate", (AlternateServer(configuration.alternate_server),))
        if self._allocations.count(username) >= configuration.user_quota:
            return Rejected(486, "Allocation Quota Reached")
        if len(self._allocations) < configuration.capacity:
            expires = now + self._lifetime(request)
            if self._allocations.create(path, host, username, request.transaction_id, expires):
                return None
        return Rejected(508, "Insufficient Capacity")

    def _refresh(self, request: Message, allocation: ServerAllocation, now: float) -> Answer:
        """RFC 8656 section 8.2."""
        family = request.get(RequestedAddressFamily)
        if family is not None and family.number != _family(allocation.relayed_address[0]):
            return Rejected(443, "Peer Address Family Mismatch")
        lifetime = self._lifetime(request)
        if lifetime:
            allocation.expires = now + lifetime
        else:
            self._allocations.delete(allocation.path, is_expired=False)
        return Success((Lifetime(lifetime),))

    def _create_permission(self, request: Message, allocation: ServerAllocation, now: float) -> Answer:
        """RFC 8656 section 10.2."""
        hosts = {attribute.address[0] for attribute in request.attributes if isinstance(attribute, XorPeerAddress)}
        if not hosts:
            return Rejected(400, "Bad Request")
        for host in hosts:
            if (refusal := self._refuse_host(allocation, host)) is not None:
                return refusal
        return self._permit(allocation, hosts, now)

    def _channel_bind(self, request: Message, allocation: ServerAllocation, now: float) -> Answer:
        """RFC 8656 section 12.2."""
        channel, peer = request.get(ChannelNumber), request.get(XorPeerAddress)
        if channel is None or peer is None or not FIRST_CHANNEL <= channel.number <= LAST_CHANNEL:
            return Rejected(400, "Bad Request")
        if allocation.peer_of(channel.number, now) not in (None, peer.address):
            return Rejected(400, "Bad Request")
        if allocation.channel_of(peer.address, now) not in (None, channel.number):
            return Rejected(400, "Bad Request")
        if (refusal := self._refuse_host(allocation, peer.address[0])) is not None:
            return refusal
        if not allocation.bind(channel.number, peer.address, now, self._configuration.max_channels):
            return Rejected(508, "Insufficient Capacity")
        return self._permit(allocation, {peer.address[0]}, now)

    def _permit(self, allocation: ServerAllocation, hosts: set[str], now: float) -> Answer:
        if allocation.permit(hosts, now, self._configuration.max_permissions):
            return Success()
        return Rejected(508, "Insufficient Capacity")

    def _refuse_host(self, allocation: ServerAllocation, host: str) -> Rejected | None:
        own = allocation.relayed_address[0]
        if _family(host) != _family(own):
            return Rejected(443, "Peer Address Family Mismatch")
        scopes = set(host_scopes(host))
        # What trusts its own machine would trust everybody who has an allocation there.
        is_inside = Scope.LOOPBACK in scopes and Scope.LOOPBACK not in host_scopes(own)
        if scopes & _NEVER_RELAYED_TO or (is_inside and not self._configuration.allows_loopback):
            return Rejected(403, "Forbidden")
        return Rejected(403, "Forbidden") if self._configuration.refuses_peer(host) else None

    def _lifetime(self, request: Message) -> int:
        """RFC 8656 sections 7.2 and 8.2: never below the default, but 0, which deletes."""
        asked = request.get(Lifetime)
        if asked is None:
            return self._configuration.default_lifetime
        if asked.seconds == 0 and request.method == Method.REFRESH:
            return 0
        return max(min(asked.seconds, self._configuration.max_lifetime), self._configuration.default_lifetime)


def _family(host: str) -> int:
    return _IPV6 if ":" in host else _IPV4
