"""What a channel is made with (RFC 8831 section 6.4), and its translation to and from DCEP."""

from __future__ import annotations

from typing import Final

import attrs

from xp2p_trio.datachannel.dcep import ChannelType, Open
from xp2p_trio.errors import InvalidArgument

MAX_STREAM_ID: Final = 65534
"""RFC 8831 section 6.2: 65535 streams at most, so that 65535 is no stream."""

MAX_TEXT_SIZE: Final = 65535
"""Bytes of a label or protocol: their length fields have 16 bits (RFC 8832 section 5.1)."""

_MAX_RELIABILITY_PARAMETER: Final = 2**32 - 1


@attrs.frozen
class ChannelParameters:
    """The properties of a channel.

    Attributes:
        label: any text of at most 65535 bytes of UTF-8; labels need not be unique.
        protocol: the same; a WebSocket subprotocol name, or "".
        ordered: whether messages arrive in the order in which they were sent.
        max_retransmits: how often a message is retransmitted before it is given up; None for a reliable channel.
        max_packet_life_time: seconds after which a message is given up, to the millisecond; None for never.
        negotiated_id: the stream id, 0 to 65534, of a channel that both programs make without DCEP; None for one that
            is announced to the peer.
        priority: 128 below normal, 256 normal, 512 high, 1024 extra high.

    Raises:
        InvalidArgument: a value is out of range, or both limits of reliability are set.
    """

    label: str = ""
    protocol: str = ""
    ordered: bool = True
    max_retransmits: int | None = None
    max_packet_life_time: float | None = None
    negotiated_id: int | None = None
    priority: int = 256

    def __attrs_post_init__(self) -> None:
        """Check the ranges."""
        _check_text("label", self.label)
        _check_text("protocol", self.protocol)
        retransmits, life_time = self.max_retransmits, self.max_packet_life_time
        if retransmits is not None and life_time is not None:
            raise InvalidArgument("max_retransmits and max_packet_life_time exclude each other; set one of them")
        if retransmits is not None and not 0 <= retransmits <= _MAX_RELIABILITY_PARAMETER:
            raise InvalidArgument(f"max_retransmits is {retransmits}; it must be 0 to {_MAX_RELIABILITY_PARAMETER}")
        if life_time is not None and not 0 <= life_time <= _MAX_RELIABILITY_PARAMETER / 1000:
            raise InvalidArgument(f"max_packet_life_time is {life_time} s; it must be 0 to 4294967.295 s")
        if self.negotiated_id is not None and not 0 <= self.negotiated_id <= MAX_STREAM_ID:
            raise InvalidArgument(f"negotiated_id is {self.negotiated_id}; it must be 0 to {MAX_STREAM_ID}")
        if not 0 <= self.priority <= 65535:
            raise InvalidArgument(f"priority is {self.priority}; it must be 0 to 65535")

    @property
    def text_size(self) -> int:
        """Characters of the label and the protocol, which a peer may make large."""
        return len(self.label) + len(self.protocol)

    def to_open(self) -> Open:
        """The message that announces the channel."""
        code, parameter = ChannelType.RELIABLE.value, 0
        if self.max_retransmits is not None:
            code, parameter = ChannelType.PARTIAL_RELIABLE_REXMIT.value, self.max_retransmits
        elif self.max_packet_life_time is not None:
            code, parameter = ChannelType.PARTIAL_RELIABLE_TIMED.value, round(self.max_packet_life_time * 1000)
        if not self.ordered:
            code |= 0x80
        return Open(ChannelType(code), self.priority, parameter, self.label, self.protocol)

    @classmethod
    def from_open(cls, message: Open) -> ChannelParameters:
        """The properties that the peer announced."""
        base = message.channel_type & 0x7F
        parameter = message.reliability_parameter
        return cls(
            message.label,
            message.protocol,
            message.channel_type.is_ordered,
            parameter if base == ChannelType.PARTIAL_RELIABLE_REXMIT else None,
            parameter / 1000 if base == ChannelType.PARTIAL_RELIABLE_TIMED else None,
            None,
            message.priority,
        )


def _check_text(name: str, text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} has a lone surrogate, which UTF-8 does not encode") from None
    if size > MAX_TEXT_SIZE:
        raise InvalidArgument(f"{name} has {size} bytes in UTF-8; {MAX_TEXT_SIZE} are allowed")
