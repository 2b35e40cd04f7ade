"""What a program's own functions, a resolver and a peer may do while servers' names are resolved."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import ConnectionState, PeerConnection, SessionDescription, ice, open_peer_connection, turn
from xp2p_trio.peer import IceServer
from xp2p_trio.sansio import Address
from xp2p_trio.testing import Host, Link, Network, StunServer, TurnServerConfiguration, serve, serve_turn

SERVER: Address = ("192.0.2.9", 3478)
STUN = IceServer("server.example")


class SlowNetwork(WrappedNetwork):
    """A host whose resolver answers as the test says."""

    def __init__(self, host: Host, answer: Callable[[], Awaitable[list[Address]]]) -> None:
        super().__init__(host)
        self.answer = answer
        self.asked = 0

    async def resolve(self, host: str, port: int) -> list[Address]:
        self.asked += 1
        return await self.answer()


def slow(host: Host, seconds: float) -> SlowNetwork:
    async def answer() -> list[Address]:
        await trio.sleep(seconds)
        return [SERVER]

    return SlowNetwork(host, answer)


@pytest.fixture
def network() -> Network:
    network = Network(seed=1, link=Link(delay=0.01))
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    network.host("server", SERVER[0])
    return network


def exchange(offerer: PeerConnection, answerer: PeerConnection) -> None:
    answerer.set_remote_description(offerer.set_local_description())
    offerer.set_remote_description(answerer.set_local_description())


async def failures(pc: PeerConnection) -> list[str]:
    """What was said of servers so far."""
    details = []
    with trio.move_on_after(0.001):
        async for event in pc.events:
            if isinstance(event, ice.ServerFailed):
                details.append(event.detail)
    return details


# --- a gathering that begins before the one before it has ended


@pytest.mark.parametrize("seconds", [1.0, 3.0, 4.9, 60.0])
async def test_a_peer_that_restarts_while_a_name_is_resolved(
    network: Network, autojump_clock: trio.testing.MockClock, seconds: float
) -> None:
    ours = slow(network.host("alice"), seconds)
    async with (
        open_peer_connection(ice_servers=[STUN], network=ours) as alice,
        open_peer_connection(network=network.host("bob")) as bob,
    ):
        exchange(bob, alice)
        await bob.wait_connected()
        for _ in range(10):
            bob.restart_ice()
            exchange(bob, alice)
            await trio.sleep(0.6)
        with trio.fail_after(10):
            assert "a=end-of-candidates" in (await alice.complete_description()).sdp
        assert ours.asked <= 8  # one after the other, however often the peer restarts
        assert alice.state.value is ConnectionState.CONNECTED


async def test_the_last_restart_finds_the_server_at_its_new_address(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    """The first answer is that of another network, in which the machine is no more."""
    answers = [[("203.0.113.9", 3478)], [SERVER]]

    async def answer() -> list[Address]:
        await trio.sleep(2)
        return answers.pop(0)

    network.nat("home", "198.51.100.1", inside=["alice"])
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, network.host("server"), 3478, StunServer())
        async with (
            open_peer_connection(ice_servers=[STUN], network=SlowNetwork(network.host("alice"), answer)) as alice,
            open_peer_connection(network=network.host("bob")) as bob,
        ):
            exchange(alice, bob)
            await alice.wait_connected()
            alice.restart_ice()
            exchange(alice, bob)
            await alice.complete_description()
            assert "198.51.100.1" in {candidate.host for candidate in alice.ice_agent.local_candidates}
        nursery.cancel_scope.cancel("the test is over")


@pytest.mark.parametrize("wait", [0.5, 10.0], ids=["during the first gathering", "after it"])
async def test_a_restart_that_is_rolled_back_while_a_name_is_resolved(
    network: Network, autojump_clock: trio.testing.MockClock, wait: float
) -> None:
    async with (
        open_peer_connection(ice_servers=[STUN], network=slow(network.host("alice"), 2)) as alice,
        open_peer_connection(network=network.host("bob")) as bob,
    ):
        exchange(alice, bob)
        await alice.wait_connected()
        await trio.sleep(wait)
        alice.restart_ice()
        alice.set_local_description()
        await trio.sleep(0.5)
        alice.set_local_description(SessionDescription("rollback", ""))
        with trio.fail_after(20):
            assert "a=end-of-candidates" in (await alice.complete_description()).sdp
        assert alice.state.value is ConnectionState.CONNECTED


# --- a resolver


@pytest.mark.parametrize(
    "error",
    [
        OSError("no such name"),
        UnicodeError("label too long"),
        ValueError("embedded null byte"),
        ZeroDivisionError("a bug of the program's resolver"),
        ExceptionGroup("several", [KeyError("a"), OSError("b")]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_resolver_may_raise_anything(
    network: Network, autojump_clock: trio.testing.MockClock, error: Exception
) -> None:
    async def answer() -> list[Address]:
        await trio.lowlevel.checkpoint()
        raise error

    ours = SlowNetwork(network.host("alice"), answer)
    async with open_peer_connection(ice_servers=[STUN], network=ours) as alice:
        alice.set_local_description()
        await alice.complete_description()
        (detail,) = await failures(alice)
        assert str(error.args[0]) in detail


async def test_a_resolver_that_hangs_costs_the_time_of_gathering(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    ours = slow(network.host("alice"), 1e9)
    async with open_peer_connection(ice_servers=[STUN], network=ours) as alice:
        alice.set_local_description()
        with trio.fail_after(5.1):
            await alice.complete_description()
        assert await failures(alice) == ["has no address after 5 s"]


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        ([], "has no address"),
        ([("2001:db8::9", 3478)], "has addresses of IPv6 alone; enable_ipv6 lets them in"),
        ([("server.example", 3478), ("", 3478), ("192.0.2.9", 0), ("192.0.2.9", 65536)], "has no address"),
    ],
)
async def test_addresses_that_are_of_no_use_are_told(
    network: Network, autojump_clock: trio.testing.MockClock, addresses: list[Address], words: str
) -> None:
    async def answer() -> list[Address]:
        await trio.lowlevel.checkpoint()
        return addresses

    servers = [STUN, IceServer("server.example", scheme="turn", username="u", password="p")]
    ours = SlowNetwork(network.host("alice"), answer)
    async with open_peer_connection(ice_servers=servers, network=ours) as alice:
        alice.set_local_description()
        await alice.complete_description()
        assert await failures(alice) == [words] * 2


# --- the program's function that gives credentials


def turn_server(renew: Any) -> IceServer:
    return IceServer(SERVER[0], scheme="turn", renew=renew)


async def raises() -> turn.Credentials:
    raise ZeroDivisionError("a bug")


async def raises_a_group() -> turn.Credentials:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises)
        await trio.sleep_forever()
    raise AssertionError


async def gives_nothing() -> None:
    await trio.lowlevel.checkpoint()


async def gives_the_password_alone() -> str:
    await trio.lowlevel.checkpoint()
    return "hunter2"


def is_no_coroutine_function() -> turn.Credentials:
    return turn.Credentials("user", "hunter2")


async def hangs() -> turn.Credentials:
    await trio.sleep_forever()
    raise AssertionError


async def hangs_and_cleans_up_badly() -> turn.Credentials:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hangs)
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError("a bug")
    raise AssertionError


async def cancels_itself() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await trio.sleep_forever()


PROBLEMS: list[tuple[Any, str]] = [
    (raises, "renew has raised ZeroDivisionError('a bug')"),
    (raises_a_group, "renew has raised ZeroDivisionError('a bug')"),
    (gives_nothing, "renew has given NoneType, and no turn.Credentials"),
    (gives_the_password_alone, "renew has given str, and no turn.Credentials"),
    (is_no_coroutine_function, "renew has raised TypeError("),
    (hangs, "renew has taken longer than "),
    (hangs_and_cleans_up_badly, "renew has raised"),
    (cancels_itself, "renew has given NoneType"),
]


@pytest.mark.parametrize(("renew", "words"), PROBLEMS, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_program_that_cannot_give_credentials(
    network: Network, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, renew: Any, words: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with open_peer_connection(ice_servers=[turn_server(renew)], network=network.host("alice")) as alice:
            alice.set_local_description()
            with trio.fail_after(5.1):
                await alice.complete_description()
            (detail,) = await failures(alice)
    assert words in detail or detail == "has no credentials after 5 s"
    assert "hunter2" not in caplog.text + detail


@pytest.mark.parametrize(("renew", "words"), PROBLEMS, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_program_that_cannot_renew_keeps_its_connection(
    network: Network, autojump_clock: trio.testing.MockClock, renew: Any, words: str
) -> None:
    """The server has forgotten the user when the allocation is to be refreshed."""
    asked = []

    async def renew_sometimes() -> Any:
        asked.append(trio.current_time())
        if len(asked) == 1:
            return turn.Credentials("user", "password")
        return await renew()

    configuration = TurnServerConfiguration(relay_hosts=[SERVER[0]])
    async with trio.open_nursery() as nursery:
        service = await nursery.start(serving_turn(network, configuration))
        async with open_peer_connection(
            ice_servers=[turn_server(renew_sometimes)], network=network.host("alice")
        ) as alice:
            alice.set_local_description()
            await alice.complete_description()
            assert await failures(alice) == []
            service.core.set_password("user", None)
            await trio.sleep(340)
            assert len(asked) > 2  # it is asked again, as the allocation lives for minutes
            assert any(words in detail for detail in await failures(alice))
        nursery.cancel_scope.cancel("the test is over")


def serving_turn(network: Network, configuration: TurnServerConfiguration) -> Any:
    return partial(serve_turn, configuration, network=network.host("server"), host=SERVER[0])


async def test_a_restart_asks_the_program_for_nothing_new(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    asked = []

    async def renew() -> turn.Credentials:
        asked.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        return turn.Credentials("user", "password")

    async with trio.open_nursery() as nursery:
        await nursery.start(serving_turn(network, TurnServerConfiguration(relay_hosts=[SERVER[0]])))
        async with (
            open_peer_connection(ice_servers=[turn_server(renew)], network=network.host("alice")) as alice,
            open_peer_connection(network=network.host("bob")) as bob,
        ):
            for _ in range(3):
                exchange(bob, alice)
                await bob.wait_connected()
                assert " typ relay " in (await alice.complete_description()).sdp
                bob.restart_ice()
        nursery.cancel_scope.cancel("the test is over")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("username", "is_asked"),
    [("1000000000:user", True), ("1000000000", True), ("9999999999:user", False), ("user", False), ("100:user", False)],
)
async def test_credentials_that_say_that_they_have_run_out_are_not_tried(
    network: Network, autojump_clock: trio.testing.MockClock, username: str, is_asked: bool
) -> None:
    asked = []

    async def renew() -> turn.Credentials:
        asked.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        return turn.Credentials("user", "password")

    server = IceServer(SERVER[0], scheme="turn", username=username, password="password", renew=renew)
    configuration = TurnServerConfiguration(relay_hosts=[SERVER[0]], users={"user": "password", username: "password"})
    async with trio.open_nursery() as nursery:
        await nursery.start(serving_turn(network, configuration))
        async with open_peer_connection(ice_servers=[server], network=network.host("alice")) as alice:
            alice.set_local_description()
            assert " typ relay " in (await alice.complete_description()).sdp
        nursery.cancel_scope.cancel("the test is over")
    assert len(asked) == is_asked


@pytest.mark.parametrize("renew", [hangs, hangs_and_cleans_up_badly])
@pytest.mark.parametrize("is_error", [False, True])
async def test_leaving_while_the_program_is_asked(
    network: Network, autojump_clock: trio.testing.MockClock, renew: Any, is_error: bool
) -> None:
    async def leave() -> None:
        async with open_peer_connection(ice_servers=[turn_server(renew)], network=network.host("alice")) as alice:
            alice.set_local_description()
            await trio.sleep(1)
            if is_error:
                raise KeyError("of the block")

    if is_error:
        with pytest.raises(KeyError, match="of the block"):
            await leave()
    else:
        await leave()
