"""Two peers brought together for a test, with their roles."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from tests.interop.foreign import Children, open_foreign_peer
from tests.interop.ours import open_our_peer
from tests.interop.peer import Channel, ChannelSpec, Peer, negotiating
from tests.interop.peers.pattern import Digest, make_message

TEST_LIMIT = 60.0


@attrs.frozen
class Roles:
    """Who does what in one run of a test."""

    offerer: Peer
    answerer: Peer
    opener: Peer
    acceptor: Peer


class Recorder:
    """Sees a description pass by."""

    sdp = ""

    def __call__(self, sdp: str, /) -> str:
        self.sdp = sdp
        return sdp


@asynccontextmanager
async def open_peer(children: Children, name: str) -> AsyncGenerator[Peer, None]:
    if name == "ours":
        async with open_our_peer() as ours:
            yield ours
    else:
        async with open_foreign_peer(children, name) as foreign:
            yield foreign


@asynccontextmanager
async def assigned(
    children: Children, pair: tuple[str, str], offers: bool, opens: bool = True
) -> AsyncGenerator[Roles, None]:
    """Both peers with their roles, within the time of one test."""
    with trio.fail_after(TEST_LIMIT):
        async with open_peer(children, pair[0]) as first, open_peer(children, pair[1]) as second:
            yield Roles(
                *((first, second) if offers else (second, first)), *((first, second) if opens else (second, first))
            )


@asynccontextmanager
async def connected(
    children: Children,
    pair: tuple[str, str],
    offers: bool,
    opens: bool,
    specs: Sequence[ChannelSpec] = (ChannelSpec(),),
) -> AsyncGenerator[tuple[Roles, list[tuple[Channel, Channel]]], None]:
    """A connection with open channels: `(opener's end, acceptor's end)` of each.

    An offerer opens them before its offer, an answerer when the connection stands: the two usual moments.
    """
    async with assigned(children, pair, offers, opens) as roles:
        near = [await roles.opener.create_channel(spec) for spec in specs] if roles.opener is roles.offerer else []
        async with negotiating(roles.offerer, roles.answerer):
            if not near:
                await roles.opener.wait_connected()
                near = [await roles.opener.create_channel(spec) for spec in specs]
            for channel in near:
                await channel.wait_open()
            far = {channel.info.channel_id: channel for channel in [await roles.acceptor.accept() for _ in specs]}
            yield roles, [(channel, far[channel.info.channel_id]) for channel in near]


async def check_echo(one: Channel, other: Channel, message: str | bytes) -> None:
    """The message goes there, unchanged in kind and content, and back."""
    await one.send(message)
    assert await other.receive() == message
    await other.send(message)
    assert await one.receive() == message


async def check_transfer(one: Channel, other: Channel, count: int, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Much in both directions at once, and something in the middle of it: all arrives, in order and unchanged."""
    sizes = [1000, 20_000]
    arrived: list[int] = []

    async def check_collected(channel: Channel, seed: int) -> None:
        expected = Digest(make_message(seed, index, sizes) for index in range(count)).hexdigest()
        assert await channel.collected() == expected
        arrived.append(seed)

    channels = ((one, other, 1), (other, one, 2))
    for _, sink, _ in channels:
        await sink.collect(count)
    async with trio.open_nursery() as nursery:
        for source, sink, seed in channels:
            nursery.start_soon(check_collected, sink, seed)
            nursery.start_soon(lambda c, s: c.send_many(seed=s, count=count, sizes=sizes), source, seed)
        await trio.sleep(0.02)
        await meanwhile()
        assert not arrived, "the transfer was over too soon"
