"""An aiortc peer behind the control protocol of `../foreign.py`; runs in the interpreter that has aiortc."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import sys
from typing import Any

import aioice.ice
import aiortc
from aiortc.sdp import candidate_from_sdp
from pattern import Digest, make_message

CONSENT_INTERVAL = aioice.ice.CONSENT_INTERVAL
SEND_HIGH_WATER = 1 << 20
logger = logging.getLogger(__name__)


def emit(value: dict[str, Any]) -> None:
    """Write one line of the protocol."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Entry:
    """A channel and the run of messages that is being collected on it."""

    def __init__(self, channel: aiortc.RTCDataChannel) -> None:
        self.channel = channel
        self.digest: Digest | None = None
        self.wanted = 0

    def describe(self) -> dict[str, Any]:
        channel = self.channel
        return {
            "label": channel.label,
            "protocol": channel.protocol,
            "ordered": channel.ordered,
            "maxRetransmits": channel.maxRetransmits,
            "maxPacketLifeTime": channel.maxPacketLifeTime,
            "negotiated": channel.negotiated,
            "channel_id": channel.id,
        }


class Host:
    """One connection at a time, and the commands on it."""

    def __init__(self) -> None:
        self.pc: aiortc.RTCPeerConnection | None = None
        self.generation = 0
        self.channels: dict[str, Entry] = {}

    async def handle(self, request: dict[str, Any]) -> None:
        try:
            arguments = {key: value for key, value in request.items() if key not in ("id", "do")}
            result = await getattr(self, f"do_{request['do']}")(**arguments)
            emit({"id": request["id"], "ok": result})
        except Exception as exc:
            logger.exception("command %s", request["do"])
            emit({"id": request["id"], "error": f"{type(exc).__name__}: {exc}"})

    async def do_create(self, generation: int, config: dict[str, Any]) -> None:
        if self.pc is not None:
            await self.pc.close()
        self.generation = generation
        self.channels = {}
        aioice.ice.CONSENT_INTERVAL = config.get("consentInterval", CONSENT_INTERVAL)  # beyond the W3C's members
        pc = self.pc = aiortc.RTCPeerConnection(
            aiortc.RTCConfiguration(
                iceServers=[aiortc.RTCIceServer(**server) for server in config.get("iceServers", ())],
                iceTransportPolicy=aiortc.rtcconfiguration.RTCIceTransportPolicy(
                    config.get("iceTransportPolicy", "all")
                ),
            )
        )

        @pc.on("connectionstatechange")
        def changed() -> None:
            emit({"generation": generation, "event": "state", "state": pc.connectionState})

        @pc.on("datachannel")
        def arrived(channel: aiortc.RTCDataChannel) -> None:
            self.adopt(channel, incoming=True)

    def adopt(self, channel: aiortc.RTCDataChannel, *, incoming: bool) -> str:
        entry = Entry(channel)
        key = f"c{len(self.channels)}"
        self.channels[key] = entry
        generation = self.generation

        def event(name: str, **fields: Any) -> None:
            emit({"generation": generation, "event": name, "key": key, **fields})

        @channel.on("open")
        def opened() -> None:
            event("open", **entry.describe())

        @channel.on("close")
        def closed() -> None:
            event("closed")

        @channel.on("message")
        def received(message: str | bytes) -> None:
            if entry.digest is not None:
                entry.digest.add(message)
                if entry.digest.count == entry.wanted:
                    event("collected", count=entry.wanted, digest=entry.digest.hexdigest())
                    entry.digest = None
            elif isinstance(message, str):
                event("message", text=message)
            else:
                event("message", base64=base64.b64encode(message).decode())

        if incoming:
            event("channel", **entry.describe())
        if channel.readyState == "open":
            opened()
        return key

    async def do_create_channel(self, label: str, init: dict[str, Any]) -> dict[str, Any]:
        assert self.pc is not None
        return {"key": self.adopt(self.pc.createDataChannel(label, **init), incoming=False)}

    async def do_add_media(self, kind: str) -> None:
        assert self.pc is not None
        self.pc.addTransceiver(kind)

    async def do_create_offer(self) -> dict[str, Any]:
        assert self.pc is not None
        if not self.channels:  # no m=application section without a channel; this one is never spoken of on the wire
            self.pc.createDataChannel("bootstrap", negotiated=True, id=1000)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return await self._described()

    async def do_create_answer(self) -> dict[str, Any]:
        assert self.pc is not None
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return await self._described()

    async def do_local_description(self) -> dict[str, Any]:
        assert self.pc is not None
        return {"sdp": self.pc.localDescription.sdp}

    async def _described(self) -> dict[str, Any]:
        # aiortc does not trickle: its descriptions are complete when they are set.
        emit({"generation": self.generation, "event": "candidate", "candidate": None, "mid": None})
        return await self.do_local_description()

    async def do_set_remote(self, type: str, sdp: str) -> None:
        assert self.pc is not None
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp=sdp, type=type))

    async def do_add_candidate(self, candidate: str | None, mid: str | None) -> None:
        assert self.pc is not None
        if candidate is None:
            await self.pc.addIceCandidate(None)
            return
        parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
        parsed.sdpMid = mid or "0"
        await self.pc.addIceCandidate(parsed)

    async def do_send(self, key: str, text: str | None = None, base64: str | None = None) -> None:
        self.channels[key].channel.send(text if text is not None else decode_base64(base64 or ""))

    async def do_send_many(self, key: str, seed: int, count: int, sizes: list[int]) -> None:
        channel = self.channels[key].channel
        for index in range(count):
            channel.send(make_message(seed, index, sizes))
            while channel.bufferedAmount > SEND_HIGH_WATER:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def do_collect(self, key: str, count: int) -> None:
        entry = self.channels[key]
        entry.digest, entry.wanted = Digest(), count

    async def do_close_channel(self, key: str) -> None:
        self.channels[key].channel.close()

    async def do_close(self) -> None:
        if self.pc is not None:
            await self.pc.close()
            self.pc = None

    async def do_stats(self) -> dict[str, Any]:
        assert self.pc is not None
        return {"connection": self.pc.connectionState, "ice": self.pc.iceConnectionState}


def decode_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


async def main() -> None:
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    host = Host()
    emit({"event": "ready", "name": f"aiortc {aiortc.__version__}"})
    running: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.ensure_future(host.handle(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG if os.environ.get("INTEROP_DEBUG") else logging.WARNING, stream=sys.stderr)
    asyncio.run(main())
