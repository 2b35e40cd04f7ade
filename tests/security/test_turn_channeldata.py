"""turn_channeldata: only data of the right length on a channel of ours is delivered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ice import relays
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


# Through an agent.

ALICE, BOB, TURN = ("192.0.2.1", 49152), ("203.0.113.2", 49152), ("198.51.100.2", 3478)


@pytest.fixture(scope="module")
def path() -> relays.World:
    path = relays.World(relays.server(), relay_only=("alice",), bob=()).connect()
    path.run(1.0)
    return path


def taken(path: relays.World, datagram: bytes, remote: tuple[str, int] = TURN) -> list[bytes]:
    path.alice.receive(Burst(ALICE, remote, [datagram]), path.now)
    return path.alice.take_received()


def test_data_of_the_peer_is_taken_from_the_server_alone(path: relays.World) -> None:
    message = turn.encode_channel_data(0x4000, relays.DATA, padded=False)
    assert taken(path, message) == [relays.DATA]
    for remote in (BOB, (TURN[0], 3479), ("203.0.113.66", 3478), path.relayed("alice")[0].address):
        before = path.alice.statistics.datagrams_dropped
        assert taken(path, message, remote) == []
        assert path.alice.statistics.datagrams_dropped == before + 1


@pytest.mark.parametrize("number", [0x4001, 0x4FFF, 0x5000, 0xFFFF])
def test_an_agent_knows_no_other_channels(path: relays.World, number: int) -> None:
    before = path.alice.statistics.datagrams_dropped
    assert taken(path, turn.encode_channel_data(number, relays.DATA, padded=False)) == []
    assert path.alice.statistics.datagrams_dropped == before + 1


def test_data_of_a_host_with_permission_that_never_answered_is_not_delivered(path: relays.World) -> None:
    """Another port of the peer's host: the server lets it through, and ICE does not (ice_nonstun_source)."""
    attributes = (stun.XorPeerAddress((BOB[0], 6666)), stun.Data(relays.DATA))
    message = stun.Message(stun.MessageClass.INDICATION, stun.Method.DATA, bytes(12), attributes)
    assert taken(path, stun.encode_message(message)) == []


@given(data=st.binary(max_size=64))
def test_whatever_the_server_says_an_agent_does_not_fall(path: relays.World, data: bytes) -> None:
    taken(path, data)
    for first in (0x00, 0x01, 0x40, 0x4F):
        taken(path, bytes([first]) + data)
    assert path.alice.selected_pair is not None
