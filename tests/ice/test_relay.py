"""Relayed candidates: what they are, what is asked for before data goes over them, and how it travels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from tests.ice.relays import DATA, PORTS, SERVERS, SIDES, World, server
from xp2p_trio import ice, stun, turn
from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing import SYMMETRIC, Delivered, Sent
from xp2p_trio.testing.turn_allocations import ServerAllocation

ALICE = ("192.0.2.1", 49152)
"""Her first socket on a host whose ports begin there."""

TRANSPORTS = list(Transport)


def messages(world: World, side_host: str) -> Iterator[tuple[float, Sent | Delivered, stun.Message]]:
    """The STUN messages that left from a host."""
    for entry in world.network.trace:
        if isinstance(entry, Sent) and entry.source[0] == side_host and entry.datagram[0] < 4:
            yield entry.time, entry, stun.decode_message(entry.datagram)


# --- what they are


@pytest.mark.parametrize(
    ("transport", "preference"),
    [(Transport.UDP, 65535), (Transport.TCP, 65535 - 0x4000), (Transport.TLS, 65535 - 0x8000)],
)
def test_a_relayed_candidate(transport: Transport, preference: int) -> None:
    world = World(server(transport=transport)).gathered()
    (candidate,) = world.alice.local_candidates
    assert candidate.type is ice.CandidateType.RELAYED
    assert candidate.transport == "udp"  # to the peer, however the server is reached
    assert candidate.address == world.servers["turn"].allocations[0].relayed_address
    assert candidate.priority == ice.candidate_priority(ice.CandidateType.RELAYED, preference)
    assert candidate.related_address == ("0.0.0.0", 9)  # RFC 8839 section 5.1, for privacy
    assert ice.decode_candidate(ice.encode_candidate(candidate)) == candidate


def test_an_ipv6_server_gives_an_ipv6_address() -> None:
    world = World(server(ipv6=True), ipv6=True).gathered()
    (candidate,) = world.alice.local_candidates
    assert candidate.host == SERVERS["turn"][1]
    assert candidate.related_address == ("::", 9)


def test_the_server_shows_our_address_as_well() -> None:
    """The mapped address of an Allocate response is a server-reflexive candidate (RFC 8445 section 5.1.1.2)."""
    world = World(server(), server(transport=Transport.TCP), relay_only=())
    world.network.nat("home", "203.0.113.7", inside=["alice"])
    world.gathered()
    counts = Counter(candidate.type for candidate in world.alice.local_candidates)
    assert counts == {"host": 1, "srflx": 1, "relay": 2}
    (reflexive,) = (each for each in world.alice.local_candidates if each.type == "srflx")
    assert reflexive.host == "203.0.113.7"
    assert reflexive.related_address == ALICE


SEVERAL = [server(host, transport) for host in ("turn", "other") for transport in TRANSPORTS]


def test_each_candidate_has_its_own_priority() -> None:
    """RFC 8445 section 5.1.2.1: the local preference is unique for each candidate of a type."""
    world = World(*SEVERAL)
    world.network.host("alice").add_ip_address("192.0.2.99")
    world.gathered()
    candidates = world.relayed("alice")
    assert len(candidates) == 8
    priorities = [candidate.priority for candidate in candidates]
    assert len(set(priorities)) == 8
    assert max(priorities) == ice.candidate_priority(ice.CandidateType.RELAYED, 65535)
    transports = [
        allocation.path.transport for candidate in candidates for allocation in allocations_at(world, candidate)
    ]
    assert transports == [Transport.UDP] * 4 + [Transport.TCP] * 2 + [Transport.TLS] * 2


def test_two_mappings_of_one_socket_have_priorities_of_their_own() -> None:
    world = World(server(), server("other"), relay_only=())
    world.network.nat("home", "203.0.113.7", behaviour=SYMMETRIC, inside=["alice"])
    world.gathered()
    priorities = [each.priority for each in world.alice.local_candidates if each.type == "srflx"]
    assert len(set(priorities)) == len(priorities) == 2


def allocations_at(world: World, candidate: ice.Candidate) -> Iterator[ServerAllocation]:
    for each in world.servers.values():
        yield from (one for one in each.allocations if one.relayed_address == candidate.address)


def test_foundations_follow_server_transport_and_relayed_host() -> None:
    """RFC 8445 section 5.1.1.3: alike when type, IP address of the base, server and transport to it are alike."""
    world = World(*SEVERAL)
    world.network.host("alice").add_ip_address("192.0.2.99")
    world.gathered()
    by_kind: defaultdict[tuple[str, Transport], set[str]] = defaultdict(set)
    for candidate in world.relayed("alice"):
        (allocation,) = allocations_at(world, candidate)
        by_kind[candidate.host, allocation.path.transport].add(candidate.foundation)
    assert len(by_kind) == 6
    assert all(len(foundations) == 1 for foundations in by_kind.values())
    assert len({foundation for foundations in by_kind.values() for foundation in foundations}) == 6


def test_what_the_agent_says_of_the_path() -> None:
    for transport in TRANSPORTS:
        world = World(server(transport=transport), relay_only=("alice",), bob=()).connect()
        assert world.routes() == [f"via TURN/{transport.value}", "via the peer's TURN"]


# --- permissions and channels


def test_every_candidate_of_the_peer_has_its_permission_before_it_is_checked() -> None:
    world = World(server(), relay_only=("alice",), bob=())
    for number in range(3, 9):
        world.network.host("bob").add_ip_address(f"203.0.113.{number}")
    world.connect()
    asked: dict[str, float] = {}
    checked: dict[str, float] = {}
    for time, _, message in messages(world, ALICE[0]):
        peers = [each.address[0] for each in message.attributes if isinstance(each, stun.XorPeerAddress)]
        for host in peers:
            if message.method == stun.Method.CREATE_PERMISSION:
                asked.setdefault(host, time)
            elif message.method == stun.Method.SEND:
                checked.setdefault(host, time)
    hosts = set(world.network.host("bob").ip_addresses)
    assert set(asked) == hosts
    assert checked
    for host, time in checked.items():
        assert asked[host] < time  # the round trip between is that of the permission


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_data_over_the_selected_pair_travels_as_channel_data(transport: Transport) -> None:
    world = World(server(transport=transport), relay_only=("alice",), bob=()).connect()
    world.run(1.0)
    before = len(world.network.trace)
    datagrams = [b"\x80" + bytes(size) for size in (0, 1, 2, 3, 1199)]
    world.alice.send(datagrams, world.now)
    world.run(0.5)
    assert world.bob.take_received() == datagrams
    padded = transport.is_stream
    expected = [turn.encode_channel_data(0x4000, each, padded=padded) for each in datagrams]
    sent = [entry.datagram for entry in world.sent_to((SERVERS["turn"][0], PORTS[transport]), before)]
    assert sent == expected
    for size, frame in zip((1, 2, 3, 4, 1200), sent, strict=True):
        assert frame[:4] == b"\x40\x00" + size.to_bytes(2, "big")
        assert len(frame) == 4 + (-(-size // 4) * 4 if padded else size)
    # And back.
    before = len(world.network.trace)
    world.bob.send([DATA], world.now)
    world.run(0.5)
    assert world.alice.take_received() == [DATA]
    delivered = [each.datagram for each in world.network.trace[before:] if isinstance(each, Delivered)]
    assert turn.encode_channel_data(0x4000, DATA, padded=padded) in delivered


def test_a_channel_that_is_denied_leaves_indications() -> None:
    world = World(server(), relay_only=("alice",), bob=())
    world.servers["turn"].faults.error_codes[stun.Method.CHANNEL_BIND] = 508
    world.connect()
    assert world.echoes()
    assert world.alice.statistics.datagrams_dropped == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_too_large_for_turn_is_dropped_and_counted(transport: Transport) -> None:
    world = World(server(transport=transport), relay_only=("alice",), bob=()).connect()
    world.run(1.0)
    before = world.alice.statistics
    largest = 65507 if transport is Transport.UDP else 70000
    world.alice.send([bytes([0x80]) * largest, DATA], world.now)
    world.run(0.5)
    assert world.bob.take_received() == [DATA]
    after = world.alice.statistics
    assert after.datagrams_unsent - before.datagrams_unsent == 1
    assert after.datagrams_sent - before.datagrams_sent == 1
    assert after.bytes_sent - before.bytes_sent == len(DATA)


# --- what a server may say


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_relayed_address_that_is_a_socket_of_ours_is_none(transport: Transport) -> None:
    choices = {"turn": {"relay_hosts": [ALICE[0]], "ports": (ALICE[1], ALICE[1])}}
    world = World(server(transport=transport), relay_only=(), choices=choices, bob=()).start()
    world.run(5.0)
    (failed,) = world.failures()
    assert "an address that is ours already" in failed.detail
    assert [candidate.type for candidate in world.alice.local_candidates] == ["host"]
    assert world.servers["turn"].allocations == []  # nothing is left there
    assert world.alice.selected_pair is not None
    assert world.alice.selected_pair.local.address == ALICE
    assert world.echoes()


def test_a_relayed_address_that_is_another_relays_is_none() -> None:
    choices = {name: {"relay_hosts": ["198.51.100.9"], "ports": (50000, 50000)} for name in ("turn", "other")}
    world = World(server(), server("other"), relay_only=("alice",), bob=(), choices=choices)
    world.ignored_candidates = lambda candidate: True
    world.start()
    world.run(5.0)
    (failed,) = world.failures()
    assert failed.name == "turn:other:3478?transport=udp"
    assert len(world.alice.local_candidates) == 1
    assert [len(world.servers[name].allocations) for name in ("turn", "other")] == [1, 0]


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_a_relayed_address_that_nobody_can_send_to_is_none(host: str) -> None:
    world = World(server(), choices={"turn": {"relay_hosts": [host]}}).gathered()
    (failed,) = world.failures()
    assert host in failed.detail
    assert world.alice.local_candidates == ()
    world.run(0.1)
    assert world.servers["turn"].allocations == []


# --- caps


def test_eight_servers_and_eight_relays() -> None:
    servers = [server(host, transport) for host in SERVERS for transport in TRANSPORTS]
    world = World(*servers)
    world.network.host("alice").add_ip_address("192.0.2.99")
    world.gathered()
    assert len(world.relayed("alice")) == 8
    assert sum(len(each.allocations) for each in world.servers.values()) <= 8 * len(SIDES)
    assert (
        sum(
            1
            for each in world.servers.values()
            for one in each.allocations
            if one.path.client[0] in (ALICE[0], "192.0.2.99")
        )
        == 8
    )


def test_64_permissions_for_100_candidates() -> None:
    world = World(server(), relay_only=("alice",), bob=())
    world.gathered()
    for number in range(100):
        candidate = ice.Candidate("1", 1, "udp", 1000 + number, f"203.0.114.{number + 1}", 9, ice.CandidateType.HOST)
        world.alice.add_remote_candidate(candidate, world.now)
    world.alice.end_of_remote_candidates(world.now)
    world.run(8.0)
    (allocation,) = world.servers["turn"].allocations
    assert len(allocation.permissions) == 64
    failed = [pair for pair in world.alice.pair_report if pair.state is ice.PairState.FAILED]
    assert len(failed) == 36
    assert all("there are 64 permissions already" in pair.detail for pair in failed)
    reached = {
        each.address[0]
        for _, _, message in messages(world, SERVERS["turn"][0])
        for each in message.attributes
        if isinstance(each, stun.XorPeerAddress)
    }
    assert reached <= set(allocation.permissions)


def test_a_hundred_ports_of_one_host_take_one_permission() -> None:
    world = World(server(), relay_only=("alice",), bob=())
    world.gathered()
    for number in range(100):
        candidate = ice.Candidate("1", 1, "udp", 1000 + number, "203.0.114.1", 1 + number, ice.CandidateType.HOST)
        world.alice.add_remote_candidate(candidate, world.now)
    world.run(8.0)
    assert world.requests()["CREATE_PERMISSION"] == 1


def test_only_hosts_that_were_asked_for_get_through() -> None:
    """What a stranger sends to the relayed address stays at the server."""
    world = World(server(), relay_only=("alice",), bob=()).connect()
    stranger: Address = ("203.0.113.66", 6666)
    world.network.host("stranger", stranger[0])
    before = world.alice.statistics
    world.network.send(Burst(stranger, world.relayed("alice")[0].address, [b"\x01 noise"]), world.now)
    world.run(0.5)
    assert world.alice.statistics == before
