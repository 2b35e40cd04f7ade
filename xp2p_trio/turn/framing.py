"""STUN messages and ChannelData on a stream (RFC 8489 section 6.2.2, RFC 8656 section 12.5).

Both have their length at bytes 2 and 3; the first two bits tell them apart:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |0 0|     STUN Message Type     |  Length, without the 20-byte header
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |0 1 0 0| Channel Number        |  Length, without header and padding
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from xp2p_trio.errors import DecodeError
from xp2p_trio.stun import HEADER_SIZE as STUN_HEADER_SIZE
from xp2p_trio.stun import MAGIC_COOKIE
from xp2p_trio.turn.channel_data import FIRST_CHANNEL, HEADER_SIZE, LAST_CHANNEL

MAX_FRAME_SIZE: Final = STUN_HEADER_SIZE + 0xFFFC
"""The largest frame; nothing more than one incomplete frame is kept."""

_HEADER: Final = Struct("!HH")
_COOKIE: Final = MAGIC_COOKIE.to_bytes(4, "big")


@final
class StreamFramer:
    """Cuts what a stream brings into messages for `Allocation.receive`.

    What an allocation transmits needs no framing: on a stream its messages are written one behind the other.
    """

    __slots__ = ("_buffer", "_lost")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = ""

    @property
    def buffered_size(self) -> int:
        """Bytes of the frame that is still incomplete."""
        return len(self._buffer)

    def decode_frames(self, data: bytes) -> list[bytes]:
        """Take bytes as they came. Returns the messages that are complete now, the padding of ChannelData included.

        Raises:
            DecodeError: what follows is neither; the stream cannot be read any further, and every call raises it.
        """
        if self._lost:
            raise DecodeError(self._lost)
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        start, end = 0, len(buffer)
        try:
            while end - start >= HEADER_SIZE:
                size = _frame_size(buffer, start)
                if end - start < size:
                    break
                frames.append(bytes(buffer[start : start + size]))
                start += size
        except DecodeError as error:
            # What came before is whole and good; the next call tells of the end.
            self._lost = str(error)
            buffer.clear()
            if frames:
                return frames
            raise
        del buffer[:start]
        return frames


def _frame_size(buffer: bytearray, start: int) -> int:
    kind: int
    length: int
    kind, length = _HEADER.unpack_from(buffer, start)
    if FIRST_CHANNEL <= kind <= LAST_CHANNEL:
        return HEADER_SIZE + length + (-length & 3)
    if kind & 0xC000:
        raise DecodeError(f"a message on the stream starts with 0x{kind:04x}, which is neither STUN nor a channel")
    if length & 3:
        raise DecodeError(f"a STUN message on the stream has the length {length}, which is no multiple of 4")
    cookie = buffer[start + 4 : start + 8]
    if cookie != _COOKIE[: len(cookie)]:
        raise DecodeError("a message on the stream has no magic cookie")
    return STUN_HEADER_SIZE + length
