"""A peer of ours in a process of its own, behind the control protocol of `../foreign.py`.

It signals by `connect`: instead of descriptions and candidates there are texts, in and out. `create` takes the
configuration's fields, those of ICE under `ice`, and beside them `initiator` and `trusted` (a certificate file).
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import trio

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.interop.peers.pattern import Digest, make_message
from xp2p_trio import Configuration, ConnectionFailed, DataChannel, PeerConnection, __version__, connect, ice
from xp2p_trio.driver import SystemNetwork


def emit(value: dict[str, Any]) -> None:
    """Write one line of the protocol."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Signaling(trio.abc.Channel[str]):
    """Texts in and out, one of each a line of the protocol."""

    def __init__(self, generation: int) -> None:
        self._generation = generation
        self.inbox, self._texts = trio.open_memory_channel[str](1000)

    async def send(self, value: str) -> None:
        emit({"generation": self._generation, "event": "signal", "text": value})
        await trio.lowlevel.checkpoint()

    async def receive(self) -> str:
        return await self._texts.receive()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Entry:
    """A channel and the run of messages that is being collected on it."""

    def __init__(self, channel: DataChannel) -> None:
        self.channel = channel
        self.digest: Digest | None = None
        self.wanted = 0

    def describe(self) -> dict[str, Any]:
        channel = self.channel
        return {"label": channel.label, "protocol": channel.protocol, "channel_id": channel.id}


class Host:
    """One connection at a time, and the commands on it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._life = trio.CancelScope()
        self._ended = trio.Event()
        self._ended.set()
        self.pc: PeerConnection | None = None
        self.signaling = Signaling(0)
        self.generation = 0
        self.channels: dict[str, Entry] = {}

    async def handle(self, request: dict[str, Any]) -> None:
        try:
            arguments = {key: value for key, value in request.items() if key not in ("id", "do")}
            emit({"id": request["id"], "ok": await getattr(self, f"do_{request['do']}")(**arguments)})
        except Exception as exc:  # noqa: BLE001 - whatever it is, the test is told
            emit({"id": request["id"], "error": f"{type(exc).__name__}: {exc}"})

    def event(self, name: str, **fields: Any) -> None:
        emit({"generation": self.generation, "event": name, **fields})

    # --- the connection

    async def do_create(self, generation: int, config: dict[str, Any]) -> None:
        await self.do_close()
        self.generation = generation
        self.channels = {}
        self.signaling = Signaling(generation)
        await self._nursery.start(self._live, config)

    async def _live(self, config: dict[str, Any], task_status: trio.TaskStatus[None]) -> None:
        initiator = config.pop("initiator", False)
        trusted = config.pop("trusted", None)
        network = SystemNetwork(ssl_context=ssl.create_default_context(cafile=trusted)) if trusted else None
        if "ice" in config:
            config["ice"] = ice.Configuration(**config["ice"])
        self._ended, self._leaving = trio.Event(), trio.Event()
        try:
            async with (
                connect(self.signaling, initiator=initiator, config=Configuration(**config), network=network) as pc,
                trio.open_nursery() as nursery,
            ):
                self.pc = pc
                task_status.started()
                for task in (self._tell_states, self._tell_news, self._accept):
                    nursery.start_soon(task, pc)
                await self._leaving.wait()
                nursery.cancel_scope.cancel("told to close")
        finally:
            self.pc = None
            self._ended.set()

    async def _tell_states(self, pc: PeerConnection) -> None:
        async for state in pc.state.eventual_values():
            self.event("state", state=state.name.lower())

    async def _tell_news(self, pc: PeerConnection) -> None:
        async for each in pc.events:
            self.event("news", text=str(each))

    async def _accept(self, pc: PeerConnection) -> None:
        try:
            async for channel in pc.incoming_channels:
                self._adopt(channel, incoming=True)
        except ConnectionFailed as error:
            self.event("failure", text=str(error))

    async def do_signal(self, text: str) -> None:
        await self.signaling.inbox.send(text)

    async def do_restart_ice(self) -> None:
        assert self.pc is not None
        self.pc.restart_ice()

    async def do_close(self) -> None:
        if self.pc is not None:
            self._leaving.set()
        await self._ended.wait()

    async def do_stats(self) -> dict[str, Any]:
        assert self.pc is not None
        pair = self.pc.selected_pair.value
        if pair is None:
            return {"route": None}
        return {
            "route": pair.route,
            "local": [pair.local.host, pair.local.port],
            "remote": [pair.remote.host, pair.remote.port],
        }

    # --- channels

    def _adopt(self, channel: DataChannel, *, incoming: bool) -> str:
        key = f"c{len(self.channels)}"
        entry = self.channels[key] = Entry(channel)
        if incoming:
            self.event("channel", key=key, **entry.describe())
        self._nursery.start_soon(self._read, key, entry)
        return key

    async def _read(self, key: str, entry: Entry) -> None:
        try:
            await entry.channel.wait_open()
            self.event("open", key=key, **entry.describe())
            async for message in entry.channel:
                if entry.digest is not None:
                    entry.digest.add(message)
                    if entry.digest.count == entry.wanted:
                        self.event("collected", key=key, count=entry.wanted, digest=entry.digest.hexdigest())
                        entry.digest = None
                elif isinstance(message, str):
                    self.event("message", key=key, text=message)
                else:
                    self.event("message", key=key, base64=base64.b64encode(message).decode())
        except (ConnectionFailed, trio.ClosedResourceError):
            pass
        self.event("closed", key=key)

    async def do_create_channel(self, label: str, init: dict[str, Any]) -> dict[str, Any]:
        assert self.pc is not None
        return {"key": self._adopt(self.pc.create_data_channel(label, ordered=init["ordered"]), incoming=False)}

    async def do_send(self, key: str, text: str | None = None, base64: str | None = None) -> None:
        await self.channels[key].channel.send(text if text is not None else decode_base64(base64 or ""))

    async def do_send_many(self, key: str, seed: int, count: int, sizes: list[int]) -> None:
        for index in range(count):
            await self.channels[key].channel.send(make_message(seed, index, sizes))

    async def do_collect(self, key: str, count: int) -> None:
        entry = self.channels[key]
        entry.digest, entry.wanted = Digest(), count

    async def do_close_channel(self, key: str) -> None:
        await self.channels[key].channel.aclose()


def decode_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


async def main() -> None:
    """Until standard input ends."""
    buffer = b""
    async with trio.lowlevel.FdStream(os.dup(0)) as stream, trio.open_nursery() as nursery:
        host = Host(nursery)
        emit({"event": "ready", "name": f"xp2p_trio {__version__}"})
        async for data in stream:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                nursery.start_soon(host.handle, json.loads(line))
        nursery.cancel_scope.cancel("the test session is over")


if __name__ == "__main__":
    trio.run(main)
