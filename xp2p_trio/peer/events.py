"""The news of a connection: its own, and those of its layers that a program may want to know, unchanged."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio import datachannel, dtls, ice, sctp
from xp2p_trio.peer.descriptions import IceCandidate
from xp2p_trio.peer.ice_server import IceServer
from xp2p_trio.peer.signaling import SignalingState
from xp2p_trio.peer.state import ConnectionState, GatheringState
from xp2p_trio.sansio import Closed, Failed


@attrs.frozen
class ServerAddressRequested:
    """The driver is asked for a server's addresses: `add_stun_server`, `add_turn_server` or `server_failed`."""

    server: IceServer


@attrs.frozen
class NegotiationNeeded:
    """An offer is wanted, since ICE is to be restarted (the browser's `negotiationneeded`)."""


@attrs.frozen
class LocalCandidateFound:
    """A candidate for the other side."""

    candidate: IceCandidate


@attrs.frozen
class ConnectionStateChanged:
    """The state of the whole connection changed."""

    state: ConnectionState


@attrs.frozen
class GatheringStateChanged:
    """The search for local candidates began or ended."""

    state: GatheringState


@attrs.frozen
class SignalingStateChanged:
    """An offer or answer was applied."""

    state: SignalingState


LayerEvent: TypeAlias = (
    ConnectionStateChanged
    | ice.AddressesRequested
    | ice.StreamRequested
    | ice.StreamRequestWithdrawn
    | ice.StreamReleased
    | ice.ServerFailed
    | ice.TurnCredentialsRequested
    | ice.NameRequested
    | ice.NamePublished
    | ice.StateChanged
    | ice.PairSelected
    | ice.PathLost
    | ice.PathRecovered
    | dtls.HandshakeCompleted
    | sctp.AssociationEstablished
    | sctp.AssociationRestarted
    | sctp.MessageAbandoned
    | datachannel.ChannelArrived
    | datachannel.ChannelOpened
    | datachannel.ChannelClosing
    | datachannel.ChannelClosed
    | Closed
    | Failed
)
"""What a program hears of the layers as they tell it."""

Event: TypeAlias = (
    ServerAddressRequested
    | NegotiationNeeded
    | LocalCandidateFound
    | GatheringStateChanged
    | SignalingStateChanged
    | LayerEvent
)
