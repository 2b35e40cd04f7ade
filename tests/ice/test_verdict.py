"""What facts of a network come to: every kind of NAT, with servers that work, refuse, are silent or absent."""

from __future__ import annotations

import itertools

import pytest

from xp2p_trio.ice import NatMapping, NetworkFacts, Outcome, Reach, ServerFacts, Sighting, explain
from xp2p_trio.ice.verdict import advise, explain_silence
from xp2p_trio.sansio import Address, Transport

LOCAL: Address = ("192.168.1.2", 50000)
PUBLIC: Address = ("203.0.113.7", 50000)
ELSEWHERE: Address = ("203.0.113.7", 61111)
ONE: Address = ("198.51.100.1", 3478)
OTHER: Address = ("198.51.100.2", 3478)
LOCAL6: Address = ("2001:db8::2", 50000)
SERVER6: Address = ("2001:db8:1::1", 3478)


def seen(server: Address, mapped: Address, local: Address = LOCAL) -> Sighting:
    return Sighting(local=local, server=server, mapped=mapped)


SIGHTINGS = {
    "open": (seen(ONE, LOCAL), seen(OTHER, LOCAL)),
    "cone": (seen(ONE, PUBLIC), seen(OTHER, PUBLIC)),
    "symmetric": (seen(ONE, PUBLIC), seen(OTHER, ELSEWHERE)),
    "one answer": (seen(ONE, PUBLIC),),
    "blocked": (),
}

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
TURN, TURN_TCP, TURNS = "turn:t.example:3478", "turn:t.example:3478?transport=tcp", "turns:t.example:5349"


def stun(outcome: Outcome = Outcome.WORKS, name: str = "stun:one.example:3478", detail: str = "") -> ServerFacts:
    return ServerFacts(name=name, outcome=outcome, address=ONE, detail=detail)


def relay(name: str, transport: Transport) -> ServerFacts:
    return ServerFacts(name=name, outcome=Outcome.WORKS, transport=transport, address=OTHER)


def failed(
    name: str, code: int = 0, realm: str = "", detail: str = "", *, transport: Transport = UDP, was_asked: bool = True
) -> ServerFacts:
    outcome = Outcome.REFUSED if code else Outcome.UNREACHABLE if was_asked else Outcome.NOT_ASKED
    return ServerFacts(name=name, outcome=outcome, transport=transport, code=code, realm=realm, detail=detail)


def wrong(name: str, transport: Transport) -> ServerFacts:
    return failed(name, 401, "example.org", "Unauthorized", transport=transport)


def gone(name: str, transport: Transport) -> ServerFacts:
    return failed(name, detail="connection refused", transport=transport)


RELAYS: dict[str, tuple[ServerFacts, ...]] = {
    "none": (),
    "works": (relay(TURN, UDP),),
    "works over TCP": (gone(TURN, UDP), relay(TURN_TCP, TCP)),
    "wrong credentials": (wrong(TURN, UDP),),
    "unreachable": (gone(TURN, UDP), gone(TURNS, TLS)),
}

SYMMETRIC = "This NAT uses another port for each destination (symmetric)"
NO_RELAY_IF_SYMMETRIC = "Direct to most peers; one behind a symmetric NAT may need a relay, and there is none."
UNKNOWN = (
    "Direct to most peers if this NAT uses one port for all destinations, which is not known; "
    "there is no relay for the others."
)
NOTHING = "Nothing beyond this network is known to be in reach: no server answered."

ADD_TURN = "Add a turn: server for the peers that cannot be reached directly."
ADD_STUN = "Add a stun: server on another host, to learn whether this NAT is symmetric."
ADD_TURNS = "If UDP is blocked here, add a turns: server, or a turn: server with ?transport=tcp."
WRONG = (
    f"Wrong TURN credentials for the realm 'example.org' at {TURN} (401): "
    "check the username and the password; a temporary one may have run out."
)
DEAD = f"{TURN} did not answer, though UDP gets out: check its address, and that it runs."
NO_TLS = f"{TURNS} cannot be reached over TLS: connection refused."
SILENT = f"stun:one.example:3478 and {TURN} did not answer: UDP is blocked, or the servers are down."

GOOD, LIMITED, RELAY_ONLY, OFFLINE = Reach.GOOD, Reach.LIMITED, Reach.RELAY_ONLY, Reach.OFFLINE

