"""Our own TURN client on a socket, under trio."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import trio

from xp2p_trio import turn
from xp2p_trio.driver import DatagramSocket, Network, StreamSocket
from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing.turn_service import TurnService

T = TypeVar("T")


class Client:
    """An allocation, and the datagram socket or the stream that it speaks through."""

    def __init__(
        self, allocation: turn.Allocation, sock: DatagramSocket | None = None, stream: StreamSocket | None = None
    ) -> None:
        self.allocation = allocation
        self.sock = sock
        self.stream = stream
        self.framer = turn.StreamFramer()
        self.events: list[Any] = []
        self.received: list[tuple[Address, bytes]] = []
        self.is_cut_off = False
        self._changed = trio.Event()
        self._may_read = trio.Event()
        self._may_read.set()
        self._reading = trio.CancelScope()

    async def run(self) -> None:
        while not self.is_cut_off:
            self.flush()
            await self._may_read.wait()
            with trio.move_on_at(self.allocation.next_timeout()) as self._reading:
                for burst in await self._receive():
                    self.allocation.receive(burst, trio.current_time())
            self.allocation.handle_timeout(trio.current_time())
            self.events += self.allocation.take_events()
            self.received += self.allocation.take_received()
            self._changed.set()
            self._changed = trio.Event()

    async def _receive(self) -> list[Burst]:
        if self.stream is None:
            assert self.sock is not None
            return list(await self.sock.receive())
        data = await self.stream.receive()
        self.is_cut_off = not data
        frames = self.framer.decode_frames(data)
        return [Burst(self.stream.local, self.stream.remote, frames, self.stream.transport)]

    @contextmanager
    def deaf(self) -> Generator[None, None, None]:
        """Read nothing meanwhile."""
        self._may_read = trio.Event()
        self._reading.cancel("deaf")
        try:
            yield
        finally:
            self._may_read.set()

    def flush(self) -> None:
        for burst in self.allocation.transmit(trio.current_time(), 1000):
            if self.stream is not None:
                assert self.stream.transmit(burst.datagrams) == len(burst.datagrams)
            elif self.sock is not None:
                self.sock.transmit(burst)

    def close(self) -> None:
        """Let go of the socket, as a program that is killed."""
        for closable in (self.sock, self.stream):
            if closable is not None:
                closable.close()

    async def wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    async def wait_for(self, kind: type[T]) -> T:
        """The first event of a kind."""
        await self.wait(lambda: any(isinstance(event, kind) for event in self.events))
        return next(event for event in self.events if isinstance(event, kind))

    async def allocate(self) -> Address:
        """The relayed address."""
        self.allocation.start(trio.current_time())
        self.flush()
        return (await self.wait_for(turn.Allocated)).relayed_address

    async def permit(self, peer: Address, *, channel: bool) -> None:
        if channel:
            self.allocation.bind_channel(peer, trio.current_time())
            self.flush()
            await self.wait_for(turn.ChannelBound)
        else:
            self.allocation.create_permissions([peer[0]], trio.current_time())
            self.flush()
            await self.wait_for(turn.PermissionCreated)

    def send(self, peer: Address, *data: bytes) -> None:
        self.allocation.send([(peer, each) for each in data], trio.current_time())
        self.flush()


@asynccontextmanager
async def client_of(
    service: TurnService,
    network: Network,
    host: str,
    *,
    transport: Transport = Transport.UDP,
    password: str | None = None,
    **choices: Any,
) -> AsyncGenerator[Client, None]:
    """A client that runs; it neither allocates nor says goodbye by itself."""
    server = service.addresses[transport]
    sock, stream = None, None
    if transport is Transport.UDP:
        sock = network.bind((host, 0))
        local = sock.address
    else:
        stream = await network.connect_stream(host, server, transport, server[0])
        local = stream.local
    allocation = turn.Allocation(
        server,
        local,
        turn.Credentials(service.username, service.password if password is None else password),
        random_bytes=os.urandom,
        configuration=turn.Configuration(transport=transport, allow_loopback=True, **choices),
    )
    client = Client(allocation, sock, stream)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.run)
            yield client
            nursery.cancel_scope.cancel("the test is over")
    finally:
        client.close()
