"""ice_role_conflict: exactly one side is controlling in the end (many seeds: tests/ice/test_connect.py)."""

from __future__ import annotations

import itertools

import pytest

from tests.ice.simulation import World
from xp2p_trio import stun
from xp2p_trio.ice import Role
from xp2p_trio.sansio import Burst


@pytest.mark.parametrize(
    ("role", "claim", "larger", "answer", "becomes"),
    [
        (Role.CONTROLLING, stun.IceControlling, False, 487, Role.CONTROLLING),
        (Role.CONTROLLING, stun.IceControlling, None, 487, Role.CONTROLLING),
        (Role.CONTROLLING, stun.IceControlling, True, None, Role.CONTROLLED),
        (Role.CONTROLLED, stun.IceControlled, False, None, Role.CONTROLLING),
        (Role.CONTROLLED, stun.IceControlled, None, None, Role.CONTROLLING),
        (Role.CONTROLLED, stun.IceControlled, True, 487, Role.CONTROLLED),
        (Role.CONTROLLING, stun.IceControlled, True, None, Role.CONTROLLING),
        (Role.CONTROLLED, stun.IceControlling, False, None, Role.CONTROLLED),
    ],
)
def test_the_table_of_the_rfc(
    role: Role, claim: type[stun.IceControlled], larger: bool | None, answer: int | None, becomes: Role
) -> None:
    world = World(roles=(Role.CONTROLLING, role))
    world.introduce()
    agent, peer = world.right.agent, world.left.agent
    world.pull()
    own = stun.decode_message(next(iter(world.right.requests.values())))
    ours = own.get(stun.IceControlling) or own.get(stun.IceControlled)
    assert ours is not None
    theirs = ours.tie_breaker + {True: 1, None: 0, False: -1}[larger]
    username = stun.Username(f"{agent.local_username_fragment}:{peer.local_username_fragment}")
    request = stun.Message(stun.MessageClass.REQUEST, 1, b"claims role!", (username, stun.Priority(1), claim(theirs)))
    raw = stun.encode_message(request, key=stun.short_term_key(agent.local_password), fingerprint=True)
    agent.receive(Burst(world.right.bases[0], world.left.bases[0], [raw]), world.now)
    assert agent.role is becomes
    reply = stun.decode_message(agent.transmit(world.now, 1)[0].datagrams[0])
    error = reply.get(stun.ErrorCode)
    assert (None if error is None else error.code) == answer
    assert stun.verify_integrity(reply, stun.short_term_key(agent.local_password))


@pytest.mark.parametrize("roles", list(itertools.product(Role, Role)))
def test_a_peer_that_always_says_487_is_no_endless_loop(roles: tuple[Role, Role]) -> None:
    world = World(roles=roles)
    world.introduce()
    key = stun.short_term_key(world.right.agent.local_password)
    sent = 0
    while world.left.agent.next_timeout() < world.now + 60 and world.left.agent.state < 5:
        for burst in world.left.agent.transmit(world.now, 10):
            sent += 1
            request = stun.decode_message(burst.datagrams[0])
            reply = stun.Message(stun.MessageClass.ERROR_RESPONSE, 1, request.transaction_id, (stun.ErrorCode(487),))
            answer = stun.encode_message(reply, key=key, fingerprint=True)
            world.left.agent.receive(Burst(burst.local, burst.remote, [answer]), world.now)
        world.now = max(world.now, world.left.agent.next_timeout())
        world.left.agent.handle_timeout(world.now)
    assert world.left.agent.state == 5
    assert sent <= 10 / 0.05 + 2  # paced by Ta until patience ends
