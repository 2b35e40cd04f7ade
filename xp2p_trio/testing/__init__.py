"""A simulated network on a virtual clock, for tests of programs that use xp2p_trio, and for our own.

Under trio, with the `autojump_clock` of pytest-trio, two connected peers over a bad link are one line, and minutes of
their life are milliseconds:

    async def test_greeting(autojump_clock):
        async with testing.connected_pair(link=testing.Link(delay=0.05, loss=0.02), seed=7) as (alice, bob):
            channel = alice.create_data_channel("greeting")
            await channel.send("hello")
            arrived = await bob.incoming_channels.accept()
            assert await arrived.receive() == "hello"

A network of one's own has hosts, which `open_peer_connection` and `connect` take as their `network`, and links that can
be changed at any time:

    network = testing.Network(seed=7, link=testing.Link(delay=0.02))
    alice, bob = network.host("alice", "192.0.2.1"), network.host("bob", "192.0.2.2")
    network.set_links("alice", "bob", testing.BLACK_HOLE)

Hosts stand on the Internet, or behind NATs and firewalls, which are made in one line each:

    home = network.nat("home", "203.0.113.7", behaviour=testing.SYMMETRIC, inside=["alice"])
    office = network.firewall("office", policy=testing.UDP_BLOCKED, inside=["bob"])

Without trio, `connect_peers` gives two sans-IO connections, `Pair` joins two layers that speak lists of bytes, and
`drive` moves anything that speaks bursts. All randomness comes from one seed: equal seeds give one `trace_hash`.
"""

from xp2p_trio.testing.answers import Answers, tell_of_stream
from xp2p_trio.testing.connected_pair import connected_pair
from xp2p_trio.testing.drive import Spinning, VirtualTimeout, drive
from xp2p_trio.testing.host import Host
from xp2p_trio.testing.link import BLACK_HOLE, BurstLoss, Link
from xp2p_trio.testing.middlebox import DropReason, Firewall, MiddleboxStatistics, Nat
from xp2p_trio.testing.monitors import AmplificationSpy, ConsentSpy, InvariantBroken, LimitSpy, NonceSpy
from xp2p_trio.testing.nat import (
    FULL_CONE,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    STATEFUL,
    SYMMETRIC,
    UDP_BLOCKED,
    WEB_ONLY,
    FirewallPolicy,
    NatBehaviour,
)
from xp2p_trio.testing.network import Monitor, Network
from xp2p_trio.testing.pair import OverUdp, Pair
from xp2p_trio.testing.peers import Peers, connect_peers
from xp2p_trio.testing.serving import serve
from xp2p_trio.testing.statistics import NetworkStatistics
from xp2p_trio.testing.streams import StreamAccepted, StreamEnded, StreamNews
from xp2p_trio.testing.stun_server import StunServer
from xp2p_trio.testing.trace import Delivered, Dropped, Sent, TraceEntry, Translated
from xp2p_trio.testing.turn_allocations import AllocationCreated, AllocationDeleted, StreamDropped, TurnServerEvent
from xp2p_trio.testing.turn_configuration import TurnFaults, TurnServerConfiguration
from xp2p_trio.testing.turn_server import TurnServer
from xp2p_trio.testing.turn_service import TurnService, embedded_turn_server, serve_turn

__all__ = [
    "BLACK_HOLE",
    "FULL_CONE",
    "PORT_RESTRICTED_CONE",
    "RESTRICTED_CONE",
    "STATEFUL",
    "SYMMETRIC",
    "UDP_BLOCKED",
    "WEB_ONLY",
    "AllocationCreated",
    "AllocationDeleted",
    "AmplificationSpy",
    "Answers",
    "BurstLoss",
    "ConsentSpy",
    "Delivered",
    "DropReason",
    "Dropped",
    "Firewall",
    "FirewallPolicy",
    "Host",
    "InvariantBroken",
    "LimitSpy",
    "Link",
    "MiddleboxStatistics",
    "Monitor",
    "Nat",
    "NatBehaviour",
    "Network",
    "NetworkStatistics",
    "NonceSpy",
    "OverUdp",
    "Pair",
    "Peers",
    "Sent",
    "Spinning",
    "StreamAccepted",
    "StreamDropped",
    "StreamEnded",
    "StreamNews",
    "StunServer",
    "TraceEntry",
    "Translated",
    "TurnFaults",
    "TurnServer",
    "TurnServerConfiguration",
    "TurnServerEvent",
    "TurnService",
    "VirtualTimeout",
    "connect_peers",
    "connected_pair",
    "drive",
    "embedded_turn_server",
    "serve",
    "serve_turn",
    "tell_of_stream",
]
