"""turn_438_storm: any request may be answered 438; it is renewed and repeated once, and never in a storm."""

from __future__ import annotations

import pytest

from tests.ice import relays
from tests.turn.world import OTHER_PEER, PEER, World
from xp2p_trio import ice, stun, turn
from xp2p_trio.sansio import Failed


def busiest_second(times: list[float]) -> int:
    """The most requests within any second."""
    return max((sum(start <= time < start + 1.0 for time in times) for start in times), default=0)


def test_no_gap_in_relayed_data_while_nonces_go_stale() -> None:
    world = World(nonce_lifetime=5.0)
    relayed = world.allocate().relayed_address
    world.permit(PEER[0], OTHER_PEER[0], "203.0.113.7")
    world.bind()
    for number in range(1500):
        world.client.send([(PEER, b"out"), (OTHER_PEER, b"out")], world.now)
        world.peer.say(PEER, relayed, b"in")
        world.run(1.0)
        assert len(world.received) == number + 1
        assert len(world.peer.received) == 2 * (number + 1)
    assert world.client.state is turn.State.ALLOCATED
    assert world.client.statistics.requests_refused < 60


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_two_in_a_row_end_the_request(when: str) -> None:
    world = World()
    if when == "at the start":
        world.server.faults.always_stale = True
        world.client.start(0.0)
        world.run(30.0)
        (refused,) = world.of(turn.AllocationRefused)
        assert refused.code == 438
        assert isinstance(world.events[-1], Failed)
        assert world.server.requests_received == {stun.Method.ALLOCATE: 3}
        return
    world.allocate()
    world.server.faults.always_stale = True
    world.client.create_permissions([PEER[0]], world.now)
    world.run(0.5)
    assert world.server.requests_received[stun.Method.CREATE_PERMISSION] == 2
    world.run(60.0)  # repeated as a new request, with growing pauses
    assert world.server.requests_received[stun.Method.CREATE_PERMISSION] <= 14
    world.server.faults.always_stale = False
    world.run(40.0)
    assert world.of(turn.PermissionCreated) == [turn.PermissionCreated(PEER[0])]


@pytest.mark.parametrize("code", [438, 500, 403, 400])
def test_at_most_three_refused_transactions_a_second(code: int) -> None:
    world = World()
    world.allocate()
    world.run(10.0)
    del world.sent_at["client"][:]
    if code == 438:
        world.server.faults.always_stale = True
    else:
        for method in (stun.Method.CREATE_PERMISSION, stun.Method.CHANNEL_BIND, stun.Method.REFRESH):
            world.server.faults.error_codes[method] = code
    for number in range(64):
        world.client.bind_channel((f"198.51.100.{number}", 1), world.now)
    world.run(500.0)
    assert busiest_second(world.sent_at["client"]) <= 3


def test_many_requests_with_one_stale_nonce_all_succeed() -> None:
    world = World(nonce_lifetime=5.0)
    world.allocate()
    world.run(6.0)
    for number in range(20):
        world.client.bind_channel((f"198.51.100.{number}", 1), world.now)
    world.run(30.0)
    assert world.client.statistics.channels == 20


# Through an agent.


def test_no_gap_in_a_path_while_nonces_go_stale() -> None:
    world = relays.World(relays.server(), choices={"turn": {"nonce_lifetime": 5.0}}).connect()
    for _ in range(700):
        assert world.echoes(patience=1.0)
    assert world.failures() == []


def test_an_agent_is_no_storm_either() -> None:
    """With 100 candidates of the peer, and a server that takes no nonce any more."""
    world = relays.World(relays.server(), relay_only=("alice",), bob=()).gathered()
    world.servers["turn"].faults.always_stale = True
    for number in range(100):
        host = f"203.0.114.{number + 1}"
        world.alice.add_remote_candidate(
            ice.Candidate("1", 1, "udp", 1 + number, host, 9, ice.CandidateType.HOST), world.now
        )
    since = len(world.network.trace)
    world.run(35.0)
    requests = world.sent_to(("198.51.100.2", 3478), since)
    times = [entry.time for entry in requests if entry.source[0] == "192.0.2.1" and entry.datagram[0] == 0]
    assert times
    assert busiest_second(times) <= 3
