"""turn_resp_auth: after the 401, a response without valid integrity never came (RFC 8489 section 9.2.5)."""

from __future__ import annotations

import attrs
import pytest

from tests.ice import relays
from tests.turn.world import CLIENT, CREDENTIALS, OTHER_SERVER, PEER, SERVER, World, allocation
from xp2p_trio import stun, turn
from xp2p_trio.errors import Reason
from xp2p_trio.sansio import Burst, Failed

RIGHT_KEY = stun.long_term_key("user", "xp2p.test", "password", stun.PasswordAlgorithmNumber.SHA256)
SHA1_KEY = stun.long_term_key("user", "xp2p.test", "password")


def waiting(method: stun.Method) -> tuple[World, stun.Message]:
    """A world whose client waits for the response to an authenticated request, and that request."""
    world = World()
    if method is stun.Method.ALLOCATE:
        world.client.start(0.0)
        (first,) = world.client.transmit(0.0, 9)
        world.server.receive(first.reversed(), 0.0)
        (challenge,) = world.server.transmit(0.0, 9)
        world.client.receive(challenge.reversed(), 0.0)
    else:
        world.allocate()
        if method is stun.Method.REFRESH:
            world.now = 301.0
            world.client.handle_timeout(world.now)
        elif method is stun.Method.CREATE_PERMISSION:
            world.client.create_permissions([PEER[0]], world.now)
        else:
            world.permit()
            world.client.bind_channel(PEER, world.now)
    world.events.clear()
    (burst,) = world.client.transmit(world.now, 9)
    request = stun.decode_message(burst.datagrams[-1])
    assert request.method == method
    return world, request


def give(world: World, datagram: bytes, remote: tuple[str, int] = SERVER, local: tuple[str, int] = CLIENT) -> None:
    world.client.receive(Burst(local, remote, [datagram]), world.now)


def success(request: stun.Message, **changes: object) -> stun.Message:
    attributes = (
        stun.XorRelayedAddress(("198.51.100.66", 66)),
        stun.XorMappedAddress(CLIENT),
        stun.Lifetime(0 if request.method == stun.Method.REFRESH else 600),
    )
    message = stun.Message(stun.MessageClass.SUCCESS_RESPONSE, request.method, request.transaction_id, attributes)
    return attrs.evolve(message, **changes)


METHODS = [stun.Method.ALLOCATE, stun.Method.REFRESH, stun.Method.CREATE_PERMISSION, stun.Method.CHANNEL_BIND]
SHA256 = stun.IntegrityAlgorithm.SHA256


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "forgery", ["none", "wrong key", "sha1 in place of sha256", "md5 key", "other id", "from elsewhere"]
)
def test_a_forged_success_is_ignored(method: stun.Method, forgery: str) -> None:
    world, request = waiting(method)
    state, before = world.client.state, world.client.statistics
    message = success(request)
    remote = SERVER
    match forgery:
        case "none":
            datagram = stun.encode_message(message)
        case "wrong key":
            datagram = stun.encode_message(message, key=b"wrong", algorithm=SHA256)
        case "sha1 in place of sha256":
            datagram = stun.encode_message(message, key=RIGHT_KEY)
        case "md5 key":
            datagram = stun.encode_message(message, key=SHA1_KEY, algorithm=SHA256)
        case "other id":
            datagram = stun.encode_message(
                attrs.evolve(message, transaction_id=bytes(12)), key=RIGHT_KEY, algorithm=SHA256
            )
        case _:
            datagram = stun.encode_message(message, key=RIGHT_KEY, algorithm=SHA256)
            remote = ("192.0.2.7", 3479)
    give(world, datagram, remote)
    assert world.client.take_events() == []
    assert world.client.state is state
    after = world.client.statistics
    assert after.responses_unauthenticated + after.datagrams_ignored == (
        before.responses_unauthenticated + before.datagrams_ignored + 1
    )
    assert (after.permissions, after.channels) == (before.permissions, before.channels)


@pytest.mark.parametrize("code", [300, 400, 403, 437, 441, 442, 443, 486, 500, 508])
@pytest.mark.parametrize("method", METHODS)
def test_a_forged_error_is_ignored(method: stun.Method, code: int) -> None:
    world, request = waiting(method)
    state = world.client.state
    attributes = (stun.ErrorCode(code, "forged"), stun.AlternateServer(OTHER_SERVER))
    error = stun.Message(stun.MessageClass.ERROR_RESPONSE, request.method, request.transaction_id, attributes)
    give(world, stun.encode_message(error))
    give(world, stun.encode_message(error, key=b"wrong", algorithm=SHA256))
    assert world.client.take_events() == []
    assert world.client.state is state
    assert world.client.server == SERVER
    assert world.client.statistics.responses_unauthenticated == 2


