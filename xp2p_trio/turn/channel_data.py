"""The ChannelData message (RFC 8656 section 12.4).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Channel Number        |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                       Application Data                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

The length counts the data alone. On streams padding to four bytes follows; over UDP it may.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from xp2p_trio.errors import DecodeError

HEADER_SIZE: Final = 4

FIRST_CHANNEL: Final = 0x4000
LAST_CHANNEL: Final = 0x4FFF
"""RFC 8656 section 12, Table 2."""

FIRST_BYTE: Final = 64
LAST_BYTE: Final = 79
"""RFC 7983 section 7."""

HEADER: Final = Struct("!HH")


def encode_channel_data(number: int, data: bytes, *, padded: bool) -> bytes:
    """Build the message; `padded` is for streams (RFC 8656 section 12.5)."""
    message = HEADER.pack(number, len(data)) + data
    return message + bytes(-len(data) & 3) if padded else message


def decode_channel_data(message: bytes) -> tuple[int, bytes]:
    """Channel number and data of a datagram or frame.

    Raises:
        DecodeError: it is cut short, has more than padding behind the data, or is no ChannelData.
    """
    if len(message) < HEADER_SIZE:
        raise DecodeError(f"{len(message)} bytes, where the header has 4")
    number, length = HEADER.unpack_from(message)
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
        raise DecodeError(f"channel number 0x{number:04x} is not within 0x4000 to 0x4fff")
    excess = len(message) - HEADER_SIZE - length
    if not 0 <= excess <= 3:
        raise DecodeError(f"length {length} in a message with {len(message) - HEADER_SIZE} bytes after the header")
    return number, message[HEADER_SIZE : HEADER_SIZE + length]
