"""The sans-IO stack driven by asyncio: no trio and no thread. `AsyncioPeer` is the whole driver."""

import asyncio
import math
import os

from xp2p_trio.datachannel import ChannelArrived, ChannelOpened, ChannelParameters
from xp2p_trio.ice import AddressesRequested
from xp2p_trio.peer import Connection
from xp2p_trio.sansio import Burst, Closed, Failed


class AsyncioPeer(asyncio.DatagramProtocol):
    """One peer connection on one UDP socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.core = Connection(random_bytes=os.urandom)
        self.opened: asyncio.Queue[int] = asyncio.Queue()
        self.messages: asyncio.Queue[tuple[int, str | bytes]] = asyncio.Queue()
        self.over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self._address: tuple[str, int] = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.core.receive(Burst(self._address, addr, [data]), self._loop.time())
        self.pump()

    def pump(self) -> None:
        """Let out what the core has to say. To be called after whatever gave the core something to do."""
        now = self._loop.time()
        if now >= self.core.next_timeout():
            self.core.handle_timeout(now)
        while True:
            bursts, events, messages = self.core.transmit(now, 64), self.core.take_events(), self.core.take_received()
            if not bursts and not events and not messages:
                break
            for burst in bursts:
                for datagram in burst.datagrams:
                    self._transport.sendto(datagram, burst.remote)
            for message in messages:
                self.messages.put_nowait(message)
            for event in events:
                match event:
                    case AddressesRequested():
                        self.core.add_local_address(self._address, now)
                        self.core.end_of_local_addresses(now)
                    case ChannelArrived(channel_id) | ChannelOpened(channel_id):
                        self.opened.put_nowait(channel_id)
                    case Closed() | Failed():
                        print(self.name, "ended:", event)
                        self._transport.close()
                        self.over.set()
        if self._timer is not None:
            self._timer.cancel()
        when = self.core.next_timeout()
        self._timer = None if when == math.inf else self._loop.call_at(when, self.pump)


async def open_peer(name: str) -> AsyncioPeer:
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_datagram_endpoint(lambda: AsyncioPeer(name), local_addr=("127.0.0.1", 0))
    return peer


async def main() -> None:
    alice, bob = await open_peer("alice"), await open_peer("bob")
    now = asyncio.get_running_loop().time()

    alice.core.create_data_channel(ChannelParameters(label="chat"), now)
    for offerer, answerer in ((alice, bob), (bob, alice)):  # signaling: the offer over, then the answer back
        offerer.core.set_local_description(None, now)
        offerer.pump()  # gathers candidates, which the description then has
        description = offerer.core.local_description
        assert description is not None
        answerer.core.set_remote_description(description, now)
        answerer.pump()

    async with asyncio.timeout(30):
        alice.core.send([(await alice.opened.get(), "hello from asyncio")], now)
        alice.pump()
        channel_id, message = await bob.messages.get()
        bob.core.send([(channel_id, message)], now)
        bob.pump()
        print("echoed:", (await alice.messages.get())[1])
        alice.core.close(asyncio.get_running_loop().time())
        alice.pump()
        await alice.over.wait()
        await bob.over.wait()


asyncio.run(main())
