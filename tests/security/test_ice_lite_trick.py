"""ice_lite_trick: a full agent stays controlling against ice-lite and nominates by itself."""

from __future__ import annotations

import pytest

from tests.ice.simulation import World
from xp2p_trio import stun
from xp2p_trio.ice import Role, State
from xp2p_trio.sansio import Address, Burst


def lite_answer(world: World, source: Address, raw: bytes, *, code: int | None = None) -> bytes:
    """What a lite peer says: it answers checks and sends none."""
    request = stun.decode_message(raw)
    attribute: stun.Attribute = stun.XorMappedAddress(source) if code is None else stun.ErrorCode(code)
    kind = stun.MessageClass.SUCCESS_RESPONSE if code is None else stun.MessageClass.ERROR_RESPONSE
    key = stun.short_term_key(world.right.agent.local_password)
    return stun.encode_message(stun.Message(kind, 1, request.transaction_id, (attribute,)), key=key, fingerprint=True)


def prepared() -> World:
    world = World(roles=(Role.CONTROLLED, Role.CONTROLLED))
    world.gather()
    other = world.right.agent
    world.left.agent.set_remote_credentials(other.local_username_fragment, other.local_password, world.now, lite=True)
    world.tell_candidates(world.left)
    return world


def test_it_nominates_although_made_controlled() -> None:
    world = prepared()
    agent = world.left.agent
    assert agent.role is Role.CONTROLLING
    flags = []
    for _ in range(4):
        for burst in agent.transmit(world.now, 9):
            request = stun.decode_message(burst.datagrams[0])
            assert request.get(stun.IceControlling) is not None
            flags.append(request.get(stun.UseCandidate) is not None)
            answer = lite_answer(world, burst.local, burst.datagrams[0])
            agent.receive(Burst(burst.local, burst.remote, [answer]), world.now)
        world.now += 0.05
        agent.handle_timeout(world.now)
    assert flags == [False, True]
    assert agent.state is State.COMPLETED


@pytest.mark.parametrize("restarts", [0, 2])
def test_a_lite_peer_cannot_make_it_controlled(restarts: int) -> None:
    world = prepared()
    agent = world.left.agent
    for _ in range(restarts):
        agent.transmit(world.now, 9)
        world.restart()
        other = world.right.agent
        agent.set_remote_credentials(other.local_username_fragment, other.local_password, world.now, lite=True)
        world.tell_candidates(world.left)
        world.now += 1
    sent, until = 0, world.now + 5
    while world.now < until:
        for burst in agent.transmit(world.now, 9):
            sent += 1
            answer = lite_answer(world, burst.local, burst.datagrams[0], code=487)
            agent.receive(Burst(burst.local, burst.remote, [answer]), world.now)
        assert agent.role is Role.CONTROLLING
        world.now = max(world.now, agent.next_timeout())
        agent.handle_timeout(world.now)
    assert sent <= 1 + 5 * restarts  # no loop either; those of before the restarts are answered by nobody
