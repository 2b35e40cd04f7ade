"""All attributes together. A further one is a class in the file of its RFC and an entry in both lists here."""

from __future__ import annotations

from typing import TypeAlias

from xp2p_trio.stun.attributes.authentication import (
    MessageIntegrity,
    MessageIntegritySha256,
    Nonce,
    PasswordAlgorithm,
    PasswordAlgorithms,
    Realm,
    UserHash,
    Username,
)
from xp2p_trio.stun.attributes.base import Opaque
from xp2p_trio.stun.attributes.general import (
    AlternateServer,
    ErrorCode,
    Fingerprint,
    MappedAddress,
    Software,
    UnknownAttributes,
    XorMappedAddress,
)
from xp2p_trio.stun.attributes.ice import IceControlled, IceControlling, Priority, UseCandidate
from xp2p_trio.stun.attributes.turn import (
    ChannelNumber,
    Data,
    Lifetime,
    RequestedAddressFamily,
    RequestedTransport,
    XorPeerAddress,
    XorRelayedAddress,
)

Attribute: TypeAlias = (
    AlternateServer
    | ChannelNumber
    | Data
    | ErrorCode
    | Fingerprint
    | IceControlled
    | IceControlling
    | Lifetime
    | MappedAddress
    | MessageIntegrity
    | MessageIntegritySha256
    | Nonce
    | Opaque
    | PasswordAlgorithm
    | PasswordAlgorithms
    | Priority
    | Realm
    | RequestedAddressFamily
    | RequestedTransport
    | Software
    | UnknownAttributes
    | UseCandidate
    | UserHash
    | Username
    | XorMappedAddress
    | XorPeerAddress
    | XorRelayedAddress
)
"""Every kind of attribute."""

ATTRIBUTE_CLASSES = {
    kind.type: kind
    for kind in (
        AlternateServer,
        ChannelNumber,
        Data,
        ErrorCode,
        IceControlled,
        IceControlling,
        Lifetime,
        MappedAddress,
        Nonce,
        PasswordAlgorithm,
        PasswordAlgorithms,
        Priority,
        Realm,
        RequestedAddressFamily,
        RequestedTransport,
        Software,
        UnknownAttributes,
        UseCandidate,
        UserHash,
        Username,
        XorMappedAddress,
        XorPeerAddress,
        XorRelayedAddress,
    )
}
"""The attributes that decode by themselves; the three that cover the message are `decode_message`'s own."""
