"""turn_redirect_loop: one hop at most, within the realm, and never to this machine."""

from __future__ import annotations

import pytest

from tests.turn.world import CLIENT, OTHER_SERVER, SERVER, World, allocation, server_configuration
from xp2p_trio import stun, turn
from xp2p_trio.errors import Reason
from xp2p_trio.sansio import Address, Burst, Failed

HERE = [
    ("127.0.0.1", 3478), ("0.0.0.0", 3478), ("255.255.255.255", 3478), ("224.0.0.1", 3478), (OTHER_SERVER[0], 0),
    ("::1", 3478), ("::ffff:127.0.0.1", 3478), ("2001:db8::7", 3478), SERVER,
]  # fmt: skip


def failure(world: World) -> str:
    failed = world.events[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.reason is Reason.REFUSED
    return failed.failure.detail


@pytest.mark.parametrize("alternate", HERE)
def test_where_nobody_is_led(alternate: Address) -> None:
    world = World(alternate_server=alternate)
    world.client.start(0.0)
    world.run(30.0)
    assert world.of(turn.Redirected) == []
    assert "300" in failure(world)
    assert "it names" in failure(world)
    assert world.client.statistics.requests_sent == 2


def test_two_that_point_at_each_other() -> None:
    back = server_configuration(relay_hosts=[OTHER_SERVER[0]], alternate_server=SERVER)
    world = World(alternate_server=OTHER_SERVER, other=back)
    world.client.start(0.0)
    world.run(30.0)
    assert world.of(turn.Redirected) == [turn.Redirected(OTHER_SERVER, "xp2p.test")]
    assert "one redirect" in failure(world)
    assert world.client.statistics.requests_sent == 4


def test_the_credentials_stay_in_their_realm() -> None:
    elsewhere = server_configuration(relay_hosts=[OTHER_SERVER[0]], realm="evil.test")
    world = World(alternate_server=OTHER_SERVER, other=elsewhere)
    world.client.start(0.0)
    world.run(30.0)
    assert "another realm" in failure(world)
    assert world.other.requests_received == {stun.Method.ALLOCATE: 1}


def test_not_at_all_where_the_configuration_says_so() -> None:
    world = World(allocation(follow_redirect=False), alternate_server=OTHER_SERVER)
    world.client.start(0.0)
    world.run(30.0)
    assert world.of(turn.Redirected) == []
    assert "300" in failure(world)


def test_answers_of_the_first_server_count_no_more() -> None:
    world = World(alternate_server=OTHER_SERVER)
    world.client.start(0.0)
    for _ in range(2):  # 401, 300
        (burst,) = world.client.transmit(0.0, 9)
        world.server.receive(burst.reversed(), 0.0)
        (answer_burst,) = world.server.transmit(0.0, 9)
        world.client.receive(answer_burst.reversed(), 0.0)
    assert world.client.take_events() == [turn.Redirected(OTHER_SERVER, "xp2p.test")]
    (burst,) = world.client.transmit(world.now, 9)
    assert burst.remote == OTHER_SERVER
    request = stun.decode_message(burst.datagrams[0])
    attributes = (stun.XorRelayedAddress(("198.51.100.9", 9)), stun.XorMappedAddress(CLIENT), stun.Lifetime(600))
    answer = stun.Message(stun.MessageClass.SUCCESS_RESPONSE, stun.Method.ALLOCATE, request.transaction_id, attributes)
    world.client.receive(Burst(CLIENT, SERVER, [stun.encode_message(answer)]), world.now)
    assert world.client.take_events() == []
