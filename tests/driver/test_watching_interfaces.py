"""Following the machine from network to network, when there is nothing bound yet, and when nothing is left."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from xp2p_trio import PeerConnection, connect, open_peer_connection, signaling_pair
from xp2p_trio.testing import Link, Network


@pytest.fixture
def network() -> Network:
    network = Network(seed=1, link=Link(delay=0.01))
    network.host("alice", "192.0.2.1")
    network.host("bob", "198.51.100.1")
    return network


async def assert_echo(one: PeerConnection, other: PeerConnection) -> None:
    ours = one.create_data_channel("echo")
    await ours.send("hello")
    theirs = await other.incoming_channels.accept()
    await theirs.send(await theirs.receive())
    assert await ours.receive() == "hello"


async def test_a_connection_that_waits_for_signaling_keeps_nothing_busy(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    """The virtual clock moves only when all tasks sleep."""
    host = network.host("alice")
    async with open_peer_connection(network=host):
        await trio.sleep(1)
        host.add_ip_address("192.0.2.7")
        host.remove_ip_address("192.0.2.1")
        await trio.sleep(1)
        async with open_peer_connection(network=host) as other:
            assert "192.0.2.7" in other.set_local_description().sdp
            host.add_ip_address("192.0.2.8")
            await trio.sleep(1)


async def test_no_address_for_a_while_and_then_another(
    autojump_clock: trio.testing.MockClock, network: Network
) -> None:
    left, right = signaling_pair()
    host = network.host("alice")
    async with (
        connect(left, initiator=True, network=host) as alice,
        connect(right, initiator=False, network=network.host("bob")) as bob,
    ):
        await assert_echo(alice, bob)
        host.remove_ip_address("192.0.2.1")
        await trio.sleep(12)
        host.add_ip_address("192.0.2.7")
        with trio.fail_after(20):
            await assert_echo(alice, bob)
