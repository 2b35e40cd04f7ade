"""Taking in the peer's candidates and pairing them with ours (RFC 8445 sections 6.1.2.2 and 7.3.1.3, RFC 8838)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from xp2p_trio.ice.addresses import is_ipv6_link_local, refuse_host
from xp2p_trio.ice.candidates import (
    COMPONENT,
    MAX_PRIORITY,
    LocalCandidate,
)
from xp2p_trio.ice.configuration import CONSENT_EXPIRY
from xp2p_trio.ice.events import NameRequested
from xp2p_trio.ice.pair import Pair
from xp2p_trio.ice.session import Endpoint, Session
from xp2p_trio.sansio import Address, Transport, canonical_address, canonical_host, is_ipv6
from xp2p_trio.sdp import Candidate, CandidateType

MAX_NAMES: Final = 16
"""mDNS names of the peer that are resolved at a time; browsers have one for each address."""

MAX_CANDIDATES_OF_NAME: Final = 4
MAX_HOSTS_OF_NAME: Final = 4


def add_remote_candidate(session: Session, candidate: Candidate) -> None:
    """A candidate that the peer has told us. What cannot be used is counted and never fatal."""
    if session.remote_credentials is None:
        if len(session.early_candidates) < session.configuration.max_remote_candidates:
            session.early_candidates.append(candidate)
        else:
            session.counters.candidates_refused += 1
        return
    if not _is_usable(session, candidate):
        # One that only connects is of use, but is in no pair (RFC 6544 section 6.2): it is learned as it comes.
        if not (session.configuration.tcp and candidate.tcp_type == "active"):
            session.counters.candidates_ignored += 1
        return
    if candidate.host.endswith(".local"):
        if not session.configuration.lite:  # which sends nothing there
            _ask_for_name(session, candidate)
        return
    address = canonical_address(candidate.address)
    if address is None:
        session.counters.candidates_ignored += 1
        return
    if not may_be_checked(session, candidate.host):
        session.counters.candidates_refused += 1
        return
    if candidate.address != address:
        candidate = attrs.evolve(candidate, host=address[0])
    endpoint = (address, Transport(candidate.transport))
    is_learned = endpoint in session.learned_remotes
    if endpoint in session.remote_candidates and not is_learned:
        return
    told = len(session.remote_candidates) - len(session.learned_remotes)
    if told >= session.configuration.max_remote_candidates:
        session.counters.candidates_refused += 1
        return
    if is_learned:
        _replace_peer_reflexive(session, endpoint, candidate)
        return
    session.add_remote(endpoint, candidate)
    _pair_with_all(session, candidate)


def take_name(session: Session, name: str, hosts: Sequence[str]) -> None:
    """An mDNS name was resolved, or was not when there are no hosts."""
    for candidate in session.unresolved.pop(name, ()):
        if hosts:
            session.counters.candidates_mdns -= 1
        for host in hosts[:MAX_HOSTS_OF_NAME]:
            canonical = canonical_host(host)
            if canonical is not None:
                add_remote_candidate(session, attrs.evolve(candidate, host=canonical))


def find_or_learn_remote(
    session: Session, source: Address, transport: Transport, priority: int | None
) -> Candidate | None:
    """The candidate that a check came from, learned if it is new (RFC 8445 section 7.3.1.3)."""
    endpoint = (source, transport)
    known = session.remote_candidates.get(endpoint)
    if known is not None:
        return known
    if priority is None or not may_be_checked(session, source[0]) or not _has_room_to_learn(session):
        session.counters.candidates_refused += 1
        return None
    taken = {candidate.foundation for candidate in session.remote_candidates.values()}
    number = len(taken)
    while f"prflx{number}" in taken:
        number += 1
    candidate = Candidate(
        foundation=f"prflx{number}",
        component=COMPONENT,
        transport=transport.value,
        priority=min(max(priority, 1), MAX_PRIORITY),
        host=source[0],
        port=source[1],
        type=CandidateType.PEER_REFLEXIVE,
        tcp_type=None if transport is Transport.UDP else "active",
    )
    session.learned_remotes[endpoint] = None
    session.add_remote(endpoint, candidate)
    return candidate


def _has_room_to_learn(session: Session) -> bool:
    """Whether the limit leaves room, or the oldest of those that have answered once and do no more makes it.

    A NAT that maps the peer anew every few minutes makes one after the other known. What has never answered stays, so
    that no peer can have checks sent to ever more addresses.
    """
    if len(session.learned_remotes) < session.configuration.max_peer_reflexive_candidates:
        return True
    for endpoint in session.learned_remotes:
        pairs = [p for p in session.check_list.pairs.values() if (p.remote.address, p.path[2]) == endpoint]
        if pairs and all(_has_left(session, pair) for pair in pairs):
            for pair in pairs:
                session.check_list.remove(pair)
                session.valid_paths.discard(pair.path)
            del session.learned_remotes[endpoint], session.remote_candidates[endpoint]
            session.late_remotes.discard(endpoint)
            return True
    return False


def _has_left(session: Session, pair: Pair) -> bool:
    if pair is session.selected or session.now < pair.last_answer + CONSENT_EXPIRY:
        return False
    return session.configuration.lite or (bool(pair.responses_received) and not pair.is_open)


def find_or_make_pair(session: Session, base: Address, remote: Candidate, transport: Transport) -> Pair | None:
    """The pair of a check that came in (RFC 8445 section 7.3.1.4); None if the limit leaves no room for it."""
    pair = session.check_list.pairs.get((base, remote.address, transport))
    if pair is None:
        local = session.bases.get(base) if transport is Transport.UDP else session.passive.get(base)
        if local is None:
            return None
        pair = Pair(local, remote, session.role)
        if not session.check_list.add(pair, is_checked_by_peer=True):
            session.counters.candidates_refused += 1
            return None
        session.shared.relays.permit(base, remote.host, session.now)
    return pair


def _is_usable(session: Session, candidate: Candidate) -> bool:
    """Whether it is of this session, and of a kind that leads somewhere."""
    assert session.remote_credentials is not None
    fragment = candidate.username_fragment
    if fragment is not None and fragment != session.remote_credentials.username_fragment:
        return False
    if candidate.component != COMPONENT:
        return False
    if candidate.transport == "tcp":
        return session.configuration.tcp and candidate.tcp_type == "passive"
    return candidate.transport == "udp"


def may_be_checked(session: Session, host: str) -> bool:
    """Whether anything is sent to this host, as far as policy goes."""
    return refuse_host(host, session.configuration) is None and session.configuration.remote_filter.admits(host)


def _ask_for_name(session: Session, candidate: Candidate) -> None:
    name = candidate.host
    session.counters.candidates_mdns += 1
    waiting = session.unresolved.get(name)
    if waiting is None:
        is_enough = session.names_asked >= session.configuration.max_remote_candidates  # each is asked of everybody
        if len(session.unresolved) >= MAX_NAMES or is_enough or session.shared.relay_only:
            session.counters.candidates_refused += 1
            return
        session.names_asked += 1
        session.unresolved[name] = [candidate]
        session.events.append(NameRequested(name))
    elif len(waiting) < MAX_CANDIDATES_OF_NAME:
        waiting.append(candidate)


def _pair_with_all(session: Session, remote: Candidate) -> None:
    for local in (*session.bases.values(), *session.active.values()):
        pair_up(session, local, remote)


def pair_up(session: Session, local: LocalCandidate, remote: Candidate) -> None:
    """Add the pair of two candidates to the check list, if it is one and is wanted (RFC 8445 section 6.1.2)."""
    check_list = session.check_list
    path = (local.base, remote.address, local.transport)
    if session.configuration.lite or not check_list.takes_pairs or path in check_list.pairs:
        return
    if local.transport.value != remote.transport or remote.tcp_type == "active":
        return
    # Two homes may use the same private addresses; a check to it would come back to us.
    if remote.address == local.base or (local.transport is Transport.TCP and remote.address in session.passive):
        return
    ours, theirs = local.candidate.host, remote.host
    # Same family, and IPv6 link-local only with its like (RFC 8445 section 6.1.2.2).
    if is_ipv6(ours) != is_ipv6(theirs) or is_ipv6_link_local(ours) != is_ipv6_link_local(theirs):
        return
    pair = Pair(local, remote, session.role)
    if check_list.floor is not None and pair.priority <= check_list.floor:
        return
    if check_list.add(pair):
        session.shared.relays.permit(local.base, remote.host, session.now)
    else:
        session.counters.candidates_refused += 1


def _replace_peer_reflexive(session: Session, endpoint: Endpoint, candidate: Candidate) -> None:
    """The peer tells us what a learned candidate really is (RFC 8445 section 7.3.1.3)."""
    session.remote_candidates[endpoint] = candidate
    del session.learned_remotes[endpoint]
    for pair in session.check_list.pairs.values():
        if (pair.remote.address, pair.path[2]) == endpoint:
            pair.remote = candidate
            pair.foundation = (pair.foundation[0], candidate.foundation)
            pair.compute_priority(session.role)
    _pair_with_all(session, candidate)
