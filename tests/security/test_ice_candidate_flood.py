"""ice_candidate_flood: limits hold under floods of candidates and of authenticated checks."""

from __future__ import annotations

import pytest

from tests.ice.simulation import World
from xp2p_trio import stun
from xp2p_trio.ice import Candidate, CandidateType
from xp2p_trio.sansio import Burst


def candidate(n: int) -> Candidate:
    host = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
    return Candidate(str(n % 97), 1, "udp", 1 + n, host, 9, CandidateType.HOST)


@pytest.mark.parametrize("early", [True, False])
def test_a_hundred_thousand_candidates(early: bool) -> None:
    world = World()
    world.gather()
    world.tell_credentials(world.right)
    world.tell_candidates(world.right)
    if not early:
        world.tell_credentials(world.left)
    world.tell_candidates(world.left)
    for n in range(20_000):
        world.left.agent.add_remote_candidate(candidate(n), world.now)
    if early:
        world.tell_credentials(world.left)
    world.run_for(3)
    assert len(world.left.agent.remote_candidates) <= 100
    assert len(world.left.agent.pair_report) <= 128
    world.assert_agreed()


def test_authenticated_checks_from_everywhere() -> None:
    world = World()
    world.introduce()
    world.run_for(0.001)
    agent, peer = world.right.agent, world.left.agent
    attributes = (
        stun.Username(f"{agent.local_username_fragment}:{peer.local_username_fragment}"),
        stun.Priority(2**32 - 1),
        stun.IceControlling(2**64 - 1),
    )
    key = stun.short_term_key(agent.local_password)
    queued = 0
    for n in range(20_000):
        message = stun.Message(stun.MessageClass.REQUEST, 1, n.to_bytes(12, "big"), attributes)
        raw = stun.encode_message(message, key=key, fingerprint=True)
        source = (f"198.51.{n >> 8 & 255}.{n & 255}", 1024 + n)
        agent.receive(Burst(world.right.bases[0], source, [raw]), world.now)
        world.right.request_ids_received.add(message.transaction_id)
        queued += 1
    assert queued == 20_000
    assert len(agent.remote_candidates) <= 132
    assert sum(c.type is CandidateType.PEER_REFLEXIVE for c in agent.remote_candidates) <= 32
    assert len(agent.pair_report) <= 128
    assert sum(len(burst.datagrams) for burst in agent.transmit(world.now, 10_000)) <= 64 + 136
    world.run_for(8)
    world.assert_agreed()
    assert agent.selected_pair is not None
    assert agent.selected_pair.remote.address == world.left.bases[0]
    world.check_pacing()


def test_early_checks_are_answered_and_sixteen_wait() -> None:
    world = World()
    world.gather()
    agent, peer = world.right.agent, world.left.agent
    username = stun.Username(f"{agent.local_username_fragment}:{peer.local_username_fragment}")
    key = stun.short_term_key(agent.local_password)
    answered = 0
    for n in range(100):
        message = stun.Message(stun.MessageClass.REQUEST, 1, n.to_bytes(12, "big"), (username, stun.Priority(5)))
        raw = stun.encode_message(message, key=key, fingerprint=True)
        agent.receive(Burst(world.right.bases[0], ("198.51.100.1", 1 + n), [raw]), world.now)
        answered += len(agent.transmit(world.now, 10))
    assert answered == 100
    assert agent.remote_candidates == ()
    world.tell_credentials(world.right)
    assert len(agent.remote_candidates) == 16


@pytest.mark.parametrize("first", [CandidateType.HOST, CandidateType.PEER_REFLEXIVE])
def test_checking_and_telling_in_turn_stays_within_both_limits(first: CandidateType) -> None:
    """Each check makes a candidate known that the next call says to be another type, which makes room for no more."""
    world = World()
    world.introduce()
    world.run_for(1)
    agent, peer = world.right.agent, world.left.agent
    username = stun.Username(f"{agent.local_username_fragment}:{peer.local_username_fragment}")
    key = stun.short_term_key(agent.local_password)
    for n in range(1_000):
        source = (f"198.51.{n >> 8 & 255}.{n & 255}", 1024)
        message = stun.Message(stun.MessageClass.REQUEST, 1, n.to_bytes(12, "big"), (username, stun.Priority(5)))
        raw = stun.encode_message(message, key=key, fingerprint=True)
        agent.receive(Burst(world.right.bases[0], source, [raw]), world.now)
        for type_ in (first, CandidateType.HOST):
            agent.add_remote_candidate(Candidate(str(n), 1, "udp", 5, *source, type_), world.now)
        agent.transmit(world.now, 1_000)
    assert len(agent.remote_candidates) <= 132
    assert sum(c.foundation.startswith("prflx") for c in agent.remote_candidates) <= 32
    assert len(agent.pair_report) <= 128
