"""`xp2p-trio doctor`: what this network lets peers reach, why, and what to do about it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from xp2p_trio.cli.outcome import ExitCode
from xp2p_trio.driver.doctor import Report, examine
from xp2p_trio.driver.network import Interface, Network
from xp2p_trio.driver.speedups import RECORD_SIZE, Speedups, measure_speedups
from xp2p_trio.ice import NatMapping, NetworkFacts, Outcome, Reach, ServerFacts
from xp2p_trio.sansio import Address, is_ipv6

_WIDTH: Final = 17
_BETWEEN: Final = " · "
_YES_OR_NO: Final = {True: "yes", False: "no", None: "unknown"}

_MAPPINGS: Final = {
    NatMapping.NO_NAT: "this machine's own: no NAT",
    NatMapping.ENDPOINT_INDEPENDENT: 'mapping does not vary by destination (endpoint-independent, a "cone")',
    NatMapping.VARIES: "mapping varies by destination (symmetric)",
    NatMapping.UNKNOWN: "whether the mapping varies by destination takes two servers to tell",
}
_HAIRPIN: Final = {
    True: "yes",
    False: "no: two machines behind this NAT reach each other by their local addresses only",
    None: "not tested",
}


async def doctor(options: argparse.Namespace, network: Network | None = None) -> ExitCode:
    """Examine the network, and print the report."""
    report = await examine(options.ice_servers, network=network, enable_ipv6=options.enable_ipv6)
    speedups = measure_speedups()
    if options.json:
        print(json.dumps(to_json(report, speedups), indent=2))
    else:
        for line in to_lines(report, speedups):
            print(line)
    return ExitCode.NO_PATH if report.verdict.reach is Reach.OFFLINE else ExitCode.OK


def to_lines(report: Report, speedups: Speedups) -> Iterator[str]:
    """The report for people."""
    facts, verdict = report.facts, report.verdict
    yield from _section("Network", _network(report))
    yield from _section("UDP out", _udp(facts))
    yield from _section("Public address", [_public(facts)])
    yield from _section("IPv6", [_ipv6(facts)])
    yield from _section("Hairpin", [_hairpin(facts)])
    yield from _section("mDNS .local", [_mdns(report)])
    yield from _section("TURN", map(_server, facts.relays) if facts.relays else ["not configured"])
    yield from _section("Speedups", [_speedups(speedups)])
    yield from _section("Verdict", [f"{verdict.reach}: {verdict.summary}", *verdict.advice])


def to_json(report: Report, speedups: Speedups) -> dict[str, Any]:
    """The report for machines. Keys stay, new ones may come; what is unknown is null."""
    facts, verdict = report.facts, report.verdict
    return {
        "verdict": verdict.reach.value,
        "summary": verdict.summary,
        "advice": list(verdict.advice),
        "udp": facts.udp,
        "mapping": facts.mapping.value,
        "hairpin": facts.hairpin,
        "mdns": report.mdns,
        "mdns_detail": report.mdns_detail,
        "ipv6": {"global_address": facts.ipv6, "enabled": facts.is_ipv6_enabled},
        "public_addresses": list(facts.public_hosts),
        "interfaces": [
            {
                "name": each.interface.name,
                "address": each.interface.address,
                "prefix_length": each.interface.prefix_length,
                "virtual": each.interface.is_virtual,
                "used": not each.ignored,
                "reason": each.ignored,
            }
            for each in report.interfaces
        ],
        "mapped_addresses": [
            {"local": _address(each.local), "server": _address(each.server), "mapped": _address(each.mapped)}
            for each in facts.sightings
        ],
        "servers": [
            {
                "url": server.name,
                "transport": server.transport.value,
                "address": None if server.address is None else _address(server.address),
                "outcome": server.outcome.value,
                "seconds": server.round_trip_time,
                "code": server.code,
                "realm": server.realm,
                "detail": server.detail,
            }
            for server in facts.servers
        ],
        "speedups": {
            "crc32c": speedups.crc32c,
            "aes_gcm_seconds": speedups.aes_gcm,
            "udp_gso": speedups.is_udp_offloaded,
        },
    }


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"{title:<{_WIDTH}}  {line}".rstrip()
        title = ""


def _network(report: Report) -> Iterator[str]:
    used = [
        _interface(each.interface) + (" (virtual)" if each.interface.is_virtual else "")
        for each in report.interfaces
        if not each.ignored
    ]
    yield _BETWEEN.join(used) or "no address that can be used"
    for each in report.interfaces:
        if each.ignored:
            yield f"{_interface(each.interface)} ignored: {each.ignored}"


def _interface(interface: Interface) -> str:
    prefix = "" if interface.prefix_length is None else f"/{interface.prefix_length}"
    return f"{interface.name} {interface.address}{prefix}"


def _udp(facts: NetworkFacts) -> Iterator[str]:
    servers = [server for server in facts.servers if not server.is_relay]
    yield _BETWEEN.join((_YES_OR_NO[facts.udp], *map(_server, servers)))


def _server(server: ServerFacts) -> str:
    if server.outcome is Outcome.WORKS:
        time = "" if server.round_trip_time is None else f" {server.round_trip_time * 1000:.0f} ms"
        return f"{server.name}{time}"
    if server.code:
        return f"{server.name} refused: {server.code}"
    return f"{server.name} {server.outcome}"


def _public(facts: NetworkFacts) -> str:
    if not facts.public_hosts:
        return "unknown"
    return f"{', '.join(facts.public_hosts)}{_BETWEEN}{_MAPPINGS[facts.mapping]}"


def _ipv6(facts: NetworkFacts) -> str:
    if not facts.ipv6:
        return "no global address"
    return "a global address" if facts.is_ipv6_enabled else "a global address, not used: -6 turns it on"


def _hairpin(facts: NetworkFacts) -> str:
    return "not needed: no NAT" if facts.mapping is NatMapping.NO_NAT else _HAIRPIN[facts.hairpin]


def _mdns(report: Report) -> str:
    if report.mdns is False:
        return f"names of browsers cannot be resolved: {report.mdns_detail}"
    return "not tested" if report.mdns is None else "our own resolver asks for the names of browsers"


def _speedups(speedups: Speedups) -> str:
    crc32c = "google-crc32c" if speedups.crc32c == "c" else "in Python, slow: the extension of google-crc32c is missing"
    aes_gcm = f"AES-GCM {speedups.aes_gcm * 1e6:.1f} us/{RECORD_SIZE} B"
    return _BETWEEN.join((f"crc32c: {crc32c}", aes_gcm, f"UDP GSO {_YES_OR_NO[speedups.is_udp_offloaded]}"))


def _address(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if is_ipv6(host) else f"{host}:{port}"
