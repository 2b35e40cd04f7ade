"""stun_resp_source: an answer counts only if transaction, both addresses and integrity match."""

from __future__ import annotations

import attrs
import pytest

from tests.ice.simulation import World, snapshot
from xp2p_trio import stun
from xp2p_trio.sansio import Burst


def prepared() -> tuple[World, bytes]:
    """A world in which `left` waits for the answer to its first check, and that answer."""
    world = World(left=[("192.0.2.1", 5001), ("192.0.2.1", 5003)], fate=lambda *_: ())
    world.introduce()
    (burst,) = world.left.agent.transmit(world.now, 1)
    right = world.right.agent
    right.receive(Burst(burst.remote, burst.local, burst.datagrams), world.now)
    answer = right.transmit(world.now, 1)[0].datagrams[0]
    world.left.settle(world.now)
    return world, answer


def test_the_right_answer_counts() -> None:
    world, answer = prepared()
    world.left.agent.receive(Burst(("192.0.2.1", 5001), ("192.0.2.2", 5002), [answer]), world.now)
    assert world.left.agent.selected_pair is not None


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        (("192.0.2.1", 5001), ("192.0.2.2", 5003)),
        (("192.0.2.1", 5001), ("192.0.2.3", 5002)),
        (("192.0.2.1", 5003), ("192.0.2.2", 5002)),
    ],
)
def test_from_or_to_elsewhere_it_does_not(local: tuple[str, int], remote: tuple[str, int]) -> None:
    world, answer = prepared()
    before = snapshot(world.left.agent)
    world.left.agent.receive(Burst(local, remote, [answer]), world.now)
    assert snapshot(world.left.agent) == before
    assert world.left.agent.statistics.stun_unmatched == 1


@pytest.mark.parametrize("change", ["id", "key", "integrity", "fingerprint", "unknown", "mapped"])
def test_a_changed_one_does_not(change: str) -> None:
    world, answer = prepared()
    message = stun.decode_message(answer)
    key = stun.short_term_key(world.right.agent.local_password)
    mapped = message.get(stun.XorMappedAddress)
    assert mapped is not None
    plain = stun.Message(message.message_class, message.method, message.transaction_id, (mapped,))
    forged = {
        "id": stun.encode_message(attrs.evolve(plain, transaction_id=bytes(12)), key=key, fingerprint=True),
        "key": stun.encode_message(plain, key=b"wrong", fingerprint=True),
        "integrity": stun.encode_message(plain, fingerprint=True),
        "fingerprint": stun.encode_message(plain, key=key),
        "unknown": stun.encode_message(
            attrs.evolve(plain, attributes=(mapped, stun.Opaque(0x7FFF, b""))), key=key, fingerprint=True
        ),
        "mapped": stun.encode_message(attrs.evolve(plain, attributes=()), key=key, fingerprint=True),
    }[change]
    before = snapshot(world.left.agent)
    world.left.agent.receive(Burst(("192.0.2.1", 5001), ("192.0.2.2", 5002), [forged]), world.now)
    assert snapshot(world.left.agent) == before


def test_a_replayed_answer_does_nothing() -> None:
    world, answer = prepared()
    burst = Burst(("192.0.2.1", 5001), ("192.0.2.2", 5002), [answer])
    world.left.agent.receive(burst, world.now)
    world.left.settle(world.now)
    before = snapshot(world.left.agent)
    for _ in range(5):
        world.left.agent.receive(burst, world.now)
    assert snapshot(world.left.agent) == before


def test_no_reply_to_answers_and_indications() -> None:
    world, _ = prepared()
    agent = world.left.agent
    agent.transmit(world.now, 100)
    for kind in (stun.MessageClass.INDICATION, stun.MessageClass.SUCCESS_RESPONSE, stun.MessageClass.ERROR_RESPONSE):
        message = stun.Message(kind, 1, b"0123456789ab", (stun.ErrorCode(487),))
        for remote in (("192.0.2.2", 5002), ("203.0.113.66", 1)):
            agent.receive(Burst(("192.0.2.1", 5001), remote, [stun.encode_message(message)]), world.now)
            assert agent.transmit(world.now, 100) == []
