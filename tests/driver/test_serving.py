"""A server for many peers: answers like HTTP, connections without signaling, and what ends what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from xp2p_trio import (
    Certificate,
    Configuration,
    ConnectionFailed,
    FingerprintMismatch,
    InvalidState,
    PeerConnection,
    RemoteClosed,
    SdpError,
    ServerFull,
    SessionDescription,
    accept_direct,
    ice,
    open_direct_connection,
    open_peer_connection,
    serve_peers,
    stun,
)
from xp2p_trio.driver import PeerServer
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import UnknownPeer
from xp2p_trio.peer import DIRECT_PREFIX, DirectPeer, direct_answer
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing import BLACK_HOLE, PORT_RESTRICTED_CONE, SYMMETRIC, Link, Network

SERVER: Address = ("192.0.2.1", 4000)


@pytest.fixture
def network() -> Network:
    network = Network(seed=1, link=Link(delay=0.01))
    network.host("server", "192.0.2.1")
    for number in range(1, 6):
        network.host(f"client{number}", f"198.51.100.{number}")
    return network


async def echo(connection: PeerConnection) -> None:
    async for channel in connection.incoming_channels:
        async for message in channel:
            await channel.send(message)


@asynccontextmanager
async def serving(network: Network, handler: Any = echo, **options: Any) -> AsyncIterator[PeerServer]:
    async with trio.open_nursery() as nursery:
        yield await nursery.start(partial(serve_peers, handler, 4000, network=network.host("server"), **options))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def client_of(server: PeerServer, network: Network, name: str = "client1") -> AsyncIterator[PeerConnection]:
    """A peer that sends an offer and gets an answer, once."""
    async with open_peer_connection(network=network.host(name)) as client:
        client.set_local_description()
        client.set_remote_description(await server.answer(await client.complete_description()))
        yield client


async def assert_echo(client: PeerConnection) -> None:
    async with client.create_data_channel("echo") as channel:
        await channel.send("hello")
        assert await channel.receive() == "hello"


def request(username: str, password: str) -> bytes:
    message = stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, bytes(12), (stun.Username(username),))
    return stun.encode_message(message, key=password.encode(), fingerprint=True)


# --- offers and answers


async def test_peers_are_served(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with serving(network) as server, AsyncExitStack() as stack:
        assert server.addresses == [SERVER]
        assert repr(server) == "<PeerServer port 4000 peers=0>"
        clients = [
            await stack.enter_async_context(client_of(server, network, f"client{number}")) for number in range(1, 6)
        ]
        for client in clients:
            await assert_echo(client)
            assert client.remote_description is not None
            assert f"a=fingerprint:{server.fingerprint}" in client.remote_description.sdp
            assert "a=end-of-candidates" in client.remote_description.sdp
        statistics = server.statistics
        assert (statistics.peers, statistics.served, statistics.connecting) == (5, 5, 0)
        assert statistics.mux.demultiplexer.sessions == 5
    assert server.statistics.peers == server.statistics.mux.demultiplexer.sessions == 0


async def test_an_offer_needs_no_candidates(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with serving(network) as server, open_peer_connection(network=network.host("client1")) as client:
        offer = client.create_offer()
        assert "a=candidate" not in offer.sdp
        client.set_local_description(offer)
        client.set_remote_description(await server.answer(offer))
        await assert_echo(client)


@pytest.mark.parametrize("behaviour", [PORT_RESTRICTED_CONE, SYMMETRIC])
async def test_peers_behind_nats(autojump_clock: trio.testing.MockClock, network: Network, behaviour: Any) -> None:
    network.nat("home", "203.0.113.7", behaviour=behaviour, inside=["client1", "client2"])
    async with (
        serving(network, on_unknown=accept_direct) as server,
        client_of(server, network) as client,
        open_direct_connection(SERVER, server.fingerprint, network=network.host("client2")) as other,
    ):
        await assert_echo(client)
        await assert_echo(other)


async def test_the_connection_ends_with_its_handler(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async def greet(connection: PeerConnection) -> None:
        await connection.create_data_channel("greeting").send("welcome")

    async with serving(network, greet) as server, client_of(server, network) as client:
        channel = await client.incoming_channels.accept()
        assert await channel.receive() == "welcome"
        with pytest.raises((trio.EndOfChannel, RemoteClosed)):
            await channel.receive()
        await trio.sleep(1)
        assert server.statistics.peers == 0


@pytest.mark.parametrize(
    "offer",
    [
        SessionDescription("offer", "v=0"),
        SessionDescription("offer", "nonsense"),
        SessionDescription("offer", ""),
    ],
)
async def test_an_offer_that_cannot_be_used(
    autojump_clock: trio.testing.MockClock, network: Network, offer: SessionDescription
) -> None:
    async with serving(network) as server:
        with pytest.raises(SdpError):
            await server.answer(offer)
        assert server.statistics.peers == server.statistics.mux.demultiplexer.sessions == 0
        async with client_of(server, network) as client:
            await assert_echo(client)


async def test_what_is_no_offer(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with serving(network) as server, open_peer_connection(network=network.host("client1")) as client:
        offer = client.set_local_description()
        with pytest.raises(InvalidState):
            await server.answer(attrs.evolve(offer, type="answer"))
        assert server.statistics.peers == 0


async def test_a_full_server(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with serving(network, max_peers=2, on_unknown=accept_direct) as server:
        async with client_of(server, network) as client, client_of(server, network, "client2") as other:
            with pytest.raises(ServerFull, match="all 2 places"):
                async with client_of(server, network, "client3"):
                    pass
            async with open_direct_connection(SERVER, server.fingerprint, network=network.host("client4")) as late:
                with pytest.raises(ConnectionFailed):
                    await late.wait_connected()
            await assert_echo(client)
            await assert_echo(other)
            assert server.statistics.peers == 2
            assert server.statistics.refused > 1
        await trio.sleep(1)
        async with client_of(server, network, "client3") as client:
            await assert_echo(client)


async def test_many_at_once_are_not_more_than_there_is_room_for(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    refused = []

    async def ask(server: PeerServer, offer: SessionDescription) -> None:
        try:
            await server.answer(offer)
        except ServerFull as error:
            refused.append(error)

    async with serving(network, max_peers=2) as server, open_peer_connection(network=network.host("client1")) as client:
        offer = client.set_local_description()
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask, server, offer)
        assert len(refused) == 8


async def test_a_peer_that_never_comes(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with serving(network, connect_timeout=5) as server:
        async with open_peer_connection(network=network.host("client1")) as client:
            await server.answer(client.create_offer())
        assert server.statistics.connecting == server.statistics.peers == 1
        await trio.sleep(10)
        statistics = server.statistics
        assert (statistics.peers, statistics.connecting, statistics.unconnected, statistics.served) == (0, 0, 1, 0)


async def test_who_asks_and_goes_away_leaves_nothing(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with serving(network) as server, open_peer_connection(network=network.host("client1")) as client:
        offer = client.create_offer()
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.answer(offer)
        assert server.statistics.peers == server.statistics.mux.demultiplexer.sessions == 0


async def test_a_server_that_is_over(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with serving(network) as server, client_of(server, network) as client:
        await assert_echo(client)
        offer = SessionDescription("offer", "v=0")
    with pytest.raises(trio.ClosedResourceError):
        await server.answer(offer)


async def test_the_end_of_the_server_is_told_to_its_peers(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    async with open_peer_connection(network=network.host("client1")) as client:
        async with serving(network) as server:
            client.set_remote_description(await server.answer(client.set_local_description()))
            await assert_echo(client)
        with pytest.raises(RemoteClosed):
            await client.incoming_channels.accept()


# --- configuration


async def test_the_certificate_may_be_a_lasting_one(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    certificate = Certificate.generate()
    async with serving(network, config=Configuration(certificate=certificate)) as server:
        assert server.fingerprint == certificate.fingerprint()


async def test_credentials_of_ice_are_each_connection_s_own(network: Network) -> None:
    credentials = ice.Configuration(username_fragment="ufrag", password="p" * 22)
    with pytest.raises(InvalidArgument, match="for each connection"):
        await serve_peers(echo, 4000, config=Configuration(ice=credentials), network=network.host("server"))


async def test_a_port_that_is_taken(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with serving(network):
        with pytest.raises(OSError, match="4000"):
            await serve_peers(echo, 4000, network=network.host("server"))


async def test_the_chosen_address(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    network.host("server", "192.0.2.1", "192.0.2.2")
    async with serving(network, host="192.0.2.2") as server:
        assert server.addresses == [("192.0.2.2", 4000)]
    async with serving(network, config=Configuration(bind_address="192.0.2.2")) as server:
        assert server.addresses == [("192.0.2.2", 4000)]


# --- what ends what


async def test_a_bug_of_the_handler_ends_the_server(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async def buggy(connection: PeerConnection) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        async with serving(network, buggy) as server, client_of(server, network) as client:
            await client.incoming_channels.accept()
    assert caught.group_contains(ZeroDivisionError, match="a bug")


async def end_by_channel(connection: PeerConnection) -> None:
    channel = await connection.incoming_channels.accept()
    while True:
        await channel.receive()


async def end_in_a_nursery(connection: PeerConnection) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_by_channel, connection)
        nursery.start_soon(end_by_channel, connection)


@pytest.mark.parametrize("handler", [end_by_channel, end_in_a_nursery])
async def test_what_a_peer_does_ends_its_own_connection_alone(
    autojump_clock: trio.testing.MockClock, network: Network, handler: Any
) -> None:
    async def serve(connection: PeerConnection) -> None:
        pair = connection.selected_pair.value
        assert pair is not None
        await (handler if pair.remote.host == "198.51.100.1" else echo)(connection)

    async with serving(network, serve) as server, client_of(server, network, "client2") as other:
        async with client_of(server, network) as client:
            async with client.create_data_channel("short") as channel:
                await channel.wait_open()
            await trio.sleep(1)
            assert server.statistics.lost == 1
        async with client_of(server, network) as client:  # and one that says goodbye
            await client.wait_connected()
        await trio.sleep(1)
        assert server.statistics.lost == 2
        await assert_echo(other)
        assert server.statistics.peers == 1


async def test_a_peer_that_vanishes(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async def talk(connection: PeerConnection) -> None:
        channel = await connection.incoming_channels.accept()
        while True:
            await channel.send("are you there?")
            await trio.sleep(1)

    async with (
        serving(network, talk) as server,
        client_of(server, network) as client,
        client.create_data_channel("talk") as channel,
    ):
        await channel.wait_open()
        network.set_links("client1", "server", BLACK_HOLE)
        await trio.sleep(40)
        assert server.statistics.lost == 1
        assert server.statistics.peers == 0


# --- without signaling


async def test_a_connection_without_signaling(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    callers = []

    async def note(connection: PeerConnection) -> None:
        assert connection.remote_description is not None
        callers.append(connection.remote_description.sdp)
        await echo(connection)

    certificate = Certificate.generate()
    async with serving(network, note, on_unknown=accept_direct) as server:
        start = trio.current_time()
        async with open_direct_connection(
            SERVER, server.fingerprint, certificate=certificate, network=network.host("client1")
        ) as client:
            await client.wait_connected()
            assert trio.current_time() - start < 0.2, "the first check is not lost"
            await assert_echo(client)
            assert f"a=fingerprint:{certificate.fingerprint()}" in callers[0]
            async with open_direct_connection(
                SERVER, server.fingerprint, certificate=certificate, network=network.host("client2")
            ) as other:
                await assert_echo(other)
        await trio.sleep(100)
        statistics = server.statistics
        assert (statistics.peers, statistics.served, statistics.unconnected, statistics.lost) == (0, 2, 0, 0)
        assert statistics.unauthenticated == 0


async def test_a_peer_that_has_not_heard_of_the_end_makes_no_other_connection(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    async def leave(connection: PeerConnection) -> None:
        network.set_link("server", "client1", BLACK_HOLE)

    async with (
        serving(network, leave, on_unknown=accept_direct) as server,
        open_direct_connection(SERVER, server.fingerprint, network=network.host("client1")) as client,
    ):
        with pytest.raises(ConnectionFailed):
            await client.incoming_channels.accept()
        statistics = server.statistics
        assert (statistics.peers, statistics.served) == (0, 1)
        assert statistics.mux.demultiplexer.requests_late > 0


async def test_another_server_than_the_address_says(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    async with (
        serving(network, on_unknown=accept_direct) as server,
        open_direct_connection(SERVER, Certificate.generate().fingerprint(), network=network.host("client1")) as client,
    ):
        with pytest.raises(FingerprintMismatch):
            await client.wait_connected()
        await trio.sleep(1)
        assert server.statistics.served == 0


async def test_another_client_than_its_credentials_say(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    """Who takes the name of somebody has not the key."""
    somebody = Certificate.generate()
    async with (
        serving(network, on_unknown=accept_direct) as server,
        open_peer_connection(network=network.host("client1")) as client,
    ):
        offer = client.set_local_description()
        lie = offer.sdp.replace(offer.sdp.partition("a=fingerprint:")[2].splitlines()[0], str(somebody.fingerprint()))
        client.set_remote_description(direct_answer(SessionDescription("offer", lie), SERVER, server.fingerprint))
        with pytest.raises(ConnectionFailed):
            await client.wait_connected()
        await trio.sleep(1)
        statistics = server.statistics
        assert (statistics.served, statistics.unconnected, statistics.peers) == (0, 1, 0)


async def test_fingerprints_by_other_means(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    """Both use one string as fragment and password, as libp2p does, and the server knows who may come."""
    certificate = Certificate.generate()
    secret = "libp2p+webrtc+v1/0123456789abcdef"
    asked = []

    def on_unknown(unknown: UnknownPeer) -> DirectPeer:
        asked.append(unknown)
        fragment = unknown.local_username_fragment
        return DirectPeer(local_password=fragment, remote_password=fragment, fingerprints=certificate.fingerprint())

    config = Configuration(certificate=certificate, ice=ice.Configuration(username_fragment=secret, password=secret))
    async with (
        serving(network, on_unknown=on_unknown) as server,
        open_peer_connection(config, network=network.host("client1")) as client,
    ):
        answer = direct_answer(client.set_local_description(), SERVER, server.fingerprint).sdp
        credential = answer.partition("a=ice-ufrag:")[2].splitlines()[0]
        assert credential.startswith(DIRECT_PREFIX)
        client.set_remote_description(SessionDescription("answer", answer.replace(credential, secret)))
        await assert_echo(client)
        assert {unknown.local_username_fragment for unknown in asked} == {secret}
        assert {unknown.remote_username_fragment for unknown in asked} == {secret}


@pytest.mark.parametrize("on_unknown", [None, lambda unknown: None])
async def test_unknown_peers_may_be_ignored(
    autojump_clock: trio.testing.MockClock, network: Network, on_unknown: Any
) -> None:
    async with (
        serving(network, on_unknown=on_unknown) as server,
        open_direct_connection(SERVER, server.fingerprint, network=network.host("client1")) as client,
    ):
        with pytest.raises(ConnectionFailed):
            await client.wait_connected()
        assert server.statistics.served == server.statistics.peers == 0


async def test_a_bug_of_on_unknown_ends_the_server(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    def buggy(unknown: UnknownPeer) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        async with (
            serving(network, on_unknown=buggy) as server,
            open_direct_connection(SERVER, server.fingerprint, network=network.host("client1")) as client,
        ):
            await client.wait_connected()
    assert caught.group_contains(ZeroDivisionError)


async def test_who_does_not_know_the_password_makes_no_connection(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    fragment = DIRECT_PREFIX + "A" * 43 + "p" * 24
    stranger = network.host("client1").bind(("198.51.100.1", 1))
    async with serving(network, on_unknown=accept_direct) as server:
        stranger.transmit(Burst(stranger.address, SERVER, (request(f"{fragment}:abcd", "another"),)))
        await trio.sleep(1)
        assert server.statistics.unauthenticated == 1
        assert server.statistics.peers == 0
        stranger.transmit(Burst(stranger.address, SERVER, (request(f"{fragment}:abcd", fragment),) * 5))
        await trio.sleep(1)
        assert server.statistics.peers == 1, "one, however often it asks"
        await trio.sleep(60)
        assert server.statistics.peers == 0
        assert server.statistics.unconnected == 1


async def test_what_is_no_direct_peer_is_refused(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    with pytest.raises(InvalidArgument, match="usable fingerprint"):
        DirectPeer(local_password="p" * 22, remote_password="p" * 22, fingerprints=())
    with pytest.raises(InvalidArgument, match="resolve it first"):
        async with open_direct_connection(
            ("example.org", 4000), Certificate.generate().fingerprint(), network=network.host("client1")
        ):
            pass


async def test_the_kernel_s_sockets() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_peers, echo, 0, host="127.0.0.1", on_unknown=accept_direct))
        async with open_direct_connection(server.addresses[0], server.fingerprint, bind_address="127.0.0.1") as client:
            await assert_echo(client)
        async with open_peer_connection(bind_address="127.0.0.1") as client:
            client.set_remote_description(await server.answer(client.set_local_description()))
            await assert_echo(client)
        nursery.cancel_scope.cancel()


async def test_a_lite_server(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    """It begins no checks (RFC 8445 section 2.5), so that its paths are known by its clients' checks alone."""
    config = Configuration(ice=ice.Configuration(lite=True))
    async with (
        serving(network, config=config, on_unknown=accept_direct) as server,
        client_of(server, network) as client,
        open_direct_connection(SERVER, server.fingerprint, network=network.host("client2")) as other,
    ):
        assert client.remote_description is not None
        assert "a=ice-lite" in client.remote_description.sdp
        for _ in range(3):
            await assert_echo(client)
            await assert_echo(other)
            await trio.sleep(40)


