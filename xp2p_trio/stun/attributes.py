"""STUN attributes (RFC 8489 section 14, RFC 8445 section 16.1, RFC 8656 section 18) as typed values.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Type                  |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Value (variable)                ....
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

Types below 0x8000 are comprehension-required, the rest comprehension-optional. A further attribute is one more class
here and one more entry in `ATTRIBUTE_CLASSES`.
"""

from __future__ import annotations

from struct import Struct
from typing import ClassVar, Self, TypeAlias

import attrs

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.sansio import Address, walk_tlv
from xp2p_trio.stun.address import decode_address, decode_xor_address, encode_address, encode_xor_address

COMPREHENSION_OPTIONAL = 0x8000
"""The first comprehension-optional type (RFC 8489 section 14)."""

MAX_USERNAME_SIZE = 508
"""RFC 8489 section 14.3: fewer than 509 bytes."""

MAX_TEXT_SIZE = 763
"""RFC 8489 sections 14.8 to 14.10 and 14.14: up to 763 bytes when decoding."""

_U16 = Struct("!H")
_U32 = Struct("!I")
_U64 = Struct("!Q")
_ERROR_HEADER = Struct("!HBB")
_ALGORITHM_HEADER = Struct("!HH")


def _exactly(value: bytes, size: int, name: str) -> bytes:
    if len(value) != size:
        raise DecodeError(f"{name} has {len(value)} bytes where it needs {size}")
    return value


def _decode_text(value: bytes, limit: int, name: str) -> str:
    if len(value) > limit:
        raise DecodeError(f"{name} has {len(value)} bytes, more than the {limit} allowed")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from None


def _check_text(value: str, limit: int, name: str) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} holds a lone surrogate, which UTF-8 cannot carry") from None
    if size > limit:
        raise InvalidArgument(f"{name} of {size} bytes is longer than the {limit} allowed; shorten it")


def _check_range(value: int, bits: int, name: str) -> None:
    if not 0 <= value < 1 << bits:
        raise InvalidArgument(f"{name} {value} does not fit into {bits} bits")


@attrs.frozen
class Opaque:
    """An attribute that this package does not know, kept as it came."""

    type: int
    value: bytes

    def __attrs_post_init__(self) -> None:
        _check_range(self.type, 16, "attribute type")
        if len(self.value) > 0xFFFF:
            raise InvalidArgument(f"attribute of {len(self.value)} bytes is longer than 65535")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The value without type, length and padding."""
        return self.value


@attrs.frozen
class _AddressAttribute:
    address: Address

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Family, port and address as they are (RFC 8489 section 14.1)."""
        return encode_address(self.address)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(decode_address(value))


@attrs.frozen
class _XorAddressAttribute:
    address: Address

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Family, and port and address masked with cookie and transaction id (RFC 8489 section 14.2)."""
        return encode_xor_address(self.address, transaction_id)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(decode_xor_address(value, transaction_id))


@attrs.frozen
class MappedAddress(_AddressAttribute):
    """MAPPED-ADDRESS (RFC 8489 section 14.1)."""

    type: ClassVar[int] = 0x0001


@attrs.frozen
class XorMappedAddress(_XorAddressAttribute):
    """XOR-MAPPED-ADDRESS (RFC 8489 section 14.2): where the request seemed to come from."""

    type: ClassVar[int] = 0x0020


@attrs.frozen
class AlternateServer(_AddressAttribute):
    """ALTERNATE-SERVER (RFC 8489 section 14.15)."""

    type: ClassVar[int] = 0x8023


@attrs.frozen
class _Text:
    text: str

    limit: ClassVar[int] = MAX_TEXT_SIZE

    def __attrs_post_init__(self) -> None:
        _check_text(self.text, self.limit, type(self).__name__)

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The text as UTF-8."""
        return self.text.encode()

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(_decode_text(value, cls.limit, cls.__name__))


@attrs.frozen
class Username(_Text):
    """USERNAME (RFC 8489 section 14.3)."""

    type: ClassVar[int] = 0x0006
    limit: ClassVar[int] = MAX_USERNAME_SIZE


@attrs.frozen
class Realm(_Text):
    """REALM (RFC 8489 section 14.9)."""

    type: ClassVar[int] = 0x0014


@attrs.frozen
class Nonce(_Text):
    """NONCE (RFC 8489 section 14.10)."""

    type: ClassVar[int] = 0x0015


