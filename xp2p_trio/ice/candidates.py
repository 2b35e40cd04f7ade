"""Priorities and foundations of our candidates (RFC 8445 sections 5.1.1.3 and 5.1.2)."""

from __future__ import annotations

from typing import Final, final

from xp2p_trio.sansio import Address, Transport
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

TCP_TYPE_PREFERENCES: Final = {
    CandidateType.HOST: 90,
    CandidateType.PEER_REFLEXIVE: 80,
    CandidateType.SERVER_REFLEXIVE: 70,
}
"""RFC 6544 section 4.2: below every way over UDP but that by a server."""

TCP_DIRECTIONS: Final = {"active": 6, "passive": 4}
"""RFC 6544 section 4.2, for host candidates."""

_REFLEXIVE_DIRECTION: Final = 2
"""The same for server-reflexive passive ones."""

ACTIVE_PORT: Final = 9
"""What stands for the port of a TCP candidate that only connects (RFC 6544 section 4.5)."""

MAX_PRIORITY: Final = 2**31 - 1

RELAY_PENALTIES: Final = {Transport.UDP: 0, Transport.TCP: 0x4000, Transport.TLS: 0x8000}
"""Taken from the local preference of a relayed candidate: over a stream every packet waits for a lost one before it."""


def candidate_priority(type_: CandidateType, local_preference: int, component: int = COMPONENT) -> int:
    """RFC 8445 section 5.1.2.1; `local_preference` is 0 to 65535."""
    return (TYPE_PREFERENCES[type_] << 24) + (local_preference << 8) + (256 - component)


def tcp_candidate_priority(type_: CandidateType, tcp_type: str, local_preference: int) -> int:
    """RFC 6544 section 4.2: the direction takes the upper 3 of the 16 bits of the local preference."""
    direction = _REFLEXIVE_DIRECTION if type_ is CandidateType.SERVER_REFLEXIVE else TCP_DIRECTIONS[tcp_type]
    preference = (direction << 13) + (local_preference & 0x1FFF)
    return (TCP_TYPE_PREFERENCES[type_] << 24) + (preference << 8) + (256 - COMPONENT)


def peer_reflexive_priority(base: LocalCandidate) -> int:
    """What a peer-reflexive candidate that is found by a check from this base would have (RFC 8445 section 7.1.1)."""
    if base.candidate.tcp_type is not None:
        return tcp_candidate_priority(CandidateType.PEER_REFLEXIVE, base.candidate.tcp_type, base.local_preference)
    return candidate_priority(CandidateType.PEER_REFLEXIVE, base.local_preference)


@final
class LocalCandidate:
    """A candidate of ours with what the wire does not say.

    Attributes:
        candidate: as the peer is told.
        base: the socket that it sends from; a relayed candidate is its own (RFC 8445 section 5.1.1.1).
        local_preference: of the base, one for each (RFC 8445 section 5.1.2.1).
        transport: between the base and the peer.
        relay_transport: between us and the TURN server of a relayed candidate, else None.
    """

    __slots__ = ("base", "candidate", "local_preference", "relay_transport", "transport")

    def __init__(
        self,
        candidate: Candidate,
        base: Address,
        local_preference: int,
        *,
        transport: Transport = Transport.UDP,
        relay_transport: Transport | None = None,
    ) -> None:
        self.candidate = candidate
        self.base = base
        self.local_preference = local_preference
        self.transport = transport
        self.relay_transport = relay_transport


@final
class Foundations:
    """Hands out foundations: equal for equal type, base host, server and protocol (RFC 8445 section 5.1.1.3)."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[tuple[CandidateType, str, str, str], str] = {}

    def get(self, type_: CandidateType, base_host: str, *, server_host: str = "", protocol: str = "udp") -> str:
        """The foundation of such candidates; `protocol` is that of the server for reflexive and relayed ones."""
        return self._numbers.setdefault((type_, base_host, server_host, protocol), str(len(self._numbers) + 1))
