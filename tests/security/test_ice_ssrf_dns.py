"""ice_ssrf_dns and turn_peer_addr: only addresses that policy allows, in whatever spelling they come."""

from __future__ import annotations

import ipaddress

import pytest

from tests.ice.simulation import World
from xp2p_trio import mdns
from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.ice import Candidate, CandidateType, Configuration, decode_candidate
from xp2p_trio.sansio import Burst

NEVER = [
    "0.0.0.0", "0.1.2.3", "255.255.255.255", "240.0.0.1", "224.0.0.1", "239.255.255.250", "::", "::0",
    "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0", "::ffff:0:0", "0:0:0:0:0:ffff:0:0", "::ffff:224.0.0.1", "::ffff:e000:1",
    "::ffff:255.255.255.255",
    "::ffff:ffff:ffff", "ff02::1", "ff02::fb", "FF05::2", "ff0e:0:0:0:0:0:0:1", "::224.0.0.1", "64:ff9b::224.0.0.1",
    "64:ff9b::0.0.0.0", "64:ff9b::ffff:ffff", "fec0::1",
]  # fmt: skip
LOOPBACK = [
    "127.0.0.1", "127.1.2.3", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1", "::0001", "0::1", "::ffff:127.0.0.1",
    "::FFFF:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:1", "::ffff:127.9.9.9", "::127.0.0.1", "::7f00:1",
    "64:ff9b::127.0.0.1", "64:ff9b::7f00:1",
]  # fmt: skip
LINK_LOCAL = ["169.254.1.1", "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1", "febf::1"]
NOT_LITERALS = [
    "localhost",
    "127.1",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "2130706433",
    "example.org",
    "1.2.3.4.",
    "[::1]",
    "::1%lo",
]


def offer(host: str, configuration: Configuration) -> World:
    world = World(
        configurations=(configuration, configuration), left=[("192.0.2.1", 1), ("2001:db8::1", 1), ("fe80::9", 1)]
    )
    world.gather()
    world.tell_credentials(world.left)
    spelled = str(ipaddress.ip_address(host))
    world.left.agent.add_remote_candidate(Candidate("1", 1, "udp", 5, spelled, 80, CandidateType.HOST), world.now)
    world.run_for(3)
    return world


@pytest.mark.parametrize("host", NEVER)
def test_never(host: str) -> None:
    world = offer(host, Configuration())
    assert world.left.sent == []
    assert world.left.agent.statistics.candidates_refused == 1


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_by_policy(host: str) -> None:
    assert offer(host, Configuration(allow_loopback=False)).left.sent == []
    allowed = offer(host, Configuration())
    (candidate,) = allowed.left.agent.remote_candidates
    assert "ffff" not in candidate.host.lower()  # one spelling: IPv4 for IPv4-mapped


@pytest.mark.parametrize("host", LINK_LOCAL)
def test_link_local_by_policy(host: str) -> None:
    assert offer(host, Configuration(allow_link_local=False)).left.sent == []
    assert len(offer(host, Configuration()).left.agent.remote_candidates) == 1


@pytest.mark.parametrize("host", NOT_LITERALS)
def test_what_is_no_literal_is_no_candidate(host: str) -> None:
    with pytest.raises(DecodeError):
        decode_candidate(f"candidate:1 1 udp 5 {host} 80 typ host")


def test_mdns_names_are_counted_and_skipped() -> None:
    world = World()
    world.gather()
    world.tell_credentials(world.left)
    name = "6f2a4c1e-1111-2222-3333-444455556666.local"
    world.left.agent.add_remote_candidate(Candidate("1", 1, "udp", 5, name, 80, CandidateType.HOST), world.now)
    world.left.agent.end_of_remote_candidates(world.now)
    world.run_for(1)
    assert world.left.sent == []
    assert world.left.agent.statistics.candidates_mdns == 1
    world.tell_credentials(world.right)
    world.tell_candidates(world.left)
    world.run_for(2)
    world.assert_agreed()


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate("1", 1, "tcp", 5, "192.0.2.2", 9, CandidateType.HOST, tcp_type="active"),
        Candidate("1", 2, "udp", 5, "192.0.2.2", 80, CandidateType.HOST),
        Candidate("1", 1, "udp", 5, "192.0.2.2", 80, CandidateType.HOST, username_fragment="another"),
    ],
)
def test_candidates_of_another_kind_are_ignored(candidate: Candidate) -> None:
    world = World()
    world.gather()
    world.tell_credentials(world.left)
    world.left.agent.add_remote_candidate(candidate, world.now)
    world.run_for(1)
    assert world.left.sent == []
    assert world.left.agent.statistics.candidates_ignored == 1


def test_a_mapped_source_is_the_address_itself() -> None:
    world = World(fate=lambda *_: ())
    world.introduce()
    world.pull()
    (raw,) = world.right.requests.values()
    world.left.agent.receive(Burst(world.left.bases[0], ("::ffff:192.0.2.2", 5002), [raw]), world.now)
    assert [c.type for c in world.left.agent.remote_candidates] == ["host"]
    assert world.left.agent.pair_report[0].requests_received == 1


NOT_OF_THE_LINK = [
    *NOT_LITERALS, "192.0.2.1", "a.example.local", "internal.corp.local", "local", ".local", "a.local.", "a.local.org",
    "a_b.local", "*.local", "a..local", "\uff41.local", "a.local\0", "x" * 64 + ".local",
]  # fmt: skip


@pytest.mark.parametrize("name", NOT_OF_THE_LINK)
def test_only_names_of_the_link_are_asked_for(name: str) -> None:
    endpoint = mdns.Endpoint(bytes)
    endpoint.add_local_address(("192.0.2.1", mdns.PORT), 0.0)
    with pytest.raises(InvalidArgument):
        endpoint.resolve(name, 0.0)
    assert (endpoint.transmit(0.0, 100), endpoint.take_events()) == ([], [])


@pytest.mark.parametrize("host", NEVER + LOOPBACK)
def test_a_name_of_the_link_leads_to_a_neighbour_only(host: str) -> None:
    endpoint = mdns.Endpoint(bytes, enable_ipv6=True)
    endpoint.add_local_address(("192.0.2.1", mdns.PORT), 0.0)
    endpoint.resolve("a.local", 0.0)
    record = mdns.AddressRecord((b"a", b"local"), str(ipaddress.ip_address(host)), 120)
    answer = mdns.encode_message(mdns.Message(is_response=True, answers=(record,)))
    endpoint.receive(Burst(("192.0.2.1", mdns.PORT), ("192.0.2.66", mdns.PORT), [answer]), 0.0)
    assert endpoint.take_events() == []
