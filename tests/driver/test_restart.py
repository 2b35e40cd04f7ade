"""ICE restarts through signaling that is slow, crossed, lossy or deaf; and what a program sees of them."""

from __future__ import annotations

import contextlib
import json
import math
import random
import re
from collections.abc import AsyncGenerator, Callable

import pytest
import trio
import trio.testing

from xp2p_trio import (
    Configuration,
    ConnectionState,
    PeerConnection,
    SessionDescription,
    connect,
    ice,
    open_peer_connection,
)
from xp2p_trio.driver import IceAgent, open_ice_agent
from xp2p_trio.peer import GatheringState, IceCandidate, SignalingState, decode_signal
from xp2p_trio.testing import Link, Network, StunServer, serve

Delay = Callable[[], float]
SERVERS = Configuration(ice_servers=["stun:198.51.100.1"])


class SlowSignaling(trio.abc.Channel[str]):
    """One end of a channel whose texts take their time, each way in order. A delay of infinity loses a text."""

    def __init__(self, delay: Delay) -> None:
        self.delay = delay
        self.sent: list[str] = []
        self.other: SlowSignaling | None = None
        self._inbox, self._outbox = trio.open_memory_channel[tuple[float, str]](math.inf), None
        self._last = -math.inf

    async def send(self, value: str) -> None:
        await trio.lowlevel.checkpoint()
        assert self.other is not None
        self.sent.append(value)
        at = max(self._last, trio.current_time() + self.delay())
        if at < math.inf:
            self._last = at
            self.other._inbox[0].send_nowait((at, value))

    async def receive(self) -> str:
        at, value = await self._inbox[1].receive()
        await trio.sleep_until(at)
        return value

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def signaling(left: Delay, right: Delay) -> tuple[SlowSignaling, SlowSignaling]:
    one, other = SlowSignaling(left), SlowSignaling(right)
    one.other, other.other = other, one
    return one, other


@pytest.fixture
def network() -> Network:
    network = Network(seed=5, link=Link(delay=0.02))
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    network.host("stun", "198.51.100.1")
    return network


@contextlib.asynccontextmanager
async def connected(
    network: Network, left: Delay, right: Delay, config: Configuration | None = None
) -> AsyncGenerator[tuple[PeerConnection, PeerConnection, SlowSignaling, SlowSignaling], None]:
    """Alice, who offers, and Bob, who echoes."""
    one, other = signaling(left, right)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, network.host("stun"), 3478, StunServer())
        async with (
            connect(one, initiator=True, config=config, network=network.host("alice")) as alice,
            connect(other, initiator=False, config=config, network=network.host("bob")) as bob,
        ):
            nursery.start_soon(echo, bob)  # noqa: ASYNC111 - it ends with bob
            yield alice, bob, one, other
        nursery.cancel_scope.cancel()


async def echo(pc: PeerConnection) -> None:
    with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
        async for channel in pc.incoming_channels:
            async for message in channel:
                await channel.send(message)


def fragment(description: SessionDescription | None) -> str:
    assert description is not None
    match = re.search(r"a=ice-ufrag:(\S+)", description.sdp)
    assert match is not None
    return match[1]


def assert_one_generation(alice: PeerConnection, bob: PeerConnection) -> None:
    for one, other in ((alice, bob), (bob, alice)):
        assert one.state.value is ConnectionState.CONNECTED
        assert one.signaling_state.value is SignalingState.STABLE
        assert one.gathering_state.value is GatheringState.COMPLETE
        assert one.ice_state.value is ice.State.COMPLETED
        assert not one.ice_agent.is_restarting
        assert fragment(one.local_description) == fragment(other.remote_description)
        assert fragment(one.local_description) == one.ice_agent.local_username_fragment
    assert {alice.ice_agent.role, bob.ice_agent.role} == set(ice.Role)


def count(channel: SlowSignaling, kind: str) -> int:
    signals = [decode_signal(text) for text in channel.sent]
    return sum(isinstance(signal, SessionDescription) and signal.type == kind for signal in signals)


# Both at once.


