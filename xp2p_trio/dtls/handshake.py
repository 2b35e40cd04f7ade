"""Framing of handshake messages and their fragments (RFC 6347 section 4.2.2).

 0      1      2      3      4      5      6      7      8      9      10     11
+------+------+------+------+------+------+------+------+------+------+------+------+
| type |       length       | message_seq |  fragment_offset   |  fragment_length   |
+------+------+------+------+------+------+------+------+------+------+------+------+
| fragment                                                                          |
+-----------------------------------------------------------------------------------+
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from xp2p_trio.errors import DecodeError

HANDSHAKE_HEADER_SIZE = 12

_HEADER = Struct("!BBHHBHBH")


class Fragment(NamedTuple):
    """A piece of a handshake message.

    Attributes:
        handshake_type: see `HandshakeType`; any byte may have arrived.
        length: of the whole message.
        message_seq: number of the message.
        offset: where the piece begins.
        body: the piece.
    """

    handshake_type: int
    length: int
    message_seq: int
    offset: int
    body: bytes


class Message(NamedTuple):
    """A whole handshake message.

    Attributes:
        handshake_type: see `HandshakeType`; any byte may have arrived.
        message_seq: number of the message.
        body: without the header.
    """

    handshake_type: int
    message_seq: int
    body: bytes


def decode_fragments(data: bytes) -> list[Fragment]:
    """The fragments in a record of content type handshake.

    Raises:
        DecodeError: a fragment is cut short or lies outside its message, or there is none.
    """
    fragments: list[Fragment] = []
    position = 0
    end = len(data)
    while position < end:
        start = position + HANDSHAKE_HEADER_SIZE
        if start > end:
            raise DecodeError(f"{end - position} stray bytes, where a handshake header has {HANDSHAKE_HEADER_SIZE}")
        kind, length_high, length_low, message_seq, offset_high, offset_low, size_high, size_low = _HEADER.unpack_from(
            data, position
        )
        length = length_high << 16 | length_low
        offset = offset_high << 16 | offset_low
        size = size_high << 16 | size_low
        position = start + size
        if position > end:
            raise DecodeError(f"a fragment of {size} bytes with {end - start} left")
        if offset + size > length:
            raise DecodeError(f"a fragment from {offset} to {offset + size} of a message of {length} bytes")
        if size == 0 and length != 0:
            raise DecodeError("an empty fragment of a message that is not empty")
        fragments.append(Fragment(kind, length, message_seq, offset, data[start:position]))
    if not fragments:
        raise DecodeError("an empty handshake record")
    return fragments


def encode_fragment(message: Message, offset: int, size: int) -> bytes:
    """`size` bytes of a message from `offset` on, with their header."""
    length = len(message.body)
    return (
        _HEADER.pack(
            message.handshake_type,
            length >> 16,
            length & 0xFFFF,
            message.message_seq,
            offset >> 16,
            offset & 0xFFFF,
            size >> 16,
            size & 0xFFFF,
        )
        + message.body[offset : offset + size]
    )


def encode_message(message: Message) -> bytes:
    """A whole message as one fragment, which is also how the transcript counts it (RFC 6347 section 4.2.6)."""
    return encode_fragment(message, 0, len(message.body))
