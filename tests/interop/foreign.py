"""Foreign WebRTC implementations as child processes that speak JSON lines.

Protocol, one object a line. Requests `{"id", "do", ...}` on the child's standard input are answered on its standard
output by `{"id", "ok": result}` or `{"id", "error": text}`; everything else the child says is an event
`{"event", "generation", ...}`. The first line is `{"event": "ready", "name"}`. A child holds one connection at a time;
`create` closes the one before.

| request | fields | result |
|---|---|---|
| `create` | generation, config (RTCConfiguration; of ours: see `xp2p_peer.py`) | |
| `create_channel` | label, init (W3C RTCDataChannelInit) | `{"key"}` |
| `add_media` | kind: audio or video | |
| `create_offer`, `create_answer` | | `{"sdp"}` |
| `local_description` | | `{"sdp"}` with the candidates found so far |
| `set_remote` | type, sdp | |
| `add_candidate` | candidate or null, mid | |
| `restart_ice` | | |
| `signal` | text (of `connect`'s signaling, ours only) | |
| `send` | key, text or base64 | |
| `send_many` | key, seed, count, sizes | |
| `collect` | key, count | |
| `close_channel` | key | |
| `close`, `stats` | | stats: whatever the implementation tells |

| event | fields |
|---|---|
| `candidate` | candidate or null (the end), mid |
| `state` | state (RTCPeerConnectionState) |
| `channel` | key, label, protocol, ordered, maxRetransmits, maxPacketLifeTime, channel_id |
| `open` | key and the fields of `channel` |
| `message` | key, text or base64 |
| `collected` | key, count, digest |
| `closed` | key |
| `signal`, `news`, `failure` | text (ours only: for the other side, an event, the final diagnosis) |

A child's standard error goes to a log file, whose end is part of every `ForeignError`; `INTEROP_DEBUG=1` makes it
verbose.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.interop import locate
from tests.interop.peer import Candidate, ChannelInfo, ChannelSpec, SdpType, Traits

REPLY_TIMEOUT: Final = 30.0
START_TIMEOUT: Final = 60.0

TRAITS: Final = {
    # aiortc 1.16.0 writes len(str) instead of the number of UTF-8 bytes into DATA_CHANNEL_OPEN.
    # It also wants ICE credentials and codecs of its liking in every section of an answer, refused or not.
    # An offer that restarts ICE is answered with the old credentials, and the old checks go on.
    "aiortc": Traits(opens_non_ascii=False, tells_remote_close=False, lets_media_be_refused=False, restarts=False),
    # node-datachannel's native DataChannel has no accessor for ordered, maxRetransmits and maxPacketLifeTime.
    # An offer that restarts ICE is refused ("Invalid ICE settings from remote SDP"), and the old checks go on.
    # The relay policy leaves other candidates out of the description; checks leave from the host's socket all the same.
    "node": Traits(tells_reliability=False, tells_remote_close=False, restarts=False, obeys_relay_policy=False),
    # Chromium's connectionState stays "connected" after the other side's close_notify until ICE times out.
    "chromium": Traits(tells_remote_close=False),
    "chromium-mdns": Traits(tells_remote_close=False),
    "chromium-next": Traits(tells_remote_close=False),
    "xp2p": Traits(tells_reliability=False),
}


class ForeignError(Exception):
    """A foreign peer failed, or did not do in time what it was told."""


class Child:
    """A foreign peer's process; outlives single tests, since a browser takes seconds to start."""

    def __init__(self, peer: str, command: Sequence[str], log: Path) -> None:
        self.peer = peer
        self.log = log
        self.buffer = bytearray()
        self.ids = itertools.count(1)
        self.generations = itertools.count(1)
        self.broken = False
        self.ready = False
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                cwd=log.parent,  # a browser's profile lies there
                start_new_session=True,  # so that a browser's whole family can be killed
            )

    def streams(self) -> tuple[trio.lowlevel.FdStream, trio.lowlevel.FdStream]:
        """Standard input and output of the child for one run of trio."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return (
            trio.lowlevel.FdStream(os.dup(self._process.stdin.fileno())),
            trio.lowlevel.FdStream(os.dup(self._process.stdout.fileno())),
        )

    def running(self) -> bool:
        """Whether the child can be used again."""
        return not self.broken and self._process.poll() is None

    def describe_end(self) -> str:
        """What is known about the child, for an error's text."""
        code = self._process.poll()
        tail = self.log.read_text(errors="replace")[-3000:]
        return f"{'still running' if code is None else f'exit code {code}'}; end of {self.log}:\n{tail}"

    def kill(self) -> None:
        """End the child and all it started."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(3 if self.ready and not self.broken else 0.2)  # end of input ends a healthy child
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Children:
    """The foreign processes of a test session, one of each kind, started when first asked for."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, Child] = {}

    def get(self, peer: str) -> Child:
        """A usable child; one that broke in an earlier test is replaced. `NotInstalledError` where there is none."""
        child = self._children.get(peer)
        if child is not None and child.running():
            return child
        if child is not None:
            child.kill()
        child = self._children[peer] = Child(peer, locate.command(peer), self._logs / f"{peer}.log")
        return child

    def kill_all(self) -> None:
        """End every child."""
        for child in self._children.values():
            child.kill()
        self._children.clear()


