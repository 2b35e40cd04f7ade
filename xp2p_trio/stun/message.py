"""The STUN message (RFC 8489 section 5).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |0 0|     STUN Message Type     |         Message Length        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Magic Cookie                          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                     Transaction ID (96 bits)                  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

The type interleaves the method M and the class C: M11..M7 C1 M6..M4 C0 M3..M0.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import TypeVar

import attrs

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.sansio import walk_tlv
from xp2p_trio.stun.address import MAGIC_COOKIE
from xp2p_trio.stun.attributes import (
    ATTRIBUTE_CLASSES,
    COMPREHENSION_OPTIONAL,
    Attribute,
    Fingerprint,
    MessageIntegrity,
    MessageIntegritySha256,
    Opaque,
)
from xp2p_trio.stun.integrity import IntegrityAlgorithm, compute_integrity, fingerprint_of

HEADER_SIZE = 20
TRANSACTION_ID_SIZE = 12

_HEADER = Struct("!HHI12s")
_ATTRIBUTE_HEADER = Struct("!HH")
_U32 = Struct("!I")

A = TypeVar("A", bound=Attribute)


class Method(enum.IntEnum):
    """The methods that this package speaks (RFC 8489 section 18.2, RFC 8656 section 17)."""

    BINDING = 1
    ALLOCATE = 3
    REFRESH = 4
    SEND = 6
    DATA = 7
    CREATE_PERMISSION = 8
    CHANNEL_BIND = 9


class MessageClass(enum.IntEnum):
    """RFC 8489 section 5."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS_RESPONSE = 2
    ERROR_RESPONSE = 3


