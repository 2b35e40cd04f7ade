"""A candidate pair: where it stands, and what became of it (RFC 8445 section 6.1.2)."""

from __future__ import annotations

import enum
import math
from typing import TypeAlias, final

import attrs

from xp2p_trio.ice.candidates import LocalCandidate
from xp2p_trio.ice.state import Role
from xp2p_trio.sansio import Address, Transport
from xp2p_trio.sdp import Candidate, CandidateType

Path: TypeAlias = tuple[Address, Address, Transport]
"""Our base, the peer's address and what is between: what makes two pairs redundant (RFC 8445 section 6.1.2.4)."""


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
        relay_transport: how our own TURN server is reached when data goes by way of it, or None.
    """

    local: Candidate
    remote: Candidate
    priority: int
    relay_transport: Transport | None = None

    @property
    def route(self) -> str:
        """The way of the data: "direct", "via TURN/udp", "via TURN/tcp", "via TURN/tls" or "via the peer's TURN"."""
        if self.relay_transport is not None:
            return f"via TURN/{self.relay_transport.value}"
        return "via the peer's TURN" if self.remote.type is CandidateType.RELAYED else "direct"


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
        relay_transport: as of `CandidatePair`.
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
    relay_transport: Transport | None
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
    candidate, and from then on the priority is the valid pair's. `is_overdue` says that its check had to be repeated;
    `retry_at` is when a check of the peer may bring it back once the list is completed; `nomination` is 0, or the
    number of the nomination that chose it (draft-thatcher-ice-renomination; 1 without that).
    """

    __slots__ = (
        "failure",
        "foundation",
        "is_overdue",
        "last_answer",
        "last_request",
        "local",
        "nominate_on_success",
        "nomination",
        "path",
        "priority",
        "remote",
        "requests_received",
        "requests_sent",
        "responses_received",
        "retry_at",
        "round_trip_time",
        "state",
        "valid_local",
    )

    def __init__(self, local: LocalCandidate, remote: Candidate, role: Role) -> None:
        self.local = local
        self.remote = remote
        self.path: Path = (local.base, remote.address, local.transport)
        self.state = PairState.FROZEN
        self.foundation = (local.candidate.foundation, remote.foundation)
        self.valid_local: Candidate | None = None
        self.nomination = 0
        self.is_overdue = False
        self.nominate_on_success = 0
        self.last_answer = -math.inf
        self.last_request = -math.inf
        self.round_trip_time: float | None = None
        self.requests_sent = 0
        self.requests_received = 0
        self.responses_received = 0
        self.retry_at = -math.inf
        self.failure = ""
        self.priority = 0
        self.compute_priority(role)

    @property
    def is_connected(self) -> bool:
        """Whether there is a path for its checks; over TCP somebody has to connect first."""
        return self.local.candidate.tcp_type != "active" or self.path[0] != self.local.base

    @property
    def is_valid(self) -> bool:
        """Whether it is in the valid list."""
        return self.valid_local is not None

    @property
    def is_nominated(self) -> bool:
        """Whether the controlling side has chosen it."""
        return self.nomination > 0

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
        return CandidatePair(
            self.valid_local or self.local.candidate, self.remote, self.priority, self.local.relay_transport
        )

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
            relay_transport=self.local.relay_transport,
            detail=self.failure,
        )
