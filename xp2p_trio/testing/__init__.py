"""A simulated network for tests of programs that use xp2p_trio, and for our own.

Sans-IO: `Network`, `Link`, `drive`, `Pair`. Under trio the same hosts are the driver's network.
"""

from xp2p_trio.testing.connected_pair import connected_pair
from xp2p_trio.testing.drive import Spinning, VirtualTimeout, drive
from xp2p_trio.testing.host import Host
from xp2p_trio.testing.link import BLACK_HOLE, BurstLoss, Link
from xp2p_trio.testing.monitors import AmplificationSpy, ConsentSpy, InvariantBroken, LimitSpy, NonceSpy
from xp2p_trio.testing.network import Delivered, Monitor, Network, Sent
from xp2p_trio.testing.pair import OverUdp, Pair
from xp2p_trio.testing.peers import Peers, connect_peers
from xp2p_trio.testing.statistics import NetworkStatistics

__all__ = [
    "BLACK_HOLE",
    "AmplificationSpy",
    "BurstLoss",
    "ConsentSpy",
    "Delivered",
    "Host",
    "InvariantBroken",
    "LimitSpy",
    "Link",
    "Monitor",
    "Network",
    "NetworkStatistics",
    "NonceSpy",
    "OverUdp",
    "Pair",
    "Peers",
    "Sent",
    "Spinning",
    "VirtualTimeout",
    "connect_peers",
    "connected_pair",
    "drive",
]
