"""Taking in candidates of either side and pairing them (RFC 8445 sections 6.1.2.2 and 7.3.1.3, RFC 8838)."""

from __future__ import annotations

from typing import Final

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice.addresses import is_ipv6_link_local, refuse_host
from xp2p_trio.ice.candidates import COMPONENT, MAX_PRIORITY, LocalCandidate, candidate_priority
from xp2p_trio.ice.configuration import Configuration
from xp2p_trio.ice.events import CandidateFound
from xp2p_trio.ice.pair import Pair
from xp2p_trio.ice.session import Session
from xp2p_trio.sansio import Address, canonical_address, is_ipv6
from xp2p_trio.sdp import Candidate, CandidateType

_PERMISSIVE: Final = Configuration()
"""Our own loopback and link-local addresses are the driver's to offer or not."""


def add_host_candidate(session: Session, base: Address) -> None:
    """A socket of ours (RFC 8445 section 5.1.1.1).

    Raises:
        InvalidArgument: no peer could ever use the address.
    """
    address = canonical_address(base)
    if address is None or (refusal := _refuse_own(address[0])) is not None:
        why = "it is no IP address with a port from 1 to 65535" if address is None else refusal
        raise InvalidArgument(f"{base!r} cannot be a host candidate: {why}; bind a socket to one interface address")
    if base in session.bases:
        return
    if len(session.local_candidates) >= session.configuration.max_local_candidates:
        session.counters.candidates_refused += 1
        return
    # Addresses come in the driver's order of preference; each has its own value (RFC 8445 section 5.1.2.1).
    local_preference = 65535 - len(session.bases)
    local = _make_local(session, CandidateType.HOST, address, base, local_preference)
    session.bases[base] = local
    for remote in session.remote_candidates.values():
        _pair_up(session, local, remote)


def add_server_reflexive_candidate(session: Session, base: Address, mapped: Address, server: Address) -> None:
    """Our address as a STUN server sees it (RFC 8445 section 5.1.1.2).

    It is not paired: a check could only leave from its base, so that the pair would be pruned (section 6.1.2.4).
    """
    address = canonical_address(mapped)
    host = session.bases[base]
    if address is None or _refuse_own(address[0]) is not None:
        return
    # Redundant when another candidate has this address and base (section 5.1.3): there is no NAT, or two servers agree.
    if any(c.base == base and c.candidate.address == address for c in session.local_candidates):
        return
    if len(session.local_candidates) >= session.configuration.max_local_candidates:
        session.counters.candidates_refused += 1
        return
    _make_local(session, CandidateType.SERVER_REFLEXIVE, address, base, host.local_preference, server[0])


def learn_local_peer_reflexive(session: Session, pair: Pair, mapped: Address, priority: int) -> Candidate:
    """The local candidate of the valid pair (RFC 8445 sections 7.2.5.3.1 and 7.2.5.3.2)."""
    host = pair.local
    for local in session.local_candidates:
        if local.base == host.base and local.candidate.address == mapped:
            return local.candidate
    candidate = Candidate(
        foundation=session.foundations.get(CandidateType.PEER_REFLEXIVE, host.candidate.host),
        component=COMPONENT,
        transport="udp",
        priority=priority,
        host=mapped[0],
        port=mapped[1],
        type=CandidateType.PEER_REFLEXIVE,
        related_address=host.candidate.address,
        username_fragment=session.local_credentials.username_fragment,
    )
    if len(session.local_candidates) < session.configuration.max_local_candidates:
        session.local_candidates.append(LocalCandidate(candidate, host.base, host.local_preference))
    return candidate


def add_remote_candidate(session: Session, candidate: Candidate) -> None:
    """A candidate that the peer has told us. What cannot be used is counted and never fatal."""
    if session.remote_credentials is None:
        if len(session.early_candidates) < session.configuration.max_remote_candidates:
            session.early_candidates.append(candidate)
        else:
            session.counters.candidates_refused += 1
        return
    if candidate.host.endswith(".local"):
        session.counters.candidates_mdns += 1
        session.counters.candidates_ignored += 1
        return
    address = canonical_address(candidate.address)
    fragment = candidate.username_fragment
    stale = fragment is not None and fragment != session.remote_credentials.username_fragment
    if address is None or stale or candidate.component != COMPONENT or candidate.transport != "udp":
        session.counters.candidates_ignored += 1
        return
    if refuse_host(candidate.host, session.configuration) is not None:
        session.counters.candidates_refused += 1
        return
    if candidate.address != address:
        candidate = attrs.evolve(candidate, host=address[0])
    is_learned = address in session.learned_remotes
    if address in session.remote_candidates and not is_learned:
        return
    told = len(session.remote_candidates) - len(session.learned_remotes)
    if told >= session.configuration.max_remote_candidates:
        session.counters.candidates_refused += 1
        return
    if is_learned:
        _replace_peer_reflexive(session, candidate)
        return
    session.remote_candidates[address] = candidate
    for local in session.bases.values():
        _pair_up(session, local, candidate)


