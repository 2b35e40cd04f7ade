"""A socket that several layers share for a short examination, each of which asks one question."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar, final

import trio

from xp2p_trio.driver.network import DatagramSocket
from xp2p_trio.sansio import Address, Burst, Closed, Failed, Layer

MAX_BURSTS: Final = 64
"""Bursts that wait for a layer, and datagrams that it builds at a time."""

EventT = TypeVar("EventT")
Take: TypeAlias = Callable[[EventT], None]
"""Gets each event of a layer; it may give the layer commands."""


@final
class Wire:
    """A socket of ours. Whoever runs over it sees all that comes, and knows its own."""

    def __init__(self, socket: DatagramSocket) -> None:
        self._socket = socket
        self._inboxes: set[trio.MemorySendChannel[Burst]] = set()

    @property
    def address(self) -> Address:
        """The socket's address."""
        return self._socket.address

    async def listen(self) -> None:
        """Hand out what comes, until cancelled."""
        while True:
            for burst in await self._socket.receive():
                for inbox in self._inboxes:
                    with contextlib.suppress(trio.WouldBlock):  # lost, as UDP loses
                        inbox.send_nowait(burst)

    def transmit(self, burst: Burst) -> None:
        """Send; what the socket does not take is lost, and repeated by whoever needs it."""
        self._socket.transmit(burst)

    async def run(self, layer: Layer[Burst, Burst, EventT], take: Take[EventT]) -> None:
        """Drive a layer until it ends."""
        inbox, arrivals = trio.open_memory_channel[Burst](MAX_BURSTS)
        self._inboxes.add(inbox)
        try:
            await converse(layer, self.transmit, arrivals.receive, take)
        finally:
            self._inboxes.remove(inbox)

    async def wait_for(self, datagram: bytes) -> None:
        """Wait until this datagram comes, from wherever."""
        inbox, arrivals = trio.open_memory_channel[Burst](MAX_BURSTS)
        self._inboxes.add(inbox)
        try:
            while datagram not in (await arrivals.receive()).datagrams:
                pass
        finally:
            self._inboxes.remove(inbox)

    def close(self) -> None:
        """Release the port."""
        self._socket.close()


async def converse(
    layer: Layer[Burst, Burst, EventT],
    transmit: Callable[[Burst], None],
    receive: Callable[[], Awaitable[Burst]],
    take: Take[EventT],
) -> None:
    """Drive a layer until it ends."""
    while True:
        for burst in layer.transmit(trio.current_time(), MAX_BURSTS):
            transmit(burst)
        if events := layer.take_events():
            for event in events:
                take(event)
            if isinstance(events[-1], Closed | Failed):
                return
            continue  # to send what was done about them
        with trio.move_on_at(layer.next_timeout()):
            burst = await receive()
            layer.receive(burst, trio.current_time())
        layer.handle_timeout(trio.current_time())
