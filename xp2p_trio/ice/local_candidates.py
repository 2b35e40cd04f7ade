"""Our candidates: sockets, what servers show of them, addresses on TURN servers, TCP ports (RFC 8445 section 5.1.1)."""

from __future__ import annotations

from typing import Final

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice.addresses import refuse_host
from xp2p_trio.ice.candidates import (
    ACTIVE_PORT,
    COMPONENT,
    RELAY_PENALTIES,
    LocalCandidate,
    candidate_priority,
    tcp_candidate_priority,
)
from xp2p_trio.ice.concealment import withheld_address
from xp2p_trio.ice.configuration import Configuration
from xp2p_trio.ice.events import CandidateFound
from xp2p_trio.ice.pair import Pair
from xp2p_trio.ice.pairing import pair_up
from xp2p_trio.ice.relay import Relay
from xp2p_trio.ice.session import Session
from xp2p_trio.sansio import Address, Transport, canonical_address
from xp2p_trio.sdp import Candidate, CandidateType

_PERMISSIVE: Final = Configuration()
"""Our own loopback and link-local addresses are the driver's to offer or not."""


def check_own_address(base: Address) -> Address:
    """The canonical form of a socket's address.

    Raises:
        InvalidArgument: no peer could ever use the address.
    """
    address = canonical_address(base)
    if address is None or (refusal := _refuse_own(address[0])) is not None:
        why = "it is no IP address with a port from 1 to 65535" if address is None else refusal
        raise InvalidArgument(f"{base!r} cannot be a host candidate: {why}; bind a socket to one interface address")
    return address


def add_host_candidate(session: Session, base: Address, local_preference: int) -> None:
    """A socket of ours (RFC 8445 section 5.1.1.1)."""
    configuration = session.configuration
    address = check_own_address(base)
    if base in session.bases or session.shared.relay_only:
        return
    if not _has_room(session):
        return
    public = configuration.public_addresses.get(address[0])
    # A lite agent has host candidates alone (RFC 8445 section 5.1.1), so that it calls itself by its public address.
    shown = (public, address[1]) if public is not None and configuration.lite else address
    local = _make_local(session, CandidateType.HOST, shown, base, local_preference)
    session.bases[base] = local
    if public is not None and not configuration.lite and _has_room(session):
        _make_local(session, CandidateType.SERVER_REFLEXIVE, (public, address[1]), base, local_preference, public)
    for remote in session.remote_candidates.values():
        pair_up(session, local, remote)


def add_server_reflexive_candidate(session: Session, base: Address, mapped: Address, server: Address) -> None:
    """Our address as a STUN server sees it (RFC 8445 section 5.1.1.2).

    It is not paired: a check could only leave from its base, so that the pair would be pruned (section 6.1.2.4).
    """
    address = canonical_address(mapped)
    host = session.bases.get(base)
    if address is None or host is None or _refuse_own(address[0]) is not None:
        return
    # Redundant when another candidate has this address and base (section 5.1.3): there is no NAT, or two servers agree.
    if any(c.base == base and c.candidate.address == address for c in session.local_candidates):
        return
    if _has_room(session):
        preference = _free_preference(session, CandidateType.SERVER_REFLEXIVE, host.local_preference)
        _make_local(session, CandidateType.SERVER_REFLEXIVE, address, base, preference, server[0])


def add_relayed_candidate(session: Session, relay: Relay) -> None:
    """An address on a TURN server (RFC 8445 section 5.1.1.2): its own base, which is paired as a socket is."""
    base, transport = relay.address, relay.server.transport
    if base is None or base in session.bases or not _has_room(session):
        return
    wanted = max(0, relay.local_preference - RELAY_PENALTIES[transport])
    preference = _free_preference(session, CandidateType.RELAYED, wanted)
    candidate = _candidate(
        session,
        CandidateType.RELAYED,
        base,
        candidate_priority(CandidateType.RELAYED, preference),
        session.foundations.get(CandidateType.RELAYED, base[0], server_host=relay.target[0], protocol=transport.value),
        # RFC 8839 section 5.1 wants the mapped address here, which nobody needs and which tells where we are.
        related_address=withheld_address(base[0]),
    )
    local = LocalCandidate(candidate, base, preference, relay_transport=transport)
    _tell(session, local)
    session.bases[base] = local
    for remote in session.remote_candidates.values():
        pair_up(session, local, remote)


def remove_base(session: Session, base: Address, transport: Transport, why: str) -> None:
    """A socket or a relayed address is gone. A selected pair stays until another takes its place or consent ends."""
    bases = {base}
    if transport is Transport.UDP:
        session.bases.pop(base, None)
    else:
        session.passive.pop(base, None)
        if not any(host == base[0] for host, _ in session.passive) and (active := session.active.pop(base[0], None)):
            bases.add(active.base)
    pairs = session.check_list.pairs.values()
    gone = [pair for pair in pairs if pair.local.transport is transport and pair.local.base in bases]
    session.local_candidates = [
        local for local in session.local_candidates if local.transport is not transport or local.base not in bases
    ]
    for transaction_id, check in list(session.checks.items()):
        if check.pair in gone:
            check.transaction.cancel()
            del session.checks[transaction_id]
    for pair in gone:
        session.valid_paths.discard(pair.path)
        if session.nominee is pair:
            session.nominee = None
            session.is_nomination_due = False
        if session.selected is pair:
            session.drop_selected(why)
        else:
            session.check_list.fail(pair, why)
            session.check_list.remove(pair)


