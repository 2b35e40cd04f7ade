"""Relays under trio: credentials that are renewed, servers that cannot be used, and what is left behind at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import ice, stun, testing, turn
from xp2p_trio.driver import ConnectionFailed, SystemNetwork, connect, open_peer_connection, signaling_pair
from xp2p_trio.driver.ice_agent import IceAgent, open_ice_agent
from xp2p_trio.peer import Configuration, ConnectionState, IceServer, SessionDescription
from xp2p_trio.sansio import Closed, Transport
from xp2p_trio.testing import BLACK_HOLE, Host, Link, Network, TurnServerConfiguration, TurnService

RELAY = "198.51.100.3"
TRANSPORTS = list(Transport)


class World:
    """Two hosts, and a TURN server that speaks everything."""

    def __init__(self, network: Network, service: TurnService) -> None:
        self.network = network
        self.alice, self.bob, self.relay = (network.host(name) for name in ("alice", "bob", "relay"))
        self.service = service
        self.core = service.core

    def url(self, transport: Transport = Transport.UDP) -> str:
        return self.service.url(transport)

    def count(self, method: stun.Method) -> int:
        return self.core.requests_received.get(method, 0)


@asynccontextmanager
async def world(**choices: Any) -> AsyncIterator[World]:
    network = Network(seed=1, link=Link(delay=0.02))
    network.host("alice", "192.0.2.1")
    network.host("bob", "203.0.113.2")
    host = network.host("relay", RELAY, "2001:db8::3")
    network.host("six", "2001:db8::6")
    async with trio.open_nursery() as nursery:
        serve = partial(
            testing.serve_turn,
            TurnServerConfiguration(relay_hosts=(RELAY,), **choices),
            network=host,
            host=RELAY,
            transports=TRANSPORTS,
            random_bytes=network.random_bytes("relay"),
        )
        yield World(network, await nursery.start(serve))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def agents(world: World, *servers: str | IceServer, **options: Any) -> AsyncIterator[tuple[IceAgent, IceAgent]]:
    """Alice has nothing but these servers, and Bob none."""
    options = {"ice_servers": servers, "ice_transport_policy": "relay", **options}
    async with (
        open_ice_agent(role=ice.Role.CONTROLLING, network=world.alice, **options) as alice,
        open_ice_agent(role=ice.Role.CONTROLLED, network=world.bob) as bob,
    ):
        yield alice, bob


def introduce(alice: IceAgent, bob: IceAgent, nursery: trio.Nursery) -> None:
    """Exchange descriptions, and candidates as they come."""
    bob.set_remote_description(alice.create_offer())
    alice.set_remote_description(bob.create_answer())
    nursery.start_soon(trickle, alice, bob)


async def trickle(alice: IceAgent, bob: IceAgent) -> None:
    async for line in alice.local_candidates:
        bob.add_remote_candidate(line)


async def connected(alice: IceAgent, bob: IceAgent, nursery: trio.Nursery) -> None:
    introduce(alice, bob, nursery)
    with trio.fail_after(10):
        await alice.wait_connected()
        await bob.wait_connected()
    await alice.send(b"there")
    assert await bob.receive() == b"there"
    await bob.send(b"and back")
    assert await alice.receive() == b"and back"


def failures(agent: IceAgent) -> list[ice.ServerFailed]:
    """What was told of servers so far."""
    found = []
    while True:
        try:
            event = agent.events.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return found
        if isinstance(event, ice.ServerFailed):
            found.append(event)


# --- data, and the end of it


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_data_by_way_of_a_server(transport: Transport, autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w, agents(w, w.url(transport)) as (alice, bob), trio.open_nursery() as nursery:
        await connected(alice, bob, nursery)
        assert alice.selected_pair is not None
        assert alice.selected_pair.route == f"via TURN/{transport.value}"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_leaving_deletes_the_allocation(transport: Transport, autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        async with agents(w, w.url(transport)) as (alice, bob), trio.open_nursery() as nursery:
            await connected(alice, bob, nursery)
            assert len(w.core.allocations) == 1
            left_at = trio.current_time()
        assert trio.current_time() - left_at < 1.0
        await trio.sleep(0.1)
        assert w.core.allocations == []
        assert w.core.stream_count == 0
        assert w.count(stun.Method.REFRESH) == 1
        assert [event async for event in alice.events][-1] == Closed()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_lost_deletion_is_repeated(transport: Transport, autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        async with agents(w, w.url(transport)) as (alice, bob), trio.open_nursery() as nursery:
            await connected(alice, bob, nursery)
            w.network.set_links("alice", "relay", BLACK_HOLE)
            nursery.start_soon(alice.aclose)
            await trio.sleep(0.1)
            w.network.set_links("alice", "relay", Link(delay=0.02))
            await trio.sleep(1.5)
        await trio.sleep(1.0)
        assert w.core.allocations == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_dead_server_delays_leaving_by_a_second(
    transport: Transport, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as w:
        async with agents(w, w.url(transport)) as (alice, bob), trio.open_nursery() as nursery:
            await connected(alice, bob, nursery)
            w.core.faults.is_silent = True
            left_at = trio.current_time()
            await alice.aclose()
            assert trio.current_time() - left_at == pytest.approx(1.0)
        assert alice.state.value is ice.State.CLOSED


@pytest.mark.parametrize("how", ["aclose", "abort"])
async def test_who_waits_for_a_datagram_is_told_of_the_end(how: str, autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w, agents(w, w.url()) as (alice, bob), trio.open_nursery() as nursery:
        await connected(alice, bob, nursery)

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await alice.receive()
            with pytest.raises(trio.ClosedResourceError):
                await alice.send(b"too late")

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(2):
            if how == "aclose":
                await alice.aclose()
            else:
                alice.abort()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_being_cancelled_deletes_the_allocation_by_one_request(
    transport: Transport, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as w:
        with trio.move_on_after(5) as scope:
            async with agents(w, w.url(transport)) as (alice, bob), trio.open_nursery() as nursery:
                await connected(alice, bob, nursery)
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == pytest.approx(5.0)
        await trio.sleep(1)
        assert w.core.allocations == []
        assert w.count(stun.Method.REFRESH) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("steps", range(0, 40, 2))
async def test_cancelled_at_any_moment_it_leaves_nothing(
    steps: int, transport: Transport, autojump_clock: trio.testing.MockClock
) -> None:
    """Where an answer is still under way, the deletion follows the request for which it will be given."""
    async with world() as w:
        tasks = trio.lowlevel.current_statistics().tasks_living
        with trio.move_on_after(steps / 100):
            async with agents(w, w.url(transport)) as (alice, bob), trio.open_nursery() as nursery:
                introduce(alice, bob, nursery)
                await trio.sleep_forever()
        await trio.sleep(0.5)
        assert w.core.allocations == []
        assert w.core.stream_count == 0
        assert trio.lowlevel.current_statistics().tasks_living <= tasks


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("how", ["leave", "cancel"])
async def test_peer_connections_delete_theirs(
    how: str, transport: Transport, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as w:
        config = Configuration(ice_servers=[w.url(transport)], ice_transport_policy="relay")
        left, right = signaling_pair()
        with trio.move_on_after(3):
            async with (
                connect(left, initiator=True, config=config, network=w.alice) as alice,
                connect(right, initiator=False, config=config, network=w.bob) as bob,
            ):
                channel = alice.create_data_channel("c")
                await channel.send("hello")
                assert await (await bob.incoming_channels.accept()).receive() == "hello"
                assert len(w.core.allocations) == 2
                if how == "cancel":
                    await trio.sleep_forever()
        await trio.sleep(0.1)
        assert w.core.allocations == []
        assert w.core.stream_count == 0


async def test_a_peer_connection_leaves_a_dead_server_within_a_second(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        config = Configuration(ice_servers=[w.url()])
        left, right = signaling_pair()
        async with (
            connect(left, initiator=True, config=config, network=w.alice) as alice,
            connect(right, initiator=False, config=config, network=w.bob),
        ):
            await alice.wait_connected()
            await trio.sleep(3)
            w.core.faults.is_silent = True
            left_at = trio.current_time()
            await alice.aclose()
            assert trio.current_time() - left_at <= 1.2


# --- credentials


def renewed(renew: Callable[[], Awaitable[Any]], password: str | None = None) -> IceServer:
    """The server, with credentials that a coroutine function gives."""
    return IceServer(
        RELAY, scheme="turn", username=None if password is None else "user", password=password, renew=renew
    )


class Renewal:
    """Gives a password, after a while."""

    def __init__(self, *passwords: str, delay: float = 0.1) -> None:
        self.passwords = list(passwords)
        self.delay = delay
        self.calls: list[float] = []

    async def __call__(self) -> turn.Credentials:
        self.calls.append(trio.current_time())
        await trio.sleep(self.delay)
        return turn.Credentials("user", self.passwords.pop(0) if len(self.passwords) > 1 else self.passwords[0])


async def test_credentials_are_got_where_none_are_given(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        renewal = Renewal("password")
        async with agents(w, renewed(renewal)) as (alice, bob), trio.open_nursery() as nursery:
            await connected(alice, bob, nursery)
            assert renewal.calls == [0.0]
            assert failures(alice) == []


async def test_credentials_are_got_once_more_when_they_are_refused_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        renewal = Renewal("stale", "password")
        async with agents(w, renewed(renewal)) as (alice, bob), trio.open_nursery() as nursery:
            await connected(alice, bob, nursery)
            assert len(renewal.calls) == 2
            assert failures(alice) == []


async def test_credentials_that_were_given_are_renewed_when_they_are_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        renewal = Renewal("password")
        async with agents(w, renewed(renewal, "stale")) as (alice, bob), trio.open_nursery() as nursery:
            await connected(alice, bob, nursery)
            assert len(renewal.calls) == 1


async def test_credentials_are_renewed_in_the_middle_of_life(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        renewal = Renewal("newer", delay=5.0)
        async with agents(w, renewed(renewal, "password")) as (alice, bob), trio.open_nursery() as nursery:
            await connected(alice, bob, nursery)
            w.core.set_password("user", "newer")
            for number in range(90):
                await trio.sleep(10)
                await alice.send(b"%d" % number)
                assert await bob.receive() == b"%d" % number
            assert len(renewal.calls) == 1


async def test_a_restart_goes_on_with_the_credentials_that_were_got_last(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        renewal = Renewal("password")
        async with agents(w, renewed(renewal, "stale")) as (alice, bob), trio.open_nursery() as nursery:
            await connected(alice, bob, nursery)
            for _ in range(3):
                alice.restart()
                await connected(alice, bob, nursery)
                await trio.sleep(1)
            assert len(renewal.calls) == 1
            assert w.count(stun.Method.ALLOCATE) == 4


async def test_a_renewal_that_raises_in_the_beginning(autojump_clock: trio.testing.MockClock) -> None:
    async def renew() -> turn.Credentials:
        raise OSError("the cable was pulled")

    async with world() as w, agents(w, renewed(renew)) as (alice, bob), trio.open_nursery() as nursery:
        introduce(alice, bob, nursery)
        with pytest.raises(ConnectionFailed, match="the cable was pulled"):
            await alice.wait_connected()
        (failed,) = failures(alice)
        assert failed.name == f"turn:{RELAY}:3478"
        assert w.count(stun.Method.ALLOCATE) == 0


@pytest.mark.parametrize("result", [None, ("user", "password"), "password"])
async def test_a_renewal_that_gives_something_else(
    result: object, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def renew() -> object:
        return result

    async with world() as w, agents(w, renewed(renew)) as (alice, bob), trio.open_nursery() as nursery:
        introduce(alice, bob, nursery)
        with pytest.raises(ConnectionFailed, match=r"no turn\.Credentials"):
            await alice.wait_connected()
    assert "password" not in caplog.text


async def test_a_renewal_that_raises_when_the_first_allocate_was_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def renew() -> turn.Credentials:
        raise OSError("the cable was pulled")

    async with world() as w, agents(w, renewed(renew, "stale")) as (alice, bob), trio.open_nursery() as nursery:
        introduce(alice, bob, nursery)
        await alice.wait_gathered()
        assert trio.current_time() < 0.5
        (failed,) = failures(alice)
        assert (failed.code, failed.realm) == (401, "xp2p.test")
        assert "the cable was pulled" in failed.detail
        with pytest.raises(ConnectionFailed, match="401"):
            await alice.wait_connected()


async def test_a_renewal_that_raises_in_the_middle_of_life(autojump_clock: trio.testing.MockClock) -> None:
    """It is told, and tried again while there is time; the allocation lives on."""
    calls = []

    async def renew() -> turn.Credentials:
        calls.append(trio.current_time())
        if len(calls) < 3:
            raise OSError("the cable was pulled")
        return turn.Credentials("user", "newer")

    async with world() as w, agents(w, renewed(renew, "password")) as (alice, bob), trio.open_nursery() as nursery:
        await connected(alice, bob, nursery)
        w.core.set_password("user", "newer")
        for number in range(90):
            await trio.sleep(10)
            await alice.send(b"%d" % number)
            assert await bob.receive() == b"%d" % number
        assert len(calls) == 3
        assert {failed.detail for failed in failures(alice)} == {
            "its credentials could not be had: renew has raised OSError('the cable was pulled')"
        }


@pytest.mark.parametrize("password", [None, "stale"])
async def test_a_renewal_that_hangs_delays_the_end_of_gathering_by_five_seconds(
    password: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    async with (
        world() as w,
        agents(w, renewed(trio.sleep_forever, password)) as (alice, bob),
        trio.open_nursery() as nursery,
    ):
        introduce(alice, bob, nursery)
        await alice.wait_gathered()
        assert trio.current_time() == pytest.approx(5.0, abs=0.2)
        (failed,) = failures(alice)
        assert "credentials" in failed.detail
        with pytest.raises(ConnectionFailed, match="credentials"):
            await alice.wait_connected()


# --- servers that cannot be used


async def test_a_server_without_an_address_that_may_be_used(autojump_clock: trio.testing.MockClock) -> None:
    """It has IPv6 alone, which is off."""
    for url in ("turn:user:password@six", "stun:six"):
        async with world() as w, agents(w, url, ice_transport_policy="all") as (alice, _):
            await alice.wait_gathered()
            (failed,) = failures(alice)
            assert "has addresses of IPv6 alone" in failed.detail


class SlowResolver(WrappedNetwork):
    """A network whose resolver takes its time."""

    def __init__(self, host: Host, delay: float) -> None:
        super().__init__(host)
        self._delay = delay

    async def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        await trio.sleep(self._delay)
        return list(await self._host.resolve(host, port))


@pytest.mark.parametrize("delay", [0.5, 3.0, 6.0])
@pytest.mark.parametrize("servers", [["stun:relay"], ["turn:user:password@relay"]])
async def test_a_restart_while_names_are_being_resolved(
    servers: list[str], delay: float, autojump_clock: trio.testing.MockClock
) -> None:
    async with (
        world() as w,
        open_ice_agent(role=ice.Role.CONTROLLING, network=SlowResolver(w.alice, delay), ice_servers=servers) as alice,
    ):
        alice.create_offer()
        await trio.sleep(0.3)
        alice.restart()
        await trio.sleep(0.3)
        alice.restart()
        await alice.wait_gathered()
        types = {line.split()[7] for line in [line async for line in alice.local_candidates]}
        assert ("relay" in types) is (delay < 5.0 and servers[0].startswith("turn"))
        assert bool(failures(alice)) is (delay > 5.0)


@pytest.mark.parametrize("delay", [0.5, 3.0, 6.0])
async def test_a_restart_that_is_rolled_back_while_names_are_being_resolved(
    delay: float, autojump_clock: trio.testing.MockClock
) -> None:
    config = Configuration(ice_servers=["turn:user:password@relay", "stun:relay"])
    async with (
        world() as w,
        open_peer_connection(config, network=SlowResolver(w.alice, delay)) as alice,
        open_peer_connection(network=w.bob) as bob,
    ):
        alice.create_data_channel("c")
        bob.set_remote_description(alice.set_local_description())
        alice.set_remote_description(bob.set_local_description())
        await alice.wait_connected()
        await trio.sleep(10)
        for _ in range(2):
            alice.restart_ice()
            alice.set_local_description()
            await trio.sleep(0.1)
            alice.set_local_description(SessionDescription("rollback"))
            await trio.sleep(0.1)
        await trio.sleep(10)
        assert alice.state.value is ConnectionState.CONNECTED


async def test_a_certificate_that_is_not_trusted() -> None:
    """On sockets of this machine, where the certificate is one that was just made."""
    with trio.fail_after(20):
        async with testing.embedded_turn_server(transports=[Transport.TLS]) as service:
            options = {"ice_servers": [service.url(Transport.TLS)], "bind_address": "127.0.0.1"}
            async with open_ice_agent(role=ice.Role.CONTROLLING, network=SystemNetwork(), **options) as alice:
                await alice.wait_gathered()
                (failed,) = failures(alice)
                assert "certificate" in failed.detail
                assert service.core.requests_received == {}
            trusting = SystemNetwork(ssl_context=service.client_ssl_context)
            async with open_ice_agent(role=ice.Role.CONTROLLING, network=trusting, **options) as alice:
                await alice.wait_gathered()
                assert failures(alice) == []
