"""A server under attack, cancelled in the middle, and with handlers that end in the worst way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.driver.test_cancellation import CancelAtStep
from tests.driver.test_serving import SERVER, assert_echo, client_of, echo, network, request, serving
from xp2p_trio import (
    Configuration,
    PeerConnection,
    SessionDescription,
    open_direct_connection,
    open_peer_connection,
    serve_peers,
)
from xp2p_trio.driver import PeerServer
from xp2p_trio.peer import DIRECT_PREFIX, accept_direct
from xp2p_trio.sansio import Burst
from xp2p_trio.testing import Link, Network

__all__ = ["network"]


def direct_request(number: int) -> bytes:
    """What `open_direct_connection` sends first: anybody can make as many as he likes."""
    fragment = f"{DIRECT_PREFIX}{number:043d}{'p' * 22}"
    return request(f"{fragment}:ufrag{number}", fragment)


async def test_guests_on_their_way_leave_half_of_the_places(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    """Whoever forges addresses takes no place of those who come by signaling."""
    network.host("attacker", "203.0.113.66")
    async with serving(network, max_peers=10, connect_timeout=30, on_unknown=accept_direct) as server:
        attacker = network.host("attacker").bind(("203.0.113.66", 0))
        for number in range(200):
            attacker.transmit(Burst(attacker.address, SERVER, [direct_request(number)]))
            await trio.sleep(0.05)
        assert server.statistics.peers == 5
        assert server.statistics.refused > 100
        async with client_of(server, network) as client, client_of(server, network, "client2") as other:
            await assert_echo(client)
            await assert_echo(other)
        await trio.sleep(40)
        assert server.statistics.peers == 0
        attacker.close()


async def test_a_single_place_may_be_a_guest_s(autojump_clock: trio.testing.MockClock, network: Network) -> None:

    async with (
        serving(network, max_peers=1, on_unknown=accept_direct) as server,
        open_direct_connection(SERVER, server.fingerprint, network=network.host("client1")) as guest,
    ):
        await assert_echo(guest)


# --- cancellation


def slow_server(task_status: Any = trio.TASK_STATUS_IGNORED, *, host: Any) -> Any:

    config = Configuration(ice_servers=["stun:203.0.113.9"])  # from which nothing comes
    return serve_peers(echo, 4000, network=host, config=config, task_status=task_status)


async def test_the_end_of_the_server_ends_an_answer(autojump_clock: trio.testing.MockClock, network: Network) -> None:
    """Gathering would go on for seconds."""
    ends: list[float] = []

    async def ask(server: PeerServer, offer: SessionDescription) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await server.answer(offer)
        ends.append(trio.current_time())

    async with open_peer_connection(network=network.host("client1")) as client:
        offer = client.create_offer()
        async with trio.open_nursery() as askers:
            async with trio.open_nursery() as nursery:
                server = await nursery.start(partial(slow_server, host=network.host("server")))
                for _ in range(3):
                    askers.start_soon(ask, server, offer)
                await trio.sleep(1)
                start = trio.current_time()
                nursery.cancel_scope.cancel("the server is over")
            assert trio.current_time() == start
    assert ends == [start] * 3
    assert server.statistics.peers == server.statistics.mux.demultiplexer.sessions == 0


@pytest.mark.parametrize("whom", ["server", "asker"])
def test_an_answer_that_is_cancelled_at_every_step(whom: str) -> None:
    async def main(instrument: CancelAtStep) -> None:
        network = Network(seed=1, link=Link(delay=0.01))
        network.host("server", "192.0.2.1")
        network.host("client", "198.51.100.1")
        before = trio.lowlevel.current_statistics().tasks_living

        async def serve(task_status: trio.TaskStatus[PeerServer]) -> None:
            with trio.CancelScope() as scope:
                if whom == "server":
                    instrument.arm(scope)
                await serve_peers(echo, 4000, network=network.host("server"), task_status=task_status)

        async def talk(server: PeerServer) -> None:
            with trio.CancelScope() as scope:
                if whom == "asker":
                    instrument.arm(scope)
                async with open_peer_connection(network=network.host("client")) as client:
                    client.set_local_description()
                    try:
                        client.set_remote_description(await server.answer(await client.complete_description()))
                        await assert_echo(client)
                    except (trio.ClosedResourceError, trio.BrokenResourceError):
                        assert whom == "server"

        async with trio.open_nursery() as nursery:
            try:
                server = await nursery.start(serve)
            except RuntimeError:  # it was cancelled before it had begun
                return  # noqa: ASYNC121 - nothing runs there
            with trio.fail_after(100):
                await talk(server)
                await trio.sleep(40)  # whoever has gone without a word is given up
            statistics = server.statistics
            assert statistics.peers == statistics.connecting == statistics.mux.demultiplexer.sessions == 0
            nursery.cancel_scope.cancel("the test is over")
        assert trio.lowlevel.current_statistics().tasks_living == before
        network.host("server").bind(("192.0.2.1", 4000)).close()

    for step in range(1, 200):
        clock, instrument = trio.testing.MockClock(autojump_threshold=0), CancelAtStep(step)
        try:
            trio.run(main, instrument, clock=clock, instruments=[instrument])
        except BaseException as error:
            error.add_note(f"cancelled at step {step}")
            raise
        if not instrument.has_struck:
            assert step > 3
            return


# --- handlers


Handler = Callable[[PeerConnection], Awaitable[None]]


async def says_goodbye_to_nobody(connection: PeerConnection) -> None:
    async def talk() -> None:
        channel = await connection.incoming_channels.accept()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                while True:
                    await channel.send("goodbye")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        await trio.sleep_forever()


async def test_a_handler_that_meets_the_peer_s_end_while_it_is_cancelled(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    """What comes out of it is a cancellation and the end of the peer, in one group: the end of a peer is no bug."""
    async with trio.open_nursery() as outer, trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_peers, says_goodbye_to_nobody, 4000, network=network.host("server")))

        @outer.start_soon
        async def _() -> None:
            async with client_of(server, network) as client:
                channel = client.create_data_channel("short")
                await channel.wait_open()
                ready.set()
                await trio.sleep(1)

        ready = trio.Event()
        await ready.wait()
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel("the server is over")
    assert server.statistics.lost == 1


async def test_a_handler_that_never_returns_keeps_nothing_but_its_place(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    async def never(connection: PeerConnection) -> None:
        await trio.sleep_forever()

    async with serving(network, never, max_peers=3) as server:
        for name in ("client1", "client2", "client3"):
            async with client_of(server, network, name) as client:
                await client.wait_connected()
        await trio.sleep(1)
        statistics = server.statistics
        assert (statistics.peers, statistics.served) == (3, 3)
        assert statistics.mux.demultiplexer.sessions == statistics.mux.demultiplexer.paths == 0
