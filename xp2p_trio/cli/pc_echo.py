"""`xp2p-trio pc-echo`: two peer connections in one process, one message there and back. The output is xp2p's."""

from __future__ import annotations

import argparse
from typing import final

import trio

from xp2p_trio.cli.options import configuration
from xp2p_trio.cli.outcome import DemoFailed
from xp2p_trio.driver import DataChannel, PeerConnection, connect, signaling_pair
from xp2p_trio.peer import ConnectionState, ConnectionStateChanged

GREETING = "Hello DataChannel!"


@final
class Narrator:
    """Prints what happens to one of the two."""

    def __init__(self, name: str, pc: PeerConnection) -> None:
        self._name = name
        self._pc = pc
        self._is_connected = trio.Event()

    def say(self, text: str) -> None:
        """Print a line about this peer."""
        print(f"[{self._name}] {text}", flush=True)

    async def tell_states(self) -> None:
        """Print every state, none left out."""
        async for event in self._pc.events:
            if isinstance(event, ConnectionStateChanged):
                self.say(f"State: {event.state.value}")
                if event.state is ConnectionState.CONNECTED:
                    self._is_connected.set()

    async def tell_open(self, channel: DataChannel) -> None:
        """Print that the channel is open, behind the states before it."""
        await self._is_connected.wait()
        self.say(f"DataChannel open: {channel.label}")


async def pc_echo(options: argparse.Namespace) -> None:
    """Run the demo.

    Raises:
        DemoFailed: something else came back.
        ConnectionFailed: there is no connection.
    """
    config = configuration(options)
    end_a, end_b = signaling_pair()
    async with (
        connect(end_a, initiator=True, config=config) as a,
        connect(end_b, initiator=False, config=config) as b,
        trio.open_nursery() as nursery,
    ):
        narrator_a = Narrator("PC-A", a)
        nursery.start_soon(narrator_a.tell_states)
        nursery.start_soon(_answer, b, nursery)
        channel = a.create_data_channel("echo")
        await channel.wait_open()
        await narrator_a.tell_open(channel)
        await channel.send(GREETING)
        answer = await channel.receive()
        narrator_a.say(f"Received: {answer!s}")
        if answer != GREETING:
            raise DemoFailed(f"{GREETING!r} was sent, {answer!r} came back")
        print("Echo successful!", flush=True)
        nursery.cancel_scope.cancel("the echo is back")


async def _answer(pc: PeerConnection, nursery: trio.Nursery) -> None:
    narrator = Narrator("PC-B", pc)
    nursery.start_soon(narrator.tell_states)
    async for channel in pc.incoming_channels:
        await narrator.tell_open(channel)
        async for message in channel:
            narrator.say(f"Received: {message!s}")
            await channel.send(message)
