"""A machine on the simulated network: its addresses, its ports, and the driver's view of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Transport

if TYPE_CHECKING:
    from xp2p_trio.driver import Interface
    from xp2p_trio.testing.network import Network
    from xp2p_trio.testing.realm import Realm
    from xp2p_trio.testing.sockets import VirtualSocket
    from xp2p_trio.testing.stream_sockets import VirtualListener, VirtualStream

_FIRST_EPHEMERAL_PORT = 49152  # RFC 6335 section 6
_LAST_PORT = 65535


def canonical(ip_address: str) -> str:
    """The address as `ipaddress` spells it.

    Raises:
        InvalidArgument: it is no numeric IPv4 or IPv6 address.
    """
    try:
        return str(ipaddress.ip_address(ip_address))
    except ValueError:
        raise InvalidArgument(f"{ip_address!r} is no numeric IP address") from None


@final
class Host:
    """Made by `Network.host`.

    Sans-IO things use `address()` to get an address of their own. The trio driver takes a host as its network: the
    methods from `interfaces` on are what it asks of one.

    Attributes:
        name: as the network knows it; also the name that `resolve` finds it by.
        network: where it stands.
    """

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        self._home = network.realm(None)
        self._realms: dict[str, Realm] = {}
        self._next_port = _FIRST_EPHEMERAL_PORT
        self._told: Sequence[str] | None = None

    def __repr__(self) -> str:
        return f"<Host {self.name!r} {', '.join(self._realms)}>"

    @property
    def ip_addresses(self) -> Sequence[str]:
        """Its IP addresses, in the order in which it got them."""
        return tuple(self._realms)

    @property
    def realms(self) -> Sequence[Realm]:
        """Where it stands, once for each address."""
        return tuple(self._realms.values()) or (self._home,)

    def realm_of(self, ip_address: str) -> Realm | None:
        """Where that address is; None if it has no such address, or no more."""
        return self._realms.get(ip_address)

    def add_ip_address(self, ip_address: str, *, inside: str | None = None) -> None:
        """An interface comes up.

        Args:
            ip_address: what it gets.
            inside: the NAT or firewall that this address is behind; None is where the host stands.

        Raises:
            InvalidArgument: there is no such box, or the address is taken there, or is no numeric address.
        """
        ip_address = canonical(ip_address)
        realm = self._home if inside is None else self.network.realm(inside)
        if ip_address in self._realms:
            raise InvalidArgument(f"host {self.name!r} has {ip_address} already")
        realm.check_free(ip_address)
        realm.add(ip_address, self)
        if not self._realms:
            self._home = realm
        self._realms[ip_address] = realm
        self.network.note_address(self, ip_address)

    def remove_ip_address(self, ip_address: str) -> None:
        """An interface goes down: what is under way to it is lost, and so is what is still sent from it.

        Its streams end, here at once, and for the other side when that sends next.

        Raises:
            InvalidArgument: the host has no such address.
        """
        ip_address = canonical(ip_address)
        if ip_address not in self._realms:
            raise InvalidArgument(f"host {self.name!r} has no address {ip_address}")
        self._realms.pop(ip_address).remove(ip_address)
        self.network.address_gone(self, ip_address)

    def moved(self, realm: Realm) -> None:
        """A box was put before it: it is inside now."""
        self._home = realm
        self._realms = dict.fromkeys(self._realms, realm)

    def address(self, port: int | None = None, *, ip_address: str | None = None) -> Address:
        """A transport address of this host: by default its first IP address with a port that was not given out before.

        Raises:
            InvalidArgument: the host has no such IP address, or has given out every port.
        """
        if not self._realms:
            raise InvalidArgument(f"host {self.name!r} has no IP address")
        chosen = next(iter(self._realms)) if ip_address is None else canonical(ip_address)
        if chosen not in self._realms:
            raise InvalidArgument(f"host {self.name!r} has no address {chosen}; it has {', '.join(self._realms)}")
        if port is None:
            port = self._next_port
            if port > _LAST_PORT:
                raise InvalidArgument(f"host {self.name!r} has given out every port from {_FIRST_EPHEMERAL_PORT}")
            self._next_port = port + 1
        return chosen, port

    def join_group(self, group: Address, *, ip_address: str | None = None) -> Address:
        """Hear what is sent to a multicast group by hosts that stand where this one does, and by itself.

        Args:
            group: its address and port.
            ip_address: where to join; None is the first address of this host.

        Returns:
            The address at which it arrives: that of the host, with the port of the group.

        Raises:
            InvalidArgument: the host has no such IP address.
        """
        address = self.address(group[1], ip_address=ip_address)
        self.network.groups.join(group, self, address[0])
        return address

    def leave_group(self, group: Address, *, ip_address: str | None = None) -> None:
        """Hear it no more. Again is harmless.

        Raises:
            InvalidArgument: the host has no such IP address.
        """
        self.network.groups.leave(group, self, self.address(group[1], ip_address=ip_address)[0])

    def interfaces(self) -> Sequence[Interface]:
        """The addresses that the driver may bind to."""
        from xp2p_trio.driver.network import (
            Interface,
        )  # imports trio, which the sans-IO part of this package does without

        self._told = self.ip_addresses
        return [Interface("virtual", ip_address) for ip_address in self._realms]

    def bind(self, address: Address) -> VirtualSocket:
        """Open a socket on an address of this host; port 0 picks a free one.

        Raises:
            OSError: the address is not of this host, or taken.
            InvalidArgument: the address is not numeric, or the port out of range.
        """
        from xp2p_trio.testing.sockets import bind

        return bind(self, address)

    def bind_multicast(self, group: str, port: int, interface_address: str) -> VirtualSocket:
        """Open a socket that hears a multicast group, on a port that it shares; with port 0, one that does not.

        Raises:
            OSError: the interface's address is not of this host, or the port is taken by a socket that does not share.
            InvalidArgument: an address is not numeric, or the port out of range.
        """
        from xp2p_trio.testing.sockets import bind_multicast

        return bind_multicast(self, group, port, interface_address)

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The addresses of a numeric address or of the name of a host on this network.

        Raises:
            OSError: there is no such name.
        """
        from xp2p_trio.testing.sockets import resolve

        return await resolve(self.network, host, port)

    async def connect_stream(
        self, local_host: str | None, remote: Address, transport: Transport, server_name: str = ""
    ) -> VirtualStream:
        """Open a stream, which takes one round trip over TCP and two over TLS. Nothing is encrypted, nobody certified.

        Raises:
            ConnectionRefusedError: nobody listens there.
            TimeoutError: no way leads there; that takes as long as on Linux to turn out, which is two minutes.
            OSError: the address is not of this host; the listener speaks the other transport; the stream was cut.
        """
        from xp2p_trio.testing.stream_sockets import connect_stream

        return await connect_stream(self, local_host, remote, transport)

    def listen(self, address: Address, *, transport: Transport = Transport.TCP) -> VirtualListener:
        """Take streams on an address of this host; port 0 picks a free one.

        Args:
            address: where.
            transport: what is spoken there, TCP or TLS.

        Raises:
            OSError: the address is not of this host, or taken.
            InvalidArgument: the address is not numeric, or the port out of range.
        """
        from xp2p_trio.testing.stream_sockets import VirtualListener

        return VirtualListener(self, self.network.listen(self.name, address, transport=transport))

    async def wait_interfaces_changed(self) -> None:
        """Wait until this host has other addresses than `interfaces` last told."""
        from xp2p_trio.testing.sockets import courier_of

        known = self.ip_addresses if self._told is None else self._told
        await courier_of(self.network).wait_addresses_other_than(self, known)
