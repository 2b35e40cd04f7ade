"""The trio driver behind NATs: the same sockets, on hosts with private addresses."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.simulation.nats import PRIVATE_IP, STUN_SERVER, internet
from xp2p_trio import stun
from xp2p_trio.peer import Configuration
from xp2p_trio.sansio import Burst
from xp2p_trio.testing import PORT_RESTRICTED_CONE, RESTRICTED_CONE, Network, StunServer, connected_pair, serve


async def test_two_homes_with_equal_addresses(autojump_clock: MockClock) -> None:
    network = internet(PORT_RESTRICTED_CONE, RESTRICTED_CONE)
    config = Configuration(ice_servers=[f"stun:{STUN_SERVER[0]}:{STUN_SERVER[1]}"])
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, network.host("stun"), STUN_SERVER[1], StunServer())
        async with connected_pair(network=network, alice=config, bob=config) as (alice, bob):
            channel = alice.create_data_channel("over the fence")
            await channel.send("hello")
            arrived = await bob.incoming_channels.accept()
            assert await arrived.receive() == "hello"
            await trio.sleep(3600.0)
            await arrived.send("still there")
            assert await channel.receive() == "still there"
        nursery.cancel_scope.cancel()
    assert network.host("alice").ip_addresses == network.host("bob").ip_addresses == (PRIVATE_IP,)


async def test_a_served_layer_gets_its_timeouts_and_gives_back_its_port(autojump_clock: MockClock) -> None:
    """A client is a layer as well: it asks, and asks again."""
    network = Network(seed=1)
    host = network.host("client", "192.0.2.1")
    network.host("stun", STUN_SERVER[0])
    client = stun.Client(STUN_SERVER, ("192.0.2.1", 1000), network.random_bytes("client"))
    client.start(trio.current_time())
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, host, 1000, client)
        await trio.sleep(1.0)
        assert client.statistics.requests_sent == 2
        await nursery.start(serve, network.host("stun"), STUN_SERVER[1], StunServer())
        await trio.sleep(1.0)
        assert client.is_done
        with pytest.raises(OSError, match="in use"):
            host.bind(("192.0.2.1", 1000))
        nursery.cancel_scope.cancel()
    host.bind(("192.0.2.1", 1000)).close()


async def test_equal_ports_of_equal_addresses_are_two_sockets(autojump_clock: MockClock) -> None:
    network = internet(PORT_RESTRICTED_CONE, PORT_RESTRICTED_CONE)
    address = (PRIVATE_IP, 5000)
    alice, bob = network.host("alice").bind(address), network.host("bob").bind(address)
    alice.transmit(Burst(address, ("203.0.113.2", 5000), [b"from alice"]))
    bob.transmit(Burst(address, ("203.0.113.1", 5000), [b"from bob"]))
    assert await alice.receive() == [Burst(address, ("203.0.113.2", 5000), [b"from bob"])]
    assert await bob.receive() == [Burst(address, ("203.0.113.1", 5000), [b"from alice"])]
    alice.close()
    bob.close()
