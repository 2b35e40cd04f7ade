"""`xp2p-trio doctor`: what it prints, for people and for machines, and its exit code."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from xp2p_trio.cli import main
from xp2p_trio.cli.doctor import doctor, to_json, to_lines
from xp2p_trio.cli.options import build_parser
from xp2p_trio.cli.outcome import ExitCode
from xp2p_trio.driver import Interface
from xp2p_trio.driver.doctor import InterfaceReport, Report
from xp2p_trio.driver.speedups import Speedups, measure_speedups
from xp2p_trio.ice import NetworkFacts, Outcome, Reach, ServerFacts, Sighting, explain
from xp2p_trio.sansio import Address, Transport
from xp2p_trio.testing import FULL_CONE, SYMMETRIC, UDP_BLOCKED, Link, Network, StunServer, serve

FAST = Speedups(crc32c="c", aes_gcm=0.8e-6, is_udp_offloaded=True)
SLOW = (
    "Speedups           crc32c: in Python, slow: the extension of google-crc32c is missing · AES-GCM 1.0 us/1200 B · "
    "UDP GSO no"
)
LOCAL: Address = ("192.168.1.2", 50000)
PUBLIC: Address = ("203.0.113.7", 50000)
ONE: Address = ("198.51.100.1", 3478)
TWO: Address = ("198.51.100.2", 3478)

ETH0 = InterfaceReport(interface=Interface("eth0", LOCAL[0], prefix_length=24))
DOCKER0 = InterfaceReport(interface=Interface("docker0", "172.17.0.1", is_virtual=True))
IPV6_OFF = InterfaceReport(interface=Interface("eth0", "2001:db8::2"), ignored="IPv6 is off")
LO = InterfaceReport(interface=Interface("lo", "127.0.0.1", is_loopback=True), ignored="only this machine is there")


UNAUTHORIZED = ServerFacts(
    name="turn:relay:3478",
    outcome=Outcome.REFUSED,
    address=ONE,
    code=401,
    realm="example.org",
    detail="Unauthorized",
)


def report_of(facts: NetworkFacts, *, mdns: bool | None = True, mdns_detail: str = "") -> Report:
    return Report(
        interfaces=(ETH0, DOCKER0, IPV6_OFF, LO),
        facts=facts,
        verdict=explain(facts),
        mdns=mdns,
        mdns_detail=mdns_detail,
    )


GOOD = report_of(
    NetworkFacts(
        hosts=(LOCAL[0], "172.17.0.1"),
        sightings=(
            Sighting(local=LOCAL, server=ONE, mapped=PUBLIC),
            Sighting(local=LOCAL, server=TWO, mapped=PUBLIC),
        ),
        servers=(
            ServerFacts(name="stun:one:3478", outcome=Outcome.WORKS, address=ONE, round_trip_time=0.0234),
            ServerFacts(name="stun:two:3478", outcome=Outcome.WORKS, address=TWO, round_trip_time=0.031),
            ServerFacts(name="stun:three:3478", outcome=Outcome.UNREACHABLE, address=("198.51.100.9", 3478)),
            UNAUTHORIZED,
            ServerFacts(
                name="turns:relay:5349",
                outcome=Outcome.WORKS,
                transport=Transport.TLS,
                address=("2001:db8::1", 5349),
                round_trip_time=0.1,
            ),
        ),
        hairpin=False,
        ipv6=True,
    )
)


def test_a_report_for_people() -> None:
    assert "\n".join(to_lines(GOOD, FAST)) == (
        """\
Network            eth0 192.168.1.2/24 · docker0 172.17.0.1 (virtual)
                   eth0 2001:db8::2 ignored: IPv6 is off
                   lo 127.0.0.1 ignored: only this machine is there
UDP out            yes · stun:one:3478 23 ms · stun:two:3478 31 ms · stun:three:3478 unreachable
Public address     203.0.113.7 · mapping does not vary by destination (endpoint-independent, a "cone")
IPv6               a global address, not used: -6 turns it on
Hairpin            no: two machines behind this NAT reach each other by their local addresses only
mDNS .local        our own resolver asks for the names of browsers
TURN               turn:relay:3478 refused: 401
                   turns:relay:5349 100 ms
Speedups           crc32c: google-crc32c · AES-GCM 0.8 us/1200 B · UDP GSO yes
Verdict            good: Direct to most peers, and through turns:relay:5349 to those behind a symmetric NAT.
                   Wrong TURN credentials for the realm 'example.org' at turn:relay:3478 (401): check the username \
