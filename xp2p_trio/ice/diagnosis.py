"""Why no path worked, in words for a person."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from xp2p_trio.ice.facts import NetworkFacts, Outcome, ServerFacts, Sighting
from xp2p_trio.ice.gathering import Gathering
from xp2p_trio.ice.relay import server_name
from xp2p_trio.ice.session import Session
from xp2p_trio.ice.verdict import advise, explain_silence
from xp2p_trio.sansio import Transport
from xp2p_trio.sdp import Candidate, CandidateType

_KINDS = {
    CandidateType.HOST: "host",
    CandidateType.SERVER_REFLEXIVE: "server-reflexive",
    CandidateType.PEER_REFLEXIVE: "peer-reflexive",
    CandidateType.RELAYED: "relay",
}


def explain_no_path(session: Session, gathering: Gathering) -> str:
    """What was tried, what each side offered, and what to do."""
    if session.configuration.lite:
        return _explain_lite(session)
    ours = [local.candidate for local in session.local_candidates]
    theirs = list(session.remote_candidates.values())
    sentences = [
        _tried(session) + ".",
        f"We offered {_offered(ours)}{_servers(gathering)}; they offered {_offered(theirs)}{_unusable(session)}.",
        _advise(session, gathering, ours, theirs),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _explain_lite(session: Session) -> str:
    if session.is_remote_lite:
        return "both sides are ICE-lite and wait for the other's checks; one of them has to be a full agent"
    if session.counters.requests_received:
        return "the peer's checks have come, and none of them has nominated a path; is the peer a full ICE agent?"
    if session.counters.stun_unauthenticated:
        return "checks came in with wrong credentials: is the description that of this session?"
    return (
        "no check of the peer has come, and an ICE-lite agent makes none itself: it needs an address that peers reach. "
        "Check the firewall, and public_addresses where this machine is behind a NAT"
    )


def _tried(session: Session) -> str:
    pairs = session.check_list.pairs.values()
    tried = [pair for pair in pairs if pair.requests_sent or pair.failure]
    if not tried:
        return "no path worked: there was no pair of candidates to try"
    outcomes = Counter(re.split(r" after | \(", pair.failure)[0] or "had no answer" for pair in tried)
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return f"no path worked: {len(tried)} {'pair' if len(tried) == 1 else 'pairs'} tried, {said}"


def _offered(candidates: list[Candidate]) -> str:
    counts = Counter(candidate.type for candidate in candidates)
    parts = [
        f"{counts[type_]} {name} {'candidate' if counts[type_] == 1 else 'candidates'}"
        for type_, name in _KINDS.items()
        if counts[type_]
    ]
    return " and ".join(parts) if parts else "no candidates"


def _servers(gathering: Gathering) -> str:
    servers = gathering.servers
    if not servers.stun and not servers.turn and not servers.failures:
        return " (no STUN server was configured)"
    if not servers.failures:
        return ""
    said = "; ".join(
        f"{failure.name} {f'answered {failure.code}' if failure.code else failure.detail}"
        for failure in servers.failures.values()
    )
    return f" ({said})" if gathering.answered else f" and no server-reflexive one ({said})"


def _unusable(session: Session) -> str:
    counters = session.counters
    parts = []
    if counters.candidates_mdns:
        count = counters.candidates_mdns
        parts.append(f"{count} mDNS {'name that was' if count == 1 else 'names that were'} not resolved")
    if counters.candidates_ignored:
        parts.append(f"{counters.candidates_ignored} that cannot be used")
    return f", besides {' and '.join(parts)}" if parts else ""


def _advise(session: Session, gathering: Gathering, ours: list[Candidate], theirs: list[Candidate]) -> str:
    if session.counters.stun_unauthenticated and not session.counters.requests_received:
        return "Checks came in with wrong credentials: is the description that of this session?"
    if session.counters.requests_received:
        return "Their checks reach us and our checks are not answered: something blocks one direction."
    facts = network_facts(session, gathering)
    if not ours and session.shared.relay_only:
        return " ".join(["No TURN server relays for us, and nothing else may be offered.", *advise(facts)])
    if not ours:
        return "No socket of ours could be bound to an address: check the interfaces."
    if not theirs:
        return "Did their candidates reach add_remote_candidate?"
    is_relayed = any(candidate.type is CandidateType.RELAYED for candidate in ours + theirs)
    return explain_silence(facts, is_relayed=is_relayed)


def network_facts(session: Session, gathering: Gathering) -> NetworkFacts:
    """What a session knows of its network."""
    return NetworkFacts(
        hosts=tuple(base[0] for base in session.bases if base not in session.shared.relays),
        sightings=tuple(
            Sighting(local=local, server=server, mapped=mapped) for (local, server), mapped in gathering.mapped.items()
        ),
        servers=tuple(_server_facts(session, gathering)),
    )


def _server_facts(session: Session, gathering: Gathering) -> Iterator[ServerFacts]:
    """Of each server by its name, once it has answered or failed."""
    stun, turn = gathering.servers.stun, {server_name(server): server for server in gathering.servers.turn}
    working = {stun[server] for server in gathering.answered if server in stun}
    working |= {server_name(relay.server) for relay in session.shared.relays.ready}
    refused = {stun[server] for server in gathering.refused}
    for name in dict.fromkeys((*stun.values(), *turn, *gathering.servers.failures)):
        transport = turn[name].transport if name in turn else Transport.UDP
        failure = gathering.servers.failures.get(name)
        if name in working:
            yield ServerFacts(name=name, outcome=Outcome.WORKS, transport=transport)
        elif failure is not None:
            if failure.code or name in refused:
                outcome = Outcome.REFUSED
            else:
                outcome = Outcome.UNREACHABLE if name in turn or name in stun.values() else Outcome.NOT_ASKED
            # With a code, the detail says in other words what the advice is to say.
            detail = "" if failure.code else failure.detail
            yield ServerFacts(
                name=name,
                outcome=outcome,
                transport=transport,
                code=failure.code,
                realm=failure.realm,
                detail=detail,
            )


def explain_consent(session: Session) -> str:
    """Whose silence has lasted too long, and what lay between."""
    selected = session.selected
    if selected is None:
        return "the peer has not answered consent checks for 30 s. Start a new session"
    host, port = selected.remote.address
    relay = session.shared.relays.at(selected.local.base)
    way = "" if relay is None else f", by way of {server_name(relay.server)},"
    if relay is not None and relay.waits_for_credentials:
        cause = "it takes the credentials no longer, and there are no others"
    elif selected.failure:
        cause = f"{'that way is gone' if relay is None else 'nothing gets through'}: {selected.failure}"
    elif relay is not None:
        cause = "the peer or the server is gone, or a network has changed"
    else:
        cause = "the peer is gone, or a network has changed"
    return f"{host} port {port}{way} has not answered consent checks for 30 s; {cause}. Start a new session"
