"""Several sessions at once: which one carries data, when one has lost its path, and when all is over."""

from __future__ import annotations

import gc
import math
import random
from collections import Counter

import attrs
import pytest

from tests.ice.simulation import End, Fate, World, after
from tests.simulation.nats import TURN_URLS, Agents, internet
from tests.simulation.world import SIDES
from xp2p_trio import stun
from xp2p_trio.errors import Reason
from xp2p_trio.ice import (
    Agent,
    CandidateFound,
    CandidateType,
    Configuration,
    GatheringCompleted,
    NameRequested,
    PathLost,
    PathRecovered,
    Role,
    State,
    TurnServer,
    decode_candidate,
)
from xp2p_trio.sansio import Address, Failed, Transport
from xp2p_trio.stun import Message, MessageClass
from xp2p_trio.testing import BLACK_HOLE, Link
from xp2p_trio.turn import Credentials


def connected(seed: int = 0) -> World:
    world = World(seed)
    world.introduce()
    world.run_for(1)
    world.assert_agreed()
    for end in world.ends:
        end.events.clear()
    return world


def echoes(world: World) -> bool:
    for end in world.ends:
        end.received.clear()
        end.agent.send([b"\x16"], world.now)
    world.run_for(0.1)
    return all(end.received for end in world.ends)


def losing(*fragments: str, nominations: bool = False) -> Fate:
    """A network that loses checks of these username fragments, or but those of them that nominate."""

    def fate(number: int, source: Address, destination: Address, data: bytes) -> tuple[float, ...]:
        if data[0] <= 3:
            message = stun.decode_message(data)
            username = message.get(stun.Username)
            is_theirs = username is not None and username.text.partition(":")[0] in fragments
            if is_theirs and (not nominations or message.get(stun.UseCandidate) is not None):
                return ()
        return (0.01,)

    return fate


def fragments(world: World) -> list[str]:
    return [end.agent.local_username_fragment for end in world.ends]


def kinds(end: End) -> list[type]:
    return [type(event) for event in end.events]


def test_checks_from_before_a_restart_may_find_the_first_path() -> None:
    world = World()
    world.introduce()
    world.run_for(0.001)
    world.restart(world.left)
    world.run_for(1)
    assert world.left.agent.state is State.GATHERING
    assert world.left.agent.selected_pair is not None
    assert echoes(world)
    world.run_for(100)
    assert echoes(world)


def test_a_restart_amid_the_first_checks_does_not_keep_a_lone_agent_alive() -> None:
    world = World()
    world.introduce()
    world.is_connected = False
    world.run_for(1)
    world.restart(world.left)
    world.run_for(39)
    last = world.left.events[-1]
    assert isinstance(last, Failed)
    assert last.failure.reason is Reason.NO_PATH
    assert "1 pair tried" in last.failure.detail


def test_a_new_path_that_is_lost_before_it_is_nominated_leaves_the_old_one() -> None:
    world = connected()
    world.restart()
    new = fragments(world)
    world.fate = losing(*new, nominations=True)
    world.reintroduce()
    world.run_for(0.3)
    assert world.left.agent.state is State.CONNECTED
    world.fate = losing(*new)
    for _ in range(30):
        world.run_for(3)
        assert echoes(world)
    assert all(end.agent.is_restarting for end in world.ends)
    assert not any(kind in (PathLost, Failed) for end in world.ends for kind in kinds(end))
    world.fate = after(0.01)
    world.restart()
    world.reintroduce()
    world.run_for(1)
    world.assert_agreed()