def add_tcp_candidates(session: Session, base: Address, local_preference: int) -> None:
    """A TCP port that listens, and the right to connect from its host (RFC 6544 section 4.1)."""
    address = check_own_address(base)
    if base in session.passive or session.shared.relay_only:
        return
    host = address[0]
    if host not in session.active:
        if not _has_room(session):
            return
        place = (host, ACTIVE_PORT)
        local = session.active[host] = _make_tcp(session, CandidateType.HOST, "active", place, place, local_preference)
        for remote in session.remote_candidates.values():
            pair_up(session, local, remote)
    if not _has_room(session):
        return
    session.passive[base] = _make_tcp(session, CandidateType.HOST, "passive", address, base, local_preference)
    public = session.configuration.public_addresses.get(host)
    if public is not None and _has_room(session):
        _make_tcp(
            session, CandidateType.SERVER_REFLEXIVE, "passive", (public, address[1]), base, local_preference, public
        )


def learn_local_peer_reflexive(session: Session, pair: Pair, mapped: Address, priority: int) -> Candidate:
    """The local candidate of the valid pair (RFC 8445 sections 7.2.5.3.1 and 7.2.5.3.2)."""
    host = pair.local
    for local in session.local_candidates:
        if (local.base, local.transport) == (host.base, host.transport) and local.candidate.address == mapped:
            return local.candidate
    candidate = _candidate(
        session,
        CandidateType.PEER_REFLEXIVE,
        mapped,
        priority,
        session.foundations.get(CandidateType.PEER_REFLEXIVE, host.candidate.host, protocol=host.transport.value),
        related_address=host.candidate.address,
        tcp_type=host.candidate.tcp_type,
    )
    if len(session.local_candidates) < session.configuration.max_local_candidates:
        session.local_candidates.append(
            LocalCandidate(candidate, host.base, host.local_preference, transport=host.transport)
        )
    return candidate


def _free_preference(session: Session, type_: CandidateType, wanted: int) -> int:
    """The next one below that no other candidate of the type has (RFC 8445 section 5.1.2.1)."""
    taken = {local.local_preference for local in session.local_candidates if local.candidate.type is type_}
    while wanted in taken and wanted > 0:
        wanted -= 1
    return wanted


def _has_room(session: Session) -> bool:
    if len(session.local_candidates) < session.configuration.max_local_candidates:
        return True
    session.counters.candidates_refused += 1
    return False


def _candidate(
    session: Session,
    type_: CandidateType,
    address: Address,
    priority: int,
    foundation: str,
    *,
    related_address: Address | None = None,
    tcp_type: str | None = None,
) -> Candidate:
    # Each has its own priority and local preference (RFC 8445 section 5.1.2): the first of one base is preferred.
    taken = {local.candidate.priority for local in session.local_candidates}
    while priority in taken:
        priority -= 1 << 8
    return Candidate(
        foundation=foundation,
        component=COMPONENT,
        transport="udp" if tcp_type is None else "tcp",
        priority=priority,
        host=address[0],
        port=address[1],
        type=type_,
        related_address=related_address,
        tcp_type=tcp_type,
        username_fragment=session.local_credentials.username_fragment,
    )


def _make_local(
    session: Session,
    type_: CandidateType,
    address: Address,
    base: Address,
    local_preference: int,
    server_host: str = "",
) -> LocalCandidate:
    base_address = canonical_address(base) or base
    candidate = _candidate(
        session,
        type_,
        address,
        candidate_priority(type_, local_preference),
        session.foundations.get(type_, base_address[0], server_host=server_host),
        related_address=None if type_ is CandidateType.HOST else base_address,
    )
    local = LocalCandidate(candidate, base, local_preference)
    _tell(session, local)
    return local


def _make_tcp(
    session: Session,
    type_: CandidateType,
    tcp_type: str,
    address: Address,
    base: Address,
    local_preference: int,
    server_host: str = "",
) -> LocalCandidate:
    base_address = canonical_address(base) or base
    candidate = _candidate(
        session,
        type_,
        address,
        tcp_candidate_priority(type_, tcp_type, local_preference),
        session.foundations.get(type_, base_address[0], server_host=server_host, protocol=f"tcp {tcp_type}"),
        related_address=None if type_ is CandidateType.HOST else base_address,
        tcp_type=tcp_type,
    )
    local = LocalCandidate(candidate, base, local_preference, transport=Transport.TCP)
    _tell(session, local)
    return local


def _tell(session: Session, local: LocalCandidate) -> None:
    session.local_candidates.append(local)
    session.events.append(CandidateFound(session.shared.concealment.conceal(local.candidate)))


def _refuse_own(host: str) -> str | None:
    return refuse_host(host, _PERMISSIVE)
