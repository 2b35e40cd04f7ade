"""The queues of data, and how cheap a bound channel is."""

from __future__ import annotations

import pytest

from tests.turn.world import CLIENT, OTHER_PEER, PEER, SERVER, World
from xp2p_trio import stun, turn
from xp2p_trio.sansio import Burst


@pytest.fixture
def world() -> World:
    world = World()
    world.allocate()
    world.permit(PEER[0], OTHER_PEER[0])
    world.bind()
    return world


def test_both_queues_have_an_end(world: World) -> None:
    world.client.send([(PEER, b"x")] * 5000, world.now)
    assert world.client.statistics.datagrams_unsent == 5000 - turn.MAX_QUEUED_DATAGRAMS
    message = turn.encode_channel_data(0x4000, b"x", padded=False)
    attributes = (stun.XorPeerAddress(OTHER_PEER), stun.Data(b"y"))
    indication = stun.encode_message(
        stun.Message(stun.MessageClass.INDICATION, stun.Method.DATA, bytes(12), attributes)
    )
    world.client.receive(Burst(CLIENT, SERVER, [message] * 5000 + [indication]), world.now)
    assert world.client.statistics.datagrams_unread == 5001 - turn.MAX_QUEUED_DATAGRAMS
    assert world.client.take_received() == [(PEER, b"x")] * turn.MAX_QUEUED_DATAGRAMS
    world.client.receive(Burst(CLIENT, SERVER, [message, indication]), world.now)
    assert world.client.take_received() == [(PEER, b"x"), (OTHER_PEER, b"y")]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_the_limit_is_kept_and_the_order_too(world: World, limit: int) -> None:
    sent = [(PEER, bytes([number])) for number in range(10)]
    world.client.send(sent, world.now)
    messages: list[bytes] = []
    while bursts := world.client.transmit(world.now, limit):
        (burst,) = bursts
        assert (burst.local, burst.remote) == (CLIENT, SERVER)
        assert len(burst.datagrams) <= limit
        messages += burst.datagrams
    assert [turn.decode_channel_data(message) for message in messages] == [(0x4000, data) for _, data in sent]
    assert world.client.transmit(world.now, 0) == []


def test_data_messages_and_answers_in_one_batch_keep_their_order(world: World) -> None:
    one = turn.encode_channel_data(0x4000, b"one", padded=False)
    attributes = (stun.XorPeerAddress(OTHER_PEER), stun.Data(b"two"))
    two = stun.encode_message(stun.Message(stun.MessageClass.INDICATION, stun.Method.DATA, bytes(12), attributes))
    world.client.receive(Burst(CLIENT, SERVER, [one, two, b"", one, b"\x00", b"\xff", two]), world.now)
    assert [data for _, data in world.client.take_received()] == [b"one", b"two", b"one", b"two"]
    assert world.client.statistics.datagrams_ignored == 3


def test_the_end_drops_what_has_not_left(world: World) -> None:
    world.client.send([(PEER, b"x")] * 10, world.now)
    world.client.close(world.now)
    world.client.send([(PEER, b"too late")], world.now)
    world.client.handle_timeout(world.now + 1.0)
    assert world.client.statistics.datagrams_unsent == 11
    assert world.client.transmit(world.now + 1.0, 100) == []


def test_the_largest_data_fits_both_ways(world: World) -> None:
    data = bytes(turn.MAX_DATA_SIZE)
    world.client.send([(PEER, data), (OTHER_PEER, data)], world.now)
    (burst,) = world.client.transmit(world.now, 100)
    assert max(map(len, burst.datagrams)) <= 65507
    world.server.receive(burst.reversed(), world.now)
    world.run(0.1)
    assert [len(received) for _, _, received in world.peer.received] == [len(data)] * 2
