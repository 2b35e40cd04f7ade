"""One UDP port for many: on the simulated network with a virtual clock, and on this machine's own sockets."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from xp2p_trio import Configuration, ConnectionFailed, PeerConnection, connect, ice, open_peer_connection, stun
from xp2p_trio.driver import (
    DatagramSocket,
    MuxNetwork,
    Network,
    SystemNetwork,
    UdpMux,
    open_ice_agent,
    open_udp_mux,
    signaling_pair,
)
from xp2p_trio.driver.shared_socket import DATAGRAM_CHARGE, MAX_EARLY_BURSTS, RECEIVE_BUFFER_SIZE, SharedSocket
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.peer import InterfaceFilter
from xp2p_trio.sansio import Address, AddressFilter, Burst
from xp2p_trio.testing import Host, Link, Sent, StunServer, serve
from xp2p_trio.testing import Network as VirtualNetwork
from xp2p_trio.testing.sockets import VirtualSocket

SERVER: Address = ("192.0.2.1", 4000)
PASSWORD = "a password of ICE is longer".replace(" ", "+")


@pytest.fixture
def network() -> VirtualNetwork:
    network = VirtualNetwork(seed=1, link=Link(delay=0.01), keep_trace=True)
    network.host("server", "192.0.2.1")
    for number in range(1, 6):
        network.host(f"client{number}", f"198.51.100.{number}")
    return network


async def introduce(one: PeerConnection, other: PeerConnection) -> None:
    one.set_local_description()
    other.set_remote_description(await one.complete_description())
    other.set_local_description()
    one.set_remote_description(await other.complete_description())


async def assert_echo(one: PeerConnection, other: PeerConnection) -> None:
    ours = one.create_data_channel("echo")
    await ours.send("hello")
    theirs = await other.incoming_channels.accept()
    await theirs.send(await theirs.receive())
    assert await ours.receive() == "hello"


def request(username: str) -> bytes:
    message = stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, bytes(12), (stun.Username(username),))
    return stun.encode_message(message, key=PASSWORD.encode(), fingerprint=True)


@asynccontextmanager
async def member(mux: UdpMux, fragment: str = "ufrag") -> AsyncIterator[tuple[MuxNetwork, SharedSocket]]:
    network = mux.network(fragment)
    yield network, network.bind((SERVER[0], 0))
    network.close()


# --- connections


async def test_connections_share_a_port(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    async with open_udp_mux(4000, network=network.host("server")) as mux, AsyncExitStack() as stack:
        assert mux.addresses == [SERVER]
        pairs = []
        for number in range(1, 6):
            client = await stack.enter_async_context(open_peer_connection(network=network.host(f"client{number}")))
            pairs.append((client, await stack.enter_async_context(open_peer_connection(network=mux.network()))))
        for client, ours in pairs:
            await introduce(client, ours)
        for client, ours in pairs:
            await assert_echo(client, ours)
            pair = client.selected_pair.value
            assert pair is not None
            assert pair.remote.address == SERVER
        assert mux.statistics.demultiplexer.sessions == 5
        assert mux.statistics.demultiplexer.paths == 5
    sources = {event.source for event in network.trace if isinstance(event, Sent) and event.source[0] == "192.0.2.1"}
    assert sources == {SERVER}
    statistics = mux.statistics
    assert statistics.datagrams_dropped == statistics.demultiplexer.claims_refused == 0
    assert statistics.demultiplexer.sessions == statistics.demultiplexer.paths == 0


async def test_the_kernel_s_sockets() -> None:
    async with open_udp_mux(0, host="127.0.0.1") as mux, AsyncExitStack() as stack:
        assert mux.addresses == [("127.0.0.1", mux.port)]
        for _ in range(3):
            client = await stack.enter_async_context(open_peer_connection(bind_address="127.0.0.1"))
            ours = await stack.enter_async_context(open_peer_connection(network=mux.network()))
            await introduce(client, ours)
            await assert_echo(client, ours)
            pair = ours.selected_pair.value
            assert pair is not None
            assert pair.local.address == ("127.0.0.1", mux.port)


async def test_the_mux_may_offer(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        open_peer_connection(network=mux.network()) as ours,
        open_peer_connection(network=network.host("client1")) as client,
    ):
        await introduce(ours, client)
        await assert_echo(ours, client)


async def test_whatever_takes_a_network_takes_that_of_a_mux(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    left, right = signaling_pair()
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        connect(left, initiator=True, network=network.host("client1")) as client,
        connect(right, initiator=False, network=mux.network()) as ours,
        open_ice_agent(role=ice.Role.CONTROLLED, network=mux.network()) as agent,
        open_ice_agent(role=ice.Role.CONTROLLING, network=network.host("client2")) as other,
    ):
        await assert_echo(client, ours)
        agent.set_remote_description(other.create_offer())
        other.set_remote_description(agent.create_answer())
        await other.wait_connected()
        await other.send(b"hello")
        assert await agent.receive() == b"hello"


async def test_static_credentials(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    config = Configuration(ice=ice.Configuration(username_fragment="ufrag", password=PASSWORD))
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        open_peer_connection(network=network.host("client1")) as client,
    ):
        async with open_peer_connection(config, network=mux.network()) as ours:
            await introduce(client, ours)
            await assert_echo(client, ours)
            async with open_peer_connection(config, network=mux.network()) as another:
                with pytest.raises(InvalidArgument, match="another session"):
                    another.set_local_description()
        async with open_peer_connection(config, network=mux.network()) as again:
            again.set_local_description()


async def test_servers_are_asked_from_the_shared_port(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    """Each connection finds its public address by itself, though all ask one server from one port."""
    network.host("stun", "192.0.2.99")
    network.nat("home", "203.0.113.7", inside=["server"])
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        await nursery.start(serve, network.host("stun"), 3478, StunServer())
        mux = await stack.enter_async_context(open_udp_mux(4000, network=network.host("server")))
        connections = [
            await stack.enter_async_context(
                open_peer_connection(network=mux.network(), ice_servers=["stun:192.0.2.99"])
            )
            for _ in range(3)
        ]
        for connection in connections:
            connection.set_local_description()
        for connection in connections:
            assert "203.0.113.7" in (await connection.complete_description()).sdp
        nursery.cancel_scope.cancel()


async def test_ice_restarts_on_a_shared_port(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    left, right = signaling_pair()
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        connect(left, initiator=True, network=network.host("client1")) as client,
        connect(right, initiator=False, network=mux.network()) as ours,
    ):
        await assert_echo(client, ours)
        for restarting in (client, ours):
            before = ours.ice_agent.local_username_fragment
            restarting.restart_ice()
            await trio.sleep(5)
            assert ours.ice_agent.local_username_fragment != before
            assert not ours.ice_agent.is_restarting
            assert not client.ice_agent.is_restarting
            await assert_echo(client, ours)
        assert mux.statistics.demultiplexer.requests_unknown == 0


async def test_a_client_changes_its_network(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    left, right = signaling_pair()
    host = network.host("client1")
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        connect(left, initiator=True, network=host) as client,
        connect(right, initiator=False, network=mux.network()) as ours,
    ):
        await assert_echo(client, ours)
        host.add_ip_address("198.51.100.77")
        host.remove_ip_address("198.51.100.1")
        await trio.sleep(60)
        pair = ours.selected_pair.value
        assert pair is not None
        assert pair.remote.host == "198.51.100.77"
        await assert_echo(client, ours)


async def test_the_server_changes_its_network(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    left, right = signaling_pair()
    host = network.host("server")
    async with (
        open_udp_mux(4000, network=host) as mux,
        connect(left, initiator=True, network=network.host("client1")) as client,
        connect(right, initiator=False, network=mux.network()) as ours,
    ):
        await assert_echo(client, ours)
        host.remove_ip_address("192.0.2.1")  # for a while there is none at all
        await trio.sleep(12)
        host.add_ip_address("192.0.2.77")
        await trio.sleep(60)
        assert mux.addresses == [("192.0.2.77", 4000)]
        pair = client.selected_pair.value
        assert pair is not None
        assert pair.remote.address == ("192.0.2.77", 4000)
        await assert_echo(client, ours)


async def test_two_connections_between_two_shared_ports(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    """They have one path, so that only one can work: the first."""
    async with (
        open_udp_mux(4000, network=network.host("server")) as here,
        open_udp_mux(4000, network=network.host("client1")) as there,
        open_peer_connection(network=here.network()) as ours,
        open_peer_connection(network=there.network()) as theirs,
    ):
        await introduce(ours, theirs)
        await assert_echo(ours, theirs)
        async with (
            open_peer_connection(network=here.network()) as late,
            open_peer_connection(network=there.network()) as late_peer,
        ):
            await introduce(late, late_peer)
            with pytest.raises(ConnectionFailed, match="dtls"):
                await late.wait_connected()
            await assert_echo(ours, theirs)
        await assert_echo(theirs, ours)


async def test_who_comes_from_the_address_of_one_that_is_gone(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    """A program that is started again, with a fixed port of its own."""
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        open_peer_connection(network=mux.network()) as ours,
    ):
        with trio.CancelScope() as crash:
            async with open_udp_mux(5000, network=network.host("client1")) as theirs:
                network.set_link("client1", "server", Link(delay=0.01, loss=0.0))
                async with open_peer_connection(network=theirs.network()) as client:
                    await introduce(client, ours)
                    await assert_echo(client, ours)
                    network.set_link("client1", "server", Link(delay=0.01, loss=1.0))
                    crash.cancel()
                    await trio.sleep_forever()
        network.set_link("client1", "server", Link(delay=0.01))
        async with (
            open_udp_mux(5000, network=network.host("client1")) as theirs,
            open_peer_connection(network=theirs.network()) as client,
            open_peer_connection(network=mux.network()) as fresh,
        ):
            await introduce(client, fresh)
            with trio.fail_after(30):
                await assert_echo(client, fresh)


async def test_a_mux_that_ends_first_is_a_dead_network(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    connected = trio.Event()

    async def outlive(shared: MuxNetwork) -> None:
        async with (
            open_peer_connection(network=network.host("client1")) as client,
            open_peer_connection(network=shared) as ours,
        ):
            await introduce(client, ours)
            await assert_echo(client, ours)
            connected.set()
            channel = ours.create_data_channel("late")
            with pytest.raises(ConnectionFailed):
                while True:
                    await channel.send("into the void")
                    await trio.sleep(1)

    async with trio.open_nursery() as outer, open_udp_mux(4000, network=network.host("server")) as mux:
        outer.start_soon(outlive, mux.network())  # noqa: ASYNC111 - on purpose
        await connected.wait()


# --- the port


async def test_a_port_that_is_taken(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    host = network.host("server")
    async with open_udp_mux(4000, network=host):
        with pytest.raises(OSError, match="4000") as caught:
            async with open_udp_mux(4000, network=host):
                pass
        assert caught.value.errno == errno.EADDRINUSE
    async with open_udp_mux(4000, network=host):
        pass


async def test_every_address_has_the_same_port(autojump_clock: trio.testing.MockClock) -> None:
    host = VirtualNetwork().host("server", "192.0.2.1", "192.0.2.2", "2001:db8::1")
    async with open_udp_mux(0, network=host) as mux:
        assert mux.port > 0
        assert mux.addresses == [("192.0.2.1", mux.port), ("192.0.2.2", mux.port)]
    async with open_udp_mux(0, network=host, enable_ipv6=True) as mux:
        assert ("2001:db8::1", mux.port) in mux.addresses
    async with open_udp_mux(0, network=host, host="192.0.2.2") as mux:
        assert mux.addresses == [("192.0.2.2", mux.port)]
        assert repr(mux) == f"<UdpMux port {mux.port} on 192.0.2.2>"


async def test_an_address_that_cannot_be_bound_is_done_without(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    host = VirtualNetwork().host("server", "192.0.2.1", "192.0.2.2")
    taken = host.bind(("192.0.2.1", 4000))
    async with open_udp_mux(4000, network=host) as mux:
        assert mux.addresses == [("192.0.2.2", 4000)]
    assert "192.0.2.1" in caplog.text
    taken.close()


async def test_a_machine_without_addresses(autojump_clock: trio.testing.MockClock) -> None:
    host = VirtualNetwork().host("server", "2001:db8::1")
    with pytest.raises(OSError, match="no address"):
        async with open_udp_mux(4000, network=host):
            pass


@pytest.mark.parametrize(
    ("host", "port"), [("localhost", 0), ("0.0.0.0", 0), ("::", 0), ("192.0.2.1", 65536), ("192.0.2.1", -1)]
)
async def test_what_is_no_address_is_refused(host: str, port: int) -> None:
    with pytest.raises(InvalidArgument):
        async with open_udp_mux(port, host=host):
            pass


async def test_an_address_that_comes_up_later_is_shared_too(autojump_clock: trio.testing.MockClock) -> None:
    host = VirtualNetwork().host("server", "192.0.2.1")
    async with open_udp_mux(4000, network=host) as mux, member(mux) as (shared, _):
        host.add_ip_address("192.0.2.7")
        assert [each.address for each in shared.interfaces()] == ["192.0.2.1", "192.0.2.7"]
        assert shared.bind(("192.0.2.7", 0)).address == ("192.0.2.7", 4000)
        assert mux.addresses == [SERVER, ("192.0.2.7", 4000)]


async def test_the_mux_follows_the_addresses_of_the_machine(autojump_clock: trio.testing.MockClock) -> None:
    """From network to network, without anybody who binds."""
    host = VirtualNetwork().host("server", "192.0.2.1")
    async with open_udp_mux(4000, network=host) as mux, member(mux) as (shared, socket):
        host.add_ip_address("192.0.2.7")
        with trio.fail_after(60):
            await shared.wait_interfaces_changed()
        assert mux.addresses == [SERVER, ("192.0.2.7", 4000)]
        host.remove_ip_address("192.0.2.1")
        await trio.sleep(60)
        assert mux.addresses == [("192.0.2.7", 4000)]
        assert socket.transmit(Burst(SERVER, ("198.51.100.1", 1), (b"lost",))) == 1
        host.add_ip_address("192.0.2.1")
        await trio.sleep(60)
        assert set(mux.addresses) == {SERVER, ("192.0.2.7", 4000)}


async def test_interfaces_may_be_left_out(autojump_clock: trio.testing.MockClock) -> None:
    host = VirtualNetwork().host("server", "192.0.2.1", "192.0.2.2")
    wanted = InterfaceFilter(addresses=AddressFilter(deny=("192.0.2.1",)))
    async with open_udp_mux(4000, network=host, interfaces=wanted) as mux:
        assert mux.addresses == [("192.0.2.2", 4000)]


async def test_only_the_address_that_was_chosen(autojump_clock: trio.testing.MockClock) -> None:
    host = VirtualNetwork().host("server", "192.0.2.1", "192.0.2.2")
    async with open_udp_mux(4000, network=host, host="192.0.2.2") as mux:
        shared = mux.network()
        assert [each.address for each in shared.interfaces()] == ["192.0.2.2"]
        with pytest.raises(OSError, match=r"192\.0\.2\.1"):
            shared.bind(("192.0.2.1", 0))


# --- the socket that a connection sees


def arrive(network: VirtualNetwork, *datagrams: bytes, port: int = 1) -> None:
    """Something comes from the first client."""
    network.host("client1").bind(("198.51.100.1", port)).transmit(Burst(("198.51.100.1", port), SERVER, datagrams))


async def test_each_gets_its_own(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        member(mux, "ada1") as (_, ada),
        member(mux, "bob1") as (_, bob),
    ):
        client: Address = ("198.51.100.1", 1)
        arrive(network, request("bob1:xxxx"), request("ada1:xxxx"), b"\x16data")
        of_bob = [datagram for burst in await bob.receive() for datagram in burst.datagrams]
        assert of_bob == [request("bob1:xxxx"), b"\x16data"], "the path is Bob's, who was named first"
        assert await ada.receive() == [Burst(SERVER, client, [request("ada1:xxxx")])]
        assert ada.address == bob.address == SERVER


async def test_a_network_binds_an_address_once(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    async with open_udp_mux(4000, network=network.host("server")) as mux, member(mux) as (shared, socket):
        with pytest.raises(OSError, match=r"192\.0\.2\.1 port 4000") as caught:
            shared.bind(SERVER)
        assert caught.value.errno == errno.EADDRINUSE
        socket.close()
        socket.close()
        assert shared.bind((SERVER[0], 5000)).address == SERVER, "a range of ports is for those who have the choice"


async def test_the_end_of_a_socket_wakes_who_waits(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    async with open_udp_mux(4000, network=network.host("server")) as mux, member(mux) as (_, socket):

        async def expect_closed() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await socket.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_closed)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await socket.receive()
            socket.close()
        await expect_closed()
        with pytest.raises(trio.ClosedResourceError):
            socket.transmit(Burst(SERVER, SERVER, (b"x",)))
        with pytest.raises(trio.ClosedResourceError):
            await socket.wait_writable()


async def test_a_cancelled_receive_loses_nothing(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    async with open_udp_mux(4000, network=network.host("server")) as mux, member(mux) as (_, socket):
        with trio.move_on_after(1):
            await socket.receive()
        arrive(network, request("ufrag:xxxx"), b"\x16data")
        await trio.sleep(1)
        with trio.CancelScope() as scope:
            scope.cancel()
            await socket.receive()
        assert scope.cancelled_caught
        (burst,) = await socket.receive()
        assert burst.datagrams == [request("ufrag:xxxx"), b"\x16data"]


async def test_who_does_not_receive_loses_what_is_too_much(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        member(mux, "ada1") as (_, ada),
        member(mux, "bob1") as (_, bob),
    ):
        flood = network.host("client1").bind(("198.51.100.1", 2))
        flood.transmit(Burst(flood.address, SERVER, (request("ada1:xxxx"),)))
        data = b"\x17" + bytes(1199)
        count = RECEIVE_BUFFER_SIZE // (len(data) + DATAGRAM_CHARGE)
        for part in range(count + 50):
            flood.transmit(Burst(flood.address, SERVER, (data,)))
            if not part % 100:
                await trio.sleep(0.001)
        await trio.sleep(1)
        assert mux.statistics.datagrams_dropped == 50
        assert sum(len(burst.datagrams) for burst in await ada.receive()) == count + 1, "the check before them is small"
        flood.transmit(Burst(flood.address, SERVER, (data,) * (count + 50)))
        assert sum(len(burst.datagrams) for burst in await ada.receive()) == count
        assert mux.statistics.datagrams_dropped == 100
        arrive(network, request("bob1:xxxx"), port=3)
        assert len(await bob.receive()) == 1


async def test_what_comes_before_the_socket_is_bound_waits(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    async with open_udp_mux(4000, network=network.host("server")) as mux:
        shared = mux.network("ufrag")
        for port in range(1, MAX_EARLY_BURSTS + 3):
            arrive(network, request("ufrag:xxxx"), port=port)
        await trio.sleep(1)
        bursts = await shared.bind(SERVER).receive()
        assert [burst.remote[1] for burst in bursts] == list(range(1, MAX_EARLY_BURSTS + 1))
        assert mux.statistics.datagrams_dropped == 2


# --- a full socket


class Held:
    """A host whose sockets the test can hold."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.sockets: list[VirtualSocket] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def bind(self, address: Address) -> VirtualSocket:
        self.sockets.append(self._host.bind(address))
        return self.sockets[-1]


