"""STUN attributes as typed values: RFC 8489 section 14, RFC 8445 section 16.1, RFC 8656 section 18."""

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
from xp2p_trio.stun.attributes.base import COMPREHENSION_OPTIONAL, Opaque
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
from xp2p_trio.stun.attributes.table import ATTRIBUTE_CLASSES, Attribute
from xp2p_trio.stun.attributes.turn import (
    ChannelNumber,
    Data,
    Lifetime,
    RequestedAddressFamily,
    RequestedTransport,
    XorPeerAddress,
    XorRelayedAddress,
)

__all__ = [
    "ATTRIBUTE_CLASSES",
    "COMPREHENSION_OPTIONAL",
    "AlternateServer",
    "Attribute",
    "ChannelNumber",
    "Data",
    "ErrorCode",
    "Fingerprint",
    "IceControlled",
    "IceControlling",
    "Lifetime",
    "MappedAddress",
    "MessageIntegrity",
    "MessageIntegritySha256",
    "Nonce",
    "Opaque",
    "PasswordAlgorithm",
    "PasswordAlgorithms",
    "Priority",
    "Realm",
    "RequestedAddressFamily",
    "RequestedTransport",
    "Software",
    "UnknownAttributes",
    "UseCandidate",
    "UserHash",
    "Username",
    "XorMappedAddress",
    "XorPeerAddress",
    "XorRelayedAddress",
]
