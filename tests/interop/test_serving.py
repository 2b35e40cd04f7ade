"""Foreign clients of `serve_peers`: with signaling like HTTP, and without any."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from tests.interop.foreign import Children, open_foreign_peer, require
from tests.interop.peer import ChannelSpec
from xp2p_trio import PeerConnection, SessionDescription, accept_direct, serve_peers
from xp2p_trio.driver import PeerServer
from xp2p_trio.peer import direct_answer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]


async def echo(connection: PeerConnection) -> None:
    async for channel in connection.incoming_channels:
        async for message in channel:
            await channel.send(message)


async def start(nursery: trio.Nursery) -> PeerServer:
    server: PeerServer = await nursery.start(partial(serve_peers, echo, 0, on_unknown=accept_direct))
    return server


async def test_an_offer_and_its_answer(children: Children, foreign: str) -> None:
    """As by an HTTP request, whose response holds all there is to know."""
    async with trio.open_nursery() as nursery:
        server = await start(nursery)
        for _ in range(2):
            async with open_foreign_peer(children, foreign) as client:
                channel = await client.create_channel(ChannelSpec())
                await client.create_offer()
                answer = await server.answer(SessionDescription("offer", await client.complete_description()))
                await client.set_remote("answer", answer.sdp)
                await channel.wait_open()
                await channel.send("hello")
                assert await channel.receive() == "hello"
        assert server.statistics.served == 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("mood", ["aiortc", "node", "chromium", "chromium-mdns"])
async def test_without_signaling(children: Children, mood: str) -> None:
    """Browsers as they are, and others: the client knows the server's address and certificate, and that is all."""
    require(children, mood)
    async with trio.open_nursery() as nursery:
        server = await start(nursery)
        async with open_foreign_peer(children, mood) as client:
            channel = await client.create_channel(ChannelSpec())
            offer = SessionDescription("offer", await client.create_offer())
            answer = direct_answer(offer, server.addresses[0], server.fingerprint)
            await client.set_remote("answer", answer.sdp)
            await channel.wait_open()
            await channel.send("hello")
            assert await channel.receive() == "hello"
            assert server.statistics.served == 1
        nursery.cancel_scope.cancel()
