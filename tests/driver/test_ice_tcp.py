"""ICE over TCP (RFC 6544) under trio: real streams on loopback where no datagram gets through, and virtual ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from tests.driver.test_ice_agent import echo, exchange_descriptions, open_pair
from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import ice
from xp2p_trio.driver import SystemNetwork, connect, open_ice_agent, signaling_pair
from xp2p_trio.driver.errors import ConnectionFailed
from xp2p_trio.driver.network import Interface, StreamSocket
from xp2p_trio.peer import Configuration
from xp2p_trio.sansio import Address, AddressFilter, Burst
from xp2p_trio.testing import UDP_BLOCKED, FirewallPolicy, Host, Link
from xp2p_trio.testing import Network as VirtualNetwork

TCP = ice.Configuration(tcp=True)


class DeafSocket:
    """All that it sends is lost."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def transmit(self, burst: Burst) -> int:
        return len(burst.datagrams)


class CutStream:
    """A stream that the network may cut."""

    def __init__(self, stream: StreamSocket) -> None:
        self._stream = stream
        self._is_cut = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def cut(self) -> None:
        self._is_cut = True
        self._stream.close()

    def transmit(self, frames: Sequence[bytes]) -> int:
        return len(frames) if self._is_cut else self._stream.transmit(frames)

    async def receive(self) -> bytes:
        try:
            return await self._stream.receive()
        except trio.ClosedResourceError:
            if self._is_cut:
                return b""
            raise


class WithoutUdp(WrappedNetwork):
    """The kernel's loopback interface and its streams, which the test can cut; datagrams get nowhere."""

    def __init__(self) -> None:
        super().__init__(SystemNetwork())
        self.streams: list[CutStream] = []

    def interfaces(self) -> list[Interface]:
        return [Interface("lo", "127.0.0.1", is_loopback=True)]

    def bind(self, address: Address) -> DeafSocket:
        return DeafSocket(self._host.bind(address))

    async def connect_stream(self, *arguments: Any) -> CutStream:
        stream = CutStream(await self._host.connect_stream(*arguments))
        self.streams.append(stream)
        return stream


async def test_datagrams_of_any_size_over_real_streams() -> None:
    with trio.fail_after(20):
        async with open_pair(WithoutUdp(), WithoutUdp(), ice=TCP) as (a, b):
            exchange_descriptions(a, b)
            await echo(a, b, b"Hello P2P!")
            for size in (1, 1200, 65535):
                await a.send(bytes([0x80]) * size)
                assert await b.receive() == bytes([0x80]) * size
            assert a.selected_pair is not None
            assert (a.selected_pair.local.transport, a.selected_pair.route) == ("tcp", "direct")
            await a.state.wait_value(ice.State.COMPLETED)


async def test_a_stream_that_is_cut_is_made_again() -> None:
    networks = WithoutUdp(), WithoutUdp()
    with trio.fail_after(20):
        async with open_pair(*networks, ice=TCP) as (a, b):
            exchange_descriptions(a, b)
            await echo(a, b, b"before")
            await a.state.wait_value(ice.State.COMPLETED)
            await b.state.wait_value(ice.State.COMPLETED)
            made = sum(len(network.streams) for network in networks)
            for network in networks:
                for stream in network.streams:
                    stream.cut()
            while sum(len(network.streams) for network in networks) == made:  # noqa: ASYNC110 - nobody tells it
                await trio.lowlevel.checkpoint()
            for n in range(100_000):
                await a.send(b"again %d" % n)
                with trio.move_on_after(0.05):
                    assert (await b.receive()).startswith(b"again")
                    break
            assert a.selected_pair is not None
            assert a.selected_pair.local.transport == "tcp"