def test_a_refused_nomination_leaves_the_old_path() -> None:
    """By RFC 8445 section 7.2.5.3.4 the new check list has failed, which the old path need not suffer for."""
    world = connected()
    world.restart()
    world.fate = losing(*fragments(world), nominations=True)
    world.reintroduce()
    world.run_for(0.3)
    checks = [stun.decode_message(data) for *_, data in world.left.sent if data[0] <= 3]
    nominating = [check for check in checks if check.get(stun.UseCandidate) is not None]
    refusal = Message(MessageClass.ERROR_RESPONSE, 1, nominating[-1].transaction_id, (stun.ErrorCode(400, "no"),))
    raw = stun.encode_message(refusal, key=stun.short_term_key(world.right.agent.local_password), fingerprint=True)
    world.deliver(world.right.bases[0], world.left.bases[0], raw)
    world.run_for(60)
    assert world.left.agent.state is State.CONNECTED
    assert echoes(world)
    world.is_connected = False
    world.run_for(61)
    assert isinstance(world.left.events[-1], Failed)


@pytest.mark.parametrize("done", ["left", "right"])
def test_a_restart_after_one_that_only_the_peer_is_done_with(done: str) -> None:
    """Who is done answers no checks of the old session any more, so that data must follow to the one in between."""
    world = connected()
    ahead, behind = (world.left, world.right) if done == "left" else (world.right, world.left)
    world.restart()

    def fate(number: int, source: Address, destination: Address, data: bytes) -> tuple[float, ...]:
        if done == "left":  # whose nomination is answered, but never checked back
            return losing(ahead.agent.local_username_fragment)(number, source, destination, data)
        return (0.15,) if ahead.agent.state is State.COMPLETED and source == ahead.bases[0] else (0.01,)

    world.fate = fate
    world.reintroduce()
    while ahead.agent.state is not State.COMPLETED:
        world.run_for(0.01)
    assert behind.agent.is_restarting
    world.restart()
    for _ in range(20):
        world.run_for(3)
        assert echoes(world)
    assert not any(kind in (PathLost, Failed) for end in world.ends for kind in kinds(end))
    world.fate = after(0.01)
    world.reintroduce()
    world.run_for(1)
    world.assert_agreed()
    assert not any(end.agent.is_restarting for end in world.ends)
    assert echoes(world)


def test_restarts_that_nobody_hears_of_do_not_pile_up() -> None:
    world = connected()
    for _ in range(20):
        world.restart()
    for _ in range(20):
        world.restart(world.left)
        world.tell_credentials(world.left)
    world.run_for(100)
    assert echoes(world)
    for end in world.ends:
        requests = [end.requests[tid] for tid, times in end.request_times.items() if times[-1] > world.now - 12]
        names = {name for raw in requests if (name := stun.decode_message(raw).get(stun.Username)) is not None}
        assert len(names) <= 4
    world.left.cancel_restart(world.now)
    world.restart()
    world.reintroduce()
    world.run_for(1)
    world.assert_agreed()


def test_five_hundred_restarts_leave_nothing_behind() -> None:
    def count() -> dict[str, int]:
        gc.collect()
        kinds = Counter(
            type(each).__name__ for each in gc.get_objects() if type(each).__module__.startswith("xp2p_trio.ice")
        )
        return {kind: kinds[kind] for kind in ("Session", "Pair", "Check", "Gathering")}

    world = connected()
    before = count()
    for _ in range(500):
        world.restart()
        world.reintroduce()
        world.run_for(0.2)
        for end in world.ends:
            end.events.clear()
    world.assert_agreed()
    world.run_for(45)  # checks that were given up wait for a late answer
    assert all(after <= before[kind] + 2 for kind, after in count().items())


def test_what_is_lost_and_recovered_is_told_once_across_sessions() -> None:
    """With the longest consent interval the old path may be gone for good before it counts as lost."""
    losses = 0
    for seed in range(20):
        configuration = Configuration(carries="any", check_timeout=39.5)
        agents = Agents(internet("open", "open", seed=seed), consent_interval=24.0, ice=configuration)
        assert agents.connects()
        agents.run(float(seed))
        agents.network.set_links("alice", "bob", BLACK_HOLE)
        agents.restart()
        agents.run(25.0)
        agents.network.set_links("alice", "bob", Link(delay=0.02))
        agents.run(14.0)
        assert agents.echoes()
        for events in agents.events.values():
            lost = [type(event) for event in events if isinstance(event, PathLost | PathRecovered)]
            assert lost in ([], [PathLost, PathRecovered])
            losses += bool(lost)
    assert losses > 10


