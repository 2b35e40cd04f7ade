"""Section 5.5 towards TURN servers, and by way of them: what a server, a peer or a silence can make an agent send."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.ice.relays import SERVERS, World, server
from xp2p_trio import ice, stun
from xp2p_trio.sansio import Burst, Transport
from xp2p_trio.testing import Sent

TURN = (SERVERS["turn"][0], 3478)


def lonely(*servers: ice.TurnServer, **fields: object) -> World:
    return World(*servers, relay_only=("alice",), bob=(), **fields)  # type: ignore[arg-type]


def flood(world: World, hosts: int, ports: int = 1) -> None:
    """Candidates of the peer that lead nowhere."""
    for number in range(hosts):
        for port in range(1, 1 + ports):
            host = f"203.0.{114 + number // 250}.{number % 250 + 1}"
            candidate = ice.Candidate(f"{number}", 1, "udp", 1 + number, host, port, ice.CandidateType.HOST)
            world.alice.add_remote_candidate(candidate, world.now)


def requests_to(world: World, since: int = 0) -> list[tuple[float, stun.Message]]:
    """What Alice asked the server."""
    found = []
    for entry in world.sent_to(TURN, since):
        if entry.source[0] == "192.0.2.1" and entry.datagram[0] == 0:
            message = stun.decode_message(entry.datagram)
            if message.message_class is stun.MessageClass.REQUEST:
                found.append((entry.time, message))
    return found


def busiest_second(times: list[float]) -> int:
    return max((sum(start <= time < start + 1.0 for time in times) for start in times), default=0)


def test_a_silent_server_gets_seven_requests_a_transaction_at_most() -> None:
    world = lonely(server(), gathering_timeout=60.0)
    world.servers["turn"].faults.is_silent = True
    world.start()
    world.run(100.0)
    requests = requests_to(world)
    assert len({message.transaction_id for _, message in requests}) == 1
    assert len(requests) <= 7


def test_a_server_that_falls_silent_gets_seven_requests_a_transaction_at_most() -> None:
    world = lonely(server()).gathered()
    world.servers["turn"].faults.is_silent = True
    flood(world, 20)
    since = len(world.network.trace)
    world.run(31.0)
    counts = Counter(message.transaction_id for _, message in requests_to(world, since))
    assert counts
    assert max(counts.values()) <= 7


@pytest.mark.parametrize("code", [403, 400, 438, 500, 508])
def test_a_server_that_refuses_gets_three_transactions_a_second_at_most(code: int) -> None:
    world = lonely(server()).gathered()
    faults = world.servers["turn"].faults
    if code == 438:
        faults.always_stale = True
    else:
        faults.error_codes = dict.fromkeys(
            (stun.Method.CREATE_PERMISSION, stun.Method.CHANNEL_BIND, stun.Method.REFRESH), code
        )
    since = len(world.network.trace)
    for _ in range(35):
        flood(world, 100)
        world.run(1.0)
    times: dict[bytes, float] = {}
    for time, message in requests_to(world, since):
        times.setdefault(message.transaction_id, time)
    assert len(times) > 20
    assert busiest_second(list(times.values())) <= 3


@pytest.mark.parametrize("transport", list(Transport))
def test_a_list_of_candidates_costs_victims_behind_a_server_seven_requests_a_pair(transport: Transport) -> None:
    world = lonely(server(transport=transport), check_timeout=39.5).gathered()
    flood(world, 200)
    world.alice.end_of_remote_candidates(world.now)
    world.run(60.0)
    relayed = {SERVERS["turn"][0]}
    checks = [
        entry
        for entry in world.network.trace
        if isinstance(entry, Sent) and entry.source[0] in relayed and entry.destination[0].startswith("203.0.")
    ]
    per_path = Counter((entry.source, entry.destination) for entry in checks)
    assert len(per_path) == 64  # as many as have a permission
    assert max(per_path.values()) <= 7
    assert sum(len(entry.datagram) for entry in checks) <= 70_000
    assert all(entry.datagram[0] < 4 for entry in checks)


def test_candidates_of_one_refused_host_are_no_storm() -> None:
    world = lonely(server(), choices={"turn": {"refuses_peer": lambda host: host == "203.0.114.1"}}).gathered()
    since = len(world.network.trace)
    for port in range(1, 60):
        candidate = ice.Candidate(f"{port}", 1, "udp", port, "203.0.114.1", port, ice.CandidateType.HOST)
        world.alice.add_remote_candidate(candidate, world.now)
        world.run(0.1)
    times = [time for time, _ in requests_to(world, since)]
    assert times
    assert busiest_second(times) <= 3


def test_a_peer_cannot_make_an_agent_flood_its_server_with_answers() -> None:
    """What comes over a relay is answered as what comes over a socket: 50 errors a second at most."""
    world = lonely(server()).connect()
    username = stun.Username(f"{world.alice.local_username_fragment}:{world.bob.local_username_fragment}")
    message = stun.Message(stun.MessageClass.REQUEST, 1, bytes(12), (username, stun.Priority(1)))
    raw = stun.encode_message(message, key=b"wrong", fingerprint=True)
    framed = (stun.XorPeerAddress(("203.0.113.2", 7)), stun.Data(raw))
    indication = stun.Message(stun.MessageClass.INDICATION, stun.Method.DATA, bytes(12), framed)
    since = len(world.network.trace)
    for _ in range(1000):
        world.alice.receive(Burst(("192.0.2.1", 49152), TURN, [stun.encode_message(indication)]), world.now)
        world.run(0.001)
    sent = [entry for entry in world.sent_to(TURN, since) if entry.source[0] == "192.0.2.1"]
    assert len(sent) <= 110
    assert math.isfinite(world.alice.next_timeout())
