"""turn_channeldata: only data of the right length on a channel of ours is delivered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.turn.world import CLIENT, PEER, SERVER, World
from xp2p_trio import stun, turn
from xp2p_trio.sansio import Burst


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    world.allocate()
    world.bind()
    return world


def give(world: World, datagram: bytes) -> list[tuple[tuple[str, int], bytes]]:
    """Returns what was delivered; anything else is counted."""
    before = world.client.statistics.datagrams_ignored
    world.client.receive(Burst(CLIENT, SERVER, [datagram]), world.now)
    received = world.client.take_received()
    assert world.client.statistics.datagrams_ignored == before + (not received)
    return received


def test_every_length(world: World) -> None:
    message = turn.encode_channel_data(0x4000, b"0123456789", padded=False)
    for size in range(len(message)):
        assert give(world, message[:size]) == []
    for padding in range(4):
        assert give(world, message + bytes(padding)) == [(PEER, b"0123456789")]
    assert give(world, message + bytes(4)) == []
    assert give(world, turn.encode_channel_data(0x4000, b"", padded=False)) == [(PEER, b"")]


@pytest.mark.parametrize("number", [0x4001, 0x4FFF, 0x5000, 0x7FFF, 0x8000, 0xFFFF])
def test_channels_that_are_not_ours(world: World, number: int) -> None:
    assert give(world, turn.encode_channel_data(number, b"data", padded=False)) == []


@given(first=st.integers(0, 255), rest=st.binary(max_size=24))
def test_every_first_byte(world: World, first: int, rest: bytes) -> None:
    for peer, data in give(world, bytes([first]) + rest):
        assert peer == PEER
        assert first == 0x40
        assert rest[3:].startswith(data)


@pytest.mark.parametrize("host", ["203.0.113.77", "127.0.0.1", "::1", "2001:db8::5"])
def test_indications_of_peers_without_permission(world: World, host: str) -> None:
    attributes = (stun.XorPeerAddress((host, 5)), stun.Data(b"data"))
    message = stun.Message(stun.MessageClass.INDICATION, stun.Method.DATA, bytes(12), attributes)
    assert give(world, stun.encode_message(message)) == []


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        (stun.XorPeerAddress(PEER),),
        (stun.Data(b"data"),),
        (stun.XorPeerAddress((PEER[0], 0)), stun.Data(b"data")),
        (stun.XorPeerAddress(PEER), stun.Data(b"data"), stun.Opaque(0x7F00, b"")),
    ],
)
def test_indications_that_are_not_whole(world: World, attributes: tuple[stun.Attribute, ...]) -> None:
    message = stun.Message(stun.MessageClass.INDICATION, stun.Method.DATA, bytes(12), attributes)
    assert give(world, stun.encode_message(message)) == []


def test_a_mapped_spelling_in_an_indication_is_the_peer(world: World) -> None:
    attributes = (stun.XorPeerAddress((f"::ffff:{PEER[0]}", PEER[1])), stun.Data(b"data"))
    message = stun.Message(stun.MessageClass.INDICATION, stun.Method.DATA, bytes(12), attributes)
    assert give(world, stun.encode_message(message)) == [(PEER, b"data")]
