"""The one walker over type-length-value lists. Nothing else here loops over attacker-chosen lengths.

STUN attributes (RFC 8489 section 14) and SCTP chunks, parameters and causes (RFC 9260 section 3.2) share one shape:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |             Type              |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                      Value, padded to 4 bytes                 |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

They differ in one point: STUN's length counts the value, SCTP's also the four bytes of the header. For an SCTP
chunk the upper byte of the type is the chunk type and the lower one its flags.
"""

from __future__ import annotations

from struct import Struct
from typing import TypeAlias

from xp2p_trio.errors import DecodeError

Tlv: TypeAlias = tuple[int, int, int]
"""The 16-bit type, and where the value starts and ends in the buffer."""

_HEADER = Struct("!HH")


def walk_tlv(data: bytes, start: int, *, length_counts_header: bool) -> list[Tlv]:
    """Split `data[start:]` into its elements, each step of which moves forward by at least four bytes.

    The padding of the last element may be missing (RFC 9260 section 3.2 permits that of the last parameter).

    Raises:
        DecodeError: an element is cut short, or its length is less than its header.
    """
    elements: list[Tlv] = []
    end = len(data)
    excess = 4 if length_counts_header else 0
    while start < end:
        if end - start < 4:
            raise DecodeError(f"{end - start} stray bytes at offset {start}, where an element has at least 4")
        kind, length = _HEADER.unpack_from(data, start)
        value = start + 4
        stop = value + length - excess
        if not value <= stop <= end:
            raise DecodeError(
                f"element 0x{kind:04x} at offset {start} has length {length}, with {end - value} bytes left"
            )
        elements.append((kind, value, stop))
        start = stop + (-length & 3)
    return elements
