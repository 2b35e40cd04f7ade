"""Multicast on the simulated network: who hears what is said to a group, where it is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from xp2p_trio.sansio import Address

if TYPE_CHECKING:
    from xp2p_trio.testing.host import Host


@final
class Groups:
    """The members of every group, an address and port of multicast."""

    def __init__(self) -> None:
        self._members: dict[Address, dict[tuple[Host, str], None]] = {}

    def join(self, group: Address, host: Host, ip_address: str) -> None:
        """From now on this address of the host is a member. Again is harmless."""
        self._members.setdefault(group, {})[host, ip_address] = None

    def leave(self, group: Address, host: Host, ip_address: str) -> None:
        """It is one no more. Again is harmless."""
        self._members.get(group, {}).pop((host, ip_address), None)

    def receivers(self, sender: Host, ip_address: str, destination: Address) -> Sequence[Address]:
        """Where a datagram of the sender's goes: to each member that no box keeps from it, itself included."""
        members = self._members.get(destination)
        if not members:
            return (destination,)
        realm = sender.realm_of(ip_address)
        near = [(ip, destination[1]) for host, ip in members if realm is not None and host.realm_of(ip) is realm]
        return near or (destination,)
