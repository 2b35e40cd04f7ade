"""Signaling is any `trio.abc.Channel[str]`; here is one for two peers of one program."""

from __future__ import annotations

from typing import final

import trio


@final
class MemorySignaling(trio.abc.Channel[str]):
    """One end of a signaling channel within a program."""

    def __init__(self, outbox: trio.MemorySendChannel[str], inbox: trio.MemoryReceiveChannel[str]) -> None:
        self._outbox = outbox
        self._inbox = inbox

    async def send(self, value: str) -> None:
        """Send a text to the other end.

        Raises:
            trio.BrokenResourceError: the other end is closed.
            trio.ClosedResourceError: this end is closed.
        """
        await self._outbox.send(value)

    async def receive(self) -> str:
        """Wait for a text from the other end.

        Raises:
            trio.EndOfChannel: the other end is closed.
            trio.ClosedResourceError: this end is closed.
        """
        return await self._inbox.receive()

    async def aclose(self) -> None:
        """Close this end."""
        self._outbox.close()
        self._inbox.close()
        await trio.lowlevel.checkpoint()


def signaling_pair() -> tuple[MemorySignaling, MemorySignaling]:
    """Two ends of a signaling channel, for two peers in one program."""
    left_out, right_in = trio.open_memory_channel[str](64)
    right_out, left_in = trio.open_memory_channel[str](64)
    return MemorySignaling(left_out, left_in), MemorySignaling(right_out, right_in)
