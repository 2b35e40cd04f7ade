"""One spelling for an address, and what its host reaches. Which hosts are refused is the policy of each layer.

A filter that sees one spelling only is no filter: `::ffff:127.0.0.1`, `::127.0.0.1` and `64:ff9b::7f00:1` are loopback.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import Final, TypeAlias

from xp2p_trio.sansio.layer import Address

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")  # RFC 1122 section 3.2.1.3
_V4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")  # RFC 4291 section 2.5.5.1
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1
_SITE_LOCAL: Final = ipaddress.IPv6Network("fec0::/10")  # RFC 3879


class Scope(enum.Enum):
    """What an address reaches; the value names such an address for people."""

    UNSPECIFIED = "unspecified"
    MULTICAST = "a multicast address"
    RESERVED = "a broadcast or reserved address"
    SITE_LOCAL = "a site-local address"
    LOOPBACK = "a loopback address"
    LINK_LOCAL = "a link-local address"
    UNICAST = "a unicast address"


def canonical_host(host: str) -> str | None:
    """The one spelling of an IP literal: RFC 5952, IPv4 for IPv4-mapped IPv6, no zone. None for anything else."""
    ip = _parse(host)
    return None if ip is None else str(ip)


def canonical_address(address: Address) -> Address | None:
    """The address with its canonical host; None when the host is no IP literal or the port is out of range."""
    host = canonical_host(address[0])
    return None if host is None or not 1 <= address[1] <= 65535 else (host, address[1])


def is_ipv6(host: str) -> bool:
    """The family of a canonical host."""
    return ":" in host


def host_scopes(host: str) -> list[Scope]:
    """The scope of an IP literal in any spelling, then that of an IPv4 address embedded in it; empty for anything else.

    Embedded are IPv4-compatible addresses (`::` and `::1` are none) and those of NAT64's well-known prefix.
    """
    return [_scope(ip) for ip in spellings(host)]


def spellings(host: str) -> list[IpAddress]:
    """An IP literal in any spelling, then the IPv4 address that is embedded in it, if there is one.

    Empty for anything else. A filter has to look at both, as both are the same host.
    """
    ip = _parse(host)
    if ip is None:
        return []
    if isinstance(ip, ipaddress.IPv6Address) and (ip in _NAT64 or (ip in _V4_COMPATIBLE and int(ip) > 1)):
        return [ip, ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    return [ip]


def _parse(host: str) -> IpAddress | None:
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def _scope(ip: IpAddress) -> Scope:
    if ip.is_unspecified or (isinstance(ip, ipaddress.IPv4Address) and ip in _THIS_NETWORK):
        return Scope.UNSPECIFIED
    if ip.is_multicast:
        return Scope.MULTICAST
    if isinstance(ip, ipaddress.IPv4Address) and ip.is_reserved:  # 240.0.0.0/4 with the broadcast address
        return Scope.RESERVED
    if isinstance(ip, ipaddress.IPv6Address) and ip in _SITE_LOCAL:
        return Scope.SITE_LOCAL
    if ip.is_loopback:
        return Scope.LOOPBACK
    if ip.is_link_local:
        return Scope.LINK_LOCAL
    return Scope.UNICAST