EXPECTED: dict[tuple[str, str], tuple[Reach, str, list[str]]] = {
    ("open", "none"): (GOOD, NO_RELAY_IF_SYMMETRIC, [ADD_TURN]),
    ("open", "works"): (GOOD, f"Direct to most peers, and through {TURN} to those behind a symmetric NAT.", []),
    ("open", "works over TCP"): (
        GOOD,
        f"Direct to most peers, and through {TURN_TCP} to those behind a symmetric NAT.",
        [DEAD],
    ),
    ("open", "wrong credentials"): (GOOD, NO_RELAY_IF_SYMMETRIC, [WRONG]),
    ("open", "unreachable"): (GOOD, NO_RELAY_IF_SYMMETRIC, [NO_TLS, DEAD]),
    ("symmetric", "none"): (
        LIMITED,
        f"{SYMMETRIC}: direct to some peers, and there is no relay for the others.",
        [ADD_TURN],
    ),
    ("symmetric", "works"): (GOOD, f"{SYMMETRIC}: direct to some peers, and through {TURN} to others.", []),
    ("symmetric", "works over TCP"): (
        GOOD,
        f"{SYMMETRIC}: direct to some peers, and through {TURN_TCP} to others.",
        [DEAD],
    ),
    ("symmetric", "wrong credentials"): (
        LIMITED,
        f"{SYMMETRIC}: direct to some peers, and there is no relay for the others.",
        [WRONG],
    ),
    ("symmetric", "unreachable"): (
        LIMITED,
        f"{SYMMETRIC}: direct to some peers, and there is no relay for the others.",
        [NO_TLS, DEAD],
    ),
    ("one answer", "none"): (LIMITED, UNKNOWN, [ADD_TURN, ADD_STUN]),
    ("one answer", "works"): (
        GOOD,
        f"Direct to the peers that this NAT allows, and through {TURN} to others.",
        [ADD_STUN],
    ),
    ("one answer", "works over TCP"): (
        GOOD,
        f"Direct to the peers that this NAT allows, and through {TURN_TCP} to others.",
        [DEAD, ADD_STUN],
    ),
    ("one answer", "wrong credentials"): (LIMITED, UNKNOWN, [WRONG, ADD_STUN]),
    ("one answer", "unreachable"): (LIMITED, UNKNOWN, [NO_TLS, DEAD, ADD_STUN]),
    ("blocked", "none"): (
        OFFLINE,
        NOTHING,
        ["stun:one.example:3478 did not answer: UDP is blocked, or the server is down.", ADD_TURNS],
    ),
    ("blocked", "works over TCP"): (
        RELAY_ONLY,
        f"UDP looks blocked: peers beyond this network are reached through {TURN_TCP}, over TCP.",
        [SILENT],
    ),
    ("blocked", "unreachable"): (OFFLINE, NOTHING, [NO_TLS, SILENT]),
}
# A cone is as good as no NAT, and says so in the same words.
EXPECTED |= {("cone", kind): expected for (nat, kind), expected in EXPECTED.items() if nat == "open"}


@pytest.mark.parametrize(("nat", "relays"), EXPECTED)
def test_every_kind_of_nat_with_every_fate_of_relays(nat: str, relays: str) -> None:
    sightings = SIGHTINGS[nat]
    facts = NetworkFacts(
        hosts=(LOCAL[0],),
        sightings=sightings,
        servers=(stun(Outcome.WORKS if sightings else Outcome.UNREACHABLE), *RELAYS[relays]),
    )
    verdict = explain(facts)
    assert (verdict.reach, verdict.summary, list(verdict.advice)) == EXPECTED[nat, relays]
    assert str(verdict) == " ".join([verdict.summary, *verdict.advice])


@pytest.mark.parametrize(
    ("nat", "mapping"),
    [
        ("open", NatMapping.NO_NAT),
        ("cone", NatMapping.ENDPOINT_INDEPENDENT),
        ("symmetric", NatMapping.VARIES),
        ("one answer", NatMapping.UNKNOWN),
        ("blocked", NatMapping.UNKNOWN),
    ],
)
def test_the_mapping_follows_from_what_servers_see(nat: str, mapping: NatMapping) -> None:
    assert NetworkFacts(sightings=SIGHTINGS[nat]).mapping is mapping


def test_two_ports_of_one_host_do_not_show_an_address_dependent_mapping() -> None:
    same_host = (ONE[0], 3479)
    assert NetworkFacts(sightings=(seen(ONE, PUBLIC), seen(same_host, PUBLIC))).mapping is NatMapping.UNKNOWN
    assert NetworkFacts(sightings=(seen(ONE, PUBLIC), seen(same_host, ELSEWHERE))).mapping is NatMapping.VARIES


def test_two_sockets_have_a_mapping_each_and_the_best_counts() -> None:
    other_local = ("10.0.0.2", 50001)
    wifi = (seen(ONE, PUBLIC), seen(OTHER, ELSEWHERE))
    cable = (seen(ONE, ("203.0.113.8", 7), other_local), seen(OTHER, ("203.0.113.8", 7), other_local))
    facts = NetworkFacts(sightings=(*wifi, *cable))
    assert facts.mapping is NatMapping.ENDPOINT_INDEPENDENT
    assert facts.public_hosts == ("203.0.113.7", "203.0.113.8")


