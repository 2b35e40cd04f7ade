"""What the attributes of STUN, ICE and TURN have in common (RFC 8489 section 14).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Type                  |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Value (variable)                ....
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

Types below 0x8000 are comprehension-required, the rest comprehension-optional.
"""

from __future__ import annotations

from struct import Struct
from typing import ClassVar, Self

import attrs

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.sansio import Address
from xp2p_trio.stun.address import decode_address, decode_xor_address, encode_address, encode_xor_address

COMPREHENSION_OPTIONAL = 0x8000
"""The first comprehension-optional type (RFC 8489 section 14)."""

MAX_TEXT_SIZE = 763
"""RFC 8489 sections 14.8 to 14.10 and 14.14: up to 763 bytes when decoding."""

U32 = Struct("!I")


def exactly(value: bytes, size: int, name: str) -> bytes:
    """The value of an attribute of fixed size; DecodeError when it has another one."""
    if len(value) != size:
        raise DecodeError(f"{name} has {len(value)} bytes where it needs {size}")
    return value


def decode_text(value: bytes, limit: int, name: str) -> str:
    """UTF-8 of at most `limit` bytes; DecodeError for anything else."""
    if len(value) > limit:
        raise DecodeError(f"{name} has {len(value)} bytes, more than the {limit} allowed")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from None


def check_text(value: str, limit: int, name: str) -> None:
    """Raise InvalidArgument for a text that does not fit into `limit` bytes of UTF-8."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} holds a lone surrogate, which UTF-8 cannot carry") from None
    if size > limit:
        raise InvalidArgument(f"{name} of {size} bytes is longer than the {limit} allowed; shorten it")


def check_range(value: int, bits: int, name: str) -> None:
    """Raise InvalidArgument for a number that is no unsigned integer of `bits` bits."""
    if not 0 <= value < 1 << bits:
        raise InvalidArgument(f"{name} {value} does not fit into {bits} bits")


@attrs.frozen
class Opaque:
    """An attribute that this package does not know, kept as it came."""

    type: int
    value: bytes

    def __attrs_post_init__(self) -> None:
        check_range(self.type, 16, "attribute type")
        if len(self.value) > 0xFFFF:
            raise InvalidArgument(f"attribute of {len(self.value)} bytes is longer than 65535")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The value without type, length and padding."""
        return self.value


@attrs.frozen
class AddressAttribute:
    """Base of those whose value is an address as it is; a subclass names its type."""

    address: Address

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Family, port and address as they are (RFC 8489 section 14.1)."""
        return encode_address(self.address)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(decode_address(value))


@attrs.frozen
class XorAddressAttribute:
    """Base of those whose value is a masked address; a subclass names its type."""

    address: Address

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Family, and port and address masked with cookie and transaction id (RFC 8489 section 14.2)."""
        return encode_xor_address(self.address, transaction_id)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(decode_xor_address(value, transaction_id))


@attrs.frozen
class TextAttribute:
    """Base of those whose value is UTF-8 of at most `limit` bytes; a subclass names its type."""

    text: str

    limit: ClassVar[int] = MAX_TEXT_SIZE

    def __attrs_post_init__(self) -> None:
        check_text(self.text, self.limit, type(self).__name__)

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The text as UTF-8."""
        return self.text.encode()

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(decode_text(value, cls.limit, cls.__name__))