@attrs.frozen
class Software(_Text):
    """SOFTWARE (RFC 8489 section 14.14)."""

    type: ClassVar[int] = 0x8022


@attrs.frozen
class UserHash:
    """USERHASH (RFC 8489 section 14.4): SHA-256 of `username:realm`."""

    digest: bytes

    type: ClassVar[int] = 0x001E

    def __attrs_post_init__(self) -> None:
        if len(self.digest) != 32:
            raise InvalidArgument(f"USERHASH of {len(self.digest)} bytes where it needs 32")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The digest."""
        return self.digest

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(_exactly(value, 32, "USERHASH"))


@attrs.frozen
class MessageIntegrity:
    """MESSAGE-INTEGRITY (RFC 8489 section 14.5).

    Attributes:
        digest: HMAC-SHA1, 20 bytes.
        offset: where the attribute starts in the datagram that it was decoded from; 0 in a built message.
    """

    digest: bytes
    offset: int = attrs.field(default=0, eq=False, repr=False)

    type: ClassVar[int] = 0x0008

    def __attrs_post_init__(self) -> None:
        if len(self.digest) != 20:
            raise InvalidArgument(f"MESSAGE-INTEGRITY of {len(self.digest)} bytes where it needs 20")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The digest."""
        return self.digest


@attrs.frozen
class MessageIntegritySha256:
    """MESSAGE-INTEGRITY-SHA256 (RFC 8489 section 14.6).

    Attributes:
        digest: HMAC-SHA256, 32 bytes; no usage here allows the truncated forms.
        offset: where the attribute starts in the datagram that it was decoded from; 0 in a built message.
    """

    digest: bytes
    offset: int = attrs.field(default=0, eq=False, repr=False)

    type: ClassVar[int] = 0x001C

    def __attrs_post_init__(self) -> None:
        if len(self.digest) != 32:
            raise InvalidArgument(f"MESSAGE-INTEGRITY-SHA256 of {len(self.digest)} bytes where it needs 32")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The digest."""
        return self.digest


@attrs.frozen
class Fingerprint:
    """FINGERPRINT (RFC 8489 section 14.7), always the last attribute."""

    crc: int

    type: ClassVar[int] = 0x8028

    def __attrs_post_init__(self) -> None:
        _check_range(self.crc, 32, "FINGERPRINT")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The masked CRC-32."""
        return _U32.pack(self.crc)


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
        _check_text(self.reason, MAX_TEXT_SIZE, "reason")

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
        return cls(error_class * 100 + number, _decode_text(value[4:], MAX_TEXT_SIZE, "reason"))


@attrs.frozen
class UnknownAttributes:
    """UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13)."""

    types: tuple[int, ...]

    type: ClassVar[int] = 0x000A

    def __attrs_post_init__(self) -> None:
        for kind in self.types:
            _check_range(kind, 16, "attribute type")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Two bytes a type."""
        return b"".join(map(_U16.pack, self.types))

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        if len(value) % 2:
            raise DecodeError(f"UNKNOWN-ATTRIBUTES has an odd length of {len(value)}")
        return cls(tuple(kind for (kind,) in _U16.iter_unpack(value)))


def _encode_algorithm(algorithm: int, parameters: bytes) -> bytes:
    return _ALGORITHM_HEADER.pack(algorithm, len(parameters)) + parameters


@attrs.frozen
class PasswordAlgorithms:
    """PASSWORD-ALGORITHMS (RFC 8489 section 14.11): what the server can use, in its order.

    Attributes:
        algorithms: pairs of algorithm number (1 MD5, 2 SHA-256) and parameters.
    """

    algorithms: tuple[tuple[int, bytes], ...]

    type: ClassVar[int] = 0x8002

    def __attrs_post_init__(self) -> None:
        for algorithm, parameters in self.algorithms:
            _check_range(algorithm, 16, "password algorithm")
            _check_range(len(parameters), 16, "size of the parameters")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Each algorithm, its parameters padded to four bytes."""
        return b"".join(
            _encode_algorithm(algorithm, parameters) + bytes(-len(parameters) & 3)
            for algorithm, parameters in self.algorithms
        )

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        elements = walk_tlv(value, 0, length_counts_header=False)
        return cls(tuple((algorithm, value[start:stop]) for algorithm, start, stop in elements))


