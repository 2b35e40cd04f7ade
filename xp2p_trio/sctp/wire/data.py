"""DATA (RFC 9260 section 3.3.1, RFC 7053).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |   Type = 0    |  Res  |I|U|B|E|            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                              TSN                              |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |      Stream Identifier S      |   Stream Sequence Number n    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                  Payload Protocol Identifier                  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /                 User Data (seq n of Stream S)                 /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

The paths that run once a packet use the two prebuilt Structs below in place; the record serves the rest.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import attrs

from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp.wire.types import ChunkType

DATA_HEADER_SIZE: Final = 16

ENDING: Final = 0x01
BEGINNING: Final = 0x02
UNORDERED: Final = 0x04
IMMEDIATE: Final = 0x08  # RFC 7053

DATA_HEADER: Final = Struct("!BBHIHHI")
"""Type, flags, length, TSN, stream identifier, stream sequence number, payload protocol identifier."""

DATA_FIELDS: Final = Struct("!IHHI")
"""The same without the chunk header."""

PACKET_AND_DATA_HEADER: Final = Struct("!HHIIBBHIHHI")
"""The common header and the header of the DATA chunk that comes first, in one step."""

_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


@attrs.frozen
class Data:
    """One DATA chunk."""

    tsn: int
    stream_id: int
    ssn: int
    ppid: int
    payload: bytes
    flags: int = BEGINNING | ENDING


def decode_data(flags: int, value: bytes) -> Data:
    """Read the value of a DATA chunk.

    Raises:
        DecodeError: less than the fixed fields. A chunk without user data decodes; what to do with it is the
            association's business.
    """
    if len(value) < DATA_FIELDS.size:
        raise DecodeError(f"DATA with {len(value)} bytes, where its fields take {DATA_FIELDS.size}")
    tsn, stream_id, ssn, ppid = DATA_FIELDS.unpack_from(value)
    return Data(tsn, stream_id, ssn, ppid, value[DATA_FIELDS.size :], flags)


def encode_data(data: Data) -> bytes:
    """A DATA chunk with its padding."""
    length = DATA_HEADER_SIZE + len(data.payload)
    header = DATA_HEADER.pack(ChunkType.DATA, data.flags, length, data.tsn, data.stream_id, data.ssn, data.ppid)
    return header + data.payload + _PADDING[length & 3]