@pytest.mark.slow
async def test_two_hundred_peers_over_loopback() -> None:
    """THREATS 5.6: opened together, all open within 30 s."""
    opened = []
    done = trio.Event()

    async def client(server: PeerServer) -> None:
        async with open_direct_connection(server.addresses[0], server.fingerprint, bind_address="127.0.0.1") as ours:
            channel = ours.create_data_channel("echo")
            await channel.send("hello")
            assert await channel.receive() == "hello"
            opened.append(channel)
            if len(opened) == 200:
                done.set()
            await done.wait()
            await channel.send("still there?")
            assert await channel.receive() == "still there?"

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_peers, echo, 0, host="127.0.0.1", on_unknown=accept_direct))
        async with trio.open_nursery() as clients:
            for _ in range(200):
                clients.start_soon(client, server)
            with trio.fail_after(30):
                await done.wait()
        nursery.cancel_scope.cancel()


async def test_offers_that_a_server_cannot_be_told_of(network: Network) -> None:
    fingerprint = Certificate.generate().fingerprint()
    credentials = ice.Configuration(username_fragment="ufrag", password="p" * 199)
    async with (
        open_peer_connection(network=network.host("client1")) as client,
        open_peer_connection(Configuration(ice=credentials), network=network.host("client2")) as other,
    ):
        offer = client.create_offer()
        for address in (("server.example", 4000), ("192.0.2.1", 0), ("192.0.2.1", 65536)):
            with pytest.raises(InvalidArgument, match="resolve it first"):
                direct_answer(offer, address, fingerprint)
        without = "".join(f"{line}\r\n" for line in offer.sdp.splitlines() if not line.startswith("a=fingerprint"))
        stronger = without + f"a=fingerprint:sha-512 {':'.join(['00'] * 64)}\r\n"
        with pytest.raises(InvalidArgument, match="no fingerprint of sha-256"):
            direct_answer(SessionDescription("offer", stronger), SERVER, fingerprint)
        with pytest.raises(InvalidArgument, match="longer than 198 characters"):
            direct_answer(other.create_offer(), SERVER, fingerprint)
