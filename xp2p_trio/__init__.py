"""WebRTC data channels for trio.

Everything that a trio program needs is here; the sans-IO layers are packages of their own (`xp2p_trio.ice`,
`xp2p_trio.dtls`, `xp2p_trio.sctp` and so on), and importing one of those does not import trio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from xp2p_trio.datachannel import ChannelState
    from xp2p_trio.driver import (
        ChannelListener,
        ConnectionFailed,
        ConsentExpired,
        DataChannel,
        DataChannelStream,
        FingerprintMismatch,
        IceAgent,
        PeerConnection,
        PeerServer,
        RemoteClosed,
        ServerFull,
        StateValue,
        UdpMux,
        connect,
        open_direct_connection,
        open_ice_agent,
        open_peer_connection,
        open_udp_mux,
        serve_peers,
        signaling_pair,
    )
    from xp2p_trio.dtls import Certificate
    from xp2p_trio.errors import (
        Error,
        Failure,
        InternalError,
        InvalidArgument,
        InvalidState,
        LocalError,
        MessageTooLarge,
        Reason,
        SdpError,
        SignalError,
    )
    from xp2p_trio.peer import (
        Configuration,
        ConnectionState,
        DirectPeer,
        GatheringState,
        IceCandidate,
        IceServer,
        InterfaceFilter,
        SessionDescription,
        Signal,
        SignalingState,
        accept_direct,
        decode_signal,
        encode_signal,
    )
    from xp2p_trio.sansio import AddressFilter

__all__ = [
    "AddressFilter",
    "Certificate",
    "ChannelListener",
    "ChannelState",
    "Configuration",
    "ConnectionFailed",
    "ConnectionState",
    "ConsentExpired",
    "DataChannel",
    "DataChannelStream",
    "DirectPeer",
    "Error",
    "Failure",
    "FingerprintMismatch",
    "GatheringState",
    "IceAgent",
    "IceCandidate",
    "IceServer",
    "InterfaceFilter",
    "InternalError",
    "InvalidArgument",
    "InvalidState",
    "LocalError",
    "MessageTooLarge",
    "PeerConnection",
    "PeerServer",
    "Reason",
    "RemoteClosed",
    "SdpError",
    "ServerFull",
    "SessionDescription",
    "Signal",
    "SignalError",
    "SignalingState",
    "StateValue",
    "UdpMux",
    "accept_direct",
    "connect",
    "decode_signal",
    "encode_signal",
    "open_direct_connection",
    "open_ice_agent",
    "open_peer_connection",
    "open_udp_mux",
    "serve_peers",
    "signaling_pair",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used (PEP 562), so that the sans-IO packages stay free of trio."""
    if name in __all__:
        for home in ("errors", "sansio", "peer", "datachannel", "dtls", "driver"):
            value = getattr(import_module(f"xp2p_trio.{home}"), name, None)
            if value is not None:
                globals()[name] = value
                return value
    raise AttributeError(f"module 'xp2p_trio' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
