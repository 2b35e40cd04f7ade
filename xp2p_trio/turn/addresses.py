"""One spelling for an address, and which hosts nothing is relayed to.

A filter that sees one spelling only is no filter: `::ffff:127.0.0.1`, `::127.0.0.1` and `64:ff9b::7f00:1` are loopback.
"""

from __future__ import annotations

import ipaddress
from typing import Final, TypeAlias

from xp2p_trio.sansio import Address

_IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")  # RFC 1122 section 3.2.1.3
_V4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")  # RFC 4291 section 2.5.5.1
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1


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


def refuse_host(host: str, *, allow_loopback: bool = False, allow_link_local: bool = False) -> str | None:
    """Why nothing is to be sent to this host, or None when it is fine.

    An IPv6 address that embeds an IPv4 one is judged by both.
    """
    ip = _parse(host)
    if ip is None:
        return "it is no IP address"
    forms: list[_IP] = [ip]
    if isinstance(ip, ipaddress.IPv6Address) and (ip in _NAT64 or (ip in _V4_COMPATIBLE and int(ip) > 1)):
        forms.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    for form in forms:
        if form.is_unspecified or (isinstance(form, ipaddress.IPv4Address) and form in _THIS_NETWORK):
            return "it is unspecified"
        if form.is_multicast:
            return "it is a multicast address"
        if isinstance(form, ipaddress.IPv4Address) and form.is_reserved:  # 240.0.0.0/4 with the broadcast address
            return "it is a broadcast or reserved address"
        if form.is_loopback and not allow_loopback:
            return "it is a loopback address, which the configuration does not allow"
        if form.is_link_local and not allow_link_local:
            return "it is a link-local address, which the configuration does not allow"
    return None


def _parse(host: str) -> _IP | None:
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip
