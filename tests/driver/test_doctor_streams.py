"""The examination of TURN servers over TCP and TLS, simulated and over sockets of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from xp2p_trio.driver import Interface, SystemNetwork
from xp2p_trio.driver.doctor import Report, examine
from xp2p_trio.ice import Outcome, Reach
from xp2p_trio.peer import parse_ice_server
from xp2p_trio.sansio import Transport
from xp2p_trio.testing import (
    BLACK_HOLE,
    FULL_CONE,
    UDP_BLOCKED,
    WEB_ONLY,
    FirewallPolicy,
    Host,
    Link,
    NatBehaviour,
    Network,
    TurnServerConfiguration,
    TurnService,
    embedded_turn_server,
    serve_turn,
)

TCP, TLS = "turn:user:password@relay?transport=tcp", "turns:user:password@relay"
WRONG = "turn:user:wrong@relay?transport=tcp"
UDP = "turn:user:password@relay"
RELAY = "198.51.100.3"


@asynccontextmanager
async def patient(
    surroundings: NatBehaviour | FirewallPolicy, configuration: TurnServerConfiguration | None = None
) -> AsyncIterator[tuple[Host, TurnService]]:
    """A machine in such surroundings, and a TURN server that speaks everything."""
    network = Network(seed=1, link=Link(delay=0.02))
    host = network.host("patient", "192.168.1.2")
    if isinstance(surroundings, NatBehaviour):
        network.nat("home", "203.0.113.7", behaviour=surroundings, inside=["patient"])
    else:
        network.firewall("office", policy=surroundings, inside=["patient"])
    relay = network.host("relay", RELAY)
    network.host("dead", "198.51.100.4")
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_turn,
            configuration or TurnServerConfiguration(relay_hosts=(RELAY,)),
            network=relay,
            host=RELAY,
            transports=list(Transport),
            random_bytes=network.random_bytes("relay"),
        )
        yield host, await nursery.start(serve)
        nursery.cancel_scope.cancel()


async def examine_with(host: Host, *urls: str) -> Report:
    return await examine([parse_ice_server(url) for url in urls], network=host)


async def test_every_transport_gives_a_relay_and_keeps_none(autojump_clock: trio.testing.MockClock) -> None:
    async with patient(FULL_CONE) as (host, service):
        report = await examine_with(host, UDP, TCP, TLS)
        assert service.core.allocations == []
        assert sum(service.core.requests_received.values()) > 0
    assert [(server.name, server.transport, server.outcome) for server in report.facts.servers] == [
        ("turn:relay:3478", Transport.UDP, Outcome.WORKS),
        ("turn:relay:3478?transport=tcp", Transport.TCP, Outcome.WORKS),
        ("turns:relay:5349", Transport.TLS, Outcome.WORKS),
    ]
    udp, tcp, tls = (server.round_trip_time for server in report.facts.servers)
    assert udp is not None
    assert tcp is not None
    assert tls is not None
    assert udp < tcp < tls
    assert [sighting.server for sighting in report.facts.sightings] == [(RELAY, 3478)]


async def test_a_relay_over_a_stream_is_the_way_out_where_udp_is_blocked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with patient(UDP_BLOCKED) as (host, _):
        report = await examine_with(host, UDP, TCP)
    assert report.verdict.reach is Reach.RELAY_ONLY
    assert report.verdict.summary == (
        "UDP looks blocked: peers beyond this network are reached through turn:relay:3478?transport=tcp, over TCP."
    )


async def test_a_firewall_for_the_web_leaves_one_thing_to_try(autojump_clock: trio.testing.MockClock) -> None:
    async with patient(WEB_ONLY) as (host, _):
        report = await examine_with(host, "stun:relay", TCP)
    assert report.verdict.reach is Reach.OFFLINE
    assert report.verdict.advice == (
        "turn:relay:3478?transport=tcp cannot be reached over TCP: it did not answer in 5 s.",
        "stun:relay:3478 did not answer: UDP is blocked, or the server is down.",
        "Add a turns: server on port 443, which firewalls seldom block.",
    )


async def test_faults_of_streams_are_told(autojump_clock: trio.testing.MockClock) -> None:
    async with patient(FULL_CONE) as (host, _):
        start = trio.current_time()
        report = await examine_with(
            host, WRONG, "turn:user:password@relay:9?transport=tcp", "turn:user:password@dead?transport=tcp"
        )
        assert trio.current_time() - start < 7
    wrong, refused, silent = report.facts.servers
    assert (wrong.outcome, wrong.code, wrong.realm) == (Outcome.REFUSED, 401, "xp2p.test")
    assert refused.outcome is Outcome.UNREACHABLE
    assert "refused" in refused.detail
    assert silent.outcome is Outcome.UNREACHABLE


async def test_a_server_that_goes_silent_after_connecting(autojump_clock: trio.testing.MockClock) -> None:
    async with patient(FULL_CONE) as (host, service):
        service.core.faults.is_silent = True
        report = await examine_with(host, TCP)
    assert report.facts.servers[0].detail == "it did not answer in 5 s"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"", "it closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what answers there does not speak TURN"),
    ],
)
async def test_something_else_listens_there(autojump_clock: trio.testing.MockClock, answer: bytes, detail: str) -> None:
    async with patient(FULL_CONE) as (host, _), trio.open_nursery() as nursery:
        listener = host.network.host("dead").listen(("198.51.100.4", 3478))

        async def serve() -> None:
            stream = await listener.accept()
            await stream.receive()
            if answer:
                stream.transmit([answer])
                await trio.sleep(1)
            stream.close()

        nursery.start_soon(serve)
        report = await examine_with(host, "turn:user:password@dead?transport=tcp")
        nursery.cancel_scope.cancel()
    (server,) = report.facts.servers
    assert server.outcome is Outcome.REFUSED
    assert server.detail.startswith(detail)


async def test_a_redirect_over_a_stream_names_the_other_server(autojump_clock: trio.testing.MockClock) -> None:
    configuration = TurnServerConfiguration(relay_hosts=(RELAY,), alternate_server=("198.51.100.4", 3478))
    async with patient(FULL_CONE, configuration) as (host, _):
        report = await examine_with(host, TCP)
    assert report.verdict.advice[0] == (
        "turn:relay:3478?transport=tcp answered 300 '198.51.100.4 port 3478': use the server that it names."
    )


async def test_the_allocation_is_released_also_when_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    async with patient(FULL_CONE) as (host, service):
        with trio.move_on_after(0.11) as scope:  # the allocation is made, and its answer under way
            await examine_with(host, TCP)
        assert scope.cancelled_caught
        await trio.sleep(1)
        assert service.core.allocations == []


async def test_a_network_that_swallows_everything_ends_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async with patient(FULL_CONE) as (host, _):
        host.network.set_links("patient", "relay", BLACK_HOLE)
        start = trio.current_time()
        report = await examine_with(host, "stun:relay", UDP, TCP, TLS)
        assert trio.current_time() - start < 7
    assert {server.outcome for server in report.facts.servers} == {Outcome.UNREACHABLE}
    assert report.verdict.reach is Reach.OFFLINE


class OnLoopback:
    """This machine, as if it had no other address."""

    def __init__(self, network: SystemNetwork) -> None:
        self._network = network

    def interfaces(self) -> list[Interface]:
        return [Interface("lo", "127.0.0.1", is_loopback=True)]

    def __getattr__(self, name: str) -> object:
        return getattr(self._network, name)


async def test_real_sockets_and_a_certificate_that_is_trusted_or_not() -> None:
    with trio.fail_after(20):
        async with embedded_turn_server(transports=list(Transport)) as service:
            servers = [parse_ice_server(url) for url in service.urls]
            trusting = OnLoopback(SystemNetwork(ssl_context=service.client_ssl_context))
            report = await examine(servers, network=trusting)  # type: ignore[arg-type]
            assert [server.outcome for server in report.facts.servers] == [Outcome.WORKS] * 3
            doubting = OnLoopback(SystemNetwork())
            report = await examine(servers[2:], network=doubting)  # type: ignore[arg-type]
            assert service.core.allocations == []
    (server,) = report.facts.servers
    assert server.outcome is Outcome.UNREACHABLE
    assert "certificate" in server.detail
    assert report.verdict.reach is Reach.OFFLINE  # with loopback alone there is no network
