"""ice_nominated_attr: unknown or malformed attributes never act."""

from __future__ import annotations

import pytest

from tests.ice.simulation import World, snapshot
from xp2p_trio import stun
from xp2p_trio.ice import State
from xp2p_trio.sansio import Burst


def request(world: World, *attributes: stun.Attribute) -> bytes:
    agent, peer = world.right.agent, world.left.agent
    username = stun.Username(f"{agent.local_username_fragment}:{peer.local_username_fragment}")
    message = stun.Message(
        stun.MessageClass.REQUEST, 1, b"an attribute", (username, stun.Priority(7), stun.IceControlling(1), *attributes)
    )
    return stun.encode_message(message, key=stun.short_term_key(agent.local_password), fingerprint=True)


def test_unknown_required_is_answered_by_420_and_nothing_else() -> None:
    world = World()
    world.introduce()
    world.pull()
    before = snapshot(world.right.agent)
    raw = request(world, stun.UseCandidate(), stun.Opaque(0x7FFF, b"x"), stun.Opaque(0x0002, b""))
    world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], [raw]), world.now)
    (burst,) = world.right.agent.transmit(world.now, 9)
    reply = stun.decode_message(burst.datagrams[0])
    assert reply.get(stun.ErrorCode) == stun.ErrorCode(420, "Unknown Attribute")
    assert reply.get(stun.UnknownAttributes) == stun.UnknownAttributes((0x7FFF, 0x0002))
    assert snapshot(world.right.agent) == before


@pytest.mark.parametrize("kind", [0x8001, 0xC057, 0xC001, 0xC070])
def test_unknown_optional_is_ignored(kind: int) -> None:
    world = World()
    world.introduce()
    raw = request(world, stun.Opaque(kind, b"\0\1\0\0\7"))
    world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], [raw]), world.now)
    reply = stun.decode_message(world.right.agent.transmit(world.now, 1)[0].datagrams[0])
    assert reply.message_class is stun.MessageClass.SUCCESS_RESPONSE


@pytest.mark.parametrize(
    ("kind", "size"), [(0x0025, 4), (0x0024, 3), (0x0024, 5), (0x8029, 7), (0x802A, 9), (0x0020, 3)]
)
def test_malformed_is_dropped(kind: int, size: int) -> None:
    world = World()
    world.introduce()
    world.pull()
    before = snapshot(world.right.agent)
    raw = request(world, stun.Opaque(kind, bytes(size)))
    world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], [raw]), world.now)
    assert world.right.agent.transmit(world.now, 9) == []
    assert snapshot(world.right.agent) == before
    assert world.right.agent.statistics.stun_malformed == 1


def test_use_candidate_of_a_controlled_peer_nominates_nothing() -> None:
    world = World()
    world.introduce()
    world.fate = lambda *_: ()
    agent, peer = world.left.agent, world.right.agent
    username = stun.Username(f"{agent.local_username_fragment}:{peer.local_username_fragment}")
    attributes = (username, stun.Priority(7), stun.IceControlled(1), stun.UseCandidate())
    message = stun.Message(stun.MessageClass.REQUEST, 1, b"an attribute", attributes)
    raw = stun.encode_message(message, key=stun.short_term_key(agent.local_password), fingerprint=True)
    agent.receive(Burst(world.left.bases[0], world.right.bases[0], [raw]), world.now)
    assert agent.state is State.CHECKING
    assert not any(pair.is_nominated for pair in agent.pair_report)
