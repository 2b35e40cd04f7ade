"""The local link, as one of our sockets sees it (RFC 6762 sections 3 and 11)."""

from __future__ import annotations

import ipaddress
from typing import Final, TypeAlias, final

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Scope, host_scopes, is_ipv6

PORT: Final = 5353

GROUP_IPV4: Final = "224.0.0.251"
GROUP_IPV6: Final = "ff02::fb"

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def group_of(host: str) -> Address:
    """Where everybody listens who speaks the family of this host."""
    return (GROUP_IPV6 if is_ipv6(host) else GROUP_IPV4), PORT


@final
class Link:
    """One local address.

    On port 5353 it hears what is said to the group, which cannot come from farther than the link. On any other port it
    hears answers to its own questions, and has to look where they come from.

    Args:
        address: ours.
        prefix_length: of its network; None if that is not known, when everybody counts as near.

    Raises:
        InvalidArgument: the address is not numeric, or the prefix does not fit it.
    """

    __slots__ = ("_network", "address", "hears_group")

    def __init__(self, address: Address, prefix_length: int | None) -> None:
        self.address = address
        self.hears_group = address[1] == PORT
        try:
            ipaddress.ip_address(address[0])
            self._network: _Network | None = (
                None if prefix_length is None else ipaddress.ip_network(f"{address[0]}/{prefix_length}", strict=False)
            )
        except ValueError as error:
            raise InvalidArgument(f"{address[0]!r} with prefix {prefix_length} is no local address: {error}") from None

    @property
    def is_loopback(self) -> bool:
        """Whether it leads to this machine only."""
        return Scope.LOOPBACK in host_scopes(self.address[0])

    def tells(self, host: str) -> bool:
        """Whether an address of ours may be told here: not if it is valid on another link only (RFC 6762 section 6.2).

        One of the other family is told: it may well be of the same interface, and Chromium joins the IPv4 group alone.
        """
        return is_ipv6(host) != is_ipv6(self.address[0]) or self.is_near(host)

    def is_near(self, host: str) -> bool:
        """Whether a host is on this link, by its address (RFC 6762 section 11)."""
        if self._network is None or Scope.LINK_LOCAL in host_scopes(host):
            return True
        try:
            return ipaddress.ip_address(host.partition("%")[0]) in self._network
        except ValueError:
            return False
