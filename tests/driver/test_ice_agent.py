"""ICE alone under trio: over the simulated network with a virtual clock, and over this machine's own sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import ice
from xp2p_trio.driver.errors import ConnectionFailed, ConsentExpired
from xp2p_trio.driver.ice_agent import MAX_UNREAD, IceAgent, open_ice_agent
from xp2p_trio.driver.network import Network
from xp2p_trio.errors import InvalidArgument, InvalidState, SdpError
from xp2p_trio.testing import BLACK_HOLE, Host, Link
from xp2p_trio.testing import Network as VirtualNetwork
from xp2p_trio.testing.sockets import VirtualSocket


@pytest.fixture
def network() -> VirtualNetwork:
    network = VirtualNetwork(seed=1, link=Link(delay=0.02))
    network.host("alice", "192.0.2.1")
    network.host("bob", "198.51.100.2")
    return network


@asynccontextmanager
async def open_pair(
    alice: Network | None = None, bob: Network | None = None, **options: object
) -> AsyncIterator[tuple[IceAgent, IceAgent]]:
    async with (
        open_ice_agent(role=ice.Role.CONTROLLING, network=alice, **options) as a,  # type: ignore[arg-type]
        open_ice_agent(role=ice.Role.CONTROLLED, network=bob, **options) as b,  # type: ignore[arg-type]
    ):
        yield a, b


def exchange_descriptions(a: IceAgent, b: IceAgent) -> None:
    b.set_remote_description(a.create_offer())
    a.set_remote_description(b.create_answer())


async def echo(a: IceAgent, b: IceAgent, data: bytes) -> None:
    await a.wait_connected()
    await b.wait_connected()
    await a.send(data)
    assert await b.receive() == data
    await b.send(data)
    assert await a.receive() == data


@pytest.mark.parametrize("data", [b"Hello P2P!", b"\x04", b"\xff" * 1200, bytearray(b"bytes"), memoryview(b"view")])
async def test_echo_over_the_simulated_network(
    network: VirtualNetwork, autojump_clock: trio.testing.MockClock, data: bytes
) -> None:
    async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
        exchange_descriptions(a, b)
        await echo(a, b, data)
        assert a.selected_pair is not None
        assert a.selected_pair.remote.host == "198.51.100.2"


async def test_echo_over_real_sockets() -> None:
    with trio.fail_after(10):
        async with open_pair() as (a, b):
            exchange_descriptions(a, b)
            await echo(a, b, b"Hello P2P!")


async def test_echo_over_ipv6_and_a_chosen_address() -> None:
    with trio.fail_after(10):
        async with open_pair(bind_address="::1") as (a, b):
            exchange_descriptions(a, b)
            await echo(a, b, b"Hello P2P!")
            assert a.selected_pair is not None
            assert a.selected_pair.local.host == "::1"


async def test_candidates_can_be_trickled(network: VirtualNetwork, autojump_clock: trio.testing.MockClock) -> None:
    async def trickle(source: IceAgent, target: IceAgent) -> None:
        async for line in source.local_candidates:
            target.add_remote_candidate(line)
        target.add_remote_candidate(None)

    def bare(description: str) -> str:
        return "".join(line for line in description.splitlines(True) if "candidate" not in line)

    async with open_pair(network.host("alice"), network.host("bob")) as (a, b), trio.open_nursery() as nursery:
        b.set_remote_description(bare(a.create_offer()))
        a.set_remote_description(bare(b.create_answer()))
        await trio.sleep(1)
        assert a.state.value is ice.State.CHECKING
        nursery.start_soon(trickle, a, b)
        nursery.start_soon(trickle, b, a)
        await echo(a, b, b"late")


async def test_every_state_is_an_event(network: VirtualNetwork, autojump_clock: trio.testing.MockClock) -> None:
    async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
        exchange_descriptions(a, b)
        await a.state.wait_value(ice.State.COMPLETED)
    states = [event.state for event in [e async for e in a.events] if isinstance(event, ice.StateChanged)]
    assert states == [
        ice.State.GATHERING,
        ice.State.CHECKING,
        ice.State.CONNECTED,
        ice.State.COMPLETED,
        ice.State.CLOSED,
    ]


async def test_a_description_is_complete_after_wait_gathered(network: VirtualNetwork) -> None:
    async with open_ice_agent(role=ice.Role.CONTROLLING, network=network.host("alice")) as agent:
        await agent.wait_gathered()
        offer = agent.create_offer()
        assert "a=candidate:" in offer
        assert offer.endswith("a=end-of-candidates\r\n")
        assert [line async for line in agent.local_candidates] == [
            line.removeprefix("a=") for line in offer.splitlines() if line.startswith("a=candidate:")
        ]


@pytest.mark.parametrize("server", ["192.0.2.1:3478", "nobody.example:3478", "black-hole:3478"])
async def test_a_server_that_does_not_answer_delays_nothing(
    network: VirtualNetwork, autojump_clock: trio.testing.MockClock, server: str
) -> None:
    network.host("black-hole", "203.0.113.9")
    network.set_links("alice", "black-hole", BLACK_HOLE)
    network.set_links("bob", "black-hole", BLACK_HOLE)
    async with open_pair(network.host("alice"), network.host("bob"), ice_servers=[server]) as (a, b):
        start = trio.current_time()
        exchange_descriptions(a, b)
        await echo(a, b, b"no waiting")
        assert trio.current_time() - start < 1
        with trio.fail_after(6):
            await a.wait_gathered()


class StuckResolver(WrappedNetwork):
    """A network whose resolver never answers."""

    async def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        await trio.sleep_forever()
        return [(host, port)]


async def test_a_resolver_that_hangs_delays_nothing(
    network: VirtualNetwork, autojump_clock: trio.testing.MockClock
) -> None:
    hosts = StuckResolver(network.host("alice")), StuckResolver(network.host("bob"))
    async with open_pair(*hosts, ice_servers=["stun.example:3478"]) as (a, b):
        start = trio.current_time()
        exchange_descriptions(a, b)
        await echo(a, b, b"no waiting")
        assert trio.current_time() - start < 1
        with trio.fail_after(6):
            await a.wait_gathered()


async def test_no_path_is_a_diagnosis(network: VirtualNetwork, autojump_clock: trio.testing.MockClock) -> None:
    network.set_links("alice", "bob", BLACK_HOLE)
    async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
        exchange_descriptions(a, b)
        with pytest.raises(ConnectionFailed, match="no path") as caught:
            await a.wait_connected()
        assert caught.value.layer == "ice"
        assert a.state.value is ice.State.FAILED
        for call in (a.receive, lambda: a.send(b"x"), a.wait_connected):
            with pytest.raises(ConnectionFailed):
                await call()
        with pytest.raises(InvalidState, match="FAILED"):
            a.create_offer()


async def test_a_path_that_dies_ends_the_agent(network: VirtualNetwork, autojump_clock: trio.testing.MockClock) -> None:
    async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
        exchange_descriptions(a, b)
        await echo(a, b, b"alive")
        network.set_links("alice", "bob", BLACK_HOLE)
        with trio.fail_after(60), pytest.raises(ConsentExpired):
            await a.receive()


async def test_unread_datagrams_are_bounded(network: VirtualNetwork, autojump_clock: trio.testing.MockClock) -> None:
    async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
        exchange_descriptions(a, b)
        await a.wait_connected()
        await b.wait_connected()
        for number in range(MAX_UNREAD + 10):
            await a.send(b"%d" % number)
        await trio.sleep(1)
        assert b.dropped == 10
        assert await b.receive() == b"10"


class Recorder(WrappedNetwork):
    """A network that keeps the sockets it gave out."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.sockets: list[VirtualSocket] = []

    def bind(self, address: tuple[str, int]) -> VirtualSocket:
        self.sockets.append(self._host.bind(address))
        return self.sockets[-1]


