"""One UDP port for many connections: each has a `Network` of its own, whose sockets are all on the shared port.

    kernel socket -> receive loop of the mux -> Demultiplexer -> queue of the session -> receive loop of its engine
    engine -> SharedSocket.transmit -> kernel socket

A session is named by its ICE username fragments, of which the driver tells the network before a peer can use them.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import attrs
import trio

from xp2p_trio.driver.feed import Feed
from xp2p_trio.driver.interfaces import host_addresses
from xp2p_trio.driver.network import DatagramSocket, Interface, Network, StreamListener, StreamSocket
from xp2p_trio.driver.nursery import Background, hidden_nursery
from xp2p_trio.driver.shared_socket import Port, Session, SharedSocket
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import Demultiplexer, DemultiplexerStatistics, UnknownPeer
from xp2p_trio.peer import EVERY_INTERFACE, InterfaceFilter
from xp2p_trio.sansio import Address, Burst, Scope, Transport, canonical_host, host_scopes

MAX_UNKNOWN_PEERS: Final = 512
"""Requests for nobody that wait for a program which does not listen."""

logger = logging.getLogger("xp2p_trio.driver")


@attrs.frozen(kw_only=True)
class UdpMuxStatistics:
    """What a mux counts.

    Attributes:
        datagrams_dropped: came for a connection that did not take them in time.
        unknown_peers_dropped: requests for nobody that the program did not look at in time.
        demultiplexer: what could not be routed, and how much there is to route to.
    """

    datagrams_dropped: int
    unknown_peers_dropped: int
    demultiplexer: DemultiplexerStatistics


@final
class _Exchange:
    """The sockets of a mux, and the loops that route what comes in on them."""

    def __init__(
        self,
        network: Network,
        background: Background,
        *,
        host: str | None,
        interfaces: InterfaceFilter,
        enable_ipv6: bool,
    ) -> None:
        self.network = network
        self.demultiplexer: Demultiplexer[Session] = Demultiplexer()
        self.unknown_peers: Feed[UnknownPeer] = Feed(MAX_UNKNOWN_PEERS)
        self.ports: dict[str, Port] = {}
        self.number = 0
        self.dropped = 0
        self.changed = trio.Event()
        self._background = background
        self._host = host
        self._wanted = interfaces
        self._enable_ipv6 = enable_ipv6

    def interfaces(self) -> list[Interface]:
        """Those that the mux uses, or may use."""
        return [each for each in self.network.interfaces() if self._host in (None, each.address)]

    def start(self, number: int) -> None:
        """Open the port on every address, and on those that come.

        Raises:
            OSError: no address could be bound.
        """
        self.number = number
        refusal = self._open_addresses()
        if not self.ports:
            raise refusal or OSError(errno.EADDRNOTAVAIL, "this machine has no address to bind a UDP port to")
        if self._host is None:
            self._background.start_soon(self._watch_interfaces)

    def port_at(self, host: str) -> Port:
        """The shared socket of an address, opened if the address is new.

        Raises:
            OSError: it is no address of the mux, or cannot be bound.
        """
        if host not in self.ports:
            if self._host is not None:
                raise OSError(errno.EADDRNOTAVAIL, f"cannot bind {host} on a mux whose address is {self._host}")
            self._open(host)
        return self.ports[host]

    def route(self, burst: Burst) -> None:
        """Hand on what came in."""
        for session, share in self.demultiplexer.route(burst, trio.current_time()):
            self.dropped += session.arrive(share)

    def close(self) -> None:
        """Release the port."""
        self.unknown_peers.end()
        for port in self.ports.values():
            port.close()

    def _open(self, host: str) -> None:
        port = Port(self.network.bind((host, self.number)), self._background)
        host, self.number = port.socket.address
        self.ports[host] = port
        self._background.start_soon(self._receive_loop, port.socket)

    def _open_addresses(self) -> OSError | None:
        """Bind what can be bound; returns the last refusal."""
        hosts = [self._host] if self._host is not None else self._usable_hosts()
        refusal = None
        for host in hosts:
            if host not in self.ports:
                try:
                    self._open(host)
                except OSError as error:
                    logger.warning("no mux on %s: %s", host, error)
                    refusal = error
        return refusal

    def _usable_hosts(self) -> list[str]:
        return host_addresses(self.network.interfaces(), enable_ipv6=self._enable_ipv6, wanted=self._wanted)

    @trio.lowlevel.enable_ki_protection
    async def _watch_interfaces(self) -> None:
        while True:
            await self.network.wait_interfaces_changed()
            self._open_addresses()
            present = {each.address for each in self.network.interfaces()}
            for host in self.ports.keys() - present:
                self.ports.pop(host).close()
            self.changed.set()
            self.changed = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def _receive_loop(self, socket: DatagramSocket) -> None:
        take_unknown = self.demultiplexer.take_unknown
        while True:
            try:
                bursts = await socket.receive()
            except trio.ClosedResourceError:
                return
            for burst in bursts:
                self.route(burst)
            for unknown in take_unknown():
                self.unknown_peers.put(unknown)


@final
class MuxNetwork:
    """The network of one connection on a shared port, made by `UdpMux.network`."""

    def __init__(self, exchange: _Exchange, session: Session) -> None:
        self._exchange = exchange
        self._session = session

    def add_username_fragment(self, username_fragment: str) -> None:
        """Take what names this fragment as well; the driver does so for each description that it makes.

        Raises:
            InvalidArgument: it is no username fragment, or that of another connection of the mux.
        """
        self._session.add_username_fragment(username_fragment)

    def close(self) -> None:
        """Take no part in the mux, as after the last socket was closed. Again is harmless."""
        self._session.close()

    def interfaces(self) -> Sequence[Interface]:
        """Those that the mux uses."""
        return self._exchange.interfaces()

    def bind(self, address: Address) -> SharedSocket:
        """Share the mux's socket on this address. The port is that of the mux, whichever is asked for.

        Raises:
            OSError: this connection has bound the address already, or it cannot be bound.
        """
        return self._session.bind(self._exchange.port_at(address[0]))

    async def resolve(self, host: str, port: int) -> list[Address]:
        """As the network below."""
        return await self._exchange.network.resolve(host, port)

    async def connect_stream(
        self, local_host: str | None, remote: Address, transport: Transport, server_name: str
    ) -> StreamSocket:
        """As the network below: streams are not shared."""
        return await self._exchange.network.connect_stream(local_host, remote, transport, server_name)

    def listen(self, address: Address) -> StreamListener:
        """As the network below: streams are not shared."""
        return self._exchange.network.listen(address)

    def bind_multicast(self, group: str, port: int, interface_address: str) -> DatagramSocket:
        """As the network below: its port is another one."""
        return self._exchange.network.bind_multicast(group, port, interface_address)

    async def wait_interfaces_changed(self) -> None:
        """The mux watches for all of its connections."""
        await self._exchange.changed.wait()


@final
class UdpMux:
    """One UDP port, on every address of this machine or on one, shared by many connections. See `open_udp_mux`.

    Attributes:
        unknown_peers: the requests that named none of the connections, 500 a second at most; who does not listen loses
            the oldest. Anybody can send such a request.
    """

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self.unknown_peers: Feed[UnknownPeer] = exchange.unknown_peers

    def __repr__(self) -> str:
        return f"<UdpMux port {self.port} on {', '.join(self._exchange.ports)}>"

    @property
    def port(self) -> int:
        """The port that is shared."""
        return self._exchange.number

    @property
    def addresses(self) -> Sequence[Address]:
        """Where it is open."""
        return [(host, self.port) for host in self._exchange.ports]

    @property
    def statistics(self) -> UdpMuxStatistics:
        """A snapshot of the counters."""
        exchange = self._exchange
        return UdpMuxStatistics(
            datagrams_dropped=exchange.dropped,
            unknown_peers_dropped=exchange.unknown_peers.dropped,
            demultiplexer=exchange.demultiplexer.statistics,
        )

    def network(self, username_fragment: str | None = None) -> MuxNetwork:
        """The network of one connection: `open_peer_connection(network=mux.network())`, and whatever takes a network.

        Args:
            username_fragment: of a connection whose peer asks already; what comes from it waits. Close such a network
                if no connection comes of it.

        Raises:
            InvalidArgument: it is no username fragment, or that of another connection of the mux.
        """
        session = Session(self._exchange.demultiplexer)
        if username_fragment is not None:
            session.expect(username_fragment)
        return MuxNetwork(self._exchange, session)

    def readmit(self, unknown: UnknownPeer) -> bool:
        """Route a request again if its fragment is known by now; whether it is."""
        if not self._exchange.demultiplexer.has(unknown.local_username_fragment):
            return False
        self._exchange.route(Burst(unknown.local, unknown.remote, (unknown.request,)))
        return True


@asynccontextmanager
async def open_udp_mux(
    port: int,
    *,
    host: str | None = None,
    interfaces: InterfaceFilter = EVERY_INTERFACE,
    enable_ipv6: bool = False,
    network: Network | None = None,
) -> AsyncGenerator[UdpMux, None]:
    """Open a UDP port that many connections share, on the addresses that there are and those that come.

    Connections belong inside of the block. One that outlives it finds its network dead.

    Args:
        port: the port; 0 lets the system choose one.
        host: the one local IP address to use; every usable one by default.
        interfaces: which of them are usable.
        enable_ipv6: whether IPv6 addresses are.
        network: where sockets come from; the operating system by default.

    Raises:
        OSError: no address could be bound.
        InvalidArgument: the host is not numeric or stands for every address, or the port is out of range.
    """
    if host is not None and Scope.UNSPECIFIED in host_scopes(host):
        raise InvalidArgument(f"host is {host!r}, every address: leave it out, which means the same")

    async def close() -> None:
        exchange.close()
        await trio.lowlevel.checkpoint()

    below = network or SystemNetwork()
    async with hidden_nursery(close=close, abort=lambda: exchange.close()) as background:
        exchange = _Exchange(
            below,
            background,
            host=host and (canonical_host(host) or host),
            interfaces=interfaces,
            enable_ipv6=enable_ipv6,
        )
        exchange.start(port)
        yield UdpMux(exchange)
