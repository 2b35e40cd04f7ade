"""A part of the network whose members reach each other without a middle box: the Internet, or the inside of a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, final

from xp2p_trio.errors import InvalidArgument

if TYPE_CHECKING:
    from xp2p_trio.testing.host import Host
    from xp2p_trio.testing.middlebox import Firewall, Nat

    Middlebox: TypeAlias = Nat | Firewall


@final
class Realm:
    """Who has which IP address here. Two realms may use the same addresses, as homes do.

    Attributes:
        gateway: the box that this is the inside of; None is the Internet.
        members: hosts, and boxes: a NAT by its external addresses, a firewall by all addresses behind it.
    """

    __slots__ = ("gateway", "members")

    def __init__(self, gateway: Middlebox | None = None) -> None:
        self.gateway = gateway
        self.members: dict[str, Host | Middlebox] = {}

    def check_free(self, ip_address: str) -> None:
        """See that an address can be added.

        Raises:
            InvalidArgument: it is taken, here or where it is seen from outside.
        """
        owner = self.members.get(ip_address)
        if owner is not None:
            raise InvalidArgument(f"{ip_address} belongs to {type(owner).__name__.lower()} {owner.name!r}")
        if self.gateway is not None and not self.gateway.hides(ip_address):
            self.gateway.outside.check_free(ip_address)

    def add(self, ip_address: str, member: Host | Middlebox) -> None:
        """Give a member an address that is free."""
        self.members[ip_address] = member
        if self.gateway is not None and not self.gateway.hides(ip_address):
            self.gateway.outside.add(ip_address, self.gateway)

    def remove(self, ip_address: str) -> None:
        """Take an address away."""
        del self.members[ip_address]
        if self.gateway is not None and not self.gateway.hides(ip_address):
            self.gateway.outside.remove(ip_address)

    def move(self, ip_address: str, target: Realm) -> None:
        """Take an address to another realm, where it is free."""
        member = self.members[ip_address]
        self.remove(ip_address)
        target.add(ip_address, member)
