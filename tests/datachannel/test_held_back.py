"""A reader that is slow while its peer closes: all that came before the close is read, from the right channel."""

from __future__ import annotations

import pytest

from xp2p_trio.datachannel import ChannelArrived, ChannelClosed, ChannelParameters, ChannelState
from xp2p_trio.peer import Configuration
from xp2p_trio.testing import Link, Peers, connect_peers

MESSAGES = [bytes([number]) * 500 for number in range(20)]


@pytest.fixture
def peers() -> Peers:
    """Bob's program reads nothing until it is told to, and his connection holds two messages for it."""
    return connect_peers(link=Link(delay=0.01), bob=Configuration(receive_buffer=1000))


def read_slowly(peers: Peers) -> list[tuple[int, str | bytes]]:
    received: list[tuple[int, str | bytes]] = []
    while messages := peers.bob.take_received():
        received += messages
        peers.run(timeout=0.5)
    return received


def test_channels_that_are_closed_and_reused_meanwhile(peers: Peers) -> None:
    expected = []
    for number in range(3):
        channel_id = peers.alice.create_data_channel(ChannelParameters("x"), peers.now)
        for message in MESSAGES:
            peers.alice.send([(channel_id, message)], peers.now)
            peers.run(timeout=0.05)
        peers.alice.close_channel(channel_id, peers.now)
        peers.run(timeout=5.0)
        expected += [(number, message) for message in MESSAGES]
    assert peers.bob.is_held_back
    assert read_slowly(peers) == expected
    peers.run(timeout=5.0)
    assert [event.channel_id for event in peers.events["bob"] if isinstance(event, ChannelClosed)] == [0, 1, 2]
    assert [event.channel_id for event in peers.events["alice"] if isinstance(event, ChannelClosed)] == [0, 1, 2]


def test_a_connection_that_is_closed_meanwhile(peers: Peers) -> None:
    channel_id = peers.alice.create_data_channel(ChannelParameters("x"), peers.now)
    for message in MESSAGES:
        peers.alice.send([(channel_id, message)], peers.now)
        peers.run(timeout=0.05)
    assert peers.bob.is_held_back
    peers.alice.close(peers.now)
    peers.run(timeout=20.0)
    assert read_slowly(peers) == [(0, message) for message in MESSAGES]


def labels_of(peers: Peers) -> dict[str, int]:
    arrived = [event.channel_id for event in peers.events["bob"] if isinstance(event, ChannelArrived)]
    return {peers.bob.channel(channel_id).label: channel_id for channel_id in arrived}


def fill(peers: Peers) -> dict[str, int]:
    """Two channels of alice, "full" with more than bob holds and "other"; her ids."""
    ids = {label: peers.alice.create_data_channel(ChannelParameters(label), peers.now) for label in ("other", "full")}
    peers.run(timeout=1.0)
    for message in MESSAGES[:3]:
        peers.alice.send([(ids["full"], message)], peers.now)
        peers.run(timeout=0.1)
    assert peers.bob.is_held_back
    return ids


def test_closing_what_holds_others_back_lets_them_through_at_once(peers: Peers) -> None:
    ids = fill(peers)
    peers.alice.send([(ids["other"], "hello")], peers.now)
    peers.run(timeout=0.1)
    there = labels_of(peers)
    peers.bob.close_channel(there["full"], peers.now)
    assert peers.bob.take_message(there["other"]) == "hello"


def test_a_stream_that_the_peer_uses_again_behind_its_reset(peers: Peers) -> None:
    """Bob closes a channel while he is held back; alice's next one on that stream waits behind her reset of it."""
    ids = fill(peers)
    peers.bob.close_channel(labels_of(peers)["other"], peers.now)
    peers.run(timeout=1.0)
    again = peers.alice.create_data_channel(ChannelParameters("again"), peers.now)
    assert peers.alice.channel(again).stream_id == peers.alice.channel(ids["other"]).stream_id
    peers.alice.send([(again, "first")], peers.now)
    peers.run(timeout=1.0)
    assert peers.bob.is_held_back
    received = read_slowly(peers)
    assert received[-1] == (labels_of(peers)["again"], "first")
    assert peers.alice.channel(again).state is ChannelState.OPEN


def test_amounts_of_a_closed_channel_are_not_those_of_the_next_on_its_stream(peers: Peers) -> None:
    closed = peers.alice.create_data_channel(ChannelParameters("x"), peers.now)
    peers.run(timeout=1.0)
    peers.alice.close_channel(closed, peers.now)
    peers.run(timeout=1.0)
    following = peers.alice.create_data_channel(ChannelParameters("y"), peers.now)
    peers.alice.send([(following, b"x" * 50_000)], peers.now)
    peers.alice.transmit(peers.now, 1)
    assert peers.alice.channel(following).stream_id == peers.alice.channel(closed).stream_id
    assert peers.alice.unacknowledged_amount(following) > 50_000
    assert peers.alice.buffered_amount(closed) == peers.alice.unacknowledged_amount(closed) == 0
