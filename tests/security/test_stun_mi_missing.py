"""stun_mi_missing: nothing changes on a request before its fragment and integrity both hold."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Callable

import attrs
import pytest

from tests.ice.simulation import World, snapshot
from xp2p_trio import stun
from xp2p_trio.ice import Agent
from xp2p_trio.sansio import Address, Burst

ATTACKER = ("203.0.113.66", 6666)
TID = b"forged tx id"


@attrs.frozen
class Identity:
    """What an agent is known by, now or before a restart."""

    local_username_fragment: str
    local_password: str


Forge = Callable[[Identity, Identity], bytes]


def identity(agent: Agent) -> Identity:
    return Identity(agent.local_username_fragment, agent.local_password)


def build(username: str | None, key: bytes | None, **options: object) -> bytes:
    attributes: list[stun.Attribute] = [] if username is None else [stun.Username(username)]
    attributes += [stun.Priority(2**31 - 1), stun.UseCandidate(), stun.IceControlling(2**64 - 1)]
    message = stun.Message(stun.MessageClass.REQUEST, 1, TID, tuple(attributes))
    return stun.encode_message(message, key=key, fingerprint=True, **options)  # type: ignore[arg-type]


def name(victim: Identity, peer: Identity) -> str:
    return f"{victim.local_username_fragment}:{peer.local_username_fragment}"


def key(victim: Identity) -> bytes:
    return stun.short_term_key(victim.local_password)


def with_wrong_length(victim: Identity, peer: Identity) -> bytes:
    decoded = stun.decode_message(build(name(victim, peer), None))
    plain = stun.Message(decoded.message_class, 1, TID, decoded.attributes[:-1])
    # The header's length as it is before the integrity is appended.
    digest = hmac.digest(key(victim), stun.encode_message(plain), "sha1")
    forged = stun.Message(plain.message_class, 1, TID, (*plain.attributes, stun.MessageIntegrity(digest)))
    return stun.encode_message(forged, fingerprint=True)


def smuggling(victim: Identity, peer: Identity) -> bytes:
    """A signed request of the peer's, seen on the wire, with USE-CANDIDATE and a role behind the integrity."""
    signed = build(name(victim, peer), b"unknown key")
    decoded = stun.decode_message(signed)
    forged = stun.Message(decoded.message_class, 1, TID, (*decoded.attributes[:-1], stun.UseCandidate()))
    return stun.encode_message(forged, fingerprint=True)


def fingerprint_first(victim: Identity, peer: Identity) -> bytes:
    raw = build(name(victim, peer), key(victim))
    body, integrity, fingerprint = raw[20:-32], raw[-32:-8], raw[-8:]
    return raw[:20] + body + fingerprint + integrity


def truncated(victim: Identity, peer: Identity) -> bytes:
    raw = build(name(victim, peer), key(victim))
    decoded = stun.decode_message(raw)
    digest = next(a.digest for a in decoded.attributes if isinstance(a, stun.MessageIntegrity))
    opaque = stun.Opaque(0x0008, digest[:16])
    forged = stun.Message(decoded.message_class, 1, TID, (*decoded.attributes[:-2], opaque))
    return stun.encode_message(forged, fingerprint=True)


def both_one_wrong(victim: Identity, peer: Identity) -> bytes:
    decoded = stun.decode_message(build(name(victim, peer), b"wrong key"))
    plain = stun.Message(decoded.message_class, 1, TID, decoded.attributes[:-1])
    return stun.encode_message(plain, key=key(victim), algorithm=stun.IntegrityAlgorithm.SHA256, fingerprint=True)


FORGERIES: dict[str, Forge] = {
    "none": lambda victim, peer: build(name(victim, peer), key(victim)),
    "no integrity": lambda victim, peer: build(name(victim, peer), None),
    "no username": lambda victim, peer: build(None, key(victim)),
    "wrong key": lambda victim, peer: build(name(victim, peer), b"wrong key"),
    "key of the other side": lambda victim, peer: build(name(victim, peer), key(peer)),
    "integrity over a wrong length": with_wrong_length,
    "integrity behind the fingerprint": fingerprint_first,
    "attributes behind the integrity": smuggling,
    "wrong first half": lambda victim, peer: build(f"XXXX:{peer.local_username_fragment}", key(victim)),
    "wrong second half": lambda victim, peer: build(f"{victim.local_username_fragment}:XXXX", key(victim)),
    "no colon": lambda victim, peer: build(victim.local_username_fragment, key(victim)),
    "two colons": lambda victim, peer: build(name(victim, peer) + ":x", key(victim)),
    "SHA-1 and SHA-256 of which one is wrong": both_one_wrong,
    "truncated integrity": truncated,
    "no fingerprint": lambda victim, peer: (
        build(name(victim, peer), key(victim))[:2]
        + (len(build(name(victim, peer), key(victim))) - 28).to_bytes(2, "big")
        + build(name(victim, peer), key(victim))[4:-8]
    ),
}


# Before the peer is known its half of the name cannot be judged: such a check waits for the credentials, see below.
CASES = [
    (forgery, moment)
    for forgery in FORGERIES
    if forgery != "none"
    for moment in ("gathering", "checking", "completed", "restarting", "restarted")
    if (forgery, moment) != ("wrong second half", "gathering")
] + [("none", "restarted")]


@pytest.mark.parametrize(("forgery", "moment"), CASES)
def test_a_forgery_changes_nothing(forgery: str, moment: str) -> None:
    world = World()
    world.gather()
    if moment != "gathering":
        for end in world.ends:
            world.tell_credentials(end)
    if moment in ("completed", "restarting", "restarted"):
        for end in world.ends:
            world.tell_candidates(end)
        world.run_for(1)
        world.assert_agreed()
    victim = world.right.agent
    identities = identity(victim), identity(world.left.agent)
    if moment in ("restarting", "restarted"):  # with the credentials of before
        world.restart()
    if moment == "restarted":
        world.reintroduce()
        world.run_for(1)
        world.assert_agreed()
    raw = FORGERIES[forgery](*identities)
    sources: list[Address] = [ATTACKER, *world.left.bases]
    world.pull()
    before = snapshot(victim)
    for source, _ in itertools.product(sources, range(3)):
        victim.receive(Burst(world.right.bases[0], source, [raw]), world.now)
        for burst in victim.transmit(world.now, 10):
            assert burst.remote == source
            (reply,) = burst.datagrams
            assert len(reply) <= len(raw)
            assert stun.decode_message(reply).message_class is stun.MessageClass.ERROR_RESPONSE
    assert snapshot(victim) == before
    assert victim.statistics.requests_received == victim.statistics.responses_sent


def test_a_check_of_a_stranger_that_waited_for_the_credentials_is_forgotten() -> None:
    world = World()
    world.gather()
    victim = world.right.agent
    raw = FORGERIES["wrong second half"](identity(victim), identity(world.left.agent))
    world.deliver(ATTACKER, world.right.bases[0], raw)
    world.tell_credentials(world.right)
    world.run_for(1)
    assert victim.remote_candidates == ()
    assert victim.pair_report == ()
