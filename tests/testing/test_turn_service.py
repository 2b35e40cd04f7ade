"""The TURN server under trio, on real sockets of loopback and on simulated hosts."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.testing.turn_client import Client, client_of
from xp2p_trio import stun, testing, turn
from xp2p_trio.driver import DatagramSocket, Network, SystemNetwork
from xp2p_trio.errors import InvalidArgument, Reason
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
            network = SystemNetwork()
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
