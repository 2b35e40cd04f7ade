"""What a program may choose about an allocation, and the numbers that it may not."""

from __future__ import annotations

import enum
import math
import re
from typing import Final

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Transport
from xp2p_trio.stun import INITIAL_RTO

DEFAULT_LIFETIME: Final = 600
"""Seconds that an allocation lasts unless refreshed (RFC 8656 section 6)."""

MAX_LIFETIME: Final = 3600
"""Seconds; a longer lifetime counts as this one (RFC 8656 section 7.2), so that a refresh is never far."""

PERMISSION_LIFETIME: Final = 300.0
"""RFC 8656 section 9."""

CHANNEL_LIFETIME: Final = 600.0
"""RFC 8656 section 12."""

MAX_PERMISSIONS: Final = 64
MAX_CHANNELS: Final = 64

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that the deletion of the allocation may take."""


_SURROGATE: Final = re.compile("[\\ud800-\\udfff]")


class AddressFamily(enum.IntEnum):
    """RFC 8489 section 14.1."""

    IPV4 = 1
    IPV6 = 2


@attrs.frozen
class Credentials:
    """A long-term credential (RFC 8489 section 9.2)."""

    username: str
    password: str = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what does not fit into USERNAME. No error holds the password, nor does another one behind it."""
        if not all(isinstance(text, str) for text in (self.username, self.password)):
            raise InvalidArgument("username or password is no text")
        if _SURROGATE.search(self.username + self.password):
            raise InvalidArgument("username or password holds a lone surrogate, which UTF-8 cannot carry")
        size = len(self.username.encode())
        if not 0 < size <= 508:
            raise InvalidArgument(f"the username has {size} bytes; RFC 8489 section 14.3 allows 1 to 508")


@attrs.frozen(kw_only=True)
class Configuration:
    """The choices of one allocation. Times are seconds.

    Attributes:
        transport: how the server is reached; to the peers it is always UDP.
        address_family: of the relayed address, and so of the peers.
        lifetime: what is asked for; the server decides.
        allocation_timeout: how long until there is an allocation, or a failure.
        follow_redirect: whether 300 (Try Alternate) may lead to another server, once.
        realm: what the credentials are confined to; empty for any. Who follows a `Redirected` over a stream sets it.
        allow_loopback: whether a peer may be a loopback address.
        allow_link_local: whether a peer may be a link-local address.
        software: the SOFTWARE attribute of Allocate and Refresh; empty for none.
        rto: initial retransmission timeout over UDP.
    """

    transport: Transport = Transport.UDP
    address_family: AddressFamily = AddressFamily.IPV4
    lifetime: int = DEFAULT_LIFETIME
    allocation_timeout: float = 10.0
    follow_redirect: bool = True
    realm: str = ""
    allow_loopback: bool = False
    allow_link_local: bool = False
    software: str = "xp2p_trio"
    rto: float = INITIAL_RTO

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 1 <= self.lifetime <= MAX_LIFETIME:
            raise InvalidArgument(f"lifetime {self.lifetime} is not within 1 to {MAX_LIFETIME} seconds")
        for name in ("allocation_timeout", "rto"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InvalidArgument(f"{name} {value!r} is not a positive number of seconds")
        if len(self.software.encode()) > 128:
            raise InvalidArgument("software has more than 128 bytes; RFC 8489 section 14.14 allows 128 characters")
