"""A data channel as a byte stream, judged by trio's own conformance checker over a real (simulated) connection."""

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from xp2p_trio import Configuration
from xp2p_trio.driver import STREAM_PROTOCOL
from xp2p_trio.testing import Link, connected_pair


@asynccontextmanager
async def stream_pair(alice, bob):
    left = alice.open_stream("s")
    channel = await bob.incoming_channels.accept()
    await left.channel.wait_open()
    yield left, channel.as_stream()


async def test_bytes_and_the_end_both_ways(autojump_clock):
    async with connected_pair(link=Link(delay=0.01)) as (alice, bob), stream_pair(alice, bob) as (left, right):
        assert right.channel.protocol == STREAM_PROTOCOL
        data = bytes(range(256)) * 1000
        async with trio.open_nursery() as nursery:

            async def send():
                await left.send_all(data)
                await left.send_eof()
                await left.send_eof()

            nursery.start_soon(send)
            assert b"".join([chunk async for chunk in right]) == data
        assert await right.receive_some() == b""
        await right.send_all(b"still open this way")
        assert await left.receive_some(5) == b"still"
        assert await left.receive_some() == b" open this way"


async def test_a_stream_that_was_cut_short_never_looks_complete(autojump_clock):
    async with connected_pair(link=Link(delay=0.01)) as (alice, bob), stream_pair(alice, bob) as (left, right):
        await left.send_all(b"half of it")
        await trio.aclose_forcefully(left.channel)
        assert await right.receive_some() == b"half of it"
        with pytest.raises(trio.BrokenResourceError, match="before the end"):
            await right.receive_some()


async def test_a_forceful_close_is_no_end_of_the_stream(autojump_clock):
    async with connected_pair(link=Link(delay=0.01)) as (alice, bob), stream_pair(alice, bob) as (left, right):
        await left.send_all(b"half of it")
        await trio.aclose_forcefully(left)
        assert await right.receive_some() == b"half of it"
        with pytest.raises(trio.BrokenResourceError, match="before the end"):
            await right.receive_some()


async def test_a_cancelled_send_all_garbles_nothing(autojump_clock):
    small = Configuration(send_buffer=1000, receive_buffer=1000)
    async with (
        connected_pair(link=Link(delay=0.01), alice=small, bob=small) as (alice, bob),
        stream_pair(alice, bob) as (left, _),
    ):
        with trio.move_on_after(1) as scope:
            await left.send_all(bytes(10_000_000))
        assert scope.cancelled_caught
        with pytest.raises(trio.BrokenResourceError, match="half way"):
            await left.send_all(b"more")
        with pytest.raises(trio.BrokenResourceError):
            await left.send_eof()


async def test_what_is_no_stream_is_told(autojump_clock):
    async with connected_pair(link=Link(delay=0.01)) as (alice, bob), stream_pair(alice, bob) as (left, right):
        await right.channel.send("some text")
        with pytest.raises(trio.BrokenResourceError, match="text"):
            await left.receive_some()
        with pytest.raises(TypeError):
            await left.receive_some(1.5)
        with pytest.raises(ValueError, match="0"):
            await left.receive_some(0)


async def test_two_tasks_collide(autojump_clock):
    async with (
        connected_pair(link=Link(delay=0.01)) as (alice, bob),
        stream_pair(alice, bob) as (left, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(left.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await left.receive_some()
        nursery.cancel_scope.cancel()


async def test_conformance(autojump_clock):
    # Small buffers, so that a sender that nobody reads from is clogged soon.
    small = Configuration(send_buffer=4096, receive_buffer=4096)
    async with connected_pair(alice=small, bob=small) as (alice, bob):

        async def make():
            left = alice.open_stream("s")
            channel = await bob.incoming_channels.accept()
            await left.channel.wait_open()
            return left, channel.as_stream()

        async def make_clogged():
            left, right = await make()
            for stream in (left, right):
                with trio.move_on_after(5):
                    while True:
                        await stream.channel.send(bytes(4096))
            return left, right

        await trio.testing.check_half_closeable_stream(make, make_clogged)