@attrs.frozen
class PasswordAlgorithm:
    """PASSWORD-ALGORITHM (RFC 8489 section 14.12): what the request's key was made with."""

    algorithm: int
    parameters: bytes = b""

    type: ClassVar[int] = 0x001D

    def __attrs_post_init__(self) -> None:
        _check_range(self.algorithm, 16, "password algorithm")
        _check_range(len(self.parameters), 16, "size of the parameters")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Number, length and parameters, padded to four bytes."""
        return _encode_algorithm(self.algorithm, self.parameters) + bytes(-len(self.parameters) & 3)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        elements = walk_tlv(value, 0, length_counts_header=False)
        if len(elements) != 1:
            raise DecodeError(f"PASSWORD-ALGORITHM holds {len(elements)} algorithms where it needs one")
        algorithm, start, stop = elements[0]
        return cls(algorithm, value[start:stop])


@attrs.frozen
class Priority:
    """PRIORITY (RFC 8445 section 7.1.1): the priority of a peer-reflexive candidate found by this check."""

    priority: int

    type: ClassVar[int] = 0x0024

    def __attrs_post_init__(self) -> None:
        _check_range(self.priority, 32, "PRIORITY")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """32 bits."""
        return _U32.pack(self.priority)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(_U32.unpack(_exactly(value, 4, "PRIORITY"))[0])


@attrs.frozen
class UseCandidate:
    """USE-CANDIDATE (RFC 8445 section 7.1.2): a flag."""

    type: ClassVar[int] = 0x0025

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Nothing."""
        return b""

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        _exactly(value, 0, "USE-CANDIDATE")
        return cls()


@attrs.frozen
class _TieBreaker:
    tie_breaker: int

    def __attrs_post_init__(self) -> None:
        _check_range(self.tie_breaker, 64, "tie-breaker")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """64 bits."""
        return _U64.pack(self.tie_breaker)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(_U64.unpack(_exactly(value, 8, "tie-breaker"))[0])


@attrs.frozen
class IceControlled(_TieBreaker):
    """ICE-CONTROLLED (RFC 8445 section 7.1.3)."""

    type: ClassVar[int] = 0x8029


@attrs.frozen
class IceControlling(_TieBreaker):
    """ICE-CONTROLLING (RFC 8445 section 7.1.3)."""

    type: ClassVar[int] = 0x802A


@attrs.frozen
class XorPeerAddress(_XorAddressAttribute):
    """XOR-PEER-ADDRESS (RFC 8656 section 18.3): the peer as the TURN server sees it."""

    type: ClassVar[int] = 0x0012


@attrs.frozen
class XorRelayedAddress(_XorAddressAttribute):
    """XOR-RELAYED-ADDRESS (RFC 8656 section 18.5): what the TURN server has allocated."""

    type: ClassVar[int] = 0x0016


@attrs.frozen
class ChannelNumber:
    """CHANNEL-NUMBER (RFC 8656 section 18.1)."""

    number: int

    type: ClassVar[int] = 0x000C

    def __attrs_post_init__(self) -> None:
        _check_range(self.number, 16, "channel number")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """16 bits, and 16 reserved ones."""
        return _U32.pack(self.number << 16)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`; the reserved bits are ignored."""
        return cls(_U32.unpack(_exactly(value, 4, "CHANNEL-NUMBER"))[0] >> 16)


@attrs.frozen
class Lifetime:
    """LIFETIME (RFC 8656 section 18.2) in whole seconds."""

    seconds: int

    type: ClassVar[int] = 0x000D

    def __attrs_post_init__(self) -> None:
        _check_range(self.seconds, 32, "LIFETIME")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """32 bits."""
        return _U32.pack(self.seconds)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(_U32.unpack(_exactly(value, 4, "LIFETIME"))[0])


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
        _check_range(self.number, 8, type(self).__name__)

    def encode_value(self, transaction_id: bytes) -> bytes:
        """8 bits, and 24 reserved ones."""
        return _U32.pack(self.number << 24)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`; the reserved bits are ignored."""
        return cls(_exactly(value, 4, cls.__name__)[0])


@attrs.frozen
class RequestedAddressFamily(_FirstByte):
    """REQUESTED-ADDRESS-FAMILY (RFC 8656 section 18.6): 1 is IPv4, 2 is IPv6."""

    type: ClassVar[int] = 0x0017


@attrs.frozen
class RequestedTransport(_FirstByte):
    """REQUESTED-TRANSPORT (RFC 8656 section 18.8): the IP protocol between server and peers; 17 is UDP."""

    type: ClassVar[int] = 0x0019


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
