"""The chunks that carry next to nothing.

COOKIE ECHO (RFC 9260 section 3.3.11) carries the cookie, SHUTDOWN (3.3.8) the Cumulative TSN Ack, HEARTBEAT and
HEARTBEAT ACK (3.3.5, 3.3.6) one opaque parameter; COOKIE ACK, SHUTDOWN ACK and SHUTDOWN COMPLETE carry nothing:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Chunk Type   |  Chunk Flags  |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /    Cookie, or Cumulative TSN Ack, or Heartbeat Information    /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp.wire.packet import decode_parameters, encode_chunk, encode_parameters
from xp2p_trio.sctp.wire.types import ChunkType, ParameterType

_TSN: Final = Struct("!I")

COOKIE_ACK: Final = encode_chunk(ChunkType.COOKIE_ACK, 0, b"")
SHUTDOWN_ACK: Final = encode_chunk(ChunkType.SHUTDOWN_ACK, 0, b"")


def encode_cookie_echo(cookie: bytes) -> bytes:
    """A COOKIE ECHO chunk."""
    return encode_chunk(ChunkType.COOKIE_ECHO, 0, cookie)


def encode_shutdown_complete(*, reflected: bool = False) -> bytes:
    """A SHUTDOWN COMPLETE chunk; `reflected` sets the T bit (RFC 9260 section 8.5.1, C)."""
    return encode_chunk(ChunkType.SHUTDOWN_COMPLETE, int(reflected), b"")


def encode_shutdown(cumulative_tsn_ack: int) -> bytes:
    """A SHUTDOWN chunk."""
    return encode_chunk(ChunkType.SHUTDOWN, 0, _TSN.pack(cumulative_tsn_ack))


def decode_shutdown(value: bytes) -> int:
    """The Cumulative TSN Ack of a SHUTDOWN chunk.

    Raises:
        DecodeError: not four bytes.
    """
    if len(value) != _TSN.size:
        raise DecodeError(f"SHUTDOWN with {len(value)} bytes, where it takes 4")
    return _TSN.unpack(value)[0]  # type: ignore[no-any-return]


def encode_heartbeat(information: bytes) -> bytes:
    """A HEARTBEAT chunk."""
    return encode_chunk(ChunkType.HEARTBEAT, 0, encode_parameters([(ParameterType.HEARTBEAT_INFO, information)]))


def encode_heartbeat_ack(value: bytes) -> bytes:
    """The answer to a HEARTBEAT chunk, whose value is copied unchanged (RFC 9260 section 8.3)."""
    return encode_chunk(ChunkType.HEARTBEAT_ACK, 0, value)


def decode_heartbeat(value: bytes) -> bytes:
    """The Heartbeat Information of a HEARTBEAT or HEARTBEAT ACK chunk.

    Raises:
        DecodeError: the first parameter is something else, or its length does not fit.
    """
    parameters = decode_parameters(value)
    if not parameters or parameters[0][0] != ParameterType.HEARTBEAT_INFO:
        raise DecodeError("HEARTBEAT without Heartbeat Information")
    return value[parameters[0][1] : parameters[0][2]]
