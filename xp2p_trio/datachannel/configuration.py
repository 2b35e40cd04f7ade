"""The limits of a channel multiplexer."""

from __future__ import annotations

import attrs

from xp2p_trio.errors import InvalidArgument


def _positive(_instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise InvalidArgument(f"{attribute.name} is {value}; it must be at least 1")


@attrs.frozen(kw_only=True)
class Configuration:
    """How much a peer may cost.

    Attributes:
        max_open_channels: channels at a time, of both sides. A channel counts until it is closed and its messages are
            taken. What the peer opens beyond is refused.
        max_unaccepted: channels of the peer that the program has not yet touched; what it opens beyond is refused.
        max_early_size: bytes of messages held for channels that are not open yet, each message counted with 256 more.
        max_partial_size: bytes of unfinished messages in the deprecated fragmentation by PPID, over all channels.
    """

    max_open_channels: int = attrs.field(default=1024, validator=_positive)
    max_unaccepted: int = attrs.field(default=256, validator=_positive)
    max_early_size: int = attrs.field(default=64 * 1024, validator=_positive)
    max_partial_size: int = attrs.field(default=1024 * 1024, validator=_positive)
