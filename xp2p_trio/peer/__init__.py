"""The whole stack as one sans-IO object, and what two peers say to each other before they are connected (RFC 9429)."""

from xp2p_trio.peer.configuration import Configuration
from xp2p_trio.peer.connection import Connection
from xp2p_trio.peer.descriptions import (
    DescriptionType,
    IceCandidate,
    SessionDescription,
    Signal,
    decode_signal,
    encode_signal,
)
from xp2p_trio.peer.direct import DIRECT_PREFIX, DirectPeer, accept_direct, direct_answer, direct_offer
from xp2p_trio.peer.events import (
    ConnectionStateChanged,
    Event,
    GatheringStateChanged,
    LocalCandidateFound,
    NegotiationNeeded,
    ServerAddressRequested,
    SignalingStateChanged,
)
from xp2p_trio.peer.ice_server import IceServer, IceServerLike, parse_ice_server, parse_ice_servers
from xp2p_trio.peer.interface_filter import EVERY_INTERFACE, InterfaceFilter
from xp2p_trio.peer.signaling import SignalingState
from xp2p_trio.peer.state import ConnectionState, GatheringState
from xp2p_trio.peer.statistics import Statistics

__all__ = [
    "DIRECT_PREFIX",
    "EVERY_INTERFACE",
    "Configuration",
    "Connection",
    "ConnectionState",
    "ConnectionStateChanged",
    "DescriptionType",
    "DirectPeer",
    "Event",
    "GatheringState",
    "GatheringStateChanged",
    "IceCandidate",
    "IceServer",
    "IceServerLike",
    "InterfaceFilter",
    "LocalCandidateFound",
    "NegotiationNeeded",
    "ServerAddressRequested",
    "SessionDescription",
    "Signal",
    "SignalingState",
    "SignalingStateChanged",
    "Statistics",
    "accept_direct",
    "decode_signal",
    "direct_answer",
    "direct_offer",
    "encode_signal",
    "parse_ice_server",
    "parse_ice_servers",
]
