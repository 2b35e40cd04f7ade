"""Every way to the end, in every phase: one terminal event, in bounded time, and nothing after it."""

from __future__ import annotations

import math

import pytest

from xp2p_trio.datachannel import ChannelArrived, ChannelClosed, ChannelParameters
from xp2p_trio.errors import Failure, InvalidState, LocalError, Reason
from xp2p_trio.peer import Configuration, Connection, ConnectionState, IceCandidate, SignalingState
from xp2p_trio.sansio import Burst, Closed, Failed
from xp2p_trio.testing import BLACK_HOLE, Link, Peers, connect_peers

LINK = Link(delay=0.02)
TERMINAL = (Closed, Failed)
FAILURE = Failure("peer", Reason.SIGNALING_LOST, "the program said so")


def close(connection: Connection, now: float) -> None:
    connection.close(now)


def close_twice_and_abort(connection: Connection, now: float) -> None:
    connection.close(now)
    connection.close(now)
    connection.abort(now)


def abort_and_close(connection: Connection, now: float) -> None:
    connection.abort(now)
    connection.close(now)


def fail(connection: Connection, now: float) -> None:
    connection.fail(FAILURE, now)


ENDS = [close, close_twice_and_abort, abort_and_close, fail]


def assert_inert(connection: Connection, now: float) -> None:
    """Nothing that can be called has an effect any more, however much time passes."""
    assert connection.is_over
    assert connection.signaling_state is SignalingState.CLOSED
    assert connection.next_timeout() == math.inf
    for later in (now, now + 1.0, now + 1000.0):
        connection.handle_timeout(later)
        connection.receive(Burst(("192.0.2.1", 1), ("192.0.2.2", 2), (b"\x16" * 50, b"\0" * 20)), later)
        for command in (connection.close, connection.abort, connection.gather, connection.end_of_local_addresses):
            command(later)
        connection.fail(FAILURE, later)
        connection.add_local_address(("192.0.2.1", 9), later)
        connection.add_ice_candidate(IceCandidate("candidate:1 1 udp 1 192.0.2.9 1 typ host"), later)
        connection.take_received()
        with pytest.raises(InvalidState):
            connection.create_data_channel(ChannelParameters(), later)
        with pytest.raises(LocalError):
            connection.send([(0, "x")], later)
        assert connection.transmit(later, 64) == []
        assert connection.take_events() == []
    assert connection.next_timeout() == math.inf


def check(peers: Peers, *, bound: float) -> None:
    started = peers.now
    peers.run(lambda: peers.alice.is_over, timeout=bound)
    peers.run(timeout=0.0)
    assert peers.now - started <= bound
    terminal = [event for event in peers.events["alice"] if isinstance(event, TERMINAL)]
    assert len(terminal) == 1
    assert peers.events["alice"][-1] is terminal[0]
    assert_inert(peers.alice, peers.now)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", ["before", "gathering", "offered", "answered"])
def test_before_the_network(end, step: str) -> None:
    peers = Peers(link=LINK)
    channel_id = peers.alice.create_data_channel(ChannelParameters(), 0.0)
    peers.alice.send([(channel_id, "queued")], 0.0)
    if step == "gathering":
        peers.alice.gather(0.0)
    if step in ("offered", "answered"):
        peers.bob.set_remote_description(peers.alice.set_local_description(None, 0.0), 0.0)
    if step == "answered":
        peers.alice.set_remote_description(peers.bob.set_local_description(None, 0.0), 0.0)
    end(peers.alice, 0.0)
    check(peers, bound=0.0)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("link", [LINK, BLACK_HOLE], ids=["told", "untold"])
@pytest.mark.parametrize("sent", range(1, 34, 2))
def test_in_the_middle_of_the_set_up(end, link: Link, sent: int) -> None:
    """After so many datagrams: during ICE, DTLS and SCTP, and when data has begun to flow."""
    peers = Peers(link=LINK)
    channel_id = peers.alice.create_data_channel(ChannelParameters(), 0.0)
    peers.alice.send([(channel_id, b"x" * 10_000)] * 6, 0.0)
    peers.negotiate()
    peers.run(lambda: peers.network.statistics.sent >= sent, timeout=5.0)
    peers.network.set_links("alice", "bob", link)
    end(peers.alice, peers.now)
    check(peers, bound=7.0)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("other", [None, *ENDS])
def test_with_data_queued_and_both_at_once(end, other) -> None:
    peers = connect_peers(link=LINK)
    channel_id = peers.alice.create_data_channel(ChannelParameters(), peers.now)
    peers.alice.send([(channel_id, b"x" * 60_000)] * 10, peers.now)
    peers.run(timeout=0.1)
    end(peers.alice, peers.now)
    if other is not None:
        other(peers.bob, peers.now)
    check(peers, bound=7.0)
    if end is close and other is None:
        peers.run(lambda: peers.bob.is_over, timeout=7.0)
        assert len(peers.bob.take_received()) == 10
        assert isinstance(peers.events["bob"][-1], Closed)


def test_nobody_pulls() -> None:
    """A driver that stops to transmit: timers alone bring the end."""
    peers = connect_peers(link=LINK)
    peers.alice.close(peers.now)
    for tenths in range(70):
        peers.alice.handle_timeout(peers.now + tenths / 10)
    events = peers.alice.take_events()
    assert isinstance(events[-1], Closed)
    assert_inert(peers.alice, peers.now + 100.0)


def test_no_room_does_not_end_it_before_the_last_words() -> None:
    peers = connect_peers(link=LINK)
    peers.alice.abort(peers.now)
    assert peers.alice.transmit(peers.now, 0) == []
    assert not peers.alice.is_over
    assert peers.alice.transmit(peers.now, 64) != []


def test_nothing_is_news_after_a_path_that_broke() -> None:
    """Consent expires at the moment at which SCTP gives up messages."""
    peers = connect_peers(link=LINK)
    channel_id = peers.alice.create_data_channel(ChannelParameters(max_packet_life_time=0.5), peers.now)
    peers.run(timeout=1.0)
    peers.network.set_links("alice", "bob", BLACK_HOLE)
    peers.alice.send([(channel_id, b"x" * 5000)] * 10, peers.now)
    peers.alice.transmit(peers.now, 64)
    late = peers.now + 60.0  # one jump: every timer is due at once
    peers.alice.handle_timeout(late)
    peers.alice.transmit(late, 64)
    events = peers.alice.take_events()
    assert isinstance(events[-1], Failed)
    assert peers.alice.state is ConnectionState.FAILED
    assert_inert(peers.alice, late)


def test_what_arrived_while_nobody_read_is_told_before_the_end() -> None:
    peers = connect_peers(link=LINK, bob=Configuration(receive_buffer=1000))
    first = peers.alice.create_data_channel(ChannelParameters("first"), peers.now)
    for _ in range(3):
        peers.alice.send([(first, b"x" * 500)], peers.now)
        peers.run(timeout=0.1)
    assert peers.bob.is_held_back
    second = peers.alice.create_data_channel(ChannelParameters("second"), peers.now)
    peers.alice.send([(second, "last")], peers.now)
    peers.run(timeout=0.1)
    peers.alice.close(peers.now)
    peers.run(lambda: peers.bob.is_over, timeout=7.0)
    peers.run(timeout=0.0)
    arrived = [event.channel_id for event in peers.events["bob"] if isinstance(event, ChannelArrived)]
    closed = [event.channel_id for event in peers.events["bob"] if isinstance(event, ChannelClosed)]
    assert arrived == closed == [0, 1]
    assert peers.bob.take_received()[-1] == (1, "last")
