"""Framing of records (RFC 6347 section 4.1).

     0      1      2      3      4      5      6      7      8      9      10     11     12
    +------+------+------+------+------+------+------+------+------+------+------+------+------+
    | type |   version   |    epoch    |            sequence_number              |   length    |
    +------+------+------+------+------+------+------+------+------+------+------+------+------+
    | fragment of that length                                                                  |
    +------------------------------------------------------------------------------------------+

The first byte of a DTLS 1.3 unified header is 32 to 63 and never a content type above, so that the other version's
framing can stand beside this one.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from xp2p_trio.errors import DecodeError

RECORD_HEADER = Struct("!BHHHIH")
"""type, version, epoch, upper 16 and lower 32 bits of the sequence number, length."""

RECORD_HEADER_SIZE = 13

MAX_PLAINTEXT_SIZE = 1 << 14
"""RFC 5246 section 6.2.1."""

MAX_CIPHERTEXT_SIZE = MAX_PLAINTEXT_SIZE + 2048
"""RFC 5246 section 6.2.3."""

MAX_SEQUENCE_NUMBER = (1 << 48) - 1
"""It must not wrap (RFC 6347 section 4.1)."""

MAX_RECORDS_PER_DATAGRAM = 32
"""More records in a datagram are an attack on our time, not a flight."""


class Record(NamedTuple):
    """One record as it arrived.

    Attributes:
        content_type: see `ContentType`; any byte may have arrived.
        version: of the header.
        epoch: which keys protect it.
        sequence_number: 48 bits.
        fragment: the payload, protected if the epoch is.
    """

    content_type: int
    version: int
    epoch: int
    sequence_number: int
    fragment: bytes


def decode_records(datagram: bytes) -> list[Record]:
    """Split a datagram into its records. A record that is cut short ends the list (RFC 6347 section 4.1.2.7).

    Raises:
        DecodeError: not even the first record is whole, or there are too many.
    """
    records: list[Record] = []
    position = 0
    end = len(datagram)
    while position < end:
        start = position + RECORD_HEADER_SIZE
        if start > end:
            break
        content_type, version, epoch, upper, lower, length = RECORD_HEADER.unpack_from(datagram, position)
        position = start + length
        if position > end or length > MAX_CIPHERTEXT_SIZE or version >> 8 != 0xFE:
            break
        if len(records) == MAX_RECORDS_PER_DATAGRAM:
            raise DecodeError(f"more than {MAX_RECORDS_PER_DATAGRAM} records in a datagram")
        records.append(Record(content_type, version, epoch, upper << 32 | lower, datagram[start:position]))
    if not records:
        raise DecodeError("no whole DTLS record")
    return records


def encode_header(content_type: int, version: int, epoch: int, sequence_number: int, length: int) -> bytes:
    """The 13 bytes in front of a fragment."""
    return RECORD_HEADER.pack(content_type, version, epoch, sequence_number >> 32, sequence_number & 0xFFFFFFFF, length)