@pytest.mark.parametrize("seed", range(40))
async def test_restarts_of_both_at_any_moment_end_in_one_generation(
    seed: int, network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    draw = random.Random(seed)
    slowest = draw.choice([0.0, 0.05, 0.5, 2.0])
    config = draw.choice([None, SERVERS])
    async with connected(network, lambda: slowest * draw.random(), lambda: slowest * draw.random(), config) as peers:
        alice, bob, *_ = peers
        channel = alice.create_data_channel("talk")
        for number in range(30):
            if draw.random() < 0.5:
                draw.choice([alice, bob]).restart_ice()
            if draw.random() < 0.2:
                alice.restart_ice()
                bob.restart_ice()
            await channel.send(f"{number}")
            await trio.sleep(slowest * draw.random() + draw.choice([0.0, 0.01, 0.1]))
        assert [await channel.receive() for _ in range(30)] == [f"{number}" for number in range(30)]
        await trio.sleep(6 * slowest + 3)
        assert_one_generation(alice, bob)
        assert not [pc for pc in (alice, bob) if pc.statistics().ice.datagrams_unsent]


@pytest.mark.parametrize("delays", [(0.1, 0.1), (0.01, 1.0), (1.0, 0.01), (0.0, 0.0)])
async def test_glare_costs_one_offer_of_each_and_one_answer(
    delays: tuple[float, float], network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(network, lambda: delays[0], lambda: delays[1]) as (alice, bob, left, right):
        await alice.wait_connected()
        await bob.wait_connected()
        await trio.sleep(5)
        for channel in (left, right):
            channel.sent.clear()
        alice.restart_ice()
        bob.restart_ice()
        await trio.sleep(10)
        assert_one_generation(alice, bob)
        assert (count(left, "offer"), count(left, "answer")) == (1, 0)
        assert (count(right, "offer"), count(right, "answer")) == (1, 1)


async def test_a_restart_before_the_connection_is_there(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    for delay in (0.0, 0.01, 0.05, 0.09, 0.13, 0.2):
        async with connected(network, lambda: 0.02, lambda: 0.02) as (alice, bob, *_):
            await trio.sleep(delay)
            alice.restart_ice()
            bob.restart_ice()
            await trio.sleep(10)
            assert_one_generation(alice, bob)


# Signaling that loses, and peers that do not follow.


async def test_signaling_that_loses_everything_costs_nothing(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    delay = 0.0
    async with connected(network, lambda: delay, lambda: delay) as (alice, bob, left, right):
        channel = alice.create_data_channel("talk")
        await channel.send("before")
        assert await channel.receive() == "before"
        delay = math.inf
        for number in range(20):
            alice.restart_ice()
            bob.restart_ice()
            await trio.sleep(10)
            await channel.send(f"{number}")
            assert await channel.receive() == f"{number}"
        assert len(left.sent) + len(right.sent) < 20
        assert all(pc.state.value is ConnectionState.CONNECTED for pc in (alice, bob))


@contextlib.asynccontextmanager
async def by_hand(
    network: Network, *, keeps_answer: bool
) -> AsyncGenerator[tuple[PeerConnection, PeerConnection, list[SessionDescription]], None]:
    """Alice connects as usual. Bob takes her first offer and no other: he repeats his answer, or is silent."""
    one, other = signaling(lambda: 0.01, lambda: 0.01)
    offers: list[SessionDescription] = []

    async def program(bob: PeerConnection) -> None:
        answer = ""
        async for text in other:
            signal = decode_signal(text)
            if not isinstance(signal, SessionDescription):
                if not offers[1:]:
                    bob.add_ice_candidate(signal)
                continue
            offers.append(signal)
            if not answer:
                bob.set_remote_description(signal)
                bob.set_local_description()
                answer = (await bob.complete_description()).sdp
            elif not keeps_answer:
                continue
            await other.send(json.dumps({"description": {"type": "answer", "sdp": answer}}))

    async with trio.open_nursery() as nursery:
        async with (
            connect(one, initiator=True, network=network.host("alice")) as alice,
            open_peer_connection(network=network.host("bob")) as bob,
        ):
            nursery.start_soon(program, bob)  # noqa: ASYNC111 - it ends with bob
            await alice.wait_connected()
            yield alice, bob, offers
        nursery.cancel_scope.cancel()


async def test_a_peer_that_answers_with_what_it_had(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """As aiortc does: the restart is taken back, and may be asked for again."""
    async with by_hand(network, keeps_answer=True) as (alice, bob, offers):
        first = fragment(alice.local_description)
        for number in range(2, 5):
            alice.restart_ice()
            await trio.sleep(5)
            assert len(offers) == number
            assert fragment(offers[-1]) != first
            assert fragment(alice.local_description) == first
            assert_one_generation(alice, bob)
            assert (await alice.complete_description()).sdp.count("a=candidate") == 1


async def test_a_peer_that_never_answers(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """As libdatachannel does: the old path goes on, and no second offer bothers it."""
    async with by_hand(network, keeps_answer=False) as (alice, bob, offers):
        for _ in range(10):
            alice.restart_ice()
            await trio.sleep(60)
        assert len(offers) == 2
        assert alice.state.value is bob.state.value is ConnectionState.CONNECTED


# What a program sees.


async def test_candidates_and_the_whole_description_of_each_generation(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(network, lambda: 0.0, lambda: 0.0, SERVERS) as (alice, _, *_):
        await alice.wait_connected()
        seen = set()
        for _ in range(4):
            own = fragment(await alice.complete_description())
            assert own not in seen
            seen.add(own)
            told = [candidate async for candidate in alice.local_candidates]
            assert {candidate.username_fragment for candidate in told} == {own}
            description = await alice.complete_description()
            assert description.sdp.count("a=candidate") == len(told)
            assert "a=end-of-candidates" in description.sdp
            alice.restart_ice()
            await trio.sleep(1)


async def test_who_waits_for_candidates_while_a_restart_begins(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    """The channel of the generation before ends; the whole description is that of the newest generation."""
    network.set_links("alice", "stun", Link(delay=1.0))
    async with connected(network, lambda: 0.0, lambda: 0.0, SERVERS) as (alice, _, *_):
        await alice.wait_connected()
        assert alice.gathering_state.value is GatheringState.IN_PROGRESS
        old = fragment(alice.local_description)
        first = alice.local_candidates
        described: list[SessionDescription] = []
        told: list[IceCandidate] = []

        async def describe() -> None:
            described.append(await alice.complete_description())

        async def listen() -> None:
            async for candidate in first:
                told.append(candidate)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(describe)
            nursery.start_soon(listen)
            await trio.sleep(0.1)
            alice.restart_ice()
        assert {candidate.username_fragment for candidate in told} == {old}
        assert fragment(described[0]) == fragment(alice.local_description) != old
        assert {c.username_fragment async for c in alice.local_candidates} == {fragment(alice.local_description)}


async def test_signals_come_in_an_order_that_makes_sense(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    """After each description nothing but its own candidates, and one end of them at most."""
    async with connected(network, lambda: 0.0, lambda: 0.0, SERVERS) as (alice, bob, left, right):
        await alice.wait_connected()
        for _ in range(5):
            await trio.sleep(0.3)
            alice.restart_ice()
            await trio.sleep(0.01)
            bob.restart_ice()
        await trio.sleep(5)
        for channel in (left, right):
            own, has_ended = "", True
            for text in channel.sent:
                match decode_signal(text):
                    case SessionDescription() as description:
                        own, has_ended = fragment(description), "a=end-of-candidates" in description.sdp
                    case IceCandidate() as candidate:
                        assert candidate.username_fragment == own
                        assert not has_ended
                    case _:
                        has_ended = True


@pytest.mark.parametrize("seed", range(20))
async def test_cancellation_amid_restarts(seed: int, network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """Whatever is under way, both are gone at once, and with them their sockets and tasks."""
    draw = random.Random(seed)
    with trio.move_on_after(3 * draw.random()):
        async with connected(network, lambda: 0.2 * draw.random(), lambda: 0.2 * draw.random(), SERVERS) as peers:
            alice, bob, *_ = peers
            while True:
                draw.choice([alice, bob]).restart_ice()
                await trio.sleep(0.2 * draw.random())
    for name in ("alice", "bob"):
        network.host(name).bind((network.host(name).interfaces()[0].address, 49152)).close()


# ICE alone.


async def exchange(one: IceAgent, other: IceAgent) -> None:
    await one.wait_gathered()
    await other.wait_gathered()
    one_says, other_says = one.create_offer(), other.create_offer()
    one.set_remote_description(other_says)
    other.set_remote_description(one_says)


async def echoes(one: IceAgent, other: IceAgent) -> None:
    await one.send(b"there")
    assert await other.receive() == b"there"
    await other.send(b"and back")
    assert await one.receive() == b"and back"


async def test_agents_that_restart_at_once_and_cross(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_ice_agent(role=ice.Role.CONTROLLING, network=network.host("alice")) as alice,
        open_ice_agent(role=ice.Role.CONTROLLED, network=network.host("bob")) as bob,
    ):
        await exchange(alice, bob)
        await alice.wait_connected()
        await bob.wait_connected()
        for _ in range(5):
            stale = bob.create_offer()
            alice.restart()
            alice.set_remote_description(stale)  # bob said it before he knew
            await echoes(alice, bob)
            bob.restart()
            await exchange(alice, bob)
            await trio.sleep(1)
            assert alice.state.value is bob.state.value is ice.State.COMPLETED
            await echoes(alice, bob)


async def test_an_agent_follows_its_peer(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_ice_agent(role=ice.Role.CONTROLLING, network=network.host("alice")) as alice,
        open_ice_agent(role=ice.Role.CONTROLLED, network=network.host("bob")) as bob,
    ):
        await exchange(alice, bob)
        await alice.wait_connected()
        for one, other in ((alice, bob), (bob, alice)):
            one.restart()
            other.set_remote_description(one.create_offer())
            await echoes(alice, bob)
            one.set_remote_description(other.create_answer())
            await trio.sleep(1)
            assert alice.state.value is bob.state.value is ice.State.COMPLETED
            await echoes(alice, bob)