class ForeignChannel:
    """A data channel of a foreign peer (shape: `tests.interop.peer.Channel`)."""

    def __init__(self, peer: ForeignPeer, key: str, fields: dict[str, Any]) -> None:
        self._peer = peer
        self._key = key
        self._fields = fields
        self._opened = trio.Event()
        self._closed = trio.Event()
        self._collected = trio.Event()
        self._digest = ""
        self._inbox, self._outbox = trio.open_memory_channel[str | bytes](float("inf"))

    @property
    def info(self) -> ChannelInfo:
        """The channel as the foreign side reports it."""
        fields = self._fields
        told = "ordered" in fields
        return ChannelInfo(
            label=fields["label"],
            protocol=fields["protocol"],
            channel_id=fields["channel_id"],
            reliability=(fields["ordered"], fields.get("maxRetransmits"), fields.get("maxPacketLifeTime"))
            if told
            else None,
        )

    def handle_event(self, message: dict[str, Any]) -> None:
        """One event of the child that concerns this channel."""
        match message["event"]:
            case "open":
                self._fields = message
                self._opened.set()
            case "closed":
                self._closed.set()
                self._inbox.close()
            case "message":
                text = message.get("text")
                self._inbox.send_nowait(base64.b64decode(message["base64"]) if text is None else text)
            case "collected":
                self._digest = message["digest"]
                self._collected.set()

    async def wait_open(self) -> None:
        """Until the foreign side says open."""
        await self._opened.wait()

    async def send(self, message: str | bytes) -> None:
        """Send one message."""
        content = {"text": message} if isinstance(message, str) else {"base64": base64.b64encode(message).decode()}
        await self._peer.call("send", key=self._key, **content)

    async def receive(self) -> str | bytes:
        """The next message; `trio.EndOfChannel` after the channel closed."""
        return await self._outbox.receive()

    async def send_many(self, *, seed: int, count: int, sizes: Sequence[int]) -> None:
        """Make and send `count` messages."""
        await self._peer.call("send_many", key=self._key, seed=seed, count=count, sizes=list(sizes))

    async def collect(self, count: int) -> None:
        """Digest the next `count` messages."""
        self._collected = trio.Event()
        await self._peer.call("collect", key=self._key, count=count)

    async def collected(self) -> str:
        """The digest."""
        await self._collected.wait()
        return self._digest

    async def close(self) -> None:
        """Tell the foreign side to close the channel."""
        await self._peer.call("close_channel", key=self._key)

    async def wait_closed(self) -> None:
        """Until the foreign side says closed."""
        await self._closed.wait()