async def test_all_who_wait_for_a_full_socket_are_woken(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    held = Held(network.host("server"))
    woken = []

    async def wait(number: int, socket: DatagramSocket) -> None:
        if number == 3:
            with pytest.raises(trio.ClosedResourceError):
                await socket.wait_writable()
        else:
            await socket.wait_writable()
        woken.append((number, trio.current_time()))

    async with open_udp_mux(4000, network=held) as mux, AsyncExitStack() as stack:  # type: ignore[arg-type]
        members = [await stack.enter_async_context(member(mux, f"ufrag{number}")) for number in range(4)]
        sockets = [socket for _, socket in members]
        held.sockets[0].hold()
        assert sockets[0].transmit(Burst(SERVER, ("198.51.100.1", 1), (b"x",))) == 0
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number, socket in enumerate(sockets):
                nursery.start_soon(wait, number, socket)
            await trio.sleep(1)
            with pytest.raises(trio.BusyResourceError):
                await sockets[0].wait_writable()
            sockets[3].close()
            await trio.sleep(1)
            held.sockets[0].release()
        assert sorted(woken) == [(0, start + 2), (1, start + 2), (2, start + 2), (3, start + 1)]
        held.sockets[0].hold()
        held.sockets[0].release()
        with trio.fail_after(1):
            await sockets[0].wait_writable()


async def test_who_waits_for_a_full_socket_is_woken_by_the_end_of_the_port(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    """To a connection that outlives the port it is a network that is dead, which takes everything."""
    held = Held(network.host("server"))
    burst = Burst(SERVER, ("198.51.100.1", 1), (b"x",))
    async with open_udp_mux(4000, network=held) as mux, member(mux, "ufrag") as (_, socket):  # type: ignore[arg-type]
        held.sockets[0].hold()
        assert socket.transmit(burst) == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.wait_writable)
            await trio.sleep(1)
            network.host("server").remove_ip_address(SERVER[0])
            nursery.cancel_scope.deadline = trio.current_time() + 10
        assert not nursery.cancel_scope.cancelled_caught
        assert socket.transmit(burst) == 1


async def test_connections_wait_for_a_full_socket_together(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    held = Held(network.host("server"))
    async with open_udp_mux(4000, network=held) as mux, AsyncExitStack() as stack:  # type: ignore[arg-type]
        channels = []
        for number in range(1, 4):
            client = await stack.enter_async_context(open_peer_connection(network=network.host(f"client{number}")))
            ours = await stack.enter_async_context(open_peer_connection(network=mux.network()))
            await introduce(client, ours)
            channel = ours.create_data_channel("bulk")
            channels.append((channel, await client.incoming_channels.accept()))
        messages = [bytes([number]) * 20_000 for number in range(20)]
        async with trio.open_nursery() as nursery:
            for channel, _ in channels:
                nursery.start_soon(channel.send_many, messages)
            for _ in range(20):
                held.sockets[0].hold()
                await trio.sleep(0.1)
                held.sockets[0].release()
                await trio.sleep(0.01)
            for _, theirs in channels:
                assert [await theirs.receive() for _ in messages] == messages


# --- who is it


async def test_unknown_peers_are_told_of(autojump_clock: trio.testing.MockClock, network: VirtualNetwork) -> None:
    async with open_udp_mux(4000, network=network.host("server")) as mux:
        arrive(network, request("nobody:somebody"))
        unknown = await mux.unknown_peers.receive()
        assert unknown == ice.UnknownPeer(SERVER, ("198.51.100.1", 1), "nobody", "somebody", request("nobody:somebody"))
        assert not mux.readmit(unknown)
        async with member(mux, "nobody") as (_, socket):
            assert mux.readmit(unknown)
            (burst,) = await socket.receive()
            assert burst.datagrams == [unknown.request]
        assert mux.statistics.demultiplexer.requests_unknown == 1
    with pytest.raises(trio.EndOfChannel):
        await mux.unknown_peers.receive()


async def test_a_restart_brings_another_fragment(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    async with (
        open_udp_mux(4000, network=network.host("server")) as mux,
        member(mux, "first") as (shared, socket),
        member(mux, "other") as _,
    ):
        shared.add_username_fragment("second")
        arrive(network, request("second:xxxx"), request("first:xxxx"))
        (burst,) = await socket.receive()
        assert burst.datagrams == [request("second:xxxx"), request("first:xxxx")]
        for taken in ("first", "second"):
            with pytest.raises(InvalidArgument, match="another session"):
                mux.network(taken)
        with pytest.raises(InvalidArgument, match="another session"):
            shared.add_username_fragment("other")
        with pytest.raises(InvalidArgument, match="4 to 256"):
            shared.add_username_fragment("no")


async def test_a_connection_that_never_was_leaves_nothing(
    autojump_clock: trio.testing.MockClock, network: VirtualNetwork
) -> None:
    async with open_udp_mux(4000, network=network.host("server")) as mux:
        async with open_peer_connection(network=mux.network()):
            pass
        mux.network("ufrag").close()
        assert mux.statistics.demultiplexer.sessions == 0
        mux.network("ufrag").close()


async def test_a_mux_is_a_network_like_any_other(network: VirtualNetwork) -> None:
    """What is no UDP socket of the port is the business of the network below."""
    async with open_udp_mux(0, host="127.0.0.1", network=SystemNetwork()) as mux:
        assert await mux.network().resolve("127.0.0.1", 80) == [("127.0.0.1", 80)]


def test_constants_fit_together() -> None:
    """As much as a session may have pairs, and its share of the memory of a connection (THREATS 5.4)."""
    assert RECEIVE_BUFFER_SIZE <= 1024 * 1024
    assert attrs.fields(ice.Configuration).max_pairs.default == ice.demultiplexing.MAX_PROVED_PATHS


def accepts_any_network(network: MuxNetwork) -> Network:
    """For the type checker."""
    return network
