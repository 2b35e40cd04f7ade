"""ice_restart_creds: credentials change with a restart and only then; those of before die when it is done."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from tests.ice.simulation import End, World, snapshot
from xp2p_trio import stun
from xp2p_trio.errors import InvalidState
from xp2p_trio.ice import Agent, State
from xp2p_trio.sansio import Address, Burst

ATTACKER = ("203.0.113.66", 6666)


@attrs.frozen
class Identity:
    """What one side's description says, of one generation."""

    fragment: str
    password: str

    @classmethod
    def of(cls, agent: Agent) -> Identity:
        return cls(agent.local_username_fragment, agent.local_password)

    @property
    def key(self) -> bytes:
        return stun.short_term_key(self.password)


def check(ours: Identity, theirs: Identity, key: bytes, tid: bytes, *more: stun.Attribute) -> bytes:
    username = stun.Username(f"{ours.fragment}:{theirs.fragment}")
    attributes = (username, stun.Priority(5), stun.IceControlling(1), *more)
    return stun.encode_message(stun.Message(stun.MessageClass.REQUEST, 1, tid, attributes), key=key, fingerprint=True)


def connected(bases: int = 1) -> tuple[World, Identity, Identity]:
    """Two agents with a path, and the identities of `left` and `right`."""
    world = World(right=[("192.0.2.2", 5002 + n) for n in range(bases)])
    world.introduce()
    world.run_for(2)
    world.assert_agreed()
    return world, Identity.of(world.left.agent), Identity.of(world.right.agent)


def finish(world: World) -> None:
    world.reintroduce()
    world.run_for(2)
    world.assert_agreed()
    assert not any(end.agent.is_restarting for end in world.ends)


def ask(world: World, raw: bytes, source: Address | None = None) -> stun.Message | None:
    """Let `right` take a request. Returns its answer."""
    world.pull()
    burst = Burst(world.right.bases[0], source or world.left.bases[0], [raw])
    world.right.watch_received(world.now, burst)
    world.right.agent.receive(burst, world.now)
    tid = stun.decode_message(raw).transaction_id
    sent = [burst for burst in world.right.agent.transmit(world.now, 9) if burst.remote == (source or burst.remote)]
    answers = [stun.decode_message(data) for burst in sent for data in burst.datagrams]
    return next((answer for answer in answers if answer.transaction_id == tid), None)


def code(answer: stun.Message | None) -> int:
    """Of an error; 200 of an authentic success."""
    assert answer is not None
    error = answer.get(stun.ErrorCode)
    return 200 if error is None else error.code


# Credentials change if and only if ICE restarts.


def test_other_credentials_without_a_restart_are_refused() -> None:
    world, _, right = connected()
    before = snapshot(world.left.agent)
    for fragment, password in ((right.fragment, "p" * 24), ("abcd", right.password), ("abcd", "p" * 24)):
        with pytest.raises(InvalidState, match="restart"):
            world.left.agent.set_remote_credentials(fragment, password, world.now)
    assert snapshot(world.left.agent) == before


def test_a_restart_changes_both_halves_and_never_gives_old_ones_again() -> None:
    world, left, _ = connected()
    seen = {left}
    for _ in range(50):
        world.restart(world.left)
        identity = Identity.of(world.left.agent)
        assert identity.fragment not in {other.fragment for other in seen}
        assert identity.password not in {other.password for other in seen}
        seen.add(identity)


# Both generations are accepted until the new one has a path, and each by its own key alone.


def test_both_are_accepted_until_the_restart_is_done() -> None:
    world, left, right = connected()
    world.restart()
    new_left, new_right = Identity.of(world.left.agent), Identity.of(world.right.agent)
    assert code(ask(world, check(right, left, right.key, b"old, living 1"[:12]))) == 200
    assert code(ask(world, check(new_right, new_left, new_right.key, b"new, early 1"))) == 200
    finish(world)
    assert code(ask(world, check(right, left, right.key, b"old, dead 12"))) == 401
    assert code(ask(world, check(new_right, new_left, new_right.key, b"new, alive 1"))) == 200


@pytest.mark.parametrize("moment", ["untold", "told", "done"])
def test_no_generation_is_accepted_by_the_key_or_the_names_of_another(moment: str) -> None:
    world, left, right = connected()
    world.restart()
    new_left, new_right = Identity.of(world.left.agent), Identity.of(world.right.agent)
    if moment == "told":
        for end in world.ends:
            world.tell_credentials(end)
    elif moment == "done":
        finish(world)
    world.pull()
    mixtures = [
        (right, left, new_right.key),
        (new_right, new_left, right.key),
        (right, left, left.key),
        (right, new_left, right.key),
        (right, left, new_left.key),
    ]
    if moment != "untold":  # before, their half of the name cannot be judged
        mixtures.append((new_right, left, new_right.key))
    for number, (ours, theirs, key) in enumerate(mixtures):
        for source in (None, ATTACKER):
            before = snapshot(world.right.agent)
            raw = check(ours, theirs, key, b"mixture %04d" % number, stun.UseCandidate())
            assert code(ask(world, raw, source)) == 401
            assert snapshot(world.right.agent) == before