# Candidates and their ends, by session.


def test_candidates_and_their_end_go_to_the_session_that_they_are_of() -> None:
    world = World()
    world.gather()
    for end in world.ends:
        world.tell_credentials(end)
    old = world.right.agent.local_username_fragment
    world.restart(world.left)
    agent = world.left.agent
    late = decode_candidate("candidate:1 1 udp 5 192.0.2.2 5002 typ host")
    agent.add_remote_candidate(attrs.evolve(late, username_fragment=old), world.now)
    agent.end_of_remote_candidates(world.now, old)
    assert agent.remote_candidates == ()
    world.run_for(1)
    assert agent.selected_pair is not None
    assert agent.selected_pair.remote.address == ("192.0.2.2", 5002)


def test_a_name_that_is_resolved_after_the_end_means_nothing() -> None:
    world = World()
    world.introduce()
    agent = world.left.agent
    agent.add_remote_candidate(decode_candidate("candidate:1 1 udp 5 x.local 5002 typ host"), world.now)
    assert agent.take_events()[-1] == NameRequested("x.local")
    agent.close(world.now)
    before = agent.remote_candidates
    agent.name_resolved("x.local", ["192.0.2.9"], world.now)
    assert agent.remote_candidates == before


# Gathering.


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.07])
def test_a_restart_amid_gathering_waits_for_the_allocation_that_was_begun(delay: float, transport: Transport) -> None:
    network = internet("open", "open")
    agents = Agents(network, urls=(TURN_URLS[transport],), relay_only=SIDES)
    agents.run(delay)
    agents.restart()
    for events in agents.events.values():
        events.clear()
    assert agents.connects()
    assert agents.echoes()
    agents.run(5.0)
    for events in agents.events.values():
        told = [type(event) for event in events if isinstance(event, CandidateFound | GatheringCompleted)]
        assert told[-2:] == [CandidateFound, GatheringCompleted]


def test_a_restart_that_is_taken_back_amid_gathering_gathers_on() -> None:
    server = ("198.51.100.3", 3478)
    agent = Agent(Configuration(), role=Role.CONTROLLING, random_bytes=random.Random(3).randbytes)
    agent.gather(0.0)
    agent.add_local_address(("10.0.0.1", 4000), 0.0)
    agent.add_stun_server(server, 0.0)
    agent.end_of_local_addresses(0.0)
    agent.restart(0.0)
    agent.cancel_restart(0.0)
    agent.end_of_local_addresses(0.0)  # what the driver answers to the restart
    agent.take_events()
    (query,) = agent.transmit(0.1, 9)
    request = stun.decode_message(query.datagrams[0])
    mapped = stun.XorMappedAddress(("203.0.113.1", 4000))
    reply = Message(MessageClass.SUCCESS_RESPONSE, 1, request.transaction_id, (mapped,))
    agent.receive(attrs.evolve(query, datagrams=[stun.encode_message(reply)]), 0.2)
    found, completed = agent.take_events()
    assert isinstance(found, CandidateFound)
    assert found.candidate.type is CandidateType.SERVER_REFLEXIVE
    assert found.candidate.username_fragment == agent.local_username_fragment
    assert completed == GatheringCompleted()


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_socket_that_is_gone_keeps_nobody_waiting(is_asked: bool) -> None:
    world = World()
    agent = world.left.agent
    agent.gather(0.0)
    for base in world.left.bases:
        agent.add_local_address(base, 0.0)
    agent.add_stun_server(("198.51.100.3", 3478), 0.0)
    agent.add_turn_server(TurnServer(("198.51.100.4", 3478), Credentials("user", "password")), 0.0)
    agent.end_of_local_addresses(0.0)
    if is_asked:
        agent.transmit(0.0, 9)
    agent.take_events()
    for base in world.left.bases:
        agent.remove_local_address(base, 0.1)
    assert agent.take_events()[-1] == GatheringCompleted()
    assert agent.next_timeout() == math.inf
