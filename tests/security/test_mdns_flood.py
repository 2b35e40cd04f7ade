"""mdns_flood: a hostile description makes us say little to the link, keeps no sockets, and costs a server none."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import Configuration, IceCandidate, SessionDescription, ice, mdns, open_peer_connection, serve_peers
from xp2p_trio.sansio import Burst
from xp2p_trio.testing import Host, Link, Network

LIMIT = ice.Configuration().max_remote_candidates


class WatchedNetwork(WrappedNetwork):
    """A host whose sockets of the group are counted."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.joined: list[Any] = []

    def bind_multicast(self, group: str, port: int, interface_address: str) -> Any:
        self.joined.append(self._host.bind_multicast(group, port, interface_address))
        return self.joined[-1]

    @property
    def open_count(self) -> int:
        count = 0
        for each in self.joined:
            try:
                each.transmit(Burst(each.address, ("203.0.113.255", 9), [b"x"]))
                count += 1
            except trio.ClosedResourceError:
                pass
        return count


def name(number: int) -> str:
    return f"{number:08x}-1111-4222-8333-444455556666.local"


def line(number: int) -> str:
    return f"candidate:{number} 1 udp 2113937151 {name(number)} 5000 typ host"


@pytest.fixture
def network() -> Network:
    network = Network(seed=1, link=Link(delay=0.01), keep_trace=True)
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    return network


def questions(network: Network, host: str) -> int:
    return sum(
        type(entry).__name__ == "Sent" and entry.source[0] == host and entry.destination[0] == mdns.GROUP_IPV4
        for entry in network.trace
    )


async def test_names_without_an_end(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """Of a peer that trickles on and on, and repeats what nobody has answered."""
    ours = WatchedNetwork(network.host("alice"))
    async with (
        open_peer_connection(network=ours) as alice,
        open_peer_connection(network=network.host("bob")) as bob,
    ):
        bob.set_remote_description(alice.set_local_description())
        alice.set_remote_description(bob.set_local_description())
        await alice.wait_connected()
        for number in range(5_000):
            alice.add_ice_candidate(IceCandidate(line(number % 2000), "0", 0))
            if number % 10 == 0:
                await trio.sleep(0.1)
        await trio.sleep(20)
        assert questions(network, "192.0.2.1") <= 3 * LIMIT
        assert ours.open_count == 0
        assert alice.ice_agent.statistics.candidates_refused > 4_000


async def test_a_server_asks_for_no_names(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """Where its peers are it learns from their checks. A thousand would hear each word of the link a thousand times."""
    ours = WatchedNetwork(network.host("alice"))

    async def echo(connection: Any) -> None:
        async for channel in connection.incoming_channels:
            async for message in channel:
                await channel.send(message)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_peers, echo, 4000, network=ours))
        async with open_peer_connection(network=network.host("bob")) as bob:
            offer = bob.set_local_description()
            names = "".join(f"a={line(number)}\r\n" for number in range(32))
            candidates = [each for each in offer.sdp.splitlines() if each.startswith("a=candidate:")]
            sdp = offer.sdp.replace(candidates[0] + "\r\n", names)
            bob.set_remote_description(await server.answer(SessionDescription("offer", sdp)))
            channel = bob.create_data_channel("echo")
            await channel.send("hello")
            assert await channel.receive() == "hello"
        assert ours.joined == []
        nursery.cancel_scope.cancel("the test is over")


async def test_a_server_may_hide(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """Its own names are another matter."""
    ours = WatchedNetwork(network.host("alice"))

    async def never(connection: Any) -> None:
        raise AssertionError("nobody connects")

    async with trio.open_nursery() as nursery:
        config = Configuration(mdns="hide")
        server = await nursery.start(partial(serve_peers, never, 4000, config=config, network=ours))
        async with open_peer_connection(network=network.host("bob")) as bob:
            answer = await server.answer(bob.create_offer())
            assert ".local " in answer.sdp
            assert ours.open_count == 1
        nursery.cancel_scope.cancel("the test is over")
