"""Data channels over one SCTP association, without I/O (RFC 8831, RFC 8832)."""

from xp2p_trio.datachannel.channel import Channel
from xp2p_trio.datachannel.configuration import Configuration
from xp2p_trio.datachannel.dcep import Ack, ChannelType, Open, decode_dcep, encode_ack, encode_open
from xp2p_trio.datachannel.events import (
    ChannelArrived,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    Event,
    ResetRequested,
)
from xp2p_trio.datachannel.mux import ChannelMux
from xp2p_trio.datachannel.parameters import ChannelParameters
from xp2p_trio.datachannel.state import TRANSITIONS, ChannelState, Input
from xp2p_trio.datachannel.statistics import Statistics

__all__ = [
    "TRANSITIONS",
    "Ack",
    "Channel",
    "ChannelArrived",
    "ChannelClosed",
    "ChannelClosing",
    "ChannelMux",
    "ChannelOpened",
    "ChannelParameters",
    "ChannelState",
    "ChannelType",
    "Configuration",
    "Event",
    "Input",
    "Open",
    "ResetRequested",
    "Statistics",
    "decode_dcep",
    "encode_ack",
    "encode_open",
]