def test_an_answer_by_the_key_of_another_generation_does_not_count() -> None:
    world, _, right = connected()
    world.restart()
    for end in world.ends:
        world.tell_credentials(end)
    new_right = Identity.of(world.right.agent)
    world.tell_candidates(world.left)
    (burst,) = world.left.agent.transmit(world.now, 9)
    request = stun.decode_message(burst.datagrams[0])
    mapped = stun.XorMappedAddress(world.left.bases[0])
    reply = stun.Message(stun.MessageClass.SUCCESS_RESPONSE, 1, request.transaction_id, (mapped,))
    world.left.settle(world.now)
    before = snapshot(world.left.agent)
    forged = stun.encode_message(reply, key=right.key, fingerprint=True)
    world.left.agent.receive(attrs.evolve(burst, datagrams=[forged]), world.now)
    assert snapshot(world.left.agent) == before
    world.left.watch_sent(world.now, burst)
    world.deliver(burst.remote, burst.local, stun.encode_message(reply, key=new_right.key, fingerprint=True))
    assert world.left.agent.state is State.CONNECTED


def test_a_nomination_of_the_old_generation_is_none_of_the_new() -> None:
    world, left, right = connected()
    world.restart()
    for end in world.ends:
        world.tell_credentials(end)
    raw = check(right, left, right.key, b"nominates it", stun.UseCandidate())
    assert code(ask(world, raw)) == 200
    world.run_for(5)
    assert world.right.agent.is_restarting
    assert world.right.agent.state is State.CHECKING
    assert world.right.agent.remote_candidates == ()


def test_a_restart_that_was_taken_back_has_no_credentials_any_more() -> None:
    world, _, _ = connected()
    world.restart()
    left, right = Identity.of(world.left.agent), Identity.of(world.right.agent)
    world.right.cancel_restart(world.now)
    before = snapshot(world.right.agent)
    assert code(ask(world, check(right, left, right.key, b"taken back 1"))) == 401
    assert snapshot(world.right.agent) == before


# What an observer has seen of the old generation is worth nothing.


def recorded(world: World, end: End) -> Iterator[tuple[Address, Address, bytes]]:
    """What `end` has sent so far, STUN alone, each once."""
    seen = set()
    for _, source, destination, data in list(end.sent):
        if data[0] <= 3 and data not in seen:
            seen.add(data)
            yield source, destination, data


@pytest.mark.parametrize("source", ["the peer", "another port of the peer", "elsewhere"])
def test_replays_of_the_old_generation_are_ignored_when_the_restart_is_done(source: str) -> None:
    world, _, _ = connected()
    world.run_for(20)
    tapes = {end.name: list(recorded(world, end)) for end in world.ends}
    world.restart()
    finish(world)
    world.pull()
    for end in world.ends:
        for sender, destination, data in tapes[world.other(end).name]:
            away = {"the peer": sender, "another port of the peer": (sender[0], 7), "elsewhere": ATTACKER}[source]
            before = snapshot(end.agent)
            end.agent.receive(Burst(destination, away, [data]), world.now)
            for burst in end.agent.transmit(world.now, 9):
                (reply,) = burst.datagrams
                answer = stun.decode_message(reply)
                assert stun.decode_message(data).message_class is stun.MessageClass.REQUEST
                assert code(answer) == 401
                assert answer.get(stun.MessageIntegrity) is None
                assert len(reply) <= len(data)
            assert snapshot(end.agent) == before


def test_replays_amid_a_restart_move_nothing() -> None:
    """The old generation lives still, so that its checks are answered; but no data follows them anywhere."""
    world, _, _ = connected(bases=2)
    world.run_for(10)
    world.restart()
    for end in world.ends:
        selected = end.agent.selected_pair
        for number, (_, destination, data) in enumerate(recorded(world, world.other(end))):
            world.deliver(("203.0.113.66", 1000 + number), destination, data)
        world.run_for(9)
        assert end.agent.selected_pair == selected
        assert end.agent.is_restarting
    finish(world)


def test_a_transfer_goes_on_across_a_restart_under_replays() -> None:
    world, _, _ = connected()
    sent: list[bytes] = []
    for step in range(200):
        if step == 50:
            world.restart()
        if step == 100:
            world.reintroduce()
        for end in world.ends:
            for _, destination, data in list(recorded(world, world.other(end)))[-3:]:
                world.deliver(ATTACKER, destination, data)
        sent.append(b"\x16 %d" % step)
        world.left.agent.send(sent[-1:], world.now)
        world.run_for(0.05)
    world.run_for(1)
    assert world.right.received == sent
    assert not any(end.agent.is_restarting for end in world.ends)
    assert all(remote != ATTACKER for end in world.ends for *_, remote, data in end.sent if data[0] > 3)


def test_data_over_the_paths_of_the_old_generation_is_taken_for_three_seconds_more() -> None:
    world, _, _ = connected(bases=2)
    path = world.left.agent.selected_pair
    assert path is not None
    other = next(base for base in world.right.bases if base != path.remote.address)
    world.restart()
    world.right.agent.remove_local_address(path.remote.address, world.now)
    world.right.bases.remove(path.remote.address)
    world.reintroduce()
    world.run_for(1)
    selected = world.left.agent.selected_pair
    assert selected is not None
    assert selected.remote.address == other
    assert not world.left.agent.is_restarting
    for delay, expected in ((0.0, [b"\x16 late"]), (3.0, [])):
        world.now += delay
        world.left.agent.receive(Burst(world.left.bases[0], path.remote.address, [b"\x16 late"]), world.now)
        assert world.left.agent.take_received() == expected