@pytest.mark.parametrize("fault", ["no_integrity", "wrong_integrity"])
def test_a_server_without_integrity_is_told_as_such(fault: str) -> None:
    world = World()
    setattr(world.server.faults, fault, True)
    world.client.start(0.0)
    world.run(60.0)
    failed = world.events[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.reason is Reason.PROTOCOL_VIOLATION
    assert "integrity" in failed.failure.detail


def challenge(world: World, code: int, *attributes: stun.Attribute) -> None:
    """Answer the request that is due."""
    (burst,) = world.client.transmit(world.now, 9)
    request = stun.decode_message(burst.datagrams[0])
    error = stun.Message(
        stun.MessageClass.ERROR_RESPONSE, request.method, request.transaction_id, (stun.ErrorCode(code), *attributes)
    )
    give(world, stun.encode_message(error))


COOKIE_WITH_ALGORITHMS = "obMatJos2gAAAnonce"
COOKIE_WITHOUT = "obMatJos2AAAAnonce"
OFFER = stun.PasswordAlgorithms(((2, b""), (1, b"")))


@pytest.mark.parametrize("nonce", [COOKIE_WITH_ALGORITHMS])
def test_a_stripped_list_of_algorithms_is_not_answered(nonce: str) -> None:
    world = World()
    world.client.start(0.0)
    challenge(world, 401, stun.Realm("xp2p.test"), stun.Nonce(nonce))
    assert world.client.transmit(0.0, 9) == []
    refused, failed = world.client.take_events()
    assert isinstance(refused, turn.AllocationRefused)
    assert "password algorithms" in refused.reason
    assert isinstance(failed, Failed)


def test_no_way_back_from_sha256_to_md5() -> None:
    world = World()
    world.client.start(0.0)
    challenge(world, 401, stun.Realm("xp2p.test"), stun.Nonce(COOKIE_WITH_ALGORITHMS), OFFER)
    challenge(world, 438, stun.Realm("xp2p.test"), stun.Nonce("an old server's"))
    assert world.client.transmit(0.0, 9) == []
    assert isinstance(world.client.take_events()[-1], Failed)


def test_unknown_algorithms_are_not_answered() -> None:
    world = World()
    world.client.start(0.0)
    offer = stun.PasswordAlgorithms(((7, b""),))
    challenge(world, 401, stun.Realm("xp2p.test"), stun.Nonce(COOKIE_WITH_ALGORITHMS), offer)
    assert world.client.transmit(0.0, 9) == []
    assert isinstance(world.client.take_events()[-1], Failed)


@pytest.mark.parametrize("missing", ["realm", "nonce"])
def test_a_challenge_needs_realm_and_nonce(missing: str) -> None:
    world = World()
    world.client.start(0.0)
    challenge(world, 401, stun.Nonce("n") if missing == "realm" else stun.Realm("xp2p.test"))
    assert world.client.transmit(0.0, 9) == []
    assert isinstance(world.client.take_events()[-1], Failed)


@pytest.mark.parametrize(
    ("attributes", "algorithm", "number"),
    [
        ((stun.Nonce("old"),), stun.IntegrityAlgorithm.SHA1, None),
        ((stun.Nonce("obMatJos2"),), stun.IntegrityAlgorithm.SHA1, None),
        ((stun.Nonce("obMatJos2****x"),), stun.IntegrityAlgorithm.SHA1, None),
        ((stun.Nonce(COOKIE_WITHOUT),), stun.IntegrityAlgorithm.SHA1, None),
        ((stun.Nonce(COOKIE_WITH_ALGORITHMS), OFFER), SHA256, 2),
        ((stun.Nonce(COOKIE_WITH_ALGORITHMS), stun.PasswordAlgorithms(((1, b""), (2, b"")))), SHA256, 2),
        ((stun.Nonce(COOKIE_WITH_ALGORITHMS), stun.PasswordAlgorithms(((9, b"?"), (1, b"")))), SHA256, 1),
    ],
)
def test_what_a_challenge_is_answered_with(
    attributes: tuple[stun.Attribute, ...], algorithm: stun.IntegrityAlgorithm, number: int | None
) -> None:
    client = allocation()
    world = World(client)
    client.start(0.0)
    challenge(world, 401, stun.Realm("xp2p.test"), *attributes)
    (burst,) = client.transmit(0.0, 9)
    request = stun.decode_message(burst.datagrams[0])
    key = stun.long_term_key(
        CREDENTIALS.username,
        "xp2p.test",
        CREDENTIALS.password,
        stun.PasswordAlgorithmNumber.MD5 if number is None else stun.PasswordAlgorithmNumber(number),
    )
    assert stun.verify_integrity(request, key) is algorithm
    chosen = request.get(stun.PasswordAlgorithm)
    assert (None if chosen is None else chosen.algorithm) == number
    offered = [one for one in attributes if isinstance(one, stun.PasswordAlgorithms)]
    assert [one for one in request.attributes if isinstance(one, stun.PasswordAlgorithms)] == offered


# Through an agent.


@pytest.mark.parametrize("key", [None, b"wrong"])
@pytest.mark.parametrize("remote", [("198.51.100.2", 3478), ("203.0.113.66", 3478)])
def test_an_agent_takes_no_relayed_address_from_a_forger(key: bytes | None, remote: tuple[str, int]) -> None:
    world = relays.World(relays.server(), relay_only=("alice",), bob=())
    world.start()
    while not any(each.datagram[:2] == b"\x00\x03" and len(each.datagram) > 100 for each in world.sent_to(TURN)):
        world.run(0.001)
    request = stun.decode_message(world.sent_to(TURN)[-1].datagram)
    attributes = (
        stun.XorRelayedAddress(("203.0.113.66", 66)),
        stun.XorMappedAddress(("192.0.2.1", 49152)),
        stun.Lifetime(600),
    )
    message = stun.Message(stun.MessageClass.SUCCESS_RESPONSE, stun.Method.ALLOCATE, request.transaction_id, attributes)
    datagram = stun.encode_message(message, key=key, fingerprint=True)
    before = world.alice.statistics.datagrams_dropped
    world.alice.receive(Burst(("192.0.2.1", 49152), remote, [datagram]), world.now)
    assert world.alice.statistics.datagrams_dropped + world.alice.statistics.stun_unmatched == before + 1
    assert world.alice.local_candidates == ()
    world.run(1.0)
    assert [candidate.host for candidate in world.alice.local_candidates] == ["198.51.100.2"]
    assert world.echoes()


TURN = ("198.51.100.2", 3478)
