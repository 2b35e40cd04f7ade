"""The Data Channel Establishment Protocol (RFC 8832 section 5).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|  Type = 0x03  |  Channel Type |            Priority           |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                    Reliability Parameter                      |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|         Label Length          |       Protocol Length         |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                 Label, then Protocol, in UTF-8                |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

+-+-+-+-+-+-+-+-+
|  Type = 0x02  |   the acknowledgement
+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import Final

import attrs

from xp2p_trio.errors import DecodeError

DATA_CHANNEL_ACK: Final = 0x02
DATA_CHANNEL_OPEN: Final = 0x03

_OPEN: Final = Struct("!BBHLHH")


class ChannelType(enum.IntEnum):
    """Reliability and order of a channel (RFC 8832 section 8.2.2)."""

    RELIABLE = 0x00
    RELIABLE_UNORDERED = 0x80
    PARTIAL_RELIABLE_REXMIT = 0x01
    PARTIAL_RELIABLE_REXMIT_UNORDERED = 0x81
    PARTIAL_RELIABLE_TIMED = 0x02
    PARTIAL_RELIABLE_TIMED_UNORDERED = 0x82

    @property
    def is_ordered(self) -> bool:
        """Whether messages keep their order: the high-order bit says no."""
        return not self & 0x80

    @property
    def is_reliable(self) -> bool:
        """Whether the reliability parameter is without meaning."""
        return not self & 0x7F


@attrs.frozen
class Open:
    """DATA_CHANNEL_OPEN.

    Attributes:
        channel_type: reliability and order.
        priority: 0 to 65535 (RFC 8831 section 6.4).
        reliability_parameter: retransmissions, or milliseconds; 0 for a reliable channel, whatever the peer wrote.
        label: at most 65535 bytes of UTF-8.
        protocol: at most 65535 bytes of UTF-8.
    """

    channel_type: ChannelType
    priority: int
    reliability_parameter: int
    label: str
    protocol: str


@attrs.frozen
class Ack:
    """DATA_CHANNEL_ACK."""


def decode_dcep(data: bytes) -> Open | Ack:
    """Parse a message of PPID 50.

    Raises:
        DecodeError: its type is unknown, its lengths do not add up, or a text is not UTF-8.
    """
    if not data:
        raise DecodeError("empty DCEP message")
    if data[0] == DATA_CHANNEL_ACK:
        if len(data) != 1:
            raise DecodeError(f"DATA_CHANNEL_ACK of {len(data)} bytes")
        return Ack()
    if data[0] != DATA_CHANNEL_OPEN:
        raise DecodeError(f"unknown DCEP message type 0x{data[0]:02x}")
    if len(data) < _OPEN.size:
        raise DecodeError(f"DATA_CHANNEL_OPEN of {len(data)} bytes")
    _, code, priority, reliability_parameter, label_size, protocol_size = _OPEN.unpack_from(data)
    middle = _OPEN.size + label_size
    if middle + protocol_size != len(data):
        raise DecodeError(
            f"DATA_CHANNEL_OPEN of {len(data)} bytes with a label of {label_size} and a protocol of {protocol_size}"
        )
    try:
        channel_type = ChannelType(code)
        label = data[_OPEN.size : middle].decode()
        protocol = data[middle:].decode()
    except UnicodeDecodeError as error:
        raise DecodeError("label or protocol is not UTF-8") from error
    except ValueError as error:
        raise DecodeError(f"unknown channel type 0x{code:02x}") from error
    if channel_type.is_reliable:
        reliability_parameter = 0
    return Open(channel_type, priority, reliability_parameter, label, protocol)


def encode_open(message: Open) -> bytes:
    """Write a DATA_CHANNEL_OPEN. Lengths count bytes, not characters."""
    label = message.label.encode()
    protocol = message.protocol.encode()
    header = _OPEN.pack(
        DATA_CHANNEL_OPEN,
        message.channel_type,
        message.priority,
        message.reliability_parameter,
        len(label),
        len(protocol),
    )
    return header + label + protocol


def encode_ack() -> bytes:
    """Write a DATA_CHANNEL_ACK."""
    return bytes((DATA_CHANNEL_ACK,))
