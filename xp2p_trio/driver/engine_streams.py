"""The streams of one engine: those that are connecting, those that are open, and the ports where peers open them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias, final

import attrs
import trio

from xp2p_trio.driver.network import Network, StreamListener, StreamSocket
from xp2p_trio.driver.nursery import Background
from xp2p_trio.sansio import Address, Burst, Transport

CONNECT_PATIENCE: Final = 10.0
"""Seconds until a stream that is still connecting has failed, TLS included."""

MAX_ACCEPTED: Final = 32
"""Streams of peers that are open at a time; more are closed at once."""

logger = logging.getLogger("xp2p_trio.driver")

Receive: TypeAlias = Callable[[], Awaitable[Sequence[Burst]]]
"""What a receive loop waits in."""

StreamName: TypeAlias = tuple[Address, Address, Transport]
"""Our end, the other end, and what it travels by."""


class StreamCore(Protocol):
    """What a core is told about the streams that it asked for: `peer.Connection`, `ice.Agent`."""

    def stream_opened(self, number: int, local: Address, now: float) -> None:
        """The stream that was asked for under this number is connected."""

    def stream_failed(self, number: int, detail: str, now: float) -> None:
        """It is not, and this is why."""

    def stream_accepted(self, local: Address, remote: Address, now: float, transport: Transport) -> None:
        """A peer has opened a stream."""

    def stream_closed(self, local: Address, remote: Address, now: float, transport: Transport) -> None:
        """A stream is at its end, which we have not asked for."""


@attrs.define(eq=False)
class _Open:
    """An open stream."""

    stream: StreamSocket
    is_accepted: bool
    is_unblocking: bool = False


@final
class EngineStreams:
    """Streams beside the sockets of an `Engine`.

    Args:
        core: is told of them; None where it asks for none.
        network: where streams come from.
        receive_loop: of the engine; runs until what it is given raises.
        flush: of the engine.

    Attributes:
        dropped_frames: found no room in a stream that takes nothing more.
    """

    def __init__(
        self,
        core: StreamCore | None,
        network: Network,
        receive_loop: Callable[[Receive], Awaitable[None]],
        flush: Callable[[], None],
    ) -> None:
        self._core_or_none = core
        self._network = network
        self._receive_loop = receive_loop
        self._flush = flush
        self._background: Background | None = None
        self._connecting: dict[int, trio.CancelScope] = {}
        self._open: dict[StreamName, _Open] = {}
        self._listeners: dict[Address, StreamListener] = {}
        self.dropped_frames = 0

    def start(self, background: Background) -> None:
        """Have somewhere to run tasks."""
        self._background = background

    def connect(
        self, number: int, local_host: str | None, remote: Address, transport: Transport, server_name: str
    ) -> None:
        """As `Engine.connect_stream`."""
        assert self._background is not None
        scope = self._connecting[number] = trio.CancelScope()
        self._background.start_soon(self._connect, scope, number, local_host, remote, transport, server_name)

    def withdraw(self, number: int) -> None:
        """As `Engine.withdraw_stream`."""
        if (scope := self._connecting.pop(number, None)) is not None:
            scope.cancel("the stream is not wanted any more")

    def listen(self, address: Address) -> Address:
        """As `Engine.listen`."""
        assert self._background is not None
        listener = self._network.listen(address)
        self._listeners[listener.address] = listener
        self._background.start_soon(self._accept_loop, listener)
        return listener.address

    def close(self, name: StreamName) -> None:
        """As `Engine.close_stream`."""
        if (entry := self._open.pop(name, None)) is not None:
            entry.stream.close()

    def close_listener(self, address: Address) -> None:
        """Take no more streams there; those that were taken go on."""
        if (listener := self._listeners.pop(address, None)) is not None:
            listener.close()

    def stop(self) -> None:
        """Close everything."""
        for number in list(self._connecting):
            self.withdraw(number)
        for address in list(self._listeners):
            self.close_listener(address)
        for name in list(self._open):
            self.close(name)

    def transmit(self, burst: Burst) -> None:
        """Send frames on the stream that the burst names; whole ones are dropped if it takes no more."""
        entry = self._open.get((burst.local, burst.remote, burst.transport))
        if entry is None:
            return
        self.dropped_frames += len(burst.datagrams) - entry.stream.transmit(burst.datagrams)
        if entry.stream.is_blocked and not entry.is_unblocking:
            assert self._background is not None
            entry.is_unblocking = True
            self._background.start_soon(self._unblock, entry)

    @trio.lowlevel.enable_ki_protection
    async def _unblock(self, entry: _Open) -> None:
        """Send what a stream keeps as soon as the system takes it."""
        try:
            while entry.stream.is_blocked:
                await entry.stream.wait_writable()
        except trio.ClosedResourceError:
            return
        entry.is_unblocking = False

    @trio.lowlevel.enable_ki_protection
    async def _connect(
        self,
        scope: trio.CancelScope,
        number: int,
        local_host: str | None,
        remote: Address,
        transport: Transport,
        server_name: str,
    ) -> None:
        stream: StreamSocket | None = None
        detail = f"no {transport.name} connection to {remote[0]} port {remote[1]} within {CONNECT_PATIENCE:g} s"
        with scope, trio.move_on_after(CONNECT_PATIENCE):
            try:
                stream = await self._network.connect_stream(local_host, remote, transport, server_name)
            except OSError as error:
                detail = error.strerror or str(error)
        if self._connecting.pop(number, None) is None:  # it was withdrawn, perhaps too late to be cancelled
            if stream is not None:
                stream.close()
            return
        if stream is None:
            logger.debug("%s", detail)
            self._core.stream_failed(number, detail, trio.current_time())
            self._flush()
            return
        name = self._keep(stream, is_accepted=False)
        self._core.stream_opened(number, stream.local, trio.current_time())
        self._flush()
        await self._run(name, stream)

    @trio.lowlevel.enable_ki_protection
    async def _accept_loop(self, listener: StreamListener) -> None:
        assert self._background is not None
        while True:
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            if self._listeners.get(listener.address) is not listener:  # closed in the same turn
                stream.close()
                return
            if (gone := (stream.local, stream.remote, stream.transport)) in self._open:
                self._end(gone)  # by a reset, which was not read yet: else the peer would have no second one
            if sum(entry.is_accepted for entry in self._open.values()) >= MAX_ACCEPTED:
                logger.debug("%s port %d is one stream too many", *stream.remote)
                stream.close()
                continue
            name = self._keep(stream, is_accepted=True)
            self._background.start_soon(self._run, name, stream)
            self._core.stream_accepted(stream.local, stream.remote, trio.current_time(), stream.transport)
            self._flush()

    def _keep(self, stream: StreamSocket, *, is_accepted: bool) -> StreamName:
        name = stream.local, stream.remote, stream.transport
        self._open[name] = _Open(stream, is_accepted)
        return name

    @trio.lowlevel.enable_ki_protection
    async def _run(self, name: StreamName, stream: StreamSocket) -> None:
        """Receive until the end."""
        local, remote, transport = name

        async def receive() -> Sequence[Burst]:
            chunk = await stream.receive()
            if not chunk:
                raise trio.EndOfChannel
            return [Burst(local, remote, (chunk,), transport)]

        try:
            await self._receive_loop(receive)
            return  # closed by us
        except trio.EndOfChannel:
            pass
        if (entry := self._open.get(name)) is not None and entry.stream is stream:
            self._end(name)
            self._flush()

    def _end(self, name: StreamName) -> None:
        """Close a stream that the other side has ended, and say so."""
        local, remote, transport = name
        self.close(name)
        self._core.stream_closed(local, remote, trio.current_time(), transport)

    @property
    def _core(self) -> StreamCore:
        assert self._core_or_none is not None, "this core asks for no streams"
        return self._core_or_none
