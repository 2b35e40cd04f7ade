"""What an agent that found no path says of its servers and of the network, in the words of the verdict."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from xp2p_trio import ice
from xp2p_trio.sansio import Address, Failed
from xp2p_trio.testing import (
    FULL_CONE,
    SYMMETRIC,
    UDP_BLOCKED,
    Link,
    NatBehaviour,
    Network,
    StunServer,
    TurnServer,
    TurnServerConfiguration,
    drive,
)
from xp2p_trio.testing.drive import BurstLayer
from xp2p_trio.turn import Credentials

ONE: Address = ("198.51.100.1", 3478)
TWO: Address = ("198.51.100.2", 3478)
TURN: Address = ("198.51.100.3", 3478)

Ask = Callable[[ice.Agent], None]


def stun(address: Address) -> Ask:
    return lambda agent: agent.add_stun_server(address, 0.0, f"stun:{address[0]}:3478")


def turn(password: str) -> Ask:
    server = ice.TurnServer(TURN, Credentials("user", password), name="turn:t.example:3478")
    return lambda agent: agent.add_turn_server(server, 0.0)


def unresolved(agent: ice.Agent) -> None:
    agent.server_failed("turn:nowhere:3478", "does not resolve", 0.0)


def last_words(surroundings: NatBehaviour | None, *asks: Ask, relay_only: bool = False) -> str:
    """What an agent says whose peer never answers."""
    network = Network(seed=1, link=Link(delay=0.02))
    network.host("alice", "192.168.1.2")
    if surroundings is None:
        network.firewall("office", policy=UDP_BLOCKED, inside=["alice"])
    else:
        network.nat("home", "203.0.113.7", behaviour=surroundings, inside=["alice"])
    relay = TurnServer(TurnServerConfiguration(relay_hosts=(TURN[0],)), network.random_bytes("turn"))
    servers: dict[str, BurstLayer] = {"one": StunServer(), "two": StunServer(error_code=500), "turn": relay}
    for name, (host, _) in zip(servers, (ONE, TWO, TURN), strict=True):
        network.host(name, host)
    servers["three"] = StunServer()
    network.host("three", "198.51.100.4")
    agent = ice.Agent(
        ice.Configuration(carries="any"),
        role=ice.Role.CONTROLLING,
        random_bytes=network.random_bytes("alice"),
        relay_only=relay_only,
    )
    words: list[str] = []

    def on_events(name: str, events: list[ice.Event], now: float) -> None:
        for event in events if name == "alice" else ():
            if isinstance(event, Failed):
                words.append(event.failure.detail)

    agent.gather(0.0)
    agent.add_local_address(network.host("alice").address(), 0.0)
    for ask in asks:
        ask(agent)
    agent.end_of_local_addresses(0.0)
    agent.set_remote_credentials("abcd", "p" * 22, 0.0)
    agent.add_remote_candidate(ice.Candidate("1", 1, "udp", 1, "203.0.113.9", 9, ice.CandidateType.HOST), 0.0)
    agent.end_of_remote_candidates(0.0)
    drive(network, {"alice": agent, **servers}, until=lambda: bool(words), on_events=on_events)
    return words[0]


NEEDS_RELAY = "both sides are behind a NAT that needs a relay (TURN)"
GETS_OUT = f"UDP gets out of here: {NEEDS_RELAY}, or the peer is gone."
BLOCKED = f"UDP looks blocked, or {NEEDS_RELAY}."
SYMMETRIC_NAT = (
    "This NAT uses another port for each destination (symmetric), so that this peer needs a relay (TURN), "
    "or the peer is gone."
)
ADD_TURN = "Add a turn: server for the peers that cannot be reached directly."
ADD_TURNS = "If UDP is blocked here, add a turns: server, or a turn: server with ?transport=tcp."
ADD_BOTH = "Add a stun: server, to be seen from beyond this network, and a turn: server as a relay."
WRONG = (
    "Wrong TURN credentials for the realm 'xp2p.test' at turn:t.example:3478 (401): "
    "check the username and the password; a temporary one may have run out."
)


@pytest.mark.parametrize(
    ("surroundings", "asks", "advice"),
    [
        (FULL_CONE, [], f"UDP may be blocked, or {NEEDS_RELAY}. {ADD_BOTH}"),
        (FULL_CONE, [stun(ONE)], f"{GETS_OUT} {ADD_TURN}"),
        (FULL_CONE, [stun(TWO)], f"{GETS_OUT} {ADD_TURN}"),
        (FULL_CONE, [stun(ONE), turn("wrong")], f"{GETS_OUT} {WRONG}"),
        (FULL_CONE, [turn("wrong")], f"{GETS_OUT} {WRONG}"),
        (FULL_CONE, [stun(ONE), unresolved], GETS_OUT),
        (SYMMETRIC, [stun(ONE), stun(("198.51.100.4", 3478))], f"{SYMMETRIC_NAT} {ADD_TURN}"),
        (
            SYMMETRIC,
            [stun(ONE), turn("password")],
            "UDP gets out of here, so the peer is gone, or its own network blocks UDP.",
        ),
        (None, [stun(ONE)], f"{BLOCKED} {ADD_TURNS}"),
        (None, [stun(ONE), turn("password")], f"{BLOCKED} {ADD_TURNS}"),
    ],
)
def test_the_advice_follows_from_what_servers_said(
    surroundings: NatBehaviour | None, asks: list[Ask], advice: str
) -> None:
    assert last_words(surroundings, *asks).partition("; they offered 1 host candidate. ")[2] == advice


def test_the_failures_of_servers_are_told_in_short() -> None:
    assert (
        "We offered 1 host candidate and no server-reflexive one (turn:t.example:3478 answered 401); they offered"
    ) in last_words(FULL_CONE, turn("wrong"))


def test_relays_only_and_none_works() -> None:
    assert last_words(FULL_CONE, turn("wrong"), relay_only=True).endswith(
        f"No TURN server relays for us, and nothing else may be offered. {WRONG}"
    )
