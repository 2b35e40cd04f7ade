"""A candidate pair: where it stands, and what became of it (RFC 8445 section 6.1.2)."""

from __future__ import annotations

import enum
import math
from typing import TypeAlias, final

import attrs

from xp2p_trio.ice.candidates import LocalCandidate
from xp2p_trio.ice.state import Role
from xp2p_trio.sansio import Address
from xp2p_trio.sdp import Candidate

Path: TypeAlias = tuple[Address, Address]
"""Our socket and the peer's address: what makes two pairs redundant if equal (RFC 8445 section 6.1.2.4)."""


class PairState(enum.IntEnum):
    """RFC 8445 section 6.1.2.6."""

    FROZEN = 0
    WAITING = 1
    IN_PROGRESS = 2
    SUCCEEDED = 3
    FAILED = 4


@attrs.frozen
class CandidatePair:
    """A local and a remote candidate that data flows between.

    Attributes:
        local: ours; reflexive when a NAT is between.
        remote: the peer's.
        priority: RFC 8445 section 6.1.2.3.
    """

    local: Candidate
    remote: Candidate
    priority: int


@attrs.frozen
class PairReport:
    """What became of one pair.

    Attributes:
        local: our candidate.
        remote: the peer's candidate.
        state: where the check stands.
        is_valid: whether data may come in over it.
        is_nominated: whether it is nominated.
        requests_sent: checks sent, retransmissions included.
        requests_received: authenticated checks of the peer.
        responses_received: authenticated answers.
        round_trip_time: seconds, as last measured, or None.
        detail: why the check failed, if it did.
    """

    local: Candidate
    remote: Candidate
    state: PairState
    is_valid: bool
    is_nominated: bool
    requests_sent: int
    requests_received: int
    responses_received: int
    round_trip_time: float | None
    detail: str


def pair_priority(local: int, remote: int, role: Role) -> int:
    """RFC 8445 section 6.1.2.3: G is the controlling agent's priority, D the controlled one's."""
    g, d = (local, remote) if role is Role.CONTROLLING else (remote, local)
    return (min(g, d) << 32) + 2 * max(g, d) + (g > d)


@final
class Pair:
    """One entry of the check list.

    The check leaves from the base of the local candidate. What RFC 8445 section 7.2.5.3.2 calls the valid pair differs
    from it only in the local candidate, which is the mapped address: both share this record, `valid_local` is that
    candidate, and from then on the priority is the valid pair's. `is_overdue` says that its check had to be repeated.
    """

    __slots__ = (
        "failure",
        "foundation",
        "is_nominated",
        "is_overdue",
        "last_answer",
        "local",
        "nominate_on_success",
        "path",
        "priority",
        "remote",
        "requests_received",
        "requests_sent",
        "responses_received",
        "round_trip_time",
        "state",
        "valid_local",
    )

    def __init__(self, local: LocalCandidate, remote: Candidate, role: Role) -> None:
        self.local = local
        self.remote = remote
        self.path: Path = (local.base, remote.address)
        self.state = PairState.FROZEN
        self.foundation = (local.candidate.foundation, remote.foundation)
        self.valid_local: Candidate | None = None
        self.is_nominated = False
        self.is_overdue = False
        self.nominate_on_success = False
        self.last_answer = -math.inf
        self.round_trip_time: float | None = None
        self.requests_sent = 0
        self.requests_received = 0
        self.responses_received = 0
        self.failure = ""
        self.priority = 0
        self.compute_priority(role)

    @property
    def is_valid(self) -> bool:
        """Whether it is in the valid list."""
        return self.valid_local is not None

    @property
    def is_open(self) -> bool:
        """Whether its check has not ended."""
        return self.state <= PairState.IN_PROGRESS

    def compute_priority(self, role: Role) -> None:
        """Follow a change of role or of a candidate."""
        local = self.valid_local or self.local.candidate
        self.priority = pair_priority(local.priority, self.remote.priority, role)

    def describe(self) -> CandidatePair:
        """The pair as a value."""
        return CandidatePair(self.valid_local or self.local.candidate, self.remote, self.priority)

    def report(self) -> PairReport:
        """A snapshot for people."""
        return PairReport(
            local=self.valid_local or self.local.candidate,
            remote=self.remote,
            state=self.state,
            is_valid=self.is_valid,
            is_nominated=self.is_nominated,
            requests_sent=self.requests_sent,
            requests_received=self.requests_received,
            responses_received=self.responses_received,
            round_trip_time=self.round_trip_time,
            detail=self.failure,
        )
