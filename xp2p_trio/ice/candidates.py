"""Priorities and foundations of our candidates (RFC 8445 sections 5.1.1.3 and 5.1.2)."""

from __future__ import annotations

from typing import Final, final

from xp2p_trio.sansio import Address
from xp2p_trio.sdp import Candidate, CandidateType

COMPONENT: Final = 1
"""Data channels have one component (RFC 8839 section 5.1)."""

TYPE_PREFERENCES: Final = {
    CandidateType.HOST: 126,
    CandidateType.PEER_REFLEXIVE: 110,
    CandidateType.SERVER_REFLEXIVE: 100,
    CandidateType.RELAYED: 0,
}
"""RFC 8445 section 5.1.2.2."""

MAX_PRIORITY: Final = 2**31 - 1


def candidate_priority(type_: CandidateType, local_preference: int, component: int = COMPONENT) -> int:
    """RFC 8445 section 5.1.2.1; `local_preference` is 0 to 65535."""
    return (TYPE_PREFERENCES[type_] << 24) + (local_preference << 8) + (256 - component)


@final
class LocalCandidate:
    """A candidate of ours with what the wire does not say.

    Attributes:
        candidate: as the peer is told.
        base: the socket that it sends from (RFC 8445 section 5.1.1.1).
        local_preference: of the base, one for each (RFC 8445 section 5.1.2.1).
    """

    __slots__ = ("base", "candidate", "local_preference")

    def __init__(self, candidate: Candidate, base: Address, local_preference: int) -> None:
        self.candidate = candidate
        self.base = base
        self.local_preference = local_preference


@final
class Foundations:
    """Hands out foundations: equal for equal type, base host, server and protocol (RFC 8445 section 5.1.1.3)."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[tuple[CandidateType, str, str | None], str] = {}

    def get(self, type_: CandidateType, base_host: str, server_host: str | None = None) -> str:
        """The foundation of candidates of this kind. UDP is the only protocol."""
        return self._numbers.setdefault((type_, base_host, server_host), str(len(self._numbers) + 1))
