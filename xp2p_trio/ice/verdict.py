"""What a network lets its machine reach, in words for a person: facts in, sentences out.

`xp2p-trio doctor` and the failure of a connection speak alike, since the words of both come from here. A sentence
claims no more than the facts do: the silence of one server is not yet a firewall.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import Final

import attrs

from xp2p_trio.ice.facts import NatMapping, NetworkFacts, Outcome, ServerFacts
from xp2p_trio.sansio import Transport
from xp2p_trio.turn import REMEDIES

_MAX_QUOTED: Final = 100
_SYMMETRIC: Final = "This NAT uses another port for each destination (symmetric)"


class Reach(enum.StrEnum):
    """What comes of the facts; the value is for machines."""

    GOOD = "good"
    """Direct to most peers, or a relay is there for those that are not."""
    LIMITED = "limited"
    """A relay is needed for some peers, or may be, and there is none."""
    RELAY_ONLY = "relay-only"
    """Nothing but a relay leads out."""
    OFFLINE = "offline"
    """No way out was found."""


@attrs.frozen
class Verdict:
    """What the facts come to.

    Attributes:
        reach: in one word, for machines.
        summary: in one sentence.
        advice: what to do, most important first; none where nothing is wrong.
    """

    reach: Reach
    summary: str
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.summary, *self.advice))


def explain(facts: NetworkFacts) -> Verdict:
    """What can be reached, and what to do about the rest."""
    reach, summary = _judge(facts)
    if facts.hosts is not None and not any(map(_leads_out, facts.hosts)):
        advice = ["Connect this machine to a network."]
    else:
        advice = advise(facts)
        if reach is not Reach.OFFLINE and (question := _open_question(facts)):
            advice.append(question)
    if facts.ipv6 and not facts.is_ipv6_enabled and reach is not Reach.GOOD:
        advice.append("This machine has a global IPv6 address: enable IPv6 for peers that have one too (-6).")
    return Verdict(reach, summary, tuple(advice))


def explain_silence(facts: NetworkFacts, *, is_relayed: bool) -> str:
    """Why checks may have had no answer, and what to do.

    Args:
        facts: what is known of our own network.
        is_relayed: whether either side offered a relay candidate.
    """
    sentences = [_suspect(facts, is_relayed=is_relayed)]
    sentences += [_blame(server) for server in facts.servers if server.code]
    if not (facts.udp and is_relayed):
        sentences += _propose(facts)
    return " ".join(sentences)


def advise(facts: NetworkFacts) -> list[str]:
    """What to do about servers that are of no use, and which one to add."""
    silent = [server.name for server in facts.servers if _is_silent(server)]
    advice = [_blame(each) for each in facts.servers if each.outcome is not Outcome.WORKS and not _is_silent(each)]
    if silent:
        advice.append(_explain_silent(silent, facts))
    return advice + _propose(facts)


def _suspect(facts: NetworkFacts, *, is_relayed: bool) -> str:
    if facts.udp:
        if is_relayed:
            return "UDP gets out of here, so the peer is gone, or its own network blocks UDP."
        if facts.mapping is NatMapping.VARIES:
            return f"{_SYMMETRIC}, so that this peer needs a relay (TURN), or the peer is gone."
        return "UDP gets out of here: both sides are behind a NAT that needs a relay (TURN), or the peer is gone."
    blocked = "UDP may be blocked" if facts.udp is None else "UDP looks blocked"
    if is_relayed:
        return f"{blocked}, or the peer is gone."
    return f"{blocked}, or both sides are behind a NAT that needs a relay (TURN)."


def _propose(facts: NetworkFacts) -> list[str]:
    """Which server to add."""
    relays = facts.relays
    if not facts.servers:
        return ["Add a stun: server, to be seen from beyond this network, and a turn: server as a relay."]
    if facts.working_relay is not None:
        return []
    if facts.udp and not relays:
        return ["Add a turn: server for the peers that cannot be reached directly."]
    if facts.udp is False and not any(server.transport.is_stream for server in relays):
        return ["If UDP is blocked here, add a turns: server, or a turn: server with ?transport=tcp."]
    if facts.udp is False and not any(server.transport is Transport.TLS for server in relays):
        return ["Add a turns: server on port 443, which firewalls seldom block."]
    return []


def _judge(facts: NetworkFacts) -> tuple[Reach, str]:
    relay = facts.working_relay
    if facts.hosts is not None and not any(map(_leads_out, facts.hosts)):
        if facts.hosts:
            return Reach.OFFLINE, "There is no network: only this machine itself is in reach."
        return Reach.OFFLINE, "There is no network: no interface has an address that can be used."
    if facts.udp:
        return _judge_with_udp(facts, None if relay is None else relay.name)
    if relay is not None:
        reason = "UDP looks blocked" if facts.udp is False else "Whether UDP gets out is unknown"
        return (
            Reach.RELAY_ONLY,
            f"{reason}: peers beyond this network are reached through {relay.name}, over {relay.transport.name}.",
        )
    if not facts.servers:
        return Reach.LIMITED, "Direct to peers on this network; no server was asked what lies beyond."
    if any(server.outcome is Outcome.REFUSED for server in facts.servers):
        return Reach.OFFLINE, "Nothing beyond this network is known to be in reach: no server gave an address."
    return Reach.OFFLINE, "Nothing beyond this network is known to be in reach: no server answered."


def _judge_with_udp(facts: NetworkFacts, relay: str | None) -> tuple[Reach, str]:
    if not facts.seen_by_ipv4:
        some = "peers with IPv6" if facts.sightings else "some peers"
        if relay is not None:
            return Reach.GOOD, f"Direct to {some}, and through {relay} to others."
        if facts.sightings:
            return Reach.LIMITED, f"Direct to {some} only: no server sees us by IPv4, and there is no relay."
        return Reach.LIMITED, "UDP gets out, but no server has told our public address, and there is no relay."
    match facts.mapping:
        case NatMapping.NO_NAT | NatMapping.ENDPOINT_INDEPENDENT if relay is not None:
            return Reach.GOOD, f"Direct to most peers, and through {relay} to those behind a symmetric NAT."
        case NatMapping.NO_NAT | NatMapping.ENDPOINT_INDEPENDENT:
            return Reach.GOOD, "Direct to most peers; one behind a symmetric NAT may need a relay, and there is none."
        case NatMapping.VARIES if relay is not None:
            return Reach.GOOD, f"{_SYMMETRIC}: direct to some peers, and through {relay} to others."
        case NatMapping.VARIES:
            return Reach.LIMITED, f"{_SYMMETRIC}: direct to some peers, and there is no relay for the others."
        case _ if relay is not None:
            return Reach.GOOD, f"Direct to the peers that this NAT allows, and through {relay} to others."
        case _:
            proviso = "if this NAT uses one port for all destinations, which is not known"
            return Reach.LIMITED, f"Direct to most peers {proviso}; there is no relay for the others."


def _open_question(facts: NetworkFacts) -> str:
    """What would have to be asked to know more."""
    if facts.servers and all(server.is_relay for server in facts.servers) and facts.udp is None:
        return "Add a stun: server, to learn whether UDP gets out."
    if facts.seen_by_ipv4 and facts.mapping is NatMapping.UNKNOWN:
        return "Add a stun: server on another host, to learn whether this NAT is symmetric."
    return ""


def _is_silent(server: ServerFacts) -> bool:
    """Whether it can be the network that is to blame, and not this server."""
    return server.outcome is Outcome.UNREACHABLE and not server.transport.is_stream


def _explain_silent(names: list[str], facts: NetworkFacts) -> str:
    who = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    is_one = len(names) == 1
    if facts.udp:
        remedy = "check its address, and that it runs" if is_one else "check their addresses, and that they run"
        return f"{who} did not answer, though UDP gets out: {remedy}."
    return f"{who} did not answer: UDP is blocked, or {'the server is' if is_one else 'the servers are'} down."


def _blame(server: ServerFacts) -> str:
    """What is wrong with a server, and what to do about it."""
    name, detail = server.name, server.detail.rstrip(".")
    if server.outcome is Outcome.NOT_ASKED:
        return f"{name} was not asked: {detail or 'it has no address'}."
    if server.outcome is Outcome.UNREACHABLE:
        return f"{name} cannot be reached over {server.transport.name}: {detail or 'no answer'}."
    if not server.code:
        return f"{name} is of no use: {detail or 'it answered something else'}."
    remedy = REMEDIES.get(server.code, "") if server.is_relay else ""
    if server.is_relay and server.code in (401, 441):
        realm = f" for the realm {_quoted(server.realm)}" if server.realm else ""
        return f"Wrong TURN credentials{realm} at {name} ({server.code}): {remedy}."
    said = f" {_quoted(detail)}" if detail else ""
    return f"{name} answered {server.code}{said}: {remedy or 'use another server'}."


def _quoted(text: str) -> str:
    """A server's words, with what a terminal would act on made harmless."""
    return repr(text[:_MAX_QUOTED])


def _leads_out(host: str) -> bool:
    return not ipaddress.ip_address(host).is_loopback
