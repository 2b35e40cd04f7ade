"""The life of a channel (RFC 8831 sections 6.5 and 6.7) as one table."""

from __future__ import annotations

import enum
from typing import Final


class ChannelState(enum.IntEnum):
    """Where a channel is in its life. The values are those of the browser's `RTCDataChannelState`, in order."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


class Input(enum.Enum):
    """What can happen to a channel."""

    CONFIRMED = "an ACK or other message of the peer came, or a negotiated channel has its association"
    CLOSE = "the program closes it, or the peer broke its rules"
    PEER_RESET = "the peer reset its outgoing stream"
    STREAMS_RESET = "both streams are reset"
    ENDED = "the association is over, or has no stream for it"


_CONNECTING, _OPEN, _CLOSING, _CLOSED = ChannelState

TRANSITIONS: Final = {
    (_CONNECTING, Input.CONFIRMED): _OPEN,
    (_CONNECTING, Input.CLOSE): _CLOSING,
    (_CONNECTING, Input.PEER_RESET): _CLOSING,
    (_CONNECTING, Input.STREAMS_RESET): _CLOSED,
    (_CONNECTING, Input.ENDED): _CLOSED,
    (_OPEN, Input.CONFIRMED): _OPEN,
    (_OPEN, Input.CLOSE): _CLOSING,
    (_OPEN, Input.PEER_RESET): _CLOSING,
    (_OPEN, Input.STREAMS_RESET): _CLOSED,
    (_OPEN, Input.ENDED): _CLOSED,
    (_CLOSING, Input.CONFIRMED): _CLOSING,
    (_CLOSING, Input.CLOSE): _CLOSING,
    (_CLOSING, Input.PEER_RESET): _CLOSING,
    (_CLOSING, Input.STREAMS_RESET): _CLOSED,
    (_CLOSING, Input.ENDED): _CLOSED,
    (_CLOSED, Input.CONFIRMED): _CLOSED,
    (_CLOSED, Input.CLOSE): _CLOSED,
    (_CLOSED, Input.PEER_RESET): _CLOSED,
    (_CLOSED, Input.STREAMS_RESET): _CLOSED,
    (_CLOSED, Input.ENDED): _CLOSED,
}