async def test_a_socket_that_blocks_loses_datagrams_and_nothing_else(
    network: VirtualNetwork, autojump_clock: trio.testing.MockClock
) -> None:
    recorder = Recorder(network.host("alice"))
    async with open_pair(recorder, network.host("bob")) as (a, b):
        exchange_descriptions(a, b)
        await echo(a, b, b"first")
        for sock in recorder.sockets:
            sock.hold()
        for _ in range(5000):
            await a.send(b"piled up")
        for sock in recorder.sockets:
            sock.release()
        await echo(a, b, b"piled up")
        assert b.statistics().datagrams_received < 4200


async def test_wrong_order_is_refused_and_changes_nothing(network: VirtualNetwork) -> None:
    async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
        with pytest.raises(InvalidState, match="set_remote_description"):
            b.create_answer()
        with pytest.raises(InvalidState, match="wait_connected"):
            await a.send(b"too early")
        with pytest.raises(SdpError):
            a.set_remote_description("v=0\r\nrubbish\r\n")
        with pytest.raises(SdpError):
            a.add_remote_candidate("candidate:rubbish")
        exchange_descriptions(a, b)
        a.set_remote_description(b.create_offer())  # again, perhaps with more candidates
        await echo(a, b, b"nevertheless")


async def test_a_closed_agent_says_so(network: VirtualNetwork) -> None:
    async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
        exchange_descriptions(a, b)
        await echo(a, b, b"first")
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await a.receive()

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await a.aclose()
        await a.aclose()
        assert a.state.value is ice.State.CLOSED
        for call in (a.receive, lambda: a.send(b"x"), a.wait_connected):
            with pytest.raises(trio.ClosedResourceError):
                await call()
        a.add_remote_candidate(None)
        with pytest.raises(InvalidState):
            a.create_offer()


async def test_the_block_raises_what_the_body_raises(network: VirtualNetwork) -> None:
    agents: list[IceAgent] = []

    async def body() -> None:
        async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
            agents.extend((a, b))
            exchange_descriptions(a, b)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await body()
    assert [agent.state.value for agent in agents] == [ice.State.CLOSED] * 2


async def test_an_address_that_is_not_ours_is_an_os_error(network: VirtualNetwork) -> None:
    options = {"role": ice.Role.CONTROLLING, "bind_address": "203.0.113.77"}
    with pytest.raises(OSError, match=r"203\.0\.113\.77"):
        async with open_ice_agent(network=network.host("alice"), **options):  # type: ignore[arg-type]
            raise AssertionError("opened")


async def test_a_malformed_server_is_refused_at_once(network: VirtualNetwork) -> None:
    with pytest.raises(InvalidArgument, match="stun"):
        async with open_ice_agent(role=ice.Role.CONTROLLING, ice_servers=["http://stun.example"]):
            raise AssertionError("opened")


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_cancelled_anywhere_it_leaves_nothing(
    network: VirtualNetwork, autojump_clock: trio.testing.MockClock, steps: int
) -> None:
    """Cancel after so many milliseconds, in whatever the block happens to wait for."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    with trio.move_on_after(steps / 1000):
        async with open_pair(network.host("alice"), network.host("bob")) as (a, b):
            await a.wait_gathered()
            exchange_descriptions(a, b)
            while True:
                await echo(a, b, b"again")
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    for name, ip_address in (("alice", "192.0.2.1"), ("bob", "198.51.100.2")):
        network.host(name).bind((ip_address, 49152)).close()  # the port is free again
