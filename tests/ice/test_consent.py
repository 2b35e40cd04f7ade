"""Consent freshness (RFC 7675)."""

from __future__ import annotations

import itertools

import pytest

from tests.ice.simulation import World, after
from xp2p_trio.errors import InvalidState
from xp2p_trio.ice import PathLost, PathRecovered, State
from xp2p_trio.sansio import Closed, Failed


def connected(seed: int = 0) -> World:
    world = World(seed)
    world.introduce()
    world.run_for(1)
    world.assert_agreed()
    return world


def test_checks_go_every_five_seconds_within_a_fifth() -> None:
    world = connected()
    before = len(world.left.start_times)
    world.run_for(600)
    times = world.left.start_times[before:]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert all(4.0 - 1e-9 <= gap <= 6.0 + 1e-9 for gap in gaps)
    assert max(gaps) - min(gaps) > 1
    assert 100 <= len(times) <= 150
    assert world.left.agent.statistics.consent_checks_sent == len(times)
    world.assert_agreed()


def test_a_short_outage_is_a_lost_and_recovered_path() -> None:
    world = connected()
    world.is_connected = False
    went = world.now
    world.run_for(15)
    lost = world.left.time_of(lambda event: isinstance(event, PathLost))
    assert 7.0 <= lost - went <= 13.0
    assert world.left.agent.state is State.COMPLETED
    world.left.agent.send([b"\x16still allowed"], world.now)
    world.is_connected = True
    world.run_for(10)
    assert world.left.count(PathRecovered) == world.right.count(PathRecovered) == 1
    assert world.left.count(PathLost) == 1
    world.assert_agreed()


def test_a_single_lost_consent_check_is_no_lost_path() -> None:
    for seed in range(30):
        world = connected(seed)
        count = world.left.agent.statistics.consent_checks_sent
        world.fate = lambda number, source, destination, data: ()
        while world.left.agent.statistics.consent_checks_sent == count:
            world.run(world.left.agent.next_timeout())
        world.fate = after(0.3)
        world.run_for(12)
        assert world.left.count(PathLost) == 0
        world.assert_agreed()


def test_an_answer_that_was_not_taken_in_for_long_does_not_bring_consent_back() -> None:
    world = connected()
    agent = world.left.agent
    expires_at = world.left.answered[world.left.bases[0], world.right.bases[0]] + 30
    while not any(bursts := agent.transmit(world.now, 9)):
        world.now = agent.next_timeout()
        agent.handle_timeout(world.now)
    world.right.agent.receive(bursts[0].reversed(), world.now)
    (answer,) = world.right.agent.transmit(world.now, 9)
    agent.receive(answer.reversed(), expires_at)
    agent.handle_timeout(expires_at)
    world.left.settle(expires_at)
    assert isinstance(world.left.events[-1], Failed)
    assert world.left.events[-1].failure.reason == "consent expired"


def test_expiry_ends_the_agent_and_its_data() -> None:
    world = connected()
    last = world.left.answered[world.left.bases[0], world.right.bases[0]]
    world.is_connected = False
    while world.left.agent.state is State.COMPLETED:
        world.left.agent.send([b"\x16data"], world.now)  # the monitor knows how long this may leave
        world.run_for(0.25)
    assert 30.0 <= world.now - last <= 30.25 + 6.0
    failed = world.left.events[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.reason == "consent expired"
    assert "192.0.2.2 port 5002" in failed.failure.detail
    with pytest.raises(InvalidState):
        world.left.agent.send([b"\x16data"], world.now)
    sent = len(world.left.sent)
    world.run_for(100)
    assert len(world.left.sent) == sent
    assert world.left.agent.selected_pair is None


def test_data_stops_at_expiry_even_if_nobody_handles_timeouts() -> None:
    world = connected()
    agent = world.left.agent
    agent.send([b"\x16data"], world.now)
    assert agent.transmit(world.now + 40, 10) == [] or all(
        datagram[0] <= 3 for burst in agent.transmit(world.now + 40, 10) for datagram in burst.datagrams
    )
    assert agent.statistics.datagrams_unsent == 1


def test_a_clock_that_jumps_an_hour_ends_in_one_event() -> None:
    world = connected()
    for end in world.ends:
        end.agent.handle_timeout(world.now + 3600)
        assert len(end.agent.transmit(world.now + 3600, 100)) == 0
        end.settle(world.now)
        assert end.count(Failed) == 1


def test_closing_is_silent_and_last() -> None:
    world = connected()
    world.left.agent.send([b"\x16unsent"], world.now)
    world.left.agent.close(world.now)
    world.left.settle(world.now)
    assert world.left.events[-1] == Closed()
    sent = len(world.left.sent)
    world.run_for(60)
    assert len(world.left.sent) == sent
    assert isinstance(world.right.events[-1], Failed)
    assert world.left.agent.next_timeout() == float("inf")