async def test_a_whole_connection_over_real_streams() -> None:
    configuration = Configuration(ice=TCP)
    with trio.fail_after(30):
        one, other = signaling_pair()
        async with (
            connect(one, initiator=True, config=configuration, network=WithoutUdp()) as alice,
            connect(other, initiator=False, config=configuration, network=WithoutUdp()) as bob,
        ):
            channel = alice.create_data_channel("bulk")
            await channel.wait_open()
            received = 0
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    for _ in range(64):
                        await channel.send(bytes(32 * 1024))

                nursery.start_soon(send)
                incoming = await bob.incoming_channels.accept()
                while received < 64 * 32 * 1024:
                    received += len(await incoming.receive())
            pair = bob.selected_pair.value
            assert pair is not None
            assert pair.local.transport == "tcp"


async def test_who_is_filtered_is_neither_connected_to_nor_let_in() -> None:
    hasty = ice.Configuration(tcp=True, check_timeout=0.5)
    choosy = attrs.evolve(hasty, remote_filter=AddressFilter(deny=["127.0.0.0/8"]))
    alice, bob = WithoutUdp(), WithoutUdp()
    with trio.fail_after(20):
        async with (
            open_ice_agent(role=ice.Role.CONTROLLING, network=alice, ice=choosy) as a,
            open_ice_agent(role=ice.Role.CONTROLLED, network=bob, ice=hasty) as b,
        ):
            exchange_descriptions(a, b)
            for agent in (a, b):
                with pytest.raises(ConnectionFailed, match="no path worked"):
                    await agent.wait_connected()
            assert alice.streams == []


# On the simulated network.


@pytest.fixture
def hosts() -> tuple[Host, Host]:
    """Alice may connect by TCP, and nothing else; Bob takes streams."""
    network = VirtualNetwork(seed=1, link=Link(delay=0.02))
    alice = network.host("alice", "192.0.2.1")
    bob = network.host("bob", "198.51.100.2")
    network.firewall("alice's", policy=UDP_BLOCKED, inside=["alice"])
    network.firewall("bob's", policy=FirewallPolicy(allowed_ports=(), filtering=None), inside=["bob"])
    return alice, bob


async def test_udp_is_blocked_and_tcp_gets_out(
    hosts: tuple[Host, Host], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_pair(*hosts, ice=TCP) as (a, b):
        exchange_descriptions(a, b)
        await echo(a, b, b"Hello P2P!")
        assert a.selected_pair is not None
        assert (a.selected_pair.local.transport, a.selected_pair.local.tcp_type) == ("tcp", "active")
        assert trio.current_time() < 5.0


async def test_without_it_there_is_no_path(hosts: tuple[Host, Host], autojump_clock: trio.testing.MockClock) -> None:
    async with open_pair(*hosts) as (a, b):
        exchange_descriptions(a, b)
        for agent in (a, b):
            with pytest.raises(ConnectionFailed, match="UDP may be blocked"):
                await agent.wait_connected()


async def test_connecting_to_nobody_is_given_up_and_closing_waits_for_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = VirtualNetwork(seed=1, link=Link(delay=0.02))
    alice = network.host("alice", "192.0.2.1")
    async with open_ice_agent(role=ice.Role.CONTROLLING, network=alice, ice=TCP) as a:
        a.set_remote_description(a.create_offer())
        for n in range(50):
            a.add_remote_candidate(f"candidate:{n} 1 tcp {n + 1} 203.0.113.{n % 10} {n + 1} typ host tcptype passive")
        await trio.sleep(3)
        before = trio.current_time()
    assert trio.current_time() == before


async def test_relay_only_listens_nowhere(autojump_clock: trio.testing.MockClock) -> None:
    network = VirtualNetwork(seed=1)
    alice = network.host("alice", "192.0.2.1")
    network.host("turn", "198.51.100.9")
    listened: list[Address] = []

    class Watched(WrappedNetwork):
        def listen(self, address: Address) -> Any:
            listened.append(address)
            return self._host.listen(address)

    choices = {"ice_transport_policy": "relay", "ice_servers": ["turn:user:password@turn"]}
    async with open_ice_agent(role=ice.Role.CONTROLLING, network=Watched(alice), ice=TCP, **choices) as a:
        a.create_offer()
        await trio.sleep(1)
    assert listened == []
