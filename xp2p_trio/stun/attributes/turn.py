"""TURN's attributes (RFC 8656 section 18).

CHANNEL-NUMBER has its number in the upper 16 bits, REQUESTED-ADDRESS-FAMILY and REQUESTED-TRANSPORT in the upper 8:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Channel Number         |         RFFU = 0              |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Family/Protocol|                  RFFU = 0                     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from xp2p_trio.stun.attributes.base import U32, XorAddressAttribute, check_range, exactly


@attrs.frozen
class XorPeerAddress(XorAddressAttribute):
    """XOR-PEER-ADDRESS (RFC 8656 section 18.3): the peer as the TURN server sees it."""

    type: ClassVar[int] = 0x0012


@attrs.frozen
class XorRelayedAddress(XorAddressAttribute):
    """XOR-RELAYED-ADDRESS (RFC 8656 section 18.5): what the TURN server has allocated."""

    type: ClassVar[int] = 0x0016


@attrs.frozen
class ChannelNumber:
    """CHANNEL-NUMBER (RFC 8656 section 18.1)."""

    number: int

    type: ClassVar[int] = 0x000C

    def __attrs_post_init__(self) -> None:
        check_range(self.number, 16, "channel number")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """16 bits, and 16 reserved ones."""
        return U32.pack(self.number << 16)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`; the reserved bits are ignored."""
        return cls(U32.unpack(exactly(value, 4, "CHANNEL-NUMBER"))[0] >> 16)


@attrs.frozen
class Lifetime:
    """LIFETIME (RFC 8656 section 18.2) in whole seconds."""

    seconds: int

    type: ClassVar[int] = 0x000D

    def __attrs_post_init__(self) -> None:
        check_range(self.seconds, 32, "LIFETIME")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """32 bits."""
        return U32.pack(self.seconds)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(U32.unpack(exactly(value, 4, "LIFETIME"))[0])


@attrs.frozen
class Data:
    """DATA (RFC 8656 section 18.4): what a Send or Data indication carries."""

    data: bytes

    type: ClassVar[int] = 0x0013

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The data."""
        return self.data

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(value)


@attrs.frozen
class _FirstByte:
    number: int

    def __attrs_post_init__(self) -> None:
        check_range(self.number, 8, type(self).__name__)

    def encode_value(self, transaction_id: bytes) -> bytes:
        """8 bits, and 24 reserved ones."""
        return U32.pack(self.number << 24)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`; the reserved bits are ignored."""
        return cls(exactly(value, 4, cls.__name__)[0])


@attrs.frozen
class RequestedAddressFamily(_FirstByte):
    """REQUESTED-ADDRESS-FAMILY (RFC 8656 section 18.6): 1 is IPv4, 2 is IPv6."""

    type: ClassVar[int] = 0x0017


@attrs.frozen
class RequestedTransport(_FirstByte):
    """REQUESTED-TRANSPORT (RFC 8656 section 18.8): the IP protocol between server and peers; 17 is UDP."""

    type: ClassVar[int] = 0x0019
