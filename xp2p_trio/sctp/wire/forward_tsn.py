"""FORWARD TSN (RFC 3758 section 3.2).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|   Type = 192  |  Flags = 0x00 |        Length = Variable      |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                      New Cumulative TSN                       |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|         Stream-1              |       Stream Sequence-1       |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/                                                               /
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|         Stream-N              |       Stream Sequence-N       |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct, iter_unpack
from typing import Final

import attrs

from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp.wire.packet import encode_chunk
from xp2p_trio.sctp.wire.types import ChunkType

_NEW_CUMULATIVE_TSN: Final = Struct("!I")
_SKIPPED: Final = Struct("!HH")


@attrs.frozen
class ForwardTsn:
    """What the sender has given up.

    Attributes:
        new_cumulative_tsn: everything up to here counts as received.
        skipped: stream identifier and the highest stream sequence number given up on it.
    """

    new_cumulative_tsn: int
    skipped: tuple[tuple[int, int], ...] = ()


def decode_forward_tsn(value: bytes) -> ForwardTsn:
    """Read the value of a FORWARD TSN chunk.

    Raises:
        DecodeError: not a whole number of entries.
    """
    if len(value) < 4 or len(value) % 4:
        raise DecodeError(f"FORWARD TSN with a value of {len(value)} bytes")
    return ForwardTsn(_NEW_CUMULATIVE_TSN.unpack_from(value)[0], tuple(iter_unpack("!HH", value[4:])))


def encode_forward_tsn(forward_tsn: ForwardTsn) -> bytes:
    """A FORWARD TSN chunk."""
    skipped = b"".join(_SKIPPED.pack(stream_id, ssn) for stream_id, ssn in forward_tsn.skipped)
    return encode_chunk(ChunkType.FORWARD_TSN, 0, _NEW_CUMULATIVE_TSN.pack(forward_tsn.new_cumulative_tsn) + skipped)
