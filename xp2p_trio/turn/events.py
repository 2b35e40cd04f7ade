"""What an allocation says."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio.sansio import Address, Closed, Failed


@attrs.frozen
class Allocated:
    """The server has allocated an address.

    Attributes:
        relayed_address: where peers reach us.
        mapped_address: our own address as the server sees it.
        lifetime: seconds until it would expire; it is refreshed before.
    """

    relayed_address: Address
    mapped_address: Address
    lifetime: float


@attrs.frozen
class PermissionCreated:
    """Data can go to and come from this host."""

    host: str


@attrs.frozen
class PermissionDenied:
    """No data can go to this host.

    Attributes:
        host: canonical where it is an IP address.
        code: of the server's error, or 0 where the configuration or a limit of ours forbids it.
        reason: what the server says, or why we refuse.
    """

    host: str
    code: int
    reason: str


@attrs.frozen
class ChannelBound:
    """Data to this peer travels as ChannelData from now on, with 4 bytes of overhead instead of 36 or 48."""

    peer: Address


@attrs.frozen
class ChannelDenied:
    """There is no channel to this peer; its data travels as indications. Attributes as of `PermissionDenied`."""

    peer: Address
    code: int
    reason: str


@attrs.frozen
class CredentialsRequested:
    """The server no longer takes the credentials; `refresh_credentials` is the answer.

    The allocation lives on until its lifetime ends.
    """

    realm: str
    reason: str


@attrs.frozen
class Redirected:
    """300 (Try Alternate): over UDP the allocation goes on at `server`; over a stream it ends with `Closed`.

    Who connects to `server` then makes an allocation with `follow_redirect=False` and this `realm`, so that there is
    one hop at most, and the credentials stay where they belong.
    """

    server: Address
    realm: str


@attrs.frozen
class AllocationRefused:
    """The server refused for good; `Failed` follows.

    Attributes:
        server: which one.
        realm: as the server gave it, empty when it gave none.
        code: 437 says to try again from another local port, at most twice (RFC 8656 section 7.4); 486 and 508 to wait
            for a minute; 401 and 441 that the credentials are wrong.
        reason: the server's phrase.
    """

    server: Address
    realm: str
    code: int
    reason: str


Event: TypeAlias = (
    Allocated
    | PermissionCreated
    | PermissionDenied
    | ChannelBound
    | ChannelDenied
    | CredentialsRequested
    | Redirected
    | AllocationRefused
    | Closed
    | Failed
)
"""Everything that `Allocation.take_events` gives."""
