"""The attributes of every usage of STUN but those that authenticate: addresses, errors, names (RFC 8489 section 14).

ERROR-CODE:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           Reserved, should be 0         |Class|     Number    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |      Reason Phrase (variable)                                ..
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct
from typing import ClassVar, Self

import attrs

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.stun.attributes.base import (
    MAX_TEXT_SIZE,
    U32,
    AddressAttribute,
    TextAttribute,
    XorAddressAttribute,
    check_range,
    check_text,
    decode_text,
)

_U16 = Struct("!H")
_ERROR_HEADER = Struct("!HBB")


@attrs.frozen
class MappedAddress(AddressAttribute):
    """MAPPED-ADDRESS (RFC 8489 section 14.1)."""

    type: ClassVar[int] = 0x0001


@attrs.frozen
class XorMappedAddress(XorAddressAttribute):
    """XOR-MAPPED-ADDRESS (RFC 8489 section 14.2): where the request seemed to come from."""

    type: ClassVar[int] = 0x0020


@attrs.frozen
class AlternateServer(AddressAttribute):
    """ALTERNATE-SERVER (RFC 8489 section 14.15)."""

    type: ClassVar[int] = 0x8023


@attrs.frozen
class Software(TextAttribute):
    """SOFTWARE (RFC 8489 section 14.14)."""

    type: ClassVar[int] = 0x8022


@attrs.frozen
class ErrorCode:
    """ERROR-CODE (RFC 8489 section 14.8).

    Attributes:
        code: 300 to 699.
        reason: a phrase for people.
    """

    code: int
    reason: str = ""

    type: ClassVar[int] = 0x0009

    def __attrs_post_init__(self) -> None:
        if not 300 <= self.code <= 699:
            raise InvalidArgument(f"error code {self.code} is not within 300 to 699")
        check_text(self.reason, MAX_TEXT_SIZE, "reason")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Class, number and phrase."""
        return _ERROR_HEADER.pack(0, self.code // 100, self.code % 100) + self.reason.encode()

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`; the reserved bits are ignored."""
        if len(value) < 4:
            raise DecodeError(f"ERROR-CODE has {len(value)} bytes where it needs at least 4")
        _, error_class, number = _ERROR_HEADER.unpack_from(value)
        error_class &= 7
        if not 3 <= error_class <= 6 or number > 99:
            raise DecodeError(f"ERROR-CODE has class {error_class} and number {number}")
        return cls(error_class * 100 + number, decode_text(value[4:], MAX_TEXT_SIZE, "reason"))


@attrs.frozen
class UnknownAttributes:
    """UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13)."""

    types: tuple[int, ...]

    type: ClassVar[int] = 0x000A

    def __attrs_post_init__(self) -> None:
        for kind in self.types:
            check_range(kind, 16, "attribute type")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Two bytes a type."""
        return b"".join(map(_U16.pack, self.types))

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        if len(value) % 2:
            raise DecodeError(f"UNKNOWN-ATTRIBUTES has an odd length of {len(value)}")
        return cls(tuple(kind for (kind,) in _U16.iter_unpack(value)))


@attrs.frozen
class Fingerprint:
    """FINGERPRINT (RFC 8489 section 14.7), always the last attribute."""

    crc: int

    type: ClassVar[int] = 0x8028

    def __attrs_post_init__(self) -> None:
        check_range(self.crc, 32, "FINGERPRINT")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The masked CRC-32."""
        return U32.pack(self.crc)
