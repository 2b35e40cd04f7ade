"""Which hosts are wanted, as a program says it: networks in CIDR notation, in any spelling of an address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio.addresses import spellings

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(values: Iterable[str | IpNetwork]) -> tuple[IpNetwork, ...]:
    if isinstance(values, str):
        values = (values,)
    return tuple(_network(value) for value in values)


def _network(value: str | IpNetwork) -> IpNetwork:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise InvalidArgument(
            f"address filter {str(value)!r} is no address or network ({error}); write 192.0.2.0/24 or 2001:db8::1"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


@attrs.frozen
class AddressFilter:
    """Admits what `allow` has, or everything where that is empty, but nothing that `deny` has.

    Attributes:
        allow: networks or single addresses, as texts.
        deny: networks or single addresses, as texts.

    Raises:
        InvalidArgument: one of them is neither; the text names it.
    """

    allow: tuple[IpNetwork, ...] = attrs.field(default=(), converter=_networks)
    deny: tuple[IpNetwork, ...] = attrs.field(default=(), converter=_networks)

    def admits(self, host: str) -> bool:
        """Whether this IP literal, in any spelling, passes; anything else never does.

        What is denied is denied as well where its IPv4 address is embedded in one of IPv6.
        """
        found = spellings(host)
        if not found or any(ip in network for ip in found for network in self.deny):
            return False
        return not self.allow or any(found[0] in network for network in self.allow)
