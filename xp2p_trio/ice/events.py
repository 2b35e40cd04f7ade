"""The news of an agent. `Closed` or `Failed` is the last."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio.ice.pair import CandidatePair
from xp2p_trio.ice.state import State
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.sdp import Candidate


@attrs.frozen
class AddressesRequested:
    """Bind sockets: answer with `add_local_address`, `add_stun_server` and `end_of_local_addresses`."""


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
