"""A reader that is slow while its peer closes: all that came before the close is read, from the right channel."""

from __future__ import annotations

import pytest

from xp2p_trio.datachannel import ChannelClosed, ChannelParameters
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