and the password; a temporary one may have run out.
                   stun:three:3478 did not answer, though UDP gets out: check its address, and that it runs."""
    )


def test_a_report_for_machines() -> None:
    told = json.loads(json.dumps(to_json(GOOD, FAST)))
    assert told["verdict"] == "good"
    assert told["summary"] == GOOD.verdict.summary
    assert told["advice"] == list(GOOD.verdict.advice)
    assert {key: told[key] for key in ("udp", "mapping", "hairpin", "ipv6", "public_addresses", "speedups")} == {
        "udp": True,
        "mapping": "endpoint-independent",
        "hairpin": False,
        "ipv6": {"global_address": True, "enabled": False},
        "public_addresses": ["203.0.113.7"],
        "speedups": {"crc32c": "c", "aes_gcm_seconds": 0.8e-6, "udp_gso": True},
    }
    assert told["interfaces"][1] == {
        "name": "docker0",
        "address": "172.17.0.1",
        "prefix_length": None,
        "virtual": True,
        "used": True,
        "reason": "",
    }
    assert (told["mdns"], told["mdns_detail"]) == (True, "")
    assert told["mapped_addresses"][0] == {
        "local": "192.168.1.2:50000",
        "server": "198.51.100.1:3478",
        "mapped": "203.0.113.7:50000",
    }
    assert told["servers"][3:] == [
        {
            "url": "turn:relay:3478",
            "transport": "udp",
            "address": "198.51.100.1:3478",
            "outcome": "refused",
            "seconds": None,
            "code": 401,
            "realm": "example.org",
            "detail": "Unauthorized",
        },
        {
            "url": "turns:relay:5349",
            "transport": "tls",
            "address": "[2001:db8::1]:5349",
            "outcome": "works",
            "seconds": 0.1,
            "code": 0,
            "realm": "",
            "detail": "",
        },
    ]


def test_what_is_unknown_is_null_or_said_to_be_unknown() -> None:
    report = report_of(NetworkFacts(), mdns=None)
    lines = list(to_lines(report, Speedups(crc32c="python", aes_gcm=1e-6, is_udp_offloaded=False)))
    assert lines[9] == SLOW
    assert lines[3:9] == [
        "UDP out            unknown",
        "Public address     unknown",
        "IPv6               no global address",
        "Hairpin            not tested",
        "mDNS .local        not tested",
        "TURN               not configured",
    ]
    told = to_json(report, FAST)
    assert (told["udp"], told["hairpin"], told["mdns"], told["mapping"]) == (None, None, None, "unknown")


def test_names_that_cannot_be_resolved() -> None:
    report = report_of(NetworkFacts(), mdns=False, mdns_detail="no multicast on 192.168.1.2")
    line = "mDNS .local        names of browsers cannot be resolved: no multicast on 192.168.1.2"
    assert line in list(to_lines(report, FAST))
    told = to_json(report, FAST)
    assert (told["mdns"], told["mdns_detail"]) == (False, "no multicast on 192.168.1.2")


def test_no_nat_needs_no_hairpin() -> None:
    seen = Sighting(local=PUBLIC, server=ONE, mapped=PUBLIC)
    lines = list(to_lines(report_of(NetworkFacts(sightings=(seen,))), FAST))
    assert "Public address     203.0.113.7 · this machine's own: no NAT" in lines
    assert "Hairpin            not needed: no NAT" in lines


def test_a_machine_without_an_address() -> None:
    facts = NetworkFacts(hosts=())
    report = Report(interfaces=(), facts=facts, verdict=explain(facts))
    assert next(to_lines(report, FAST)) == "Network            no address that can be used"


@asynccontextmanager
async def home(surroundings: str) -> AsyncIterator[Network]:
    network = Network(seed=1, link=Link(delay=0.02))
    network.host("here", LOCAL[0])
    if surroundings == "blocked":
        network.firewall("office", policy=UDP_BLOCKED, inside=["here"])
    else:
        behaviour = SYMMETRIC if surroundings == "symmetric" else FULL_CONE
        network.nat("home", PUBLIC[0], behaviour=behaviour, inside=["here"])
    async with trio.open_nursery() as nursery:
        for name, (ip_address, port) in (("one", ONE), ("two", TWO)):
            await nursery.start(serve, network.host(name, ip_address), port, StunServer())
        yield network
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("surroundings", "reach", "code"),
    [
        ("cone", Reach.GOOD, ExitCode.OK),
        ("symmetric", Reach.LIMITED, ExitCode.OK),
        ("blocked", Reach.OFFLINE, ExitCode.NO_PATH),
    ],
)
async def test_the_verdict_decides_the_exit_code(
    capsys: pytest.CaptureFixture[str],
    autojump_clock: trio.testing.MockClock,
    surroundings: str,
    reach: Reach,
    code: ExitCode,
) -> None:
    arguments = ["doctor", "-s", "stun:one", "-s", "stun:two"]
    async with home(surroundings) as network:
        assert await doctor(build_parser().parse_args([*arguments, "--json"]), network.host("here")) is code
        assert json.loads(capsys.readouterr().out)["verdict"] == reach
        assert await doctor(build_parser().parse_args(arguments), network.host("here")) is code
        assert f"Verdict            {reach}: " in capsys.readouterr().out


def test_it_runs_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "-s", "", "--json"]) in (ExitCode.OK, ExitCode.NO_PATH)
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out)["servers"] == []


def test_no_way_out_is_3_as_the_help_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "-s", "stun:[2001:db8::1]"]) == ExitCode.NO_PATH
    assert "stun:[2001:db8::1]:3478 was not asked: it has IPv6 addresses only" in capsys.readouterr().out
    assert main(["doctor", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 no way out was found (verdict offline)" in shown
    assert "One that does not answer takes 5 s" in shown


async def test_the_machine_is_measured() -> None:
    speedups = measure_speedups()
    assert speedups.crc32c in ("c", "python")
    assert 0 < speedups.aes_gcm < 0.01