class ForeignPeer:
    """One connection of a foreign implementation (shape: `tests.interop.peer.Peer`)."""

    def __init__(self, child: Child) -> None:
        self.name = child.peer
        self.traits = TRAITS[child.peer]
        self.version = ""
        self._child = child
        self._stdin, self._stdout = child.streams()
        self._generation = next(child.generations)
        self._replies: dict[int, trio.Event] = {}
        self._results: dict[int, dict[str, Any]] = {}
        self._channels: dict[str, ForeignChannel] = {}
        self._state = "new"
        self._state_changed = trio.Condition()
        self._arrived, self._incoming = trio.open_memory_channel[ForeignChannel](float("inf"))
        self._gathered, self._candidates = trio.open_memory_channel[Candidate](float("inf"))
        self._said, self.signals = trio.open_memory_channel[str](float("inf"))
        self.news: list[str] = []
        self._diagnosed, self._diagnosis = trio.open_memory_channel[str](float("inf"))
        self._writing = trio.Lock()
        self._ready = trio.Event()

    async def call(self, do: str, **fields: Any) -> Any:
        """One request and its result."""
        number = next(self._child.ids)
        event = self._replies[number] = trio.Event()
        async with self._writing:
            try:
                await self._stdin.send_all(json.dumps({"id": number, "do": do, **fields}).encode() + b"\n")
            except trio.BrokenResourceError:
                self._child.broken = True
                raise ForeignError(f"{self.name} does not read: {self._child.describe_end()}") from None
        with trio.move_on_after(REPLY_TIMEOUT) as scope:
            await event.wait()
        if scope.cancelled_caught:
            self._child.broken = True
            raise ForeignError(f"{self.name}: no answer to {do} in {REPLY_TIMEOUT:g} s; {self._child.describe_end()}")
        reply = self._results.pop(number)
        if "error" in reply:
            raise ForeignError(f"{self.name}: {do}: {reply['error']}")
        return reply["ok"]

    async def read(self) -> None:
        """Sort what the child says, until it is cancelled; a child that ends is an error."""
        buffer = self._child.buffer
        while True:
            while (end := buffer.find(b"\n")) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                await self._handle(json.loads(line))
            received = await self._stdout.receive_some(1 << 16)
            if not received:
                self._child.broken = True
                raise ForeignError(f"{self.name} ended: {self._child.describe_end()}")
            buffer += received

    async def _handle(self, message: dict[str, Any]) -> None:
        if "id" in message:
            if (event := self._replies.pop(message["id"], None)) is not None:
                if "key" in (message.get("ok") or {}):  # known before its events, which may follow in the same read
                    self._add_channel(message["ok"]["key"], {})
                self._results[message["id"]] = message
                event.set()
            return
        if message["event"] == "ready":
            self._child.ready = True
            self.version = message["name"]
            self._ready.set()
        elif message.get("generation") != self._generation:
            pass  # an echo of an earlier test's connection
        elif message["event"] == "candidate":
            self._gathered.send_nowait(Candidate(message["candidate"], message["mid"]))
        elif message["event"] == "state":
            async with self._state_changed:
                self._state = message["state"]
                self._state_changed.notify_all()
        elif message["event"] == "signal":
            self._said.send_nowait(message["text"])
        elif message["event"] == "news":
            self.news.append(message["text"])
        elif message["event"] == "failure":
            self._diagnosed.send_nowait(message["text"])
        elif message["event"] == "channel":
            self._arrived.send_nowait(self._add_channel(message["key"], message))
        else:
            channel = self._channels.get(message["key"]) or self._add_channel(message["key"], {})
            channel.handle_event(message)

    def _add_channel(self, key: str, fields: dict[str, Any]) -> ForeignChannel:
        return self._channels.setdefault(key, ForeignChannel(self, key, fields))

    async def start(self, config: Mapping[str, Any]) -> None:
        """Wait for a fresh child, and make the connection."""
        if not self._child.ready:
            with trio.move_on_after(START_TIMEOUT) as scope:
                await self._ready.wait()
            if scope.cancelled_caught:
                self._child.broken = True
                raise ForeignError(f"{self.name} did not start in {START_TIMEOUT:g} s; {self._child.describe_end()}")
        await self.call("create", generation=self._generation, config=dict(config))

    async def create_channel(self, spec: ChannelSpec) -> ForeignChannel:
        """Open a channel."""
        init: dict[str, Any] = {"ordered": spec.ordered, "protocol": spec.protocol}
        if spec.max_retransmits is not None:
            init["maxRetransmits"] = spec.max_retransmits
        if spec.max_packet_life_time is not None:
            init["maxPacketLifeTime"] = spec.max_packet_life_time
        if spec.negotiated_id is not None:
            init |= {"negotiated": True, "id": spec.negotiated_id}
        return self._channels[(await self.call("create_channel", label=spec.label, init=init))["key"]]

    async def add_media(self, kind: str) -> None:
        """Have an audio or video section in the next offer."""
        await self.call("add_media", kind=kind)

    async def accept(self) -> ForeignChannel:
        """The next channel that the other side opened."""
        return await self._incoming.receive()

    async def create_offer(self) -> str:
        """Make an offer and apply it; gathering begins."""
        return str((await self.call("create_offer"))["sdp"])

    async def create_answer(self) -> str:
        """Make an answer and apply it."""
        return str((await self.call("create_answer"))["sdp"])

    async def complete_description(self) -> str:
        """The description with all candidates."""
        while (await self._candidates.receive()).line is not None:
            pass
        return str((await self.call("local_description"))["sdp"])

    async def set_remote(self, kind: SdpType, sdp: str) -> None:
        """Apply the other side's description."""
        await self.call("set_remote", type=kind, sdp=sdp)

    async def add_candidate(self, candidate: Candidate) -> None:
        """Apply one of the other side's candidates."""
        await self.call("add_candidate", candidate=candidate.line, mid=candidate.mid)

    async def next_candidate(self) -> Candidate:
        """The next local candidate, the end of candidates last."""
        return await self._candidates.receive()

    async def _wait_state(self, *wanted: str) -> str:
        async with self._state_changed:
            while self._state not in wanted:
                await self._state_changed.wait()
            return self._state

    async def wait_connected(self) -> None:
        """Until the foreign side says connected."""
        if await self._wait_state("connected", "failed", "closed") != "connected":
            raise ForeignError(f"{self.name}: connection {self._state}")

    async def wait_gone(self) -> str:
        """Until the foreign side knows that the connection is over."""
        return await self._wait_state("disconnected", "failed", "closed")

    async def wait_diagnosis(self) -> str:
        """Until the connection has failed; why, in its own words."""
        return await self._diagnosis.receive()

    async def restart_ice(self) -> None:
        """Have new credentials in the next offer."""
        await self.call("restart_ice")

    async def stats(self) -> dict[str, Any]:
        """Whatever the implementation tells."""
        result = await self.call("stats")
        assert isinstance(result, dict)
        return result

    async def close(self) -> None:
        """Close the connection; the child lives on."""
        await self.call("close")

    def release(self) -> None:
        """Give the child's streams back; without a checkpoint, which could replace an error on its way out."""
        self._stdin.close()
        self._stdout.close()

    async def finish(self) -> None:
        """Leave the child in a state in which the next test can use it, or mark it as broken."""
        with trio.move_on_after(5, shield=True) as scope:
            try:
                await self.close()
            except ForeignError:
                self._child.broken = True
        if scope.cancelled_caught:
            self._child.broken = True


@asynccontextmanager
async def open_foreign_peer(
    children: Children, name: str, config: Mapping[str, Any] | None = None
) -> AsyncGenerator[ForeignPeer, None]:
    """A connection of the named implementation; failures of the child come out as `ForeignError`."""
    async with open_peer_of(children.get(name), config or {}) as peer:
        yield peer


@asynccontextmanager
async def open_peer_of(child: Child, config: Mapping[str, Any]) -> AsyncGenerator[ForeignPeer, None]:
    """A connection of this child."""
    peer = ForeignPeer(child)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.read)
            try:
                await peer.start(config)
                yield peer
            except BaseException:
                if child.broken or trio.current_effective_deadline() == float("-inf"):
                    child.broken = True  # nobody reads its answers any more
                else:
                    await peer.finish()
                raise
            await peer.finish()
            nursery.cancel_scope.cancel("the interop peer is done")
    finally:
        peer.release()


def require(children: Children, *names: str) -> None:
    """Skip the test, with the reason, when one of the named peers is not installed."""
    for name in names:
        try:
            children.get(name)
        except locate.NotInstalledError as exc:
            pytest.skip(f"{name}: {exc}")
