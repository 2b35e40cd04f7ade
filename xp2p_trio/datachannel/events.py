"""What a channel multiplexer reports, oldest first. `Closed` is the last."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio.sansio import Closed


@attrs.frozen
class ChannelArrived:
    """The peer opened a channel; it is open. Comes before its first message."""

    channel_id: int


@attrs.frozen
class ChannelOpened:
    """A channel of ours is open: the peer answered, or it was negotiated and the association is up."""

    channel_id: int


@attrs.frozen
class ChannelClosing:
    """The peer closes a channel, or broke its rules. Nothing can be sent any more; unread messages remain."""

    channel_id: int


@attrs.frozen
class ChannelClosed:
    """A channel is closed in both directions. Unread messages remain."""

    channel_id: int


@attrs.frozen
class ResetRequested:
    """The association is to reset these outgoing streams, once what it took on them is delivered (RFC 6525)."""

    stream_ids: tuple[int, ...]


Event: TypeAlias = ChannelArrived | ChannelOpened | ChannelClosing | ChannelClosed | ResetRequested | Closed
