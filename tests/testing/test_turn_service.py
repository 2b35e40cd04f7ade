"""The TURN server under trio, on real sockets of loopback and on simulated hosts."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from tests.testing.turn_client import Client, client_of
from xp2p_trio import stun, testing, turn
from xp2p_trio.driver import DatagramSocket, SystemNetwork, connect, signaling_pair
from xp2p_trio.errors import InvalidArgument, Reason
from xp2p_trio.peer import Configuration
from xp2p_trio.sansio import Address, Burst, Closed, Failed, Transport
from xp2p_trio.testing import TurnServerConfiguration, TurnService

LOOPBACK = "127.0.0.1"
SERVER = "192.0.2.7"
CLIENT = "192.0.2.1"
PEER = "203.0.113.5"


async def receive(sock: DatagramSocket, count: int) -> list[bytes]:
    """So many datagrams."""
    datagrams: list[bytes] = []
    while len(datagrams) < count:
        for burst in await sock.receive():
            datagrams += burst.datagrams
    return datagrams


async def exchange(client: Client, peer: DatagramSocket, *, channel: bool) -> None:
    """Data there and back."""
    relayed = await client.allocate()
    await client.permit(peer.address, channel=channel)
    data = [b"%d" % number * number for number in range(1, 20)]
    client.send(peer.address, *data)
    assert await receive(peer, len(data)) == data
    assert peer.transmit(Burst(peer.address, relayed, data)) == len(data)
    await client.wait(lambda: len(client.received) >= len(data))
    assert client.received == [(peer.address, each) for each in data]


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("channel", [False, True])
async def test_data_there_and_back(transport: Transport, *, channel: bool) -> None:
    with trio.fail_after(30):
        async with testing.embedded_turn_server(transports=[transport]) as service:
            network = SystemNetwork(ssl_context=service.client_ssl_context)
            peer = network.bind((LOOPBACK, 0))
            async with client_of(service, network, LOOPBACK, transport=transport) as client:
                await exchange(client, peer, channel=channel)
                client.allocation.close(trio.current_time())
                client.flush()
                await client.wait_for(Closed)
                assert service.core.allocations == []
            peer.close()


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("channel", [False, True])
async def test_data_there_and_back_on_the_simulated_network(
    transport: Transport, *, channel: bool, autojump_clock: trio.testing.MockClock
) -> None:
    network = testing.Network(link=testing.Link(delay=0.02))
    hosts = {name: network.host(name, ip) for name, ip in (("turn", SERVER), ("me", CLIENT), ("peer", PEER))}
    async with testing.embedded_turn_server(network=hosts["turn"], host=SERVER, transports=[transport]) as service:
        peer = hosts["peer"].bind((PEER, 0))
        async with client_of(service, hosts["me"], CLIENT, transport=transport) as client:
            await exchange(client, peer, channel=channel)


class World:
    """A simulated network with a server, a client's host and a peer's."""

    def __init__(self, link: testing.Link | None = None) -> None:
        self.network = testing.Network(link=testing.Link(delay=0.02) if link is None else link)
        self.turn = self.network.host("turn", SERVER)
        self.me = self.network.host("me", CLIENT)
        self.peer = self.network.host("peer", PEER)

    def server(self, **choices: Any) -> AbstractAsyncContextManager[TurnService]:
        choices.setdefault("users", {"user": "password"})
        configuration = TurnServerConfiguration(relay_hosts=[SERVER], **choices)
        return testing.embedded_turn_server(configuration, network=self.turn, host=SERVER)

    def client(self, service: TurnService, **choices: Any) -> AbstractAsyncContextManager[Client]:
        return client_of(service, self.me, CLIENT, **choices)

    def is_free(self, address: Address) -> bool:
        """Whether a UDP port of the server's host is nobody's."""
        try:
            self.turn.bind(address).close()
        except OSError:
            return False
        return True


async def refusal(client: Client) -> turn.AllocationRefused:
    client.allocation.start(trio.current_time())
    client.flush()
    refused = await client.wait_for(turn.AllocationRefused)
    assert isinstance(client.events[-1], Failed)
    return refused


async def test_wrong_credentials(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server() as service, world.client(service, password="wrong") as client:
        assert (await refusal(client)).code == 401


async def test_quota(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server(user_quota=1) as service, world.client(service) as one, world.client(service) as other:
        await one.allocate()
        assert (await refusal(other)).code == 486


async def test_an_hour_with_nonces_that_go_stale(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server(nonce_lifetime=30.0) as service, world.client(service) as client:
        peer = world.peer.bind((PEER, 0))
        await exchange(client, peer, channel=True)
        await trio.sleep(3600.0)
        client.send(peer.address, b"still here")
        assert await receive(peer, 1) == [b"still here"]
        assert not any(isinstance(event, Failed) for event in client.events)


async def test_the_relayed_address_of_a_client_that_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server() as service:
        async with world.client(service) as client:
            relayed = await client.allocate()
            allocated = trio.current_time()
        assert not world.is_free(relayed)
        await trio.sleep_until(allocated + 599.0)
        assert not world.is_free(relayed)
        await trio.sleep_until(allocated + 601.0)
        assert world.is_free(relayed)


async def test_the_relayed_address_of_a_client_whose_stream_ends(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server() as service:
        async with world.client(service, transport=Transport.TCP) as client:
            relayed = await client.allocate()
            assert not world.is_free(relayed)
        await trio.sleep(1.0)
        assert world.is_free(relayed)
        assert (service.core.allocations, service.core.stream_count) == ([], 0)


async def test_ports_that_other_programs_have(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    others = [world.turn.bind((SERVER, port)) for port in (50000, 50001, 50003)]
    async with world.server(ports=(50000, 50003)) as service, world.client(service) as one:
        assert await one.allocate() == (SERVER, 50002)
        async with world.client(service) as other:
            assert (await refusal(other)).code == 508
            others[0].close()
        async with world.client(service) as other:
            assert await other.allocate() == (SERVER, 50000)


async def test_what_the_server_does_wrong_can_be_ordered(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server() as service, world.client(service) as client:
        service.core.faults.is_silent = True
        client.allocation.start(trio.current_time())
        client.flush()
        assert (await client.wait_for(Failed)).failure.reason is Reason.PEER_UNREACHABLE


async def test_a_client_that_does_not_read_still_gets_its_answers(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server() as service, world.client(service, transport=Transport.TCP) as client:
        peer = world.peer.bind((PEER, 0))
        relayed = await client.allocate()
        await client.permit(peer.address, channel=True)
        with client.deaf():
            for _ in range(2000):
                peer.transmit(Burst(peer.address, relayed, [bytes(1000)]))
                await trio.sleep(0.001)
            client.allocation.create_permissions(["203.0.113.9"], trio.current_time())
            client.flush()
            await trio.sleep(1.0)
        await client.wait(lambda: turn.PermissionCreated("203.0.113.9") in client.events)
        assert 100 < len(client.received) < 1900


async def test_streams_that_want_nothing_or_bring_noise(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server(max_streams=3) as service:
        address = service.addresses[Transport.TCP]
        streams = [await world.me.connect_stream(None, address, Transport.TCP, "") for _ in range(3)]
        with suppress(ConnectionResetError):
            one_more = await world.me.connect_stream(None, address, Transport.TCP, "")
            assert await one_more.receive() == b""
        streams[0].transmit([b"SSH-2.0-OpenSSH\r\n"])
        assert await streams[0].receive() == b""
        connected = trio.current_time()
        assert await streams[1].receive() == b""
        assert 59.0 < trio.current_time() - connected < 61.0
        assert await streams[2].receive() == b""
        assert service.core.stream_count == 0


async def test_binding_over_a_stream(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.server() as service:
        stream = await world.me.connect_stream(None, service.addresses[Transport.TCP], Transport.TCP, "")
        request = stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, bytes(12))
        stream.transmit([stun.encode_message(request)])
        answer = stun.decode_message(await stream.receive())
        assert answer.get(stun.XorMappedAddress) == stun.XorMappedAddress(stream.local)


@pytest.mark.parametrize("transport", list(Transport))
async def test_cancelled_in_the_middle(transport: Transport) -> None:
    """Every port is free again."""
    network = SystemNetwork()
    with trio.fail_after(30):
        with trio.CancelScope() as scope:
            async with testing.embedded_turn_server(transports=[transport]) as service:
                network = SystemNetwork(ssl_context=service.client_ssl_context)
                async with client_of(service, network, LOOPBACK, transport=transport) as client:
                    relayed = await client.allocate()
                    scope.cancel("in the middle")
                    await trio.sleep_forever()
        assert scope.cancelled_caught
        network.bind(relayed).close()
        if transport is Transport.UDP:
            network.bind(service.addresses[transport]).close()
        else:
            network.listen(service.addresses[transport]).close()


async def test_served_in_a_nursery() -> None:
    configuration = TurnServerConfiguration(relay_hosts=[LOOPBACK], users={"me@home": "a/b c"})
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            service = await nursery.start(partial(testing.serve_turn, configuration, port=0))
            host, port = service.addresses[Transport.UDP]
            assert service.url(Transport.UDP) == f"turn:me%40home:a%2Fb%20c@{host}:{port}?transport=udp"
            assert [url.partition("?")[2] for url in service.urls] == ["transport=udp", "transport=tcp"]
            async with client_of(service, SystemNetwork(), LOOPBACK) as client:
                assert (await client.allocate())[0] == LOOPBACK
            with pytest.raises(OSError, match=str(port)):
                await testing.serve_turn(configuration, port=port)
            nursery.cancel_scope.cancel("enough")


async def test_what_cannot_be_served() -> None:
    everybody = TurnServerConfiguration(relay_hosts=[LOOPBACK], users=None)
    elsewhere = TurnServerConfiguration(relay_hosts=["192.0.2.7"])
    with pytest.raises(InvalidArgument, match="certificate"):
        await testing.serve_turn(everybody, port=0, tls_port=0, transports=[Transport.TLS])
    with pytest.raises(InvalidArgument, match="transports"):
        await testing.serve_turn(everybody, port=0, transports=[])
    with pytest.raises(OSError, match=r"192\.0\.2\.7"):
        await testing.serve_turn(elsewhere, port=0)


async def test_everybody_may_come() -> None:
    everybody = TurnServerConfiguration(relay_hosts=["::1"], users=None)
    async with testing.embedded_turn_server(everybody, host="::1", transports=[Transport.UDP]) as service:
        _, port = service.addresses[Transport.UDP]
        assert service.urls == [f"turn:[::1]:{port}?transport=udp"]
        assert service.username == service.password == ""
    assert "geheim" not in repr(attrs.evolve(service, password="geheim"))


async def test_a_whole_port_of_tls_noise() -> None:
    with trio.fail_after(30):
        async with testing.embedded_turn_server(transports=[Transport.TLS]) as service:
            plain = await SystemNetwork().connect_stream(None, service.addresses[Transport.TLS], Transport.TCP, "")
            plain.transmit([b"GET / HTTP/1.1\r\n\r\n"])
            while await plain.receive():
                pass
            plain.close()
            with pytest.raises(OSError, match="certificate"):
                await SystemNetwork().connect_stream(None, service.addresses[Transport.TLS], Transport.TLS, LOOPBACK)
            assert service.core.allocations == []


@pytest.mark.parametrize("transport", list(Transport))
async def test_two_peers_that_use_nothing_else(transport: Transport) -> None:
    with trio.fail_after(60):
        async with testing.embedded_turn_server(transports=[transport]) as service:
            config = Configuration(ice_servers=service.urls, ice_transport_policy="relay")
            network = SystemNetwork(ssl_context=service.client_ssl_context)
            to_bob, to_alice = signaling_pair()
            async with (
                connect(to_bob, initiator=True, config=config, network=network) as alice,
                connect(to_alice, initiator=False, config=config, network=network) as bob,
            ):
                channel = alice.create_data_channel("relayed")
                await channel.send(bytes(200_000))
                arrived = await bob.incoming_channels.accept()
                assert await arrived.receive() == bytes(200_000)
                assert {one.path.transport for one in service.core.allocations} == {transport}
            assert service.core.allocations == []
