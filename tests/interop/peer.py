"""What the interop tests say to a peer, whoever it is: ours in this process, or a foreign one in a child process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Protocol

import attrs
import trio

SdpType = Literal["offer", "answer"]


@attrs.frozen(kw_only=True)
class ChannelSpec:
    """What a channel is opened with; life time in milliseconds, as on the wire."""

    label: str = "chat"
    protocol: str = ""
    ordered: bool = True
    max_retransmits: int | None = None
    max_packet_life_time: int | None = None
    negotiated_id: int | None = None


@attrs.frozen(kw_only=True)
class ChannelInfo:
    """A channel as one side reports it. `reliability` is None where the implementation cannot tell."""

    label: str
    protocol: str
    channel_id: int | None
    reliability: tuple[bool, int | None, int | None] | None
    """`(ordered, max_retransmits, max_packet_life_time in milliseconds)`"""


@attrs.frozen(kw_only=True)
class Traits:
    """What an implementation is known not to do, each with its reason where it is set."""

    opens_non_ascii: bool = True
    tells_reliability: bool = True
    tells_remote_close: bool = True
    lets_media_be_refused: bool = True
    restarts: bool = True
    obeys_relay_policy: bool = True


@attrs.frozen
class Candidate:
    """One trickled candidate; `line` is None at the end of candidates."""

    line: str | None
    mid: str | None = None


class RefusedError(Exception):
    """The connection failed, and with it the wait; the cause is the implementation's own error, if it has one."""


class Channel(Protocol):
    """One data channel of one side."""

    @property
    def info(self) -> ChannelInfo: ...
    async def wait_open(self) -> None:
        """Until this side says open; `RefusedError` where it can tell that it never will."""

    async def send(self, message: str | bytes) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def send_many(self, *, seed: int, count: int, sizes: Sequence[int]) -> None:
        """Send `count` messages of `pattern.make_message`."""

    async def collect(self, count: int) -> None:
        """From now on count and digest messages instead of handing them out."""

    async def collected(self) -> str:
        """The digest once the `count` messages are here."""
        ...

    async def close(self) -> None: ...
    async def wait_closed(self) -> None:
        """Until this side knows that the channel is closed."""


class Peer(Protocol):
    """One connection of one implementation."""

    name: str
    traits: Traits

    async def create_channel(self, spec: ChannelSpec) -> Channel: ...
    async def accept(self) -> Channel:
        """The next channel that the other side opened; `RefusedError` where it can tell that none ever will."""
        ...

    async def create_offer(self) -> str: ...
    async def create_answer(self) -> str: ...
    async def complete_description(self) -> str:
        """The local description with all candidates; waits for them. Not to be mixed with `next_candidate`."""
        ...

    async def set_remote(self, kind: SdpType, sdp: str) -> None: ...
    async def add_candidate(self, candidate: Candidate) -> None: ...
    async def next_candidate(self) -> Candidate:
        """The next local candidate, the end of candidates last."""
        ...

    async def wait_connected(self) -> None: ...
    async def wait_gone(self) -> str:
        """Until this side holds the connection for closed or failed; how it says so."""
        ...

    async def close(self) -> None: ...


async def _trickle(source: Peer, target: Peer) -> None:
    candidate = Candidate("")
    while candidate.line is not None:
        candidate = await source.next_candidate()
        await target.add_candidate(candidate)


class Mangle(Protocol):
    """What the other side gets to see of a description."""

    def __call__(self, sdp: str, /) -> str: ...


@asynccontextmanager
async def negotiating(
    offerer: Peer,
    answerer: Peer,
    *,
    before_answer: Callable[[], Awaitable[object]] | None = None,
    trickle: bool = True,
    seen_as: Mapping[SdpType, Mangle] | None = None,
) -> AsyncGenerator[None, None]:
    """Exchange descriptions, and candidates for as long as the block lasts; does not wait for the connection."""
    seen_as = seen_as or {}
    async with trio.open_nursery() as nursery:
        offer = await offerer.create_offer()
        if not trickle:
            offer = await offerer.complete_description()
        await answerer.set_remote("offer", seen_as.get("offer", str)(offer))
        if before_answer is not None:
            await before_answer()
        answer = await answerer.create_answer()
        if not trickle:
            answer = await answerer.complete_description()
        await offerer.set_remote("answer", seen_as.get("answer", str)(answer))
        if trickle:
            nursery.start_soon(_trickle, offerer, answerer)
            nursery.start_soon(_trickle, answerer, offerer)
        yield
        nursery.cancel_scope.cancel("the interop test is over")