def find_or_learn_remote(session: Session, source: Address, priority: int | None) -> Candidate | None:
    """The candidate that a check came from, learned if it is new (RFC 8445 section 7.3.1.3)."""
    known = session.remote_candidates.get(source)
    if known is not None:
        return known
    over_limit = len(session.learned_remotes) >= session.configuration.max_peer_reflexive_candidates
    if priority is None or over_limit or refuse_host(source[0], session.configuration) is not None:
        session.counters.candidates_refused += 1
        return None
    taken = {candidate.foundation for candidate in session.remote_candidates.values()}
    number = len(taken)
    while f"prflx{number}" in taken:
        number += 1
    candidate = Candidate(
        foundation=f"prflx{number}",
        component=COMPONENT,
        transport="udp",
        priority=min(max(priority, 1), MAX_PRIORITY),
        host=source[0],
        port=source[1],
        type=CandidateType.PEER_REFLEXIVE,
    )
    session.learned_remotes.add(source)
    session.remote_candidates[source] = candidate
    return candidate


def find_or_make_pair(session: Session, base: Address, remote: Candidate) -> Pair | None:
    """The pair of a check that came in (RFC 8445 section 7.3.1.4); None if the limit leaves no room for it."""
    pair = session.check_list.pairs.get((base, remote.address))
    if pair is None:
        pair = Pair(session.bases[base], remote, session.role)
        if not session.check_list.add(pair, is_checked_by_peer=True):
            session.counters.candidates_refused += 1
            return None
    return pair


def _make_local(
    session: Session,
    type_: CandidateType,
    address: Address,
    base: Address,
    local_preference: int,
    server_host: str | None = None,
) -> LocalCandidate:
    base_address = canonical_address(base) or base
    candidate = Candidate(
        foundation=session.foundations.get(type_, base_address[0], server_host),
        component=COMPONENT,
        transport="udp",
        priority=candidate_priority(type_, local_preference),
        host=address[0],
        port=address[1],
        type=type_,
        related_address=None if type_ is CandidateType.HOST else base_address,
        username_fragment=session.local_credentials.username_fragment,
    )
    local = LocalCandidate(candidate, base, local_preference)
    session.local_candidates.append(local)
    session.events.append(CandidateFound(candidate))
    return local


def _pair_up(session: Session, local: LocalCandidate, remote: Candidate) -> None:
    if session.check_list.is_completed or (local.base, remote.address) in session.check_list.pairs:
        return
    # Two homes may use the same private addresses; a check to it would come back to us.
    if local.base == remote.address:
        return
    ours, theirs = local.candidate.host, remote.host
    # Same family, and IPv6 link-local only with its like (RFC 8445 section 6.1.2.2).
    if is_ipv6(ours) != is_ipv6(theirs) or is_ipv6_link_local(ours) != is_ipv6_link_local(theirs):
        return
    if not session.check_list.add(Pair(local, remote, session.role)):
        session.counters.candidates_refused += 1


def _replace_peer_reflexive(session: Session, candidate: Candidate) -> None:
    """The peer tells us what a learned candidate really is (RFC 8445 section 7.3.1.3)."""
    session.remote_candidates[candidate.address] = candidate
    session.learned_remotes.remove(candidate.address)
    for pair in session.check_list.pairs.values():
        if pair.remote.address == candidate.address:
            pair.remote = candidate
            pair.foundation = (pair.foundation[0], candidate.foundation)
            pair.compute_priority(session.role)
    for local in session.bases.values():
        _pair_up(session, local, candidate)


def _refuse_own(host: str) -> str | None:
    return refuse_host(host, _PERMISSIVE)
