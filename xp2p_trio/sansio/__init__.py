"""The one shape that every protocol layer has: no I/O, no clock, no randomness of its own."""

from xp2p_trio.sansio.address_filter import AddressFilter
from xp2p_trio.sansio.addresses import Scope, canonical_address, canonical_host, host_scopes, is_ipv6
from xp2p_trio.sansio.events import Closed, Failed
from xp2p_trio.sansio.layer import Address, Burst, Carrier, Layer, RandomBytes, Transport
from xp2p_trio.sansio.serial import serial16_gt, serial16_lt, serial32_gt, serial32_gte, serial32_lt, serial32_lte
from xp2p_trio.sansio.timer import Timer
from xp2p_trio.sansio.tlv import Tlv, walk_tlv

__all__ = [
    "Address",
    "AddressFilter",
    "Burst",
    "Carrier",
    "Closed",
    "Failed",
    "Layer",
    "RandomBytes",
    "Scope",
    "Timer",
    "Tlv",
    "Transport",
    "canonical_address",
    "canonical_host",
    "host_scopes",
    "is_ipv6",
    "serial16_gt",
    "serial16_lt",
    "serial32_gt",
    "serial32_gte",
    "serial32_lt",
    "serial32_lte",
    "walk_tlv",
]
