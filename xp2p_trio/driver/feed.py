"""News for a program that may not be listening: bounded, oldest dropped and counted, never a reason to wait."""

from __future__ import annotations

from collections import deque
from typing import TypeVar, final

import trio

T = TypeVar("T")


@final
class Feed(trio.abc.ReceiveChannel[T]):
    """A receive channel that the driver writes to without waiting.

    Attributes:
        dropped: how many items were lost because nobody took them in time.
    """

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        self._items: deque[T] = deque(maxlen=capacity)
        self._readers = trio.lowlevel.ParkingLot()
        self._is_ended = False
        self._is_closed = False

    def put(self, item: T) -> None:
        """Add an item; for the driver alone."""
        if self._is_closed or self._is_ended:
            return
        if len(self._items) == self._items.maxlen:
            self.dropped += 1
        self._items.append(item)
        self._readers.unpark()

    def end(self) -> None:
        """Nothing more will come; for the driver alone."""
        self._is_ended = True
        self._readers.unpark_all()

    async def receive(self) -> T:
        """Wait for the next item.

        Raises:
            trio.EndOfChannel: nothing more will come.
            trio.ClosedResourceError: you closed the feed.
        """
        if self._items or self._is_ended or self._is_closed:
            await trio.lowlevel.checkpoint()
        while True:
            try:
                return self.receive_nowait()
            except trio.WouldBlock:
                await self._readers.park()

    def receive_nowait(self) -> T:
        """Take the next item if there is one.

        Raises:
            trio.WouldBlock: there is none yet.
            trio.EndOfChannel, trio.ClosedResourceError: as `receive`.
        """
        if self._items:
            return self._items.popleft()
        if self._is_closed:
            raise trio.ClosedResourceError("you closed this feed")
        if self._is_ended:
            raise trio.EndOfChannel
        raise trio.WouldBlock

    async def aclose(self) -> None:
        """Stop listening."""
        self._is_closed = True
        self._items.clear()
        self._readers.unpark_all()
        await trio.lowlevel.checkpoint()
