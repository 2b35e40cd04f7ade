"""What a channel multiplexer counts."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Statistics:
    """A snapshot of the counters.

    Attributes:
        channels_opened: channels that this program opened.
        channels_arrived: channels that the peer opened.
        channels_refused: streams that the peer misused or opened beyond a limit, and that were reset for it.
        channels_failed: channels that were closed because the peer broke their rules.
        channels_closed: channels that are closed.
        messages_sent: user messages handed to the association.
        bytes_sent: their bytes.
        messages_received: user messages received.
        bytes_received: their bytes.
        messages_dropped: messages that belong to no channel or to one that this program closed.
    """

    channels_opened: int
    channels_arrived: int
    channels_refused: int
    channels_failed: int
    channels_closed: int
    messages_sent: int
    bytes_sent: int
    messages_received: int
    bytes_received: int
    messages_dropped: int
