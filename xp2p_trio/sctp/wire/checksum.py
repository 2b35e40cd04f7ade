"""CRC32c over a packet (RFC 9260 section 6.8, appendix A).

The checksum is computed with the field itself set to zero and lies in the packet with its least significant byte
first, because the CRC register is sent in the order in which the bits of each byte left it.
"""

from __future__ import annotations

from struct import Struct

import google_crc32c

_LITTLE_ENDIAN = Struct("<I")
_ZERO = bytes(4)


def has_correct_checksum(packet: bytes) -> bool:
    """Whether the checksum field of `packet`, which has at least 12 bytes, fits its content."""
    crc = google_crc32c.extend(google_crc32c.value(packet[:8] + _ZERO), packet[12:])
    return _LITTLE_ENDIAN.unpack_from(packet, 8)[0] == crc  # type: ignore[no-any-return]


def with_checksum(packet: bytes) -> bytes:
    """The packet, whose checksum field is zero, with the field filled in."""
    return packet[:8] + _LITTLE_ENDIAN.pack(google_crc32c.value(packet)) + packet[12:]
