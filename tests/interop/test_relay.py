"""Whole connections of ours through coturn on loopback: relay-only over UDP, TCP and TLS, and what goes wrong there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.interop.coturn import HOST, REALM, USER, Coturn, rest_credentials
from tests.interop.link import check_echo, check_transfer
from tests.interop.ours import OurChannel, OurPeer, open_our_peer
from tests.interop.peer import ChannelSpec, negotiating
from tests.interop.peers.pattern import Digest, make_message
from xp2p_trio import (
    Configuration,
    ConnectionFailed,
    ConnectionState,
    IceServer,
    connect,
    ice,
    signaling_pair,
    turn,
)
from xp2p_trio.driver import SystemNetwork
from xp2p_trio.sansio import Transport
from xp2p_trio.sdp import CandidateType

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

TRANSPORTS = [Transport.UDP, Transport.TCP, Transport.TLS]


def relay_only(*urls: str) -> dict[str, object]:
    """Fields of the configuration; one address, so that there is one allocation for each server."""
    return {"ice_servers": urls, "ice_transport_policy": "relay", "bind_address": HOST}


@asynccontextmanager
async def opened(
    server: Coturn, a: dict[str, object], b: dict[str, object]
) -> AsyncGenerator[tuple[OurPeer, OurPeer], None]:
    """Two peers that negotiate for as long as the block lasts."""
    network = SystemNetwork(ssl_context=server.trust())
    async with open_our_peer(network, **a) as offerer, open_our_peer(network, **b) as answerer:
        yield offerer, answerer


@asynccontextmanager
async def connected(
    server: Coturn, a: dict[str, object], b: dict[str, object]
) -> AsyncGenerator[tuple[OurPeer, OurPeer, OurChannel, OurChannel], None]:
    """Two peers and the ends of a channel between them."""
    async with opened(server, a, b) as (offerer, answerer):
        near = await offerer.create_channel(ChannelSpec())
        async with negotiating(offerer, answerer):
            await near.wait_open()
            yield offerer, answerer, near, await answerer.accept()


def place(server: Coturn, transport: Transport = Transport.UDP) -> str:
    """How words for people name the server."""
    host, port = server.address_for(transport)
    return f"{host}:{port}"


async def wait_server_failed(peer: OurPeer) -> ice.ServerFailed:
    """The next news of that kind."""
    async for event in peer.pc.events:
        if isinstance(event, ice.ServerFailed):
            return event
    pytest.fail("the connection ended without it")


async def diagnosis(peer: OurPeer) -> str:
    """What the failed connection says."""
    with pytest.raises(ConnectionFailed) as caught:
        await peer.pc.wait_connected()
    return str(caught.value)


@pytest.mark.parametrize("first", TRANSPORTS, ids=lambda transport: transport.name)
@pytest.mark.parametrize("second", TRANSPORTS, ids=lambda transport: transport.name)
async def test_relays_on_both_sides(relay: Coturn, first: Transport, second: Transport) -> None:
    """Each side's own allocation carries everything, and is deleted at the end."""
    deleted = relay.count("lifetime=0")
    sizes = [1000, 30_000]
    with trio.fail_after(30):
        async with connected(relay, relay_only(relay.url(first)), relay_only(relay.url(second))) as (a, b, near, far):
            for peer, transport in ((a, first), (b, second)):
                pair = peer.pc.selected_pair.value
                assert pair is not None
                assert (pair.local.type, pair.local.host) == (CandidateType.RELAYED, HOST)
                assert pair.route == f"via TURN/{transport.name.lower()}"
            await check_echo(near, far, "by relay")
            await far.collect(200)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: near.send_many(seed=9, count=200, sizes=sizes))
                assert await far.collected() == Digest(make_message(9, i, sizes) for i in range(200)).hexdigest()
    await relay.logged("lifetime=0", deleted + 2)


async def test_nonces_go_stale_twice(coturn: Callable[..., Coturn]) -> None:
    """turn_438_storm, over every transport at once: one more request for each stale nonce, and no gap in the data."""
    server = coturn("stale-nonce=2", "max-allocate-lifetime=6")  # so there is a refresh after 3 s, and one at the end

    async def live(transport: Transport) -> None:
        config = relay_only(server.url(transport))
        async with connected(server, config, config) as (_, _, near, far):
            for turn_ in range(12):
                with trio.fail_after(1):
                    await check_echo(near, far, f"{transport.name} {turn_}")
                await trio.sleep(0.5)

    with trio.fail_after(40):
        async with trio.open_nursery() as nursery:
            for transport in TRANSPORTS:
                nursery.start_soon(live, transport)
    allocations = 2 * len(TRANSPORTS)
    await server.logged("lifetime=0", allocations)
    assert server.count("error 438") == 2 * allocations


