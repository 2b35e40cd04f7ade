"""Where sockets sit: the interface that the operating system and the simulated network both fill in.

The driver knows nothing else of the outside world. `SystemNetwork` answers with sockets of the kernel;
a network of `xp2p_trio.testing` answers with links, NATs and a virtual clock. Addresses are numeric and spelled as
`ipaddress` spells them, so that equal addresses are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import attrs

from xp2p_trio.sansio import Address, Burst, Transport


@attrs.frozen
class Interface:
    """One address of one network interface of this machine that a socket can be bound to.

    Attributes:
        name: the system's name of the interface ("eth0"); it tells a person what was used.
        address: the numeric address.
        is_loopback: whether only this machine reaches it.
        is_virtual: whether it belongs to a bridge or pair of a container or virtual machine, which seldom leads out.
        prefix_length: bits that the addresses of its network share; None if that is not known.
    """

    name: str
    address: str
    is_loopback: bool = False
    is_virtual: bool = False
    prefix_length: int | None = None


class DatagramSocket(Protocol):
    """A bound UDP socket that deals in bursts. What the network does to a datagram is never an exception."""

    @property
    def address(self) -> Address:
        """The local address, with the port that was really bound."""

    async def receive(self) -> Sequence[Burst]:
        """Wait until something has arrived, then drain a bounded batch, one burst for each source.

        Errors that the system reports for earlier datagrams (ICMP) are counted and do not end the wait.

        Raises:
            trio.ClosedResourceError: the socket was closed.
            trio.BusyResourceError: another task waits here.
        """

    def transmit(self, burst: Burst) -> int:
        """Send the burst to its remote address without blocking.

        Returns:
            How many of its datagrams are done with: sent, or lost to an error of that destination. Fewer than all only
            when the socket's buffer is full; the caller goes on with the rest after `wait_writable`.

        Raises:
            trio.ClosedResourceError: the socket was closed.
        """

    async def wait_writable(self) -> None:
        """Wait until `transmit` can take more.

        Raises:
            trio.ClosedResourceError: the socket was closed.
            trio.BusyResourceError: another task waits here.
        """

    def close(self) -> None:
        """Release the port and wake whoever waits. Again is harmless."""


class StreamSocket(Protocol):
    """A connected TCP or TLS stream that takes whole frames. What the network does to it is never an exception."""

    @property
    def local(self) -> Address:
        """Our end."""

    @property
    def remote(self) -> Address:
        """The other end."""

    @property
    def transport(self) -> Transport:
        """TCP or TLS."""

    @property
    def is_blocked(self) -> bool:
        """Whether something is kept that the system did not take yet: it needs a `wait_writable` to leave."""

    async def receive(self) -> bytes:
        """Wait for the next piece of the stream, of 64 KiB at most; empty at its end, however that came.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
            trio.BusyResourceError: another task waits here.
        """

    def transmit(self, frames: Sequence[bytes]) -> int:
        """Send frames without blocking, none in part only: what the system does not take is kept and goes first.

        Returns:
            How many frames are done with: sent, kept, or lost because the stream is at its end. Fewer than all only
            when too much is kept already; the caller goes on with the rest after `wait_writable`.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
        """

    async def wait_writable(self) -> None:
        """Wait until everything that was kept has been sent, or the stream is at its end.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
            trio.BusyResourceError: another task waits here.
        """

    def close(self) -> None:
        """End the stream at once and wake whoever waits. Again is harmless."""


class StreamListener(Protocol):
    """A TCP port that peers may connect to (RFC 6544)."""

    @property
    def address(self) -> Address:
        """The local address, with the port that was really bound."""

    async def accept(self) -> StreamSocket:
        """Wait for the next stream. A connection that is gone before it is looked at is skipped.

        Raises:
            trio.ClosedResourceError: the listener was closed.
            trio.BusyResourceError: another task waits here.
        """

    def close(self) -> None:
        """Release the port and wake whoever waits. Again is harmless."""


class Network(Protocol):
    """A maker of sockets and a teller of addresses."""

    def interfaces(self) -> Sequence[Interface]:
        """The addresses of this machine that work, best first. The caller chooses the candidates among them."""

    def bind(self, address: Address) -> DatagramSocket:
        """Open a UDP socket on a numeric local address; port 0 lets the system choose.

        Raises:
            OSError: the address is not ours, or the port is taken; the text names both.
            InvalidArgument: the address is not numeric, or the port out of range.
        """

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The numeric addresses behind a host name, in the order to try them; a numeric host is its own answer.

        Raises:
            OSError: the name does not resolve.
        """

    async def connect_stream(
        self, local_host: str | None, remote: Address, transport: Transport, server_name: str
    ) -> StreamSocket:
        """Connect over TCP, or over TLS with the server's certificate checked.

        Args:
            local_host: our numeric address to connect from; None leaves it to the system.
            remote: numeric address.
            transport: TCP or TLS.
            server_name: what the certificate must be for; over TCP unused.

        Raises:
            OSError: there is no connection, or its certificate is not good; the text says why.
        """

    def listen(self, address: Address) -> StreamListener:
        """Open a TCP port on a numeric local address; port 0 lets the system choose.

        Raises:
            OSError: the address is not ours, or the port is taken; the text names both.
        """

    def bind_multicast(self, group: str, port: int, interface_address: str) -> DatagramSocket:
        """Join a multicast group on the interface with this address, and share the port with other programs.

        The socket hears what is sent to the group there, by itself as well, and nothing else; its address is that of
        the interface, with the port. It sends to the group on that interface, or by unicast. With port 0 it has a port
        of its own, sends likewise, and hears what is sent to that port.

        Raises:
            OSError: there is no such interface, it has no multicast, or somebody does not share the port.
            InvalidArgument: an address is not numeric, or no group, or the port out of range.
        """

    async def wait_interfaces_changed(self) -> None:
        """Wait until `interfaces` may answer something else."""


@runtime_checkable
class SharedNetwork(Network, Protocol):
    """A network whose UDP sockets other connections use as well: what comes in is told apart by ICE's fragments."""

    def add_username_fragment(self, username_fragment: str) -> None:
        """Take what names this fragment as well: another generation of the same connection (RFC 8445 section 9).

        Raises:
            InvalidArgument: it is no username fragment, or that of another connection.
        """


def announce(network: Network, username_fragment: str) -> None:
    """A description with this fragment is about to reach the peer; whoever shares sockets must know whose it is."""
    if isinstance(network, SharedNetwork):
        network.add_username_fragment(username_fragment)
