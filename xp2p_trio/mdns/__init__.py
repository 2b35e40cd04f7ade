"""Multicast DNS (RFC 6762) for the names behind which browsers hide host addresses: ask, and answer."""

from xp2p_trio.mdns.endpoint import MAX_HOSTS, Endpoint
from xp2p_trio.mdns.events import Event, NameResolved, NameUnresolved
from xp2p_trio.mdns.link import GROUP_IPV4, GROUP_IPV6, PORT, group_of
from xp2p_trio.mdns.names import canonical_name, random_name
from xp2p_trio.mdns.resolver import MAX_NAMES, PATIENCE, TRIES
from xp2p_trio.mdns.responder import ANNOUNCEMENTS, LEGACY_TTL, MAX_OWED, MULTICAST_INTERVAL, TTL
from xp2p_trio.mdns.statistics import Statistics
from xp2p_trio.mdns.wire import (
    MAX_MESSAGE_SIZE,
    TYPE_A,
    TYPE_AAAA,
    TYPE_ANY,
    AddressRecord,
    Message,
    Name,
    Question,
    decode_message,
    encode_message,
)

__all__ = [
    "ANNOUNCEMENTS",
    "GROUP_IPV4",
    "GROUP_IPV6",
    "LEGACY_TTL",
    "MAX_HOSTS",
    "MAX_MESSAGE_SIZE",
    "MAX_NAMES",
    "MAX_OWED",
    "MULTICAST_INTERVAL",
    "PATIENCE",
    "PORT",
    "TRIES",
    "TTL",
    "TYPE_A",
    "TYPE_AAAA",
    "TYPE_ANY",
    "AddressRecord",
    "Endpoint",
    "Event",
    "Message",
    "Name",
    "NameResolved",
    "NameUnresolved",
    "Question",
    "Statistics",
    "canonical_name",
    "decode_message",
    "encode_message",
    "group_of",
    "random_name",
]
