"""TURN (RFC 8656): one allocation on one server, and the framing of its streams."""

from xp2p_trio.sansio import Transport
from xp2p_trio.turn.allocation import Allocation
from xp2p_trio.turn.channel_data import FIRST_CHANNEL, LAST_CHANNEL, decode_channel_data, encode_channel_data
from xp2p_trio.turn.configuration import (
    CHANNEL_LIFETIME,
    DEFAULT_LIFETIME,
    MAX_CHANNELS,
    MAX_LIFETIME,
    MAX_PERMISSIONS,
    PERMISSION_LIFETIME,
    AddressFamily,
    Configuration,
    Credentials,
)
from xp2p_trio.turn.diagnosis import REMEDIES
from xp2p_trio.turn.events import (
    Allocated,
    AllocationRefused,
    ChannelBound,
    ChannelDenied,
    CredentialsRequested,
    Event,
    PermissionCreated,
    PermissionDenied,
    Redirected,
)
from xp2p_trio.turn.framing import MAX_FRAME_SIZE, StreamFramer
from xp2p_trio.turn.relay import MAX_DATA_SIZE, MAX_PARKED_DATAGRAMS, MAX_QUEUED_DATAGRAMS
from xp2p_trio.turn.rest import rest_credentials
from xp2p_trio.turn.state import TRANSITIONS, Input, State
from xp2p_trio.turn.statistics import Statistics

__all__ = [
    "CHANNEL_LIFETIME",
    "DEFAULT_LIFETIME",
    "FIRST_CHANNEL",
    "LAST_CHANNEL",
    "MAX_CHANNELS",
    "MAX_DATA_SIZE",
    "MAX_FRAME_SIZE",
    "MAX_LIFETIME",
    "MAX_PARKED_DATAGRAMS",
    "MAX_PERMISSIONS",
    "MAX_QUEUED_DATAGRAMS",
    "PERMISSION_LIFETIME",
    "REMEDIES",
    "TRANSITIONS",
    "AddressFamily",
    "Allocated",
    "Allocation",
    "AllocationRefused",
    "ChannelBound",
    "ChannelDenied",
    "Configuration",
    "Credentials",
    "CredentialsRequested",
    "Event",
    "Input",
    "PermissionCreated",
    "PermissionDenied",
    "Redirected",
    "State",
    "Statistics",
    "StreamFramer",
    "Transport",
    "decode_channel_data",
    "encode_channel_data",
    "rest_credentials",
]
