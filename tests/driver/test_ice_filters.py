"""Filters of whole connections under trio: no datagram leaves from an interface, or for a host, that is left out."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from xp2p_trio import ice
from xp2p_trio.driver import connect, signaling_pair
from xp2p_trio.peer import Configuration, InterfaceFilter
from xp2p_trio.sansio import AddressFilter
from xp2p_trio.testing import Link, Network, Sent

WANTED, UNWANTED, PEER = "192.0.2.1", "198.18.0.1", "203.0.113.2"


@pytest.fixture
def network() -> Network:
    network = Network(seed=1, link=Link(delay=0.02), keep_trace=True)
    network.host("alice", UNWANTED, WANTED)
    network.host("bob", PEER)
    return network


async def echo(network: Network, alice: Configuration, bob: Configuration) -> tuple[ice.CandidatePair, ...]:
    """Connect, send something, and tell the pairs."""
    one, other = signaling_pair()
    async with (
        connect(one, initiator=True, config=alice, network=network.host("alice")) as a,
        connect(other, initiator=False, config=bob, network=network.host("bob")) as b,
    ):
        channel = a.create_data_channel("echo")
        await channel.send("Hello P2P!")
        incoming = await b.incoming_channels.accept()
        assert await incoming.receive() == "Hello P2P!"
        await trio.sleep(30)
        pairs = a.selected_pair.value, b.selected_pair.value
    return tuple(pair for pair in pairs if pair is not None)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    "wanted",
    [
        InterfaceFilter(addresses=AddressFilter(deny=[UNWANTED])),
        InterfaceFilter(addresses=AddressFilter(allow=["192.0.2.0/24"])),
    ],
)
async def test_an_interface_that_is_left_out(
    network: Network, wanted: InterfaceFilter, autojump_clock: trio.testing.MockClock, *, tcp: bool
) -> None:
    common = ice.Configuration(tcp=tcp)
    pairs = await echo(network, Configuration(interfaces=wanted, ice=common), Configuration(ice=common))
    assert [pair.local.host for pair in pairs] == [WANTED, PEER]
    assert not any(
        UNWANTED in (*entry.source, *entry.destination) for entry in network.trace if isinstance(entry, Sent)
    )


async def test_a_host_of_the_peer_that_is_left_out(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    choosy = Configuration(ice=ice.Configuration(remote_filter=AddressFilter(deny=[UNWANTED])))
    pairs = await echo(network, Configuration(), choosy)
    assert [pair.local.host for pair in pairs] == [WANTED, PEER]
    assert not any(UNWANTED in entry.destination for entry in network.trace if isinstance(entry, Sent))
