"""`serve_peers`: a server for many peers on one UDP port, each connection in a task of its own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NoReturn, TypeAlias, final

import attrs
import trio

from xp2p_trio import dtls
from xp2p_trio.driver.errors import ConnectionFailed, ServerFull
from xp2p_trio.driver.network import Network
from xp2p_trio.driver.peer_connection import PeerConnection, open_peer_connection
from xp2p_trio.driver.udp_mux import MuxNetwork, UdpMux, UdpMuxStatistics, open_udp_mux
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import UnknownPeer
from xp2p_trio.peer import Configuration, DirectPeer, SessionDescription, direct_answer, direct_offer
from xp2p_trio.sansio import Address

ADMITTED_AT_ONCE: Final = 16
"""Peers without signaling that are let in within one turn of the scheduler, which is long where there are many."""

Handler: TypeAlias = Callable[[PeerConnection], Awaitable[object]]
OnUnknown: TypeAlias = Callable[[UnknownPeer], DirectPeer | None]

logger = logging.getLogger("xp2p_trio.driver")


@attrs.frozen(kw_only=True)
class ServerStatistics:
    """What a server counts.

    Attributes:
        peers: connections that exist now.
        connecting: those among them that are not connected yet.
        served: connections that were handed to the handler.
        lost: those whose handler was ended by what the peer or the network did.
        unconnected: connections that never came about.
        refused: peers that were turned away since there were `max_peers`.
        unauthenticated: peers without signaling whose request was not signed with the password of `on_unknown`.
        mux: what the port counts.
    """

    peers: int
    connecting: int
    served: int
    lost: int
    unconnected: int
    refused: int
    unauthenticated: int
    mux: UdpMuxStatistics


@final
class PeerServer:
    """A running server, which `serve_peers` hands to who starts it."""

    def __init__(
        self,
        handler: Handler,
        mux: UdpMux,
        nursery: trio.Nursery,
        configuration: Configuration,
        *,
        max_peers: int,
        connect_timeout: float,
    ) -> None:
        assert configuration.certificate is not None
        self._handler = handler
        self._mux = mux
        self._nursery = nursery
        self._configuration = configuration
        self._certificate = configuration.certificate
        self._max_peers = max_peers
        self._connect_timeout = connect_timeout
        self._is_over = False
        self._answers: set[trio.CancelScope] = set()
        self._guests: set[MuxNetwork] = set()  # of those that came without signaling and are not connected
        self._peers = self._connecting = self._served = self._lost = 0
        self._unconnected = self._refused = self._unauthenticated = 0

    def __repr__(self) -> str:
        return f"<PeerServer port {self._mux.port} peers={self._peers}>"

    @property
    def addresses(self) -> Sequence[Address]:
        """Where it listens."""
        return self._mux.addresses

    @property
    def fingerprint(self) -> dtls.Fingerprint:
        """The SHA-256 fingerprint of its certificate, which is the same for all peers."""
        return self._certificate.fingerprint()

    @property
    def statistics(self) -> ServerStatistics:
        """A snapshot of the counters."""
        return ServerStatistics(
            peers=self._peers,
            connecting=self._connecting,
            served=self._served,
            lost=self._lost,
            unconnected=self._unconnected,
            refused=self._refused,
            unauthenticated=self._unauthenticated,
            mux=self._mux.statistics,
        )

    async def answer(self, offer: SessionDescription) -> SessionDescription:
        """Take a peer's offer, as an HTTP request brings it (RFC 9725); the whole answer comes back, with candidates.

        The offer needs no candidates: where the peer is, its checks tell. From then on the connection is the server's.

        Raises:
            SdpError: the offer cannot be used.
            InvalidState: it is no offer.
            ServerFull: there are `max_peers` connections already.
            ConnectionFailed: the connection died before the answer was complete.
            trio.ClosedResourceError: the server is over.
        """
        if self._is_over:
            raise trio.ClosedResourceError("this server is over")
        if not self._has_room():
            raise ServerFull(f"all {self._max_peers} places for peers are taken")
        self._peers += 1
        with trio.CancelScope() as scope:
            self._answers.add(scope)
            try:
                answer: SessionDescription = await self._nursery.start(
                    self._serve_offer, self._mux.network(), self._configuration, offer
                )
            finally:
                self._answers.discard(scope)
            return answer
        raise trio.ClosedResourceError("this server is over")

    def admit(self, unknown: UnknownPeer, peer: DirectPeer) -> None:
        """Make a connection for a peer that asked without signaling. For `serve_peers`."""
        if not self._has_room(is_guest=True):
            return
        if not unknown.is_signed_with(peer.local_password):
            self._unauthenticated += 1
            return
        fragment = unknown.local_username_fragment
        ice = attrs.evolve(self._configuration.ice, username_fragment=fragment, password=peer.local_password)
        configuration = attrs.evolve(self._configuration, ice=ice)
        offer = direct_offer(unknown, peer)
        network = self._mux.network(fragment)
        self._mux.readmit(unknown)
        self._peers += 1
        self._guests.add(network)
        self._nursery.start_soon(self._serve_unknown, network, configuration, offer)

    def close(self) -> None:
        """No more peers. For `serve_peers`."""
        self._is_over = True
        for scope in self._answers:
            scope.cancel("the server is over")

    def _has_room(self, *, is_guest: bool = False) -> bool:
        if self._peers < self._max_peers and not (is_guest and 2 * len(self._guests) >= self._max_peers):
            return True
        self._refused += 1
        return False

    async def _serve_offer(
        self,
        network: MuxNetwork,
        configuration: Configuration,
        offer: SessionDescription,
        *,
        task_status: trio.TaskStatus[SessionDescription],
    ) -> None:
        async with self._answering(network, configuration, offer) as connection:
            task_status.started(await connection.complete_description())
            await self._serve(connection, network)

    async def _serve_unknown(
        self, network: MuxNetwork, configuration: Configuration, offer: SessionDescription
    ) -> None:
        async with self._answering(network, configuration, offer) as connection:
            await self._serve(connection, network)

    @asynccontextmanager
    async def _answering(
        self, network: MuxNetwork, configuration: Configuration, offer: SessionDescription
    ) -> AsyncGenerator[PeerConnection, None]:
        try:
            async with open_peer_connection(configuration, network=network) as connection:
                connection.set_remote_description(offer)
                connection.set_local_description()
                yield connection
        finally:
            network.close()
            self._guests.discard(network)
            self._peers -= 1

    async def _serve(self, connection: PeerConnection, network: MuxNetwork) -> None:
        if not await self._is_connected(connection):
            return
        self._guests.discard(network)
        self._served += 1
        try:
            await self._handler(connection)
        # Also where it comes beside a cancellation: it says no more than that the peer, or the way to it, is gone.
        except* (trio.BrokenResourceError, trio.EndOfChannel) as group:
            self._lost += 1
            logger.info("a peer is lost: %s", group.exceptions[0])

    async def _is_connected(self, connection: PeerConnection) -> bool:
        self._connecting += 1
        try:
            with trio.move_on_after(self._connect_timeout):
                await connection.wait_connected()
                return True
            logger.info("a peer is given up that did not connect within %g s", self._connect_timeout)
        except ConnectionFailed as error:
            logger.info("a peer did not connect: %s", error)
        finally:
            self._connecting -= 1
        self._unconnected += 1
        return False


async def serve_peers(
    handler: Handler,
    port: int,
    *,
    config: Configuration | None = None,
    host: str | None = None,
    on_unknown: OnUnknown | None = None,
    max_peers: int = 1024,
    connect_timeout: float = 30.0,
    network: Network | None = None,
    task_status: trio.TaskStatus[PeerServer] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve peers on one UDP port until cancelled: each that connects gets a task that runs `handler(connection)`.

    Started by `server = await nursery.start(serve_peers, handler, 4000)`. Peers come through `server.answer(offer)`, or
    by `on_unknown` without signaling. The handler begins when its connection is up, and the connection ends with it.

    What `handler` or `on_unknown` raise ends the server and comes out of it in a group, as with `trio.serve_tcp`. Only
    what a peer or the network can bring about at any time ends no more than its own connection:
    `trio.BrokenResourceError`, which `ConnectionFailed` is, and `trio.EndOfChannel`.

    Args:
        handler: what is done with each connection.
        port: the port; 0 lets the system choose one.
        config: of every connection. Its certificate is that of the server, which gets a new one without; its
            `port_range` does not matter, and `mdns="resolve"` is "off": where a peer is, its checks tell.
        host: the one local IP address to use; every usable one by default.
        on_unknown: asked about each peer that comes without signaling, for what must be known of it, or None to ignore
            it; `accept_direct` takes those of `open_direct_connection`. Anybody can send what it is asked about.
        max_peers: how many connections there may be; more are refused. Of those that came without signaling no more
            than half as many are on their way at a time: anybody can seem to be one.
        connect_timeout: seconds after which a peer that is not connected is given up.
        network: where sockets come from; the operating system by default.
        task_status: told the `PeerServer` as soon as the port is open.

    Raises:
        OSError: no address could be bound.
        InvalidArgument: the configuration has credentials of ICE, which each connection must have of its own.
    """
    configuration = config or Configuration()
    if configuration.ice.username_fragment is not None:
        raise InvalidArgument("a server draws ICE credentials for each connection; configure none")
    if configuration.certificate is None:
        configuration = attrs.evolve(configuration, certificate=dtls.Certificate.generate())
    if configuration.mdns == "resolve":
        configuration = attrs.evolve(configuration, mdns="off")
    host = configuration.bind_address if host is None else host
    async with (
        open_udp_mux(
            port,
            host=host,
            interfaces=configuration.interfaces,
            enable_ipv6=configuration.enable_ipv6,
            network=network,
        ) as mux,
        trio.open_nursery() as nursery,
    ):
        server = PeerServer(handler, mux, nursery, configuration, max_peers=max_peers, connect_timeout=connect_timeout)
        try:
            task_status.started(server)
            while True:
                unknown_peers = [await mux.unknown_peers.receive()]
                with contextlib.suppress(trio.WouldBlock):
                    while len(unknown_peers) < ADMITTED_AT_ONCE:
                        unknown_peers.append(mux.unknown_peers.receive_nowait())
                for unknown in unknown_peers:
                    if on_unknown is None or mux.readmit(unknown):  # asked again, and known meanwhile
                        continue
                    peer = on_unknown(unknown)
                    if peer is not None:
                        server.admit(unknown, peer)
        finally:
            server.close()
    raise AssertionError("a server ends by an exception")


@asynccontextmanager
async def open_direct_connection(
    address: Address,
    fingerprint: dtls.Fingerprint,
    configuration: Configuration | None = None,
    /,
    *,
    network: Network | None = None,
    **overrides: object,
) -> AsyncGenerator[PeerConnection, None]:
    """Open a connection to a server whose address and certificate are known, without signaling.

    The server must be `serve_peers(..., on_unknown=accept_direct)`.

    Args:
        address: numeric host and port of the server.
        fingerprint: of its certificate; another one is refused.
        configuration: what to change of the defaults. Its certificate is what the server knows us by.
        network: where sockets come from; the operating system by default.
        overrides: fields of the configuration, by name.

    Raises:
        As `open_peer_connection`.
        InvalidArgument: the address is not numeric, or the fingerprint too weak.
    """
    async with open_peer_connection(configuration, network=network, **overrides) as connection:
        offer = connection.set_local_description()
        connection.set_remote_description(direct_answer(offer, address, fingerprint))
        yield connection
