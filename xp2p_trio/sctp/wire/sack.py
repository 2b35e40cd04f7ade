"""SACK (RFC 9260 section 3.3.4).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|   Type = 3    |  Chunk Flags  |         Chunk Length          |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                      Cumulative TSN Ack                       |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|          Advertised Receiver Window Credit (a_rwnd)           |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Number of Gap Ack Blocks = N  |  Number of Duplicate TSNs = M |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|    Gap Ack Block #1 Start     |     Gap Ack Block #1 End      |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/                              ...                              /
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                       Duplicate TSN 1                         |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/                              ...                              /
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, iter_unpack, pack
from typing import Final, TypeAlias

import attrs

from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp.wire.types import ChunkType

GapAckBlock: TypeAlias = tuple[int, int]
"""First and last TSN of a block, as offsets from the Cumulative TSN Ack."""

SACK_HEADER_SIZE: Final = 16
SACK_FIELDS: Final = Struct("!IIHH")
_SACK: Final = Struct("!BBHIIHH")


@attrs.frozen
class Sack:
    """What the receiver of data holds."""

    cumulative_tsn_ack: int
    a_rwnd: int
    gap_ack_blocks: tuple[GapAckBlock, ...] = ()
    duplicate_tsns: tuple[int, ...] = ()


def decode_sack(value: bytes) -> Sack:
    """Read the value of a SACK chunk.

    Raises:
        DecodeError: the length does not fit the two counts.
    """
    if len(value) < SACK_FIELDS.size:
        raise DecodeError(f"SACK with {len(value)} bytes, where its fields take {SACK_FIELDS.size}")
    cumulative_tsn_ack, a_rwnd, gap_count, duplicate_count = SACK_FIELDS.unpack_from(value)
    gaps_end = SACK_FIELDS.size + 4 * gap_count
    if len(value) != gaps_end + 4 * duplicate_count:
        raise DecodeError(f"SACK of {len(value)} bytes with {gap_count} gap blocks and {duplicate_count} duplicates")
    if len(value) == SACK_FIELDS.size:
        return Sack(cumulative_tsn_ack, a_rwnd)
    gap_ack_blocks = tuple(iter_unpack("!HH", value[SACK_FIELDS.size : gaps_end]))
    duplicate_tsns = tuple(tsn for (tsn,) in iter_unpack("!I", value[gaps_end:]))
    return Sack(cumulative_tsn_ack, a_rwnd, gap_ack_blocks, duplicate_tsns)


def encode_sack(
    cumulative_tsn_ack: int, a_rwnd: int, gap_ack_blocks: Sequence[GapAckBlock], duplicate_tsns: Sequence[int]
) -> bytes:
    """A SACK chunk."""
    gaps = len(gap_ack_blocks)
    duplicates = len(duplicate_tsns)
    length = SACK_HEADER_SIZE + 4 * (gaps + duplicates)
    header = _SACK.pack(ChunkType.SACK, 0, length, cumulative_tsn_ack, a_rwnd, gaps, duplicates)
    if length == SACK_HEADER_SIZE:
        return header
    offsets = [offset for block in gap_ack_blocks for offset in block]
    return header + pack(f"!{2 * gaps}H{duplicates}I", *offsets, *duplicate_tsns)