@pytest.mark.parametrize("given", ["nothing", "expired"])
async def test_credentials_are_renewed(coturn: Callable[..., Coturn], given: str) -> None:
    """REST credentials: the function that gets them is asked when there are none, or when they have run out."""
    server = coturn(rest=True)
    renewed: list[turn.Credentials] = []

    async def renew() -> turn.Credentials:
        await trio.lowlevel.checkpoint()
        renewed.append(rest_credentials(60))
        return renewed[-1]

    old = rest_credentials(-60)
    host, port = server.address
    ice_server = IceServer(
        host,
        port,
        scheme="turn",
        username=old.username if given == "expired" else None,
        password=old.password if given == "expired" else None,
        renew=renew,
    )
    constants = ice.Configuration(check_timeout=1.0, gathering_timeout=2.0)
    config: dict[str, object] = {**relay_only(), "ice_servers": [ice_server], "ice": constants}
    with trio.fail_after(30):
        async with connected(server, config, config) as (_, _, near, far):
            await check_echo(near, far, "renewed")
    assert len(renewed) == 2
    assert server.count("ALLOCATE processed, success") == 2


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda transport: transport.name)
async def test_a_wrong_password_is_told_once(coturn: Callable[..., Coturn], transport: Transport) -> None:
    """Server, realm and code in the event and in the diagnosis; two requests an allocation, no storm."""
    server = coturn()
    config = relay_only(server.url(transport, turn.Credentials(USER.username, "wrong")))
    config["ice"] = ice.Configuration(check_timeout=0.5)
    with trio.fail_after(30):
        async with opened(server, config, config) as (offerer, answerer), negotiating(offerer, answerer):
            for peer in (offerer, answerer):
                event = await wait_server_failed(peer)
                assert (event.code, event.realm) == (401, REALM)
                assert place(server, transport) in event.name
                assert USER.username not in event.name
            for peer in (offerer, answerer):
                said = await diagnosis(peer)
                assert all(part in said for part in (place(server, transport), "401", REALM))
    assert server.count(r"error 401") == 4


async def test_a_full_quota_is_told_and_the_other_relay_serves_both(coturn: Callable[..., Coturn]) -> None:
    """The second allocation is refused (486): its peer says so, and still connects to the relay of the first."""
    server = coturn("user-quota=1")
    with trio.fail_after(30):
        async with opened(server, relay_only(server.url()), {"ice_servers": [server.url()], "bind_address": HOST}) as (
            first,
            second,
        ):
            near = await first.create_channel(ChannelSpec())
            await first.create_offer()
            offer = await first.complete_description()
            await second.set_remote("offer", offer)
            await second.create_answer()
            event = await wait_server_failed(second)
            assert (event.code, event.realm) == (486, REALM)
            assert place(server) in event.name
            await first.set_remote("answer", await second.complete_description())
            await near.wait_open()
            await check_echo(near, await second.accept(), "by the other's relay")


async def test_another_path_survives_the_server(coturn: Callable[..., Coturn]) -> None:
    """The connection is direct, and the servers die: each loss is told, and nothing else happens."""
    server = coturn("max-allocate-lifetime=6")
    config = {"ice_servers": [server.url(transport) for transport in TRANSPORTS], "bind_address": HOST}
    with trio.fail_after(40):
        async with connected(server, config, config) as (a, b, near, far):
            pair = a.pc.selected_pair.value
            assert pair is not None
            assert pair.route == "direct"
            await check_echo(near, far, "before")
            await server.logged("ALLOCATE processed, success", 6)
            server.kill()
            for peer in (a, b):
                lost = {(await wait_server_failed(peer)).name for _ in TRANSPORTS}
                assert len(lost) == len(TRANSPORTS)
            await check_echo(near, far, "after")
            assert a.pc.state.value is ConnectionState.CONNECTED


async def test_the_second_relay_takes_over(coturn: Callable[..., Coturn]) -> None:
    """Relay-only with two servers: the one in use dies, ICE restarts over the other, and nothing is lost."""
    servers = [coturn(), coturn()]
    fields: dict[str, Any] = relay_only(*(server.url() for server in servers))
    config = Configuration(**fields, ice=ice.Configuration(disconnected_timeout=2.0))
    one_end, other_end = signaling_pair()
    with trio.fail_after(60):
        async with (
            connect(one_end, initiator=True, config=config) as a,
            connect(other_end, initiator=False, config=config) as b,
        ):
            near = OurChannel(a.create_data_channel("chat"))
            far = await OurPeer(b).accept()
            for server in servers:
                await server.logged("ALLOCATE processed, success", 2)
            await check_echo(near, far, "before")
            in_use = a.selected_pair.value
            assert in_use is not None
            (lost,) = [server for server in servers if in_use.local.port in server.relayed_ports]

            async def kill() -> None:
                lost.kill()

            await check_transfer(near, far, 500, kill)
            pair = a.selected_pair.value
            assert pair is not None
            assert pair.local.port not in lost.relayed_ports


async def test_without_another_path_the_connection_fails_in_words(coturn: Callable[..., Coturn]) -> None:
    """The only server dies under three relay-only connections: each is over within 30 s, and names the server."""
    server = coturn()

    dead = trio.Event()

    async def live(transport: Transport, task_status: trio.TaskStatus[None]) -> None:
        config = relay_only(server.url(transport))
        async with connected(server, config, config) as (_, _, near, far):
            await check_echo(near, far, "before")
            task_status.started()
            await dead.wait()
            with trio.fail_after(32):
                for channel in (near, far):
                    with pytest.raises(ConnectionFailed) as caught:
                        await channel.receive()
                    assert place(server, transport) in str(caught.value)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for transport in TRANSPORTS:
                await nursery.start(live, transport)
            server.kill()
            dead.set()
