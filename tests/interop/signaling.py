"""A foreign peer at the other end of `connect`'s signaling."""

from __future__ import annotations

import json
from typing import Any

import trio

from tests.interop.foreign import ForeignError, ForeignPeer
from tests.interop.peer import Candidate


class ForeignSignaling:
    """The foreign side of a signaling channel: JSON texts in the form of the WebRTC specification's examples.

    Attributes:
        refused: the descriptions that the foreign side would not have.
    """

    def __init__(self, peer: ForeignPeer, channel: trio.abc.Channel[str]) -> None:
        self._peer = peer
        self._channel = channel
        self.refused: list[ForeignError] = []

    async def offer(self) -> None:
        """Begin, or begin again."""
        await self._tell({"description": {"type": "offer", "sdp": await self._peer.create_offer()}})

    async def speak(self) -> None:
        """Pass on the foreign candidates; after the end of one generation's comes the next one's."""
        while True:
            candidate = await self._peer.next_candidate()
            line = candidate.line
            init = None if line is None else {"candidate": line.removeprefix("a="), "sdpMid": candidate.mid}
            await self._tell({"candidate": init})

    async def listen(self) -> None:
        """Apply what our side says."""
        async for text in self._channel:
            signal = json.loads(text)
            if "description" in signal:
                description = signal["description"]
                try:
                    await self._peer.set_remote(description["type"], description["sdp"])
                except ForeignError as exc:
                    self.refused.append(exc)
                    continue
                if description["type"] == "offer":
                    await self._tell({"description": {"type": "answer", "sdp": await self._peer.create_answer()}})
            elif signal["candidate"] is None:
                await self._peer.add_candidate(Candidate(None))
            else:
                candidate = signal["candidate"]
                await self._peer.add_candidate(Candidate(candidate["candidate"], candidate["sdpMid"]))

    async def _tell(self, signal: dict[str, Any]) -> None:
        await self._channel.send(json.dumps(signal))