def test_ipv6_does_not_hide_a_symmetric_nat() -> None:
    facts = NetworkFacts(sightings=(*SIGHTINGS["symmetric"], seen(SERVER6, LOCAL6, LOCAL6)), servers=(stun(),))
    assert facts.mapping is NatMapping.VARIES
    assert explain(facts).reach is Reach.LIMITED


def test_ipv6_alone_reaches_peers_with_ipv6() -> None:
    facts = NetworkFacts(
        hosts=(LOCAL[0], LOCAL6[0]),
        sightings=(seen(SERVER6, LOCAL6, LOCAL6),),
        servers=(stun(),),
        ipv6=True,
        is_ipv6_enabled=True,
    )
    assert str(explain(facts)) == (
        f"Direct to peers with IPv6 only: no server sees us by IPv4, and there is no relay. {ADD_TURN}"
    )
    assert explain(facts).reach is Reach.LIMITED


@pytest.mark.parametrize(
    ("hosts", "summary"),
    [
        ((), "There is no network: no interface has an address that can be used."),
        (("127.0.0.1", "::1"), "There is no network: only this machine itself is in reach."),
    ],
)
def test_no_network(hosts: tuple[str, ...], summary: str) -> None:
    server = failed("stun:one.example:3478", detail="no such name", was_asked=False)
    verdict = explain(NetworkFacts(hosts=hosts, servers=(server,)))
    assert (verdict.reach, verdict.summary) == (Reach.OFFLINE, summary)
    assert verdict.advice == ("Connect this machine to a network.",)


def test_nobody_was_asked() -> None:
    verdict = explain(NetworkFacts(hosts=(LOCAL[0],)))
    assert verdict.reach is Reach.LIMITED
    assert str(verdict) == (
        "Direct to peers on this network; no server was asked what lies beyond. "
        "Add a stun: server, to be seen from beyond this network, and a turn: server as a relay."
    )


def test_nothing_is_known() -> None:
    assert explain(NetworkFacts()).reach is Reach.LIMITED
    assert NetworkFacts().udp is None


def test_ipv6_that_is_off_is_pointed_out_where_it_may_help() -> None:
    sentence = "This machine has a global IPv6 address: enable IPv6 for peers that have one too (-6)."
    for nat, enabled in itertools.product(("cone", "symmetric"), (False, True)):
        facts = NetworkFacts(sightings=SIGHTINGS[nat], servers=(stun(),), ipv6=True, is_ipv6_enabled=enabled)
        assert (sentence in explain(facts).advice) is (nat == "symmetric" and not enabled)


def test_a_relay_over_a_stream_alone_leaves_udp_unknown() -> None:
    verdict = explain(NetworkFacts(hosts=(LOCAL[0],), servers=(relay(TURNS, TLS),)))
    assert verdict.reach is Reach.RELAY_ONLY
    assert str(verdict) == (
        f"Whether UDP gets out is unknown: peers beyond this network are reached through {TURNS}, over TLS. "
        "Add a stun: server, to learn whether UDP gets out."
    )


def test_wrong_credentials_over_tcp_are_no_way_out_of_a_blocked_network() -> None:
    verdict = explain(NetworkFacts(hosts=(LOCAL[0],), servers=(stun(Outcome.UNREACHABLE), wrong(TURN_TCP, TCP))))
    assert (verdict.reach, verdict.summary) == (
        Reach.OFFLINE,
        "Nothing beyond this network is known to be in reach: no server gave an address.",
    )
    assert verdict.advice == (
        WRONG.replace(TURN, TURN_TCP),
        "stun:one.example:3478 did not answer: UDP is blocked, or the server is down.",
        "Add a turns: server on port 443, which firewalls seldom block.",
    )


