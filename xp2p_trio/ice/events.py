"""The news of an agent. `Closed` or `Failed` is the last."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio.ice.pair import CandidatePair
from xp2p_trio.ice.state import State
from xp2p_trio.sansio import Address, Closed, Failed, Transport
from xp2p_trio.sdp import Candidate


@attrs.frozen
class AddressesRequested:
    """Bind sockets: answer with `add_local_address`, `add_stun_server`, `add_turn_server` and `end_of_local_addresses`.

    After a restart again: addresses that are new, and `remove_local_address` for those that are gone.
    """


@attrs.frozen
class StreamRequested:
    """Connect: answer with `stream_opened` or `stream_failed` and this number.

    Attributes:
        number: of the request.
        local_host: the address to connect from; None leaves it to the driver.
        remote: where to.
        transport: TCP or TLS.
        server_name: what a TLS server's certificate must be for.
    """

    number: int
    local_host: str | None
    remote: Address
    transport: Transport
    server_name: str


@attrs.frozen
class StreamRequestWithdrawn:
    """A stream that was asked for is not wanted any more."""

    number: int


@attrs.frozen
class StreamReleased:
    """Close this stream."""

    local: Address
    remote: Address
    transport: Transport


@attrs.frozen
class ServerFailed:
    """A STUN or TURN server is of no use, or of no use any more.

    Attributes:
        name: its URL without credentials, or its address where it was given no name.
        code: of the server's error response, or 0.
        realm: of the server, empty unless it said one.
        detail: what happened and what may help.
    """

    name: str
    code: int
    realm: str
    detail: str


@attrs.frozen
class TurnCredentialsRequested:
    """A server takes the credentials no longer: `refresh_turn_credentials` gives it others.

    Attributes:
        name: of the server, as `add_turn_server` was told.
        realm: of the server.
    """

    name: str
    realm: str


@attrs.frozen
class NameRequested:
    """A candidate of the peer has an mDNS name: answer with `name_resolved`."""

    name: str


@attrs.frozen
class NamePublished:
    """A host candidate of ours hides behind this mDNS name: answer questions for it (RFC 6762)."""

    name: str
    host: str


@attrs.frozen
class CandidateFound:
    """A candidate of ours, to be told to the peer."""

    candidate: Candidate


@attrs.frozen
class GatheringCompleted:
    """No more candidates of ours will come."""


@attrs.frozen
class StateChanged:
    """The agent is in another state."""

    state: State


@attrs.frozen
class PairSelected:
    """Data now goes over this pair.

    Attributes:
        pair: the pair.
        nominated: False while the choice may still change (RFC 8445 section 12.1).
    """

    pair: CandidatePair
    nominated: bool


@attrs.frozen
class PathLost:
    """Consent checks have had no answer for a while; what W3C calls disconnected."""


@attrs.frozen
class PathRecovered:
    """A consent check has been answered again."""


Event: TypeAlias = (
    AddressesRequested
    | StreamRequested
    | StreamRequestWithdrawn
    | StreamReleased
    | ServerFailed
    | TurnCredentialsRequested
    | NameRequested
    | NamePublished
    | CandidateFound
    | GatheringCompleted
    | StateChanged
    | PairSelected
    | PathLost
    | PathRecovered
    | Closed
    | Failed
)
"""Everything that `take_events` may hold."""
