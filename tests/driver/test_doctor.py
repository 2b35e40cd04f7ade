"""The examination on simulated networks of every kind, whose truth is known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from xp2p_trio import turn
from xp2p_trio.driver import DatagramSocket
from xp2p_trio.driver.doctor import Report, examine
from xp2p_trio.ice import NatMapping, Outcome, Reach
from xp2p_trio.peer import IceServer, parse_ice_server
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.stun import Message, MessageClass, Method, XorMappedAddress, decode_message, encode_message
from xp2p_trio.testing import (
    FULL_CONE,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    STATEFUL,
    SYMMETRIC,
    UDP_BLOCKED,
    Delivered,
    FirewallPolicy,
    Host,
    Link,
    NatBehaviour,
    Network,
    Sent,
    StunServer,
    TurnServer,
    TurnServerConfiguration,
    serve,
)

ONE, TWO, DEAD, NOWHERE = "stun:one", "stun:two", "stun:dead", "stun:nowhere"
TURN, WRONG, TURN_DEAD = "turn:user:password@relay", "turn:user:wrong@relay", "turn:user:password@dead"

WRONG_CREDENTIALS = (
    "Wrong TURN credentials for the realm 'xp2p.test' at turn:relay:3478 (401): "
    "check the username and the password; a temporary one may have run out."
)

LOCAL, PUBLIC = "192.168.1.2", "203.0.113.7"


@attrs.frozen
class World:
    """A patient on its network, and the servers."""

    network: Network
    stun: dict[str, StunServer]
    turn: TurnServer

    async def examine(self, *servers: str, enable_ipv6: bool = False) -> Report:
        """Examine the patient; nothing may be left behind."""
        parsed: Sequence[IceServer] = [parse_ice_server(url) for url in servers]
        report = await examine(parsed, network=self.network.host("patient"), enable_ipv6=enable_ipv6)
        assert self.turn.allocations == []
        return report


@asynccontextmanager
async def world(surroundings: NatBehaviour | FirewallPolicy | None, *ip_addresses: str) -> AsyncIterator[World]:
    network = Network(seed=1, link=Link(delay=0.02), keep_trace=True)
    hosts = ip_addresses or ((PUBLIC if isinstance(surroundings, FirewallPolicy | None) else LOCAL),)
    network.host("patient", *hosts)
    if isinstance(surroundings, NatBehaviour):
        network.nat("home", PUBLIC, behaviour=surroundings, inside=["patient"])
    elif surroundings is not None:
        network.firewall("office", policy=surroundings, inside=["patient"])
    network.host("one", "198.51.100.1")
    network.host("two", "198.51.100.2")
    network.host("relay", "198.51.100.3")
    network.host("dead", "198.51.100.4")
    network.host("six", "2001:db8:1::6")
    configuration = TurnServerConfiguration(relay_hosts=("198.51.100.3",))
    relay = TurnServer(configuration, network.random_bytes("relay"))
    stun = {name: StunServer() for name in ("one", "two", "six")}
    async with trio.open_nursery() as nursery:
        for name, server in stun.items():
            await nursery.start(serve, network.host(name), 3478, server)
        await nursery.start(serve, network.host("relay"), 3478, relay)
        yield World(network, stun, relay)
        nursery.cancel_scope.cancel()


KINDS: dict[str, NatBehaviour | FirewallPolicy | None] = {
    "open": None,
    "firewall": STATEFUL,
    "full cone": FULL_CONE,
    "restricted": RESTRICTED_CONE,
    "port-restricted": PORT_RESTRICTED_CONE,
    "address-dependent": NatBehaviour(mapping="address-dependent", ports="random"),
    "symmetric": SYMMETRIC,
    "blocked": UDP_BLOCKED,
}
MAPPINGS = {
    "open": NatMapping.NO_NAT,
    "firewall": NatMapping.NO_NAT,
    "address-dependent": NatMapping.VARIES,
    "symmetric": NatMapping.VARIES,
    "blocked": NatMapping.UNKNOWN,
}


def reach_in_theory(kind: str, servers: Sequence[str]) -> Reach:
    """What the verdict has to be, from what is known of the world and not to the patient."""
    if kind == "blocked" or not {ONE, TWO, TURN, WRONG} & set(servers):
        return Reach.OFFLINE
    if TURN in servers:
        return Reach.GOOD
    if kind in ("open", "firewall"):
        return Reach.GOOD if {ONE, TWO} & set(servers) else Reach.LIMITED
    is_known = {ONE, TWO} <= set(servers)
    return Reach.GOOD if is_known and kind not in ("symmetric", "address-dependent") else Reach.LIMITED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "servers",
    [
        (ONE, TWO),
        (ONE, DEAD),
        (ONE, NOWHERE),
        (DEAD, NOWHERE),
        (ONE, TWO, TURN),
        (ONE, TWO, WRONG),
        (ONE, TWO, TURN_DEAD),
        (ONE, TURN),
        (DEAD, TURN),
        (WRONG,),
    ],
    ids=" ".join,
)
async def test_the_verdict_is_what_theory_says(
    autojump_clock: trio.testing.MockClock, kind: str, servers: tuple[str, ...]
) -> None:
    async with world(KINDS[kind]) as at:
        start = trio.current_time()
        report = await at.examine(*servers)
        took = trio.current_time() - start
    facts, verdict = report.facts, report.verdict
    assert verdict.reach is reach_in_theory(kind, servers)
    assert facts.udp is (kind != "blocked" and not set(servers) <= {DEAD, NOWHERE})
    views = {ONE, TWO, TURN} & set(servers)  # of our socket, each from another host
    if len(views) > 1:
        assert facts.mapping is MAPPINGS.get(kind, NatMapping.ENDPOINT_INDEPENDENT)
    elif kind not in ("open", "firewall"):
        assert facts.mapping is NatMapping.UNKNOWN
    # A dead server costs what it is given, one that answers costs next to nothing, and a hairpin test a second.
    has_dead = kind == "blocked" or {DEAD, TURN_DEAD} & set(servers)
    assert 5.0 <= took < 5.01 if has_dead else took < 1.2
    assert facts.public_hosts == ((PUBLIC,) if facts.sightings else ())


async def test_the_servers_are_told_of_in_their_order_with_what_came_of_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(FULL_CONE) as at:
        at.stun["two"].error_code = 500
        report = await at.examine(NOWHERE, TWO, WRONG, ONE, DEAD, TURN)
    told = [(server.name, server.outcome, server.code, server.realm) for server in report.facts.servers]
    assert told == [
        ("stun:nowhere:3478", Outcome.NOT_ASKED, 0, ""),
        ("stun:two:3478", Outcome.REFUSED, 0, ""),
        ("turn:relay:3478", Outcome.REFUSED, 401, "xp2p.test"),
        ("stun:one:3478", Outcome.WORKS, 0, ""),
        ("stun:dead:3478", Outcome.UNREACHABLE, 0, ""),
        ("turn:relay:3478", Outcome.WORKS, 0, ""),
    ]
    times = [server.round_trip_time for server in report.facts.servers]
    assert times == [None, None, None, pytest.approx(0.04), None, pytest.approx(0.08)]
    assert report.verdict.advice == (
        "stun:nowhere:3478 was not asked: no host 'nowhere' on the simulated network; check the name, and the DNS.",
        "stun:two:3478 is of no use: the STUN server 198.51.100.2 port 3478 answered error 500 'as configured'.",
        WRONG_CREDENTIALS,
        "stun:dead:3478 did not answer, though UDP gets out: check its address, and that it runs.",
    )


@pytest.mark.parametrize("hairpinning", ["off", "external", "internal"])
@pytest.mark.parametrize("behaviour", [FULL_CONE, PORT_RESTRICTED_CONE], ids=["full cone", "port-restricted"])
async def test_a_hairpin_is_found(
    autojump_clock: trio.testing.MockClock, behaviour: NatBehaviour, hairpinning: str
) -> None:
    async with world(attrs.evolve(behaviour, hairpinning=hairpinning)) as at:
        report = await at.examine(ONE)
    assert report.facts.hairpin is (hairpinning != "off")


@pytest.mark.parametrize("kind", ["open", "firewall", "blocked"])
async def test_without_a_nat_there_is_no_hairpin_to_test(autojump_clock: trio.testing.MockClock, kind: str) -> None:
    async with world(KINDS[kind]) as at:
        report = await at.examine(ONE, TWO)
    assert report.facts.hairpin is None


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_goes_anywhere_but_to_the_servers_and_to_our_own_address(
    autojump_clock: trio.testing.MockClock, kind: str
) -> None:
    async with world(KINDS[kind]) as at:
        await at.examine(ONE, TWO, TURN, DEAD)
    sent = {entry.destination[0] for entry in at.network.trace if isinstance(entry, Sent) and _is_patient(entry.source)}
    assert sent <= {"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", PUBLIC}


def _is_patient(address: Address) -> bool:
    return address[0] in (LOCAL, PUBLIC)


@pytest.mark.parametrize("victim", ["127.0.0.1", "224.0.0.251", "169.254.0.1", "0.0.0.0", "255.255.255.255"])
async def test_a_lying_server_makes_us_send_nothing_to_where_no_nat_can_be(
    autojump_clock: trio.testing.MockClock, victim: str
) -> None:
    async with world(FULL_CONE) as at, trio.open_nursery() as nursery:
        liar = at.network.host("dead").bind(("198.51.100.4", 3478))
        nursery.start_soon(_lie, liar, (victim, 53))
        report = await at.examine(DEAD)
        nursery.cancel_scope.cancel()
    assert report.facts.hairpin is None
    assert victim not in {entry.destination[0] for entry in at.network.trace if isinstance(entry, Sent)}


async def _lie(sock: DatagramSocket, mapped: Address) -> None:
    while True:
        for burst in await sock.receive():
            request = decode_message(burst.datagrams[0])
            answer = Message(
                MessageClass.SUCCESS_RESPONSE, Method.BINDING, request.transaction_id, (XorMappedAddress(mapped),)
            )
            sock.transmit(Burst(burst.local, burst.remote, [encode_message(answer)]))


async def test_multicast_is_tried_and_left(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE, "127.0.0.1", LOCAL) as at:
        works = await at.examine(ONE)
        at.network.host("patient").bind((LOCAL, 5353))  # and does not share
        fails = await at.examine(ONE)
        at.network.host("patient").remove_ip_address(LOCAL)
        loopback = await at.examine(ONE)
    assert (works.mdns, works.mdns_detail) == (True, "")
    assert fails.mdns is False
    assert "5353" in fails.mdns_detail
    assert loopback.mdns is None
    assert not any(entry.destination[1] == 5353 for entry in at.network.trace if isinstance(entry, Sent))


async def test_ipv6_is_examined_where_it_is_on(autojump_clock: trio.testing.MockClock) -> None:
    async with world(SYMMETRIC, LOCAL, "2001:db8::2") as at:
        off = await at.examine(ONE, TWO, "stun:six")
        on = await at.examine(ONE, TWO, "stun:six", enable_ipv6=True)
    assert off.facts.ipv6
    assert not off.facts.is_ipv6_enabled
    assert [(each.interface.address, each.ignored) for each in off.interfaces] == [
        (LOCAL, ""),
        ("2001:db8::2", "IPv6 is off"),
    ]
    assert "enable IPv6" in off.verdict.advice[-1]
    assert off.facts.servers[2].detail == "it has IPv6 addresses only, and IPv6 is off"
    assert on.facts.is_ipv6_enabled
    assert all(not each.ignored for each in on.interfaces)
    assert set(on.facts.public_hosts) == {PUBLIC, "2001:db8::2"}
    assert on.facts.mapping is NatMapping.VARIES


async def test_a_server_with_ipv6_alone_is_not_asked_where_that_is_off(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE, LOCAL, "2001:db8::2") as at:
        report = await at.examine("stun:six", "turn:user:password@six")
    assert [server.detail for server in report.facts.servers] == ["it has IPv6 addresses only, and IPv6 is off"] * 2
    assert report.verdict.reach is Reach.OFFLINE


async def test_ipv6_that_is_on_and_has_no_address(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE) as at:
        report = await at.examine("stun:six", enable_ipv6=True)
    assert report.facts.servers[0].detail == "no address of this machine leads there"


async def test_a_machine_without_a_network(autojump_clock: trio.testing.MockClock) -> None:
    async with world(None) as at:
        at.network.host("patient").remove_ip_address(PUBLIC)
        report = await at.examine(ONE)
    assert report.verdict.summary == "There is no network: no interface has an address that can be used."
    assert report.facts.servers[0].detail == "there is no network"


class Altered:
    """A host, some of whose words are replaced."""

    def __init__(self, host: Host, **words: object) -> None:
        self._host = host
        self._words = words

    def __getattr__(self, name: str) -> object:
        return self._words[name] if name in self._words else getattr(self._host, name)


async def test_an_address_that_cannot_be_bound_is_named(autojump_clock: trio.testing.MockClock) -> None:
    async with world(None, PUBLIC, "203.0.113.8") as at:
        host = at.network.host("patient")
        listed = host.interfaces()
        host.remove_ip_address("203.0.113.8")
        stale = Altered(host, interfaces=lambda: listed)
        report = await examine([parse_ice_server(ONE)], network=stale)  # type: ignore[arg-type]
    assert [each.ignored for each in report.interfaces] == ["", "Cannot assign requested address: 203.0.113.8 port 0"]
    assert report.verdict.reach is Reach.GOOD


async def test_a_resolver_that_is_silent_has_its_time(autojump_clock: trio.testing.MockClock) -> None:
    async def resolve(host: str, port: int) -> list[Address]:
        if host == "one":
            await trio.sleep_forever()
        return await at.network.host("patient").resolve(host, port)

    async with world(FULL_CONE) as at:
        slow = Altered(at.network.host("patient"), resolve=resolve)
        report = await examine([parse_ice_server(url) for url in (ONE, TWO)], network=slow)  # type: ignore[arg-type]
    assert [server.outcome for server in report.facts.servers] == [Outcome.NOT_ASKED, Outcome.WORKS]
    assert report.facts.servers[0].detail == "its name did not resolve in 5 s"


async def test_a_second_socket_that_cannot_be_bound_leaves_the_hairpin_unknown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(FULL_CONE) as at:
        host = at.network.host("patient")
        bound: list[Address] = []

        def bind(address: Address) -> DatagramSocket:
            if bound:
                raise OSError("there are no more")
            bound.append(address)
            return host.bind(address)

        report = await examine([parse_ice_server(ONE)], network=Altered(host, bind=bind))  # type: ignore[arg-type]
    assert report.facts.hairpin is None
    assert report.facts.udp is True


async def test_a_turn_server_without_credentials_is_not_asked(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE) as at:
        report = await at.examine("turn:relay")
    assert report.verdict.advice == ("turn:relay:3478 was not asked: it has no username and password.",)
    assert at.turn.requests_received == {}


async def test_credentials_are_fetched_where_they_have_to_be(autojump_clock: trio.testing.MockClock) -> None:
    async def renew() -> turn.Credentials:
        await trio.sleep(0.1)
        return turn.Credentials("user", "password")

    async def fail() -> turn.Credentials:
        await trio.sleep(0.1)
        raise ValueError("no such user")

    servers = [IceServer("relay", scheme="turn", renew=function) for function in (renew, fail, trio.sleep_forever)]
    async with world(FULL_CONE) as at:
        report = await examine(servers, network=at.network.host("patient"))
    assert [(server.outcome, server.detail) for server in report.facts.servers] == [
        (Outcome.WORKS, ""),
        (Outcome.NOT_ASKED, "its credentials did not come (ValueError('no such user'))"),
        (Outcome.NOT_ASKED, "its credentials did not come in 5 s"),
    ]


async def test_the_allocation_is_released_also_when_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE) as at:
        with trio.move_on_after(0.065) as scope:  # the allocation is made, and its answer under way
            await at.examine(TURN, DEAD)
        assert scope.cancelled_caught
        assert len(at.turn.allocations) == 1
        await trio.sleep(0.1)
        assert at.turn.allocations == []


async def test_one_server_under_two_urls_is_asked_twice(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE) as at:
        report = await at.examine(TURN, f"{TURN}:3478")
    assert [server.outcome for server in report.facts.servers] == [Outcome.WORKS] * 2


async def test_addresses_that_cannot_be_used_do_not_hide_one_that_can(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE) as at:
        at.network.host("many", *(f"2001:db8:2::{number}" for number in range(1, 9)), "198.51.100.9")
        report = await at.examine("stun:many")
    assert report.facts.servers[0].address == ("198.51.100.9", 3478)


async def test_a_redirect_is_followed(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE) as at, trio.open_nursery() as nursery:
        configuration = TurnServerConfiguration(relay_hosts=("198.51.100.4",), alternate_server=("198.51.100.3", 3478))
        redirecting = TurnServer(configuration, at.network.random_bytes("redirecting"))
        await nursery.start(serve, at.network.host("dead"), 3478, redirecting)
        report = await at.examine(TURN_DEAD)
        nursery.cancel_scope.cancel()
    assert report.facts.servers[0].outcome is Outcome.WORKS
    assert [sighting.server for sighting in report.facts.sightings] == [("198.51.100.3", 3478)]


async def test_lost_datagrams_are_repeated(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE) as at:
        for name in ("one", "two", "relay"):
            at.network.set_links("patient", name, Link(delay=0.02, loss=0.1))
        report = await at.examine(ONE, TWO, TURN)
    assert [server.outcome for server in report.facts.servers] == [Outcome.WORKS] * 3


async def test_two_interfaces_are_examined_by_themselves(autojump_clock: trio.testing.MockClock) -> None:
    async with world(SYMMETRIC) as at:
        at.network.nat("office", "203.0.113.8", behaviour=FULL_CONE)
        at.network.host("patient").add_ip_address("10.0.0.2", inside="office")
        report = await at.examine(ONE, TWO)
    assert report.facts.mapping is NatMapping.ENDPOINT_INDEPENDENT
    assert set(report.facts.public_hosts) == {PUBLIC, "203.0.113.8"}
    assert len(report.facts.sightings) == 4


async def test_no_port_stays_open(autojump_clock: trio.testing.MockClock) -> None:
    async with world(FULL_CONE) as at:
        await at.examine(ONE, TURN)
        ports = {entry.source[1] for entry in at.network.trace if isinstance(entry, Sent) and entry.source[0] == LOCAL}
        for port in ports:
            at.network.host("patient").bind((LOCAL, port)).close()
        assert any(isinstance(entry, Delivered) for entry in at.network.trace)
