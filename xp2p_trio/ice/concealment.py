"""Host candidates behind mDNS names: signaling tells nobody our addresses (draft-ietf-mmusic-mdns-ice-candidates)."""

from __future__ import annotations

from typing import Final, final

import attrs

from xp2p_trio.ice.events import Event, NamePublished
from xp2p_trio.mdns import random_name
from xp2p_trio.sansio import Address, RandomBytes, is_ipv6
from xp2p_trio.sdp import Candidate, CandidateType

_UNSPECIFIED: Final = ("0.0.0.0", "::")  # noqa: S104 - nothing is bound to it
_DISCARD_PORT: Final = 9


def withheld_address(host: str) -> Address:
    """The related address of a candidate at this host when the true one is nobody's business (RFC 8839 section 5.1)."""
    return _UNSPECIFIED[is_ipv6(host)], _DISCARD_PORT


@final
class Concealment:
    """What the peer is told of our candidates. Each host has one name for the life of the agent."""

    __slots__ = ("_events", "_hides", "_names", "_random_bytes")

    def __init__(self, random_bytes: RandomBytes, events: list[Event], *, hides: bool) -> None:
        self._hides = hides
        self._random_bytes = random_bytes
        self._events = events
        self._names: dict[str, str] = {}

    def conceal(self, candidate: Candidate) -> Candidate:
        """The candidate as the peer is told of it."""
        if not self._hides:
            return candidate
        if candidate.related_address is not None:
            candidate = attrs.evolve(candidate, related_address=withheld_address(candidate.host))
        # A check over TCP finds a peer-reflexive one on the host itself.
        if candidate.type is CandidateType.HOST or candidate.host in self._names:
            candidate = attrs.evolve(candidate, host=self._name(candidate.host))
        return candidate

    def _name(self, host: str) -> str:
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = random_name(self._random_bytes)
            self._events.append(NamePublished(name, host))
        return name
