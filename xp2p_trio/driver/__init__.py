"""The trio driver: sockets, the clock, randomness, and the face that programs use."""

from xp2p_trio.driver.channel import DataChannel
from xp2p_trio.driver.connecting import connect
from xp2p_trio.driver.errors import ConnectionFailed, ConsentExpired, FingerprintMismatch, RemoteClosed, ServerFull
from xp2p_trio.driver.ice_agent import IceAgent, open_ice_agent
from xp2p_trio.driver.network import DatagramSocket, Interface, Network, StreamListener, StreamSocket
from xp2p_trio.driver.peer_connection import ChannelListener, PeerConnection, open_peer_connection
from xp2p_trio.driver.serving import PeerServer, ServerStatistics, open_direct_connection, serve_peers
from xp2p_trio.driver.signaling import MemorySignaling, signaling_pair
from xp2p_trio.driver.state import StateValue
from xp2p_trio.driver.stream import STREAM_PROTOCOL, DataChannelStream
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.driver.udp_mux import MuxNetwork, UdpMux, UdpMuxStatistics, open_udp_mux

__all__ = [
    "STREAM_PROTOCOL",
    "ChannelListener",
    "ConnectionFailed",
    "ConsentExpired",
    "DataChannel",
    "DataChannelStream",
    "DatagramSocket",
    "FingerprintMismatch",
    "IceAgent",
    "Interface",
    "MemorySignaling",
    "MuxNetwork",
    "Network",
    "PeerConnection",
    "PeerServer",
    "RemoteClosed",
    "ServerFull",
    "ServerStatistics",
    "StateValue",
    "StreamListener",
    "StreamSocket",
    "SystemNetwork",
    "UdpMux",
    "UdpMuxStatistics",
    "connect",
    "open_direct_connection",
    "open_ice_agent",
    "open_peer_connection",
    "open_udp_mux",
    "serve_peers",
    "signaling_pair",
]