@attrs.frozen
class Message:
    """A STUN message.

    Attributes:
        message_class: request, indication or one of the two responses.
        method: 12 bits; `Method` names the known ones.
        transaction_id: 12 bytes.
        attributes: in their order; what follows the integrity is left out where RFC 8489 section 14.5 says so.
        raw: the datagram that the message was decoded from, over which integrity is verified; empty in a built one.
    """

    message_class: MessageClass
    method: int
    transaction_id: bytes
    attributes: tuple[Attribute, ...] = ()
    raw: bytes = attrs.field(default=b"", eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.method <= 0xFFF:
            raise InvalidArgument(f"method {self.method} does not fit into 12 bits")
        if len(self.transaction_id) != TRANSACTION_ID_SIZE:
            raise InvalidArgument(f"transaction id of {len(self.transaction_id)} bytes where it needs 12")

    def get(self, kind: type[A]) -> A | None:
        """The first attribute of this class: later ones of the same type do not count (RFC 8489 section 14)."""
        for attribute in self.attributes:
            if isinstance(attribute, kind):
                return attribute
        return None

    @property
    def unknown_required(self) -> tuple[int, ...]:
        """Types that must be understood and are not (RFC 8489 section 6.3)."""
        return tuple(a.type for a in self.attributes if isinstance(a, Opaque) and a.type < COMPREHENSION_OPTIONAL)


def encode_message(
    message: Message,
    *,
    key: bytes | None = None,
    algorithm: IntegrityAlgorithm = IntegrityAlgorithm.SHA1,
    fingerprint: bool = False,
) -> bytes:
    """Build the datagram of `message`, all padding zero.

    Args:
        message: the message.
        key: adds the integrity attribute of `algorithm`, made with this key.
        algorithm: which of the two integrity attributes.
        fingerprint: adds FINGERPRINT at the end.

    Raises:
        InvalidArgument: the attributes do not fit into 65535 bytes.
    """
    parts = []
    for attribute in message.attributes:
        value = attribute.encode_value(message.transaction_id)
        parts.append(_ATTRIBUTE_HEADER.pack(attribute.type, len(value)) + value + bytes(-len(value) & 3))
    body = b"".join(parts)
    kind = _message_type(message.method, message.message_class)
    # The length counts the attribute that is being made (RFC 8489 sections 14.5 to 14.7).
    if key is not None:
        covered = _header(kind, len(body) + 4 + algorithm.size, message.transaction_id) + body
        digest = compute_integrity(covered, key, algorithm)
        body += _ATTRIBUTE_HEADER.pack(algorithm.attribute_type, len(digest)) + digest
    if fingerprint:
        crc = fingerprint_of(_header(kind, len(body) + 8, message.transaction_id) + body)
        body += _ATTRIBUTE_HEADER.pack(Fingerprint.type, 4) + _U32.pack(crc)
    return _header(kind, len(body), message.transaction_id) + body


def decode_message(data: bytes) -> Message:
    """Parse a datagram, which holds exactly one message.

    FINGERPRINT is verified if there is one. Integrity is not, since that needs a key: see `verify_integrity`.

    Raises:
        DecodeError: this is not a well-formed STUN message.
    """
    if len(data) < HEADER_SIZE:
        raise DecodeError(f"{len(data)} bytes, where the header has 20")
    kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if kind & 0xC000:
        raise DecodeError("the first two bits are not zero")
    if cookie != MAGIC_COOKIE:
        raise DecodeError(f"magic cookie 0x{cookie:08x}")
    if length & 3 or length != len(data) - HEADER_SIZE:
        raise DecodeError(f"length {length} in a datagram with {len(data) - HEADER_SIZE} bytes after the header")
    attributes = _decode_attributes(data, transaction_id)
    message_class = MessageClass(kind >> 7 & 2 | kind >> 4 & 1)
    method = kind >> 2 & 0xF80 | kind >> 1 & 0x70 | kind & 0xF
    return Message(message_class, method, transaction_id, attributes, data)


def _decode_attributes(data: bytes, transaction_id: bytes) -> tuple[Attribute, ...]:
    attributes: list[Attribute] = []
    accepted: tuple[int, ...] | None = None
    elements = walk_tlv(data, HEADER_SIZE, length_counts_header=False)
    for kind, start, stop in elements:
        if kind == Fingerprint.type:
            attributes.append(_decode_fingerprint(data, start, stop))
            continue
        # What follows the integrity is not covered by it and is ignored (RFC 8489 sections 14.5 and 14.6).
        if accepted is not None and kind not in accepted:
            continue
        value = data[start:stop]
        if kind == MessageIntegrity.type:
            if len(value) != IntegrityAlgorithm.SHA1.size:
                raise DecodeError(f"MESSAGE-INTEGRITY has {len(value)} bytes")
            attributes.append(MessageIntegrity(value, start - 4))
            accepted = (MessageIntegritySha256.type,)
        elif kind == MessageIntegritySha256.type:
            # 16 to 28 bytes only where a usage allows truncation (section 14.6); none here does.
            if len(value) != IntegrityAlgorithm.SHA256.size:
                raise DecodeError(f"MESSAGE-INTEGRITY-SHA256 has {len(value)} bytes")
            attributes.append(MessageIntegritySha256(value, start - 4))
            accepted = ()
        elif (known := ATTRIBUTE_CLASSES.get(kind)) is not None:
            attributes.append(known.decode_value(value, transaction_id))
        else:
            attributes.append(Opaque(kind, value))
    return tuple(attributes)


def _decode_fingerprint(data: bytes, start: int, stop: int) -> Fingerprint:
    if stop - start != 4 or stop != len(data):
        raise DecodeError("FINGERPRINT is not the last attribute, or not of 4 bytes")
    (crc,) = _U32.unpack_from(data, start)
    if crc != fingerprint_of(data[: start - 4]):
        raise DecodeError("FINGERPRINT does not match")
    return Fingerprint(crc)


def _message_type(method: int, message_class: int) -> int:
    return (
        (method & 0xF80) << 2
        | (method & 0x70) << 1
        | method & 0xF
        | (message_class & 2) << 7
        | (message_class & 1) << 4
    )


def _header(kind: int, length: int, transaction_id: bytes) -> bytes:
    # Refused here rather than truncated to 16 bits.
    if length > 0xFFFF:
        raise InvalidArgument(f"{length} bytes of attributes do not fit into a message; the limit is 65535")
    return _HEADER.pack(kind, length, MAGIC_COOKIE, transaction_id)