def test_a_server_that_answers_something_else_shows_that_udp_gets_out() -> None:
    refused = stun(Outcome.REFUSED, detail="the STUN server 198.51.100.1 port 3478 answered error 500 'oops'")
    facts = NetworkFacts(hosts=(LOCAL[0],), servers=(refused,))
    assert facts.udp is True
    assert str(explain(facts)) == (
        "UDP gets out, but no server has told our public address, and there is no relay. "
        "stun:one.example:3478 is of no use: the STUN server 198.51.100.1 port 3478 answered error 500 'oops'. "
        f"{ADD_TURN}"
    )
    with_relay = NetworkFacts(servers=(refused, relay(TURN, UDP)))
    assert explain(with_relay).summary == f"Direct to some peers, and through {TURN} to others."


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (
            failed(TURN, detail="no such name; check the name, and the DNS", was_asked=False),
            f"{TURN} was not asked: no such name; check the name, and the DNS.",
        ),
        (
            failed(TURN, 486, "example.org", "Allocation Quota Reached"),
            f"{TURN} answered 486 'Allocation Quota Reached': wait a minute, or raise the quota of this user.",
        ),
        (
            failed(TURN, 403, detail="\x1b[31mForbidden"),
            f"{TURN} answered 403 '\\x1b[31mForbidden': the server does not allow this; ask whoever runs it.",
        ),
        (failed(TURN, 599), f"{TURN} answered 599: use another server."),
        (
            failed(TURN, 401, detail="Unauthorized"),
            WRONG.replace(" for the realm 'example.org'", ""),
        ),
        (
            failed("stun:one.example:3478", 401, detail="Unauthorized"),
            "stun:one.example:3478 answered 401 'Unauthorized': use another server.",
        ),
        (
            ServerFacts(
                name=TURN, outcome=Outcome.REFUSED, address=OTHER, detail="somebody may be forging its answers."
            ),
            f"{TURN} is of no use: somebody may be forging its answers.",
        ),
        (
            failed(TURNS, transport=TLS, detail="the certificate is for another name"),
            f"{TURNS} cannot be reached over TLS: the certificate is for another name.",
        ),
    ],
)
def test_each_fault_of_a_server_has_its_sentence(server: ServerFacts, sentence: str) -> None:
    assert advise(NetworkFacts(sightings=SIGHTINGS["cone"], servers=(stun(), server)))[0] == sentence


def test_a_servers_words_are_shortened() -> None:
    (sentence, *_) = advise(NetworkFacts(servers=(failed(TURN, 500, detail="x" * 700),)))
    assert len(sentence) < 200


def test_three_silent_servers_are_one_sentence() -> None:
    names = ("stun:a:1", "stun:b:2", "stun:c:3")
    facts = NetworkFacts(servers=tuple(stun(Outcome.UNREACHABLE, name) for name in names))
    assert advise(facts)[0] == (
        "stun:a:1, stun:b:2 and stun:c:3 did not answer: UDP is blocked, or the servers are down."
    )
    facts = NetworkFacts(sightings=SIGHTINGS["cone"], servers=facts.servers)
    assert advise(facts)[0] == (
        "stun:a:1, stun:b:2 and stun:c:3 did not answer, though UDP gets out: check their addresses, and that they run."
    )


NEEDS_RELAY = "both sides are behind a NAT that needs a relay (TURN)"
GETS_OUT = "UDP gets out of here"
GONE = "the peer is gone"
ADD_BOTH = "Add a stun: server, to be seen from beyond this network, and a turn: server as a relay."
BLOCKED = (stun(Outcome.UNREACHABLE),)


@pytest.mark.parametrize(
    ("facts", "is_relayed", "words"),
    [
        (NetworkFacts(), False, [f"UDP may be blocked, or {NEEDS_RELAY}.", ADD_BOTH]),
        (NetworkFacts(), True, [f"UDP may be blocked, or {GONE}.", ADD_BOTH]),
        (NetworkFacts(servers=BLOCKED), False, [f"UDP looks blocked, or {NEEDS_RELAY}.", ADD_TURNS]),
        (NetworkFacts(servers=BLOCKED), True, [f"UDP looks blocked, or {GONE}.", ADD_TURNS]),
        (
            NetworkFacts(sightings=SIGHTINGS["cone"], servers=(stun(),)),
            False,
            [f"{GETS_OUT}: {NEEDS_RELAY}, or {GONE}.", ADD_TURN],
        ),
        (
            NetworkFacts(sightings=SIGHTINGS["cone"], servers=(stun(), wrong(TURN, UDP))),
            False,
            [f"{GETS_OUT}: {NEEDS_RELAY}, or {GONE}.", WRONG],
        ),
        (
            NetworkFacts(sightings=SIGHTINGS["symmetric"], servers=(stun(),)),
            False,
            [f"{SYMMETRIC}, so that this peer needs a relay (TURN), or {GONE}.", ADD_TURN],
        ),
        (
            NetworkFacts(sightings=SIGHTINGS["symmetric"], servers=(stun(), relay(TURN, UDP))),
            True,
            [f"{GETS_OUT}, so {GONE}, or its own network blocks UDP."],
        ),
        (
            NetworkFacts(sightings=SIGHTINGS["cone"], servers=(stun(),)),
            True,
            [f"{GETS_OUT}, so {GONE}, or its own network blocks UDP."],
        ),
    ],
)
def test_the_silence_of_a_peer_is_explained(facts: NetworkFacts, is_relayed: bool, words: list[str]) -> None:
    assert explain_silence(facts, is_relayed=is_relayed) == " ".join(words)
