"""Sockets and tasks around the TURN server: a task for each socket, one for the time, one for a stream that is full."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, final

import trio

from xp2p_trio.driver import DatagramSocket, Network, StreamListener, StreamSocket
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing.host import Host
from xp2p_trio.testing.tls_listener import TlsListener
from xp2p_trio.testing.turn_allocations import AllocationCreated, AllocationDeleted, FiveTuple, StreamDropped
from xp2p_trio.testing.turn_server import TurnServer

TRANSMIT_LIMIT: Final = 64
"""Datagrams asked of the server at a time: as many as leave by one call of the system."""

StartSoon: TypeAlias = Callable[..., object]
"""Of a nursery."""


@final
class TurnRunner:
    """Runs a server on the sockets that `open` opened, until its tasks are cancelled; then `close` it.

    What a socket does not take is lost, as by UDP. A client that does not read what its stream brings is not read from
    meanwhile, so that its answers are never among what is lost.
    """

    def __init__(self, server: TurnServer, network: Network) -> None:
        self._server = server
        self._network = network
        self._sockets: dict[Address, DatagramSocket] = {}
        self._listeners: list[StreamListener] = []
        self._streams: dict[FiveTuple, StreamSocket] = {}
        self._draining: dict[FiveTuple, trio.Event] = {}
        self._full: set[FiveTuple] = set()
        self._timer = trio.CancelScope()
        self._start_soon: StartSoon | None = None

    def open(self, transport: Transport, address: Address, tls: ssl.SSLContext | None) -> Address:
        """Let clients come to an address. Returns it with the port that was really bound.

        Raises:
            OSError: the address is not ours, or the port is taken; the text names both.
            InvalidArgument: TLS without a certificate.
        """
        if transport is Transport.UDP:
            sock = self._network.bind(address)
            self._sockets[sock.address] = sock
            return sock.address
        listener: StreamListener
        if transport is Transport.TCP:
            listener = self._network.listen(address)
        elif tls is not None:
            listener = TlsListener(self._network.listen(address), tls)
        elif isinstance(self._network, Host):
            listener = self._network.listen(address, transport=Transport.TLS)
        else:
            raise InvalidArgument("TLS needs a certificate: give `tls`, an ssl.SSLContext of a server")
        self._listeners.append(listener)
        return listener.address

    def check_relay_host(self, host: str) -> None:
        """Whether relayed addresses can be there.

        Raises:
            OSError: the host is not ours.
        """
        self._network.bind((host, 0)).close()

    def start(self, start_soon: StartSoon) -> None:
        """Start the tasks; more will follow."""
        self._start_soon = start_soon
        start_soon(self._keep_time)
        for sock in self._sockets.values():
            start_soon(self._receive, sock)
        for listener in self._listeners:
            start_soon(self._accept, listener)

    def close(self) -> None:
        """Release every port and end every stream; the tasks end by that as well."""
        for listener in self._listeners:
            listener.close()
        for stream in self._streams.values():
            stream.close()
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        self._listeners.clear()
        self._streams.clear()

    # --- tasks ---

    async def _keep_time(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._server.next_timeout()) as self._timer:
                await trio.sleep_forever()
            now = trio.current_time()
            self._server.handle_timeout(now)
            self._flush(now)

    async def _receive(self, sock: DatagramSocket) -> None:
        while True:
            try:
                bursts = await sock.receive()
            except trio.ClosedResourceError:
                return
            now = trio.current_time()
            for burst in bursts:
                self._server.receive(burst, now)
            self._flush(now)

    async def _accept(self, listener: StreamListener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            now = trio.current_time()
            path = FiveTuple(stream.transport, stream.local, stream.remote)
            self._streams[path] = stream
            self._server.stream_accepted(stream.local, stream.remote, now, stream.transport)
            self._spawn(self._receive_stream, path, stream)
            self._flush(now)

    async def _receive_stream(self, path: FiveTuple, stream: StreamSocket) -> None:
        try:
            while data := await stream.receive():
                if path in self._full and (drained := self._draining.get(path)) is not None:
                    await drained.wait()  # or an answer would be lost
                now = trio.current_time()
                self._server.receive(Burst(stream.local, stream.remote, [data], stream.transport), now)
                self._flush(now)
        except trio.ClosedResourceError:
            pass
        finally:
            stream.close()
            if self._streams.get(path) is stream:
                del self._streams[path]
                now = trio.current_time()
                self._server.stream_closed(stream.local, stream.remote, now, stream.transport)
                self._flush(now)

    async def _drain(self, path: FiveTuple, stream: StreamSocket) -> None:
        try:
            await stream.wait_writable()
        except trio.ClosedResourceError:
            pass
        finally:
            self._full.discard(path)
            self._draining.pop(path).set()

    # --- what the server has to say ---

    def _flush(self, now: float) -> None:
        server = self._server
        over: list[AllocationDeleted | StreamDropped] = []
        while events := server.take_events():
            for event in events:
                if isinstance(event, AllocationCreated):
                    self._bind(event.relayed_address, now)
                else:
                    over.append(event)
        while bursts := server.transmit(now, TRANSMIT_LIMIT):
            for burst in bursts:
                self._send(burst)
        for event in over:  # now that the last words are out
            if isinstance(event, AllocationDeleted):
                closable: DatagramSocket | StreamSocket | None = self._sockets.pop(event.relayed_address, None)
            else:
                closable = self._streams.pop(FiveTuple(event.transport, event.local, event.remote), None)
            if closable is not None:
                closable.close()
        self._timer.deadline = server.next_timeout()

    def _bind(self, relayed_address: Address, now: float) -> None:
        try:
            sock = self._network.bind(relayed_address)
        except OSError:  # by another program; or there are too many open files, which shows at every port
            self._server.relayed_address_taken(relayed_address, now)
            return
        self._sockets[relayed_address] = sock
        self._spawn(self._receive, sock)

    def _send(self, burst: Burst) -> None:
        if not burst.transport.is_stream:
            sock = self._sockets.get(burst.local)
            if sock is not None:
                sock.transmit(burst)
            return
        path = FiveTuple(burst.transport, burst.local, burst.remote)
        stream = self._streams.get(path)
        if stream is None:
            return
        if stream.transmit(burst.datagrams) < len(burst.datagrams):
            self._full.add(path)
        if stream.is_blocked and path not in self._draining:
            self._draining[path] = trio.Event()
            self._spawn(self._drain, path, stream)

    def _spawn(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        assert self._start_soon is not None
        self._start_soon(task, *args)
