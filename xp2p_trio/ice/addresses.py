"""One spelling for an address, and which addresses are never sent to."""

from __future__ import annotations

import ipaddress
from typing import Final, TypeAlias

from xp2p_trio.ice.configuration import Configuration
from xp2p_trio.sansio import Address

_IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")
_V4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_SITE_LOCAL: Final = ipaddress.IPv6Network("fec0::/10")


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


def is_ipv6_link_local(host: str) -> bool:
    """Whether RFC 8445 section 6.1.2.2 keeps this host apart from all but its like."""
    return host.startswith(("fe8", "fe9", "fea", "feb")) and ":" in host


def refuse_host(host: str, configuration: Configuration) -> str | None:
    """Why nothing is ever sent to this host, or None when it is fine.

    An IPv6 address that embeds an IPv4 one (mapped, compatible, NAT64) is judged by both: a filter that sees only one
    spelling is no filter.
    """
    ip = _parse(host)
    if ip is None:
        return "it is no IP address"
    if isinstance(ip, ipaddress.IPv6Address) and (ip in _V4_COMPATIBLE or ip in _NAT64) and int(ip) > 1:
        refusal = _refuse(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF), configuration)
        if refusal is not None:
            return refusal
    return _refuse(ip, configuration)


def _parse(host: str) -> _IP | None:
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def _refuse(ip: _IP, configuration: Configuration) -> str | None:
    if ip.is_unspecified or (isinstance(ip, ipaddress.IPv4Address) and ip in _THIS_NETWORK):
        return "it is unspecified"
    if ip.is_multicast:
        return "it is a multicast address"
    if isinstance(ip, ipaddress.IPv4Address) and ip.is_reserved:  # 240.0.0.0/4 with the broadcast address
        return "it is a broadcast or reserved address"
    if isinstance(ip, ipaddress.IPv6Address) and ip in _SITE_LOCAL:  # RFC 8445 section 5.1.1.1
        return "it is a site-local address"
    if ip.is_loopback and not configuration.allow_loopback:
        return "it is a loopback address, which the configuration does not allow"
    if ip.is_link_local and not configuration.allow_link_local:
        return "it is a link-local address, which the configuration does not allow"
    return None
