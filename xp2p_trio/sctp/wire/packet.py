"""The common header and the framing of chunks (RFC 9260 sections 3.1 and 3.2).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|      Source Port Number       |    Destination Port Number    |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                       Verification Tag                        |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                           Checksum                            |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|   Chunk Type  |  Chunk Flags  |         Chunk Length          |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/                          Chunk Value                          /
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

import attrs

from xp2p_trio.errors import DecodeError
from xp2p_trio.sansio import Tlv, walk_tlv

COMMON_HEADER_SIZE: Final = 12
CHUNK_HEADER_SIZE: Final = 4

_COMMON_HEADER: Final = Struct("!HHII")
_CHUNK_HEADER: Final = Struct("!BBH")
_PARAMETER_HEADER: Final = Struct("!HH")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


@attrs.frozen
class Chunk:
    """One chunk as it lies in a packet.

    Attributes:
        type: its number, known to us or not.
        flags: the second byte.
        value: what follows the four bytes of the header, without padding.
    """

    type: int
    flags: int
    value: bytes


@attrs.frozen
class Packet:
    """A whole packet in parts; what tests, tools and the slow path look at."""

    source_port: int
    destination_port: int
    verification_tag: int
    checksum: int
    chunks: tuple[Chunk, ...]


def decode_packet(data: bytes) -> Packet:
    """Split a packet into its chunks. The checksum is not looked at.

    Raises:
        DecodeError: no room for a common header and one chunk, or a chunk length that does not fit.
    """
    if len(data) < COMMON_HEADER_SIZE + CHUNK_HEADER_SIZE:
        raise DecodeError(f"packet of {len(data)} bytes, where the shortest has 16")
    source_port, destination_port, verification_tag, checksum = _COMMON_HEADER.unpack_from(data)
    chunks = tuple(
        Chunk(kind >> 8, kind & 0xFF, data[start:stop])
        for kind, start, stop in walk_tlv(data, COMMON_HEADER_SIZE, length_counts_header=True)
    )
    return Packet(source_port, destination_port, verification_tag, checksum, chunks)


def decode_parameters(data: bytes, start: int = 0) -> list[Tlv]:
    """Split the parameters or error causes from `start` on: type, and where the value starts and ends.

    Raises:
        DecodeError: a length that does not fit.
    """
    return walk_tlv(data, start, length_counts_header=True)


def encode_common_header(source_port: int, destination_port: int, verification_tag: int) -> bytes:
    """The twelve bytes before the chunks, with a checksum of zero."""
    return _COMMON_HEADER.pack(source_port, destination_port, verification_tag, 0)


def encode_chunk(chunk_type: int, flags: int, value: bytes) -> bytes:
    """A chunk with its padding."""
    length = CHUNK_HEADER_SIZE + len(value)
    return _CHUNK_HEADER.pack(chunk_type, flags, length) + value + _PADDING[length & 3]


def encode_parameters(parameters: Iterable[tuple[int, bytes]]) -> bytes:
    """Parameters or error causes. The padding of the last one is not theirs but the chunk's (RFC 9260 section 3.2)."""
    encoded = b""
    for parameter_type, value in parameters:
        length = CHUNK_HEADER_SIZE + len(value)
        encoded += _PADDING[len(encoded) & 3] + _PARAMETER_HEADER.pack(parameter_type, length) + value
    return encoded
