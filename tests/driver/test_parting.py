"""The peer says goodbye, and our allocation on a TURN server takes a while to be deleted: nobody misuses anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from xp2p_trio import (
    Configuration,
    ConnectionFailed,
    ConnectionState,
    DataChannel,
    PeerConnection,
    RemoteClosed,
    open_peer_connection,
    serve_peers,
)
from xp2p_trio.testing import BLACK_HOLE, Link, Network, embedded_turn_server

SERVER = "192.0.2.9"


async def sends(connection: PeerConnection, channel: DataChannel) -> None:
    while True:
        await channel.send("on and on")
        await trio.sleep(0.001)


async def sends_much(connection: PeerConnection, channel: DataChannel) -> None:
    while True:
        await channel.send_many([bytes(10_000)] * 10)


async def opens(connection: PeerConnection, channel: DataChannel) -> None:
    while True:
        connection.create_data_channel("another")
        await trio.sleep(0.01)


async def streams(connection: PeerConnection, channel: DataChannel) -> None:
    while True:
        await channel.as_stream().send_all(b"on and on")
        await trio.sleep(0.001)


async def closes(connection: PeerConnection, channel: DataChannel) -> None:
    while True:
        await connection.create_data_channel("short").aclose()
        await channel.wait_flushed()
        await trio.sleep(0.01)


@pytest.fixture
def network() -> Network:
    network = Network(seed=1, link=Link(delay=0.1))
    for name, address in (("alice", "192.0.2.1"), ("bob", "192.0.2.2"), ("server", SERVER)):
        network.host(name, address)
    return network


EACH = pytest.mark.parametrize("act", [sends, sends_much, opens, streams, closes])


@EACH
@pytest.mark.parametrize("is_server_gone", [False, True])
async def test_a_peer_that_goes_is_no_misuse(
    network: Network,
    autojump_clock: trio.testing.MockClock,
    act: Callable[[PeerConnection, DataChannel], Awaitable[None]],
    is_server_gone: bool,
) -> None:
    async with embedded_turn_server(network=network.host("server"), host=SERVER) as service:
        config = Configuration(ice_servers=service.urls)
        async with (
            open_peer_connection(network=network.host("bob")) as bob,
            open_peer_connection(config, network=network.host("alice")) as alice,
        ):
            bob.set_remote_description(alice.set_local_description())
            alice.set_remote_description(bob.set_local_description())
            channel = alice.create_data_channel("talk")
            await channel.wait_open()
            await alice.complete_description()
            if is_server_gone:
                network.set_links("alice", "server", BLACK_HOLE)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bob.aclose)
                with pytest.raises((RemoteClosed, trio.BrokenResourceError)):
                    await act(alice, channel)


@EACH
async def test_a_peer_that_goes_ends_no_server(
    network: Network,
    autojump_clock: trio.testing.MockClock,
    act: Callable[[PeerConnection, DataChannel], Awaitable[None]],
) -> None:
    async def handle(connection: PeerConnection) -> None:
        channel = connection.create_data_channel("talk")
        await channel.wait_open()
        await act(connection, channel)

    async with (
        embedded_turn_server(network=network.host("server"), host=SERVER) as service,
        trio.open_nursery() as nursery,
    ):
        config = Configuration(ice_servers=service.urls)
        server: Any = await nursery.start(
            partial(serve_peers, handle, 4000, config=config, network=network.host("alice"))
        )
        for _ in range(3):
            async with open_peer_connection(network=network.host("bob")) as bob:
                bob.set_remote_description(await server.answer(bob.set_local_description()))
                await bob.wait_connected()
                await trio.sleep(1)
            await trio.sleep(10)
        assert server.statistics.lost == 3
        nursery.cancel_scope.cancel("the test is over")


async def test_what_was_received_can_still_be_read(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    async with (
        embedded_turn_server(network=network.host("server"), host=SERVER) as service,
        open_peer_connection(network=network.host("bob")) as bob,
        open_peer_connection(Configuration(ice_servers=service.urls), network=network.host("alice")) as alice,
    ):
        bob.set_remote_description(alice.set_local_description())
        alice.set_remote_description(bob.set_local_description())
        channel = alice.create_data_channel("talk")
        await channel.wait_open()
        await alice.complete_description()
        arrived = await bob.incoming_channels.accept()
        await arrived.send_many(["one", "two"])
        await bob.aclose()
        await trio.sleep(0.15)
        assert alice.state.value is ConnectionState.CONNECTED  # the server has not answered yet
        assert await channel.receive() == "one"
        with pytest.raises(ConnectionFailed):
            await channel.send("answer")
        assert await channel.receive() == "two"
        with pytest.raises((trio.EndOfChannel, ConnectionFailed)):
            await channel.receive()
