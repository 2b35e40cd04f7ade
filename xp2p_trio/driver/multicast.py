"""Sockets of the kernel that hear a multicast group on one interface, and share the group's port with other programs.

Such a socket is bound to the address of the group, so that it hears the group and nothing else: unicast to the port is
still the business of who has it for himself, and what arrives was sent on the link (RFC 6762 section 11). Where it
sends from is the interface.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from struct import Struct
from typing import Final

import ifaddr

from xp2p_trio.errors import InvalidArgument

TTL: Final = 255  # RFC 6762 section 11, of unicast as well

# Linux, include/uapi/linux/in.h and in6.h. Without them a socket hears what any other has joined, on any interface.
_IP_MULTICAST_ALL: Final = 49
_IPV6_MULTICAST_ALL: Final = 29

_INDEX: Final = Struct("@I")


def open_multicast(group: str, port: int, interface_address: str) -> socket.socket:
    """A non-blocking socket in the group; with port 0, one on a port of its own that only sends to the group.

    Raises:
        OSError: there is no such interface, it has no multicast, or the port is not shared; the text names both.
        InvalidArgument: an address is not numeric, or no group, or the port out of range.
    """
    try:
        host, joined = ipaddress.ip_address(interface_address), ipaddress.ip_address(group)
    except ValueError as error:
        raise InvalidArgument(f"cannot join a group: {error}") from None
    if not joined.is_multicast or joined.version != host.version:
        raise InvalidArgument(f"{group} is no multicast group that {interface_address} could join")
    if not 0 <= port <= 65535:
        raise InvalidArgument(f"cannot bind to port {port}: a port is 0 (any) to 65535")
    try:
        sock = socket.socket(socket.AF_INET6 if host.version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if host.version == 6:
                _prepare_ipv6(sock, joined.packed, port, interface_address)
            else:
                _prepare_ipv4(sock, joined.packed, port, host.packed)
            local = str(joined) if port else interface_address
            sock.bind((local, port) if host.version == 4 else (local, port, 0, interface_index(interface_address)))
            return sock
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        reason = f"cannot join {group} port {port} on {interface_address}: {error.strerror or error}"
        raise OSError(error.errno, reason) from None


def interface_index(address: str) -> int:
    """The number of the interface that has this address.

    Raises:
        OSError: none has.
    """
    wanted = ipaddress.ip_address(address)
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            text = each.ip if isinstance(each.ip, str) else each.ip[0]
            if adapter.index is not None and ipaddress.ip_address(text.partition("%")[0]) == wanted:
                return adapter.index
    raise OSError(f"no interface has the address {address}")


def _prepare_ipv4(sock: socket.socket, group: bytes, port: int, interface: bytes) -> None:
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, TTL)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)
    if port:
        _share_port(sock)
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + interface)


def _prepare_ipv6(sock: socket.socket, group: bytes, port: int, interface_address: str) -> None:
    index = _INDEX.pack(interface_index(interface_address))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, TTL)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, TTL)
    if port:
        _share_port(sock)
        if sys.platform == "linux":
            # Linux 4.20.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + index)


def _share_port(sock: socket.socket) -> None:
    """As every program does that listens here; whoever does not keeps us out."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
