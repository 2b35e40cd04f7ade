"""The network of the operating system: what a connection uses if it is given no other."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Sequence
from typing import final

import trio

from xp2p_trio.driver.interface_watch import wait_other
from xp2p_trio.driver.interfaces import system_interfaces
from xp2p_trio.driver.multicast import open_multicast
from xp2p_trio.driver.network import Interface
from xp2p_trio.driver.tcp import TcpListener, TcpStream, connect_tcp, connect_tls, listen_tcp
from xp2p_trio.driver.udp import BUFFER_SIZE, MAX_DATAGRAM_SIZE, UdpSocket
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Transport

logger = logging.getLogger("xp2p_trio.driver")


@final
class SystemNetwork:
    """The network of the operating system.

    Args:
        offload: whether sockets use GSO and GRO where the kernel has them.
        ssl_context: which servers are trusted over TLS; None is whom the system trusts, with names checked. Put a
            certificate of your own there: `ssl.create_default_context(cafile="turn.pem")`.
    """

    __slots__ = ("_buffer", "_known", "_offload", "_ssl_context")

    def __init__(self, *, offload: bool = True, ssl_context: ssl.SSLContext | None = None) -> None:
        self._offload = offload
        self._ssl_context = ssl_context
        self._buffer = bytearray(MAX_DATAGRAM_SIZE)
        self._known: Sequence[Interface] | None = None

    def interfaces(self) -> Sequence[Interface]:
        """The addresses of this machine that work, best first; those of last time while the system does not tell."""
        try:
            self._known = system_interfaces()
        except OSError as error:  # no more files, for instance
            logger.warning("the addresses of this machine cannot be had: %s", error)
        return [] if self._known is None else self._known

    def bind(self, address: Address) -> UdpSocket:
        """Open a UDP socket on a numeric local address; port 0 lets the system choose.

        Raises:
            OSError: the address is not ours, or the port is taken; the text names both.
            InvalidArgument: the address is not numeric, or the port out of range.
        """
        host, port = address
        version = _check(address)
        try:
            sock = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
            try:
                sock.setblocking(False)
                if version == 6:
                    # Otherwise an IPv4 peer would appear under a second, mapped spelling of its address.
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    # BSD refuses what is over its limit; then its default stays.
                    with contextlib.suppress(OSError):
                        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_SIZE)
                sock.bind((host, port))
                return UdpSocket(sock, offload=self._offload, buffer=self._buffer)
            except BaseException:
                sock.close()
                raise
        except OSError as error:
            reason = f"cannot bind a UDP socket to {host} port {port}: {error.strerror}"
            raise OSError(error.errno, reason) from None

    def bind_multicast(self, group: str, port: int, interface_address: str) -> UdpSocket:
        """Open a socket that hears a multicast group, on a port that it shares; with port 0, one that does not.

        Raises:
            OSError: there is no such interface, it has no multicast, or the port is not shared; the text names both.
            InvalidArgument: an address is not numeric, or no group, or the port out of range.
        """
        sock = open_multicast(group, port, interface_address)
        host = str(ipaddress.ip_address(interface_address))
        return UdpSocket(sock, offload=False, buffer=self._buffer, address=(host, sock.getsockname()[1]))

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The numeric addresses behind a host name, in the order to try them.

        Raises:
            OSError: the name does not resolve.
        """
        try:
            answers = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except UnicodeError as error:  # what IDNA thinks of the name
            raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is not a host name: {error}") from None
        return list(dict.fromkeys((str(ipaddress.ip_address(each[4][0])), int(each[4][1])) for each in answers))

    async def connect_stream(
        self, local_host: str | None, remote: Address, transport: Transport, server_name: str = ""
    ) -> TcpStream:
        """Connect over TCP, or over TLS with the server's certificate checked; see `Network.connect_stream`.

        Raises:
            ssl.SSLCertVerificationError: the certificate is not good for that name.
            OSError: there is no connection; the text says why.
            InvalidArgument: an address is not numeric, or no stream goes over that transport.
        """
        _check(remote)
        if local_host is not None:
            _check((local_host, 0))
        match transport:
            case Transport.TCP:
                return await connect_tcp(local_host, remote)
            case Transport.TLS:
                return await connect_tls(local_host, remote, server_name, self._ssl_context)
            case Transport.UDP:
                raise InvalidArgument("a stream is connected over TCP or TLS")

    def listen(self, address: Address) -> TcpListener:
        """Open a TCP port on a numeric local address; port 0 lets the system choose.

        Raises:
            OSError: the address is not ours, or the port is taken; the text names both.
            InvalidArgument: the address is not numeric, or the port out of range.
        """
        _check(address)
        return listen_tcp(address)

    async def wait_interfaces_changed(self) -> None:
        """Wait until there are other addresses than `interfaces` last told, a tenth of a second for them to settle."""
        await wait_other(self.interfaces() if self._known is None else self._known, system_interfaces)


def _check(address: Address) -> int:
    """The IP version of an address that one can use.

    Raises:
        InvalidArgument: it is not numeric, or the port is out of range.
    """
    host, port = address
    if not 0 <= port <= 65535:
        raise InvalidArgument(f"port {port} is no port of {host}: a port is 0 (any) to 65535")
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        raise InvalidArgument(f"{host!r} is not a numeric IPv4 or IPv6 address") from None
