"""The state cookie (RFC 9260 sections 5.1.3 and 5.1.5): everything that COOKIE ECHO has to restore, under a MAC.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /              Time of creation, IEEE 754, seconds              /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Local Port           |         Remote Port           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /    Local Tag, Remote Tag, Local and Remote Initial TSN        /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Remote a_rwnd                          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |       Inbound Streams         |       Outbound Streams        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Extensions   |                                               |
    +-+-+-+-+-+-+-+-+         Tie-Tag (8 bytes)                     +
    /                                                               /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /                  HMAC-SHA-256 of all above                    /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

It holds no secret, no address and nothing that is looked at before the MAC is verified.
"""

from __future__ import annotations

import hmac
from struct import Struct
from typing import Final

import attrs

from xp2p_trio.errors import DecodeError

TIE_TAG_SIZE: Final = 8
NO_TIE_TAG: Final = bytes(TIE_TAG_SIZE)
"""There was no association when the cookie was made (RFC 9260 section 5.2.2)."""

_FIELDS: Final = Struct("!dHHIIIIIHHB8s")
_MAC_SIZE: Final = 32


@attrs.frozen
class Extensions:
    """What both sides can do.

    Attributes:
        partial_reliability: FORWARD TSN (RFC 3758).
        stream_reset: RE-CONFIG (RFC 6525).
        zero_checksum: the peer accepts a zero checksum and we want to send it (RFC 9653).
    """

    partial_reliability: bool
    stream_reset: bool
    zero_checksum: bool


@attrs.frozen
class StateCookie:
    """What an association is made from."""

    created_at: float
    local_port: int
    remote_port: int
    local_tag: int
    remote_tag: int
    local_initial_tsn: int
    remote_initial_tsn: int
    remote_a_rwnd: int
    inbound_streams: int
    outbound_streams: int
    extensions: Extensions
    tie_tag: bytes = NO_TIE_TAG


def encode_state_cookie(cookie: StateCookie, secret: bytes) -> bytes:
    """The cookie under its MAC."""
    extensions = cookie.extensions
    flags = extensions.partial_reliability | extensions.stream_reset << 1 | extensions.zero_checksum << 2
    fields = _FIELDS.pack(
        cookie.created_at,
        cookie.local_port,
        cookie.remote_port,
        cookie.local_tag,
        cookie.remote_tag,
        cookie.local_initial_tsn,
        cookie.remote_initial_tsn,
        cookie.remote_a_rwnd,
        cookie.inbound_streams,
        cookie.outbound_streams,
        flags,
        cookie.tie_tag,
    )
    return fields + hmac.digest(secret, fields, "sha256")


def decode_state_cookie(data: bytes, secret: bytes) -> StateCookie:
    """Read a cookie that we made.

    Raises:
        DecodeError: it is not one, or was changed on its way.
    """
    fields = data[: _FIELDS.size]
    if len(data) != _FIELDS.size + _MAC_SIZE or not hmac.compare_digest(
        hmac.digest(secret, fields, "sha256"), data[_FIELDS.size :]
    ):
        raise DecodeError("state cookie that we did not make")
    (
        created_at,
        local_port,
        remote_port,
        local_tag,
        remote_tag,
        local_initial_tsn,
        remote_initial_tsn,
        remote_a_rwnd,
        inbound_streams,
        outbound_streams,
        flags,
        tie_tag,
    ) = _FIELDS.unpack(fields)
    return StateCookie(
        created_at,
        local_port,
        remote_port,
        local_tag,
        remote_tag,
        local_initial_tsn,
        remote_initial_tsn,
        remote_a_rwnd,
        inbound_streams,
        outbound_streams,
        Extensions(bool(flags & 1), bool(flags & 2), bool(flags & 4)),
        tie_tag,
    )
