"""Stream reset with peers that take "In progress" each in their own way (RFC 6525 sections 5.2.2 and 5.2.7)."""

from __future__ import annotations

import pytest

from tests.sctp.evil import OUR_TSN, EvilPeer
from tests.sctp.simulation import Simulation, random_fate
from xp2p_trio.sctp import Configuration, IncomingStreamsReset, OutgoingMessage, OutgoingStreamsReset
from xp2p_trio.sctp.wire import (
    ChunkType,
    OutgoingResetRequest,
    Packet,
    Response,
    Result,
    decode_reconfig,
    encode_reconfig,
)

MASK = 0xFFFFFFFF


def request(number: int, last: int, *stream_ids: int) -> bytes:
    """As dcSCTP puts it: the response number is the request number."""
    own = (OUR_TSN + number) & MASK
    return encode_reconfig(OutgoingResetRequest(own, own, (OUR_TSN + last) & MASK, stream_ids))


def results(packets: list[Packet]) -> list[tuple[int, int]]:
    """Number of the request, counted from 0, and result."""
    return [
        ((each.response_number - OUR_TSN) & MASK, each.result)
        for packet in packets
        for chunk in packet.chunks
        if chunk.type == ChunkType.RE_CONFIG
        for each in decode_reconfig(chunk.value)
        if isinstance(each, Response)
    ]


def requests(packets: list[Packet]) -> list[OutgoingResetRequest]:
    return [
        each
        for packet in packets
        for chunk in packet.chunks
        if chunk.type == ChunkType.RE_CONFIG
        for each in decode_reconfig(chunk.value)
        if isinstance(each, OutgoingResetRequest)
    ]


def test_a_peer_that_asks_again_under_the_next_number_while_data_is_missing() -> None:
    """So does dcSCTP before 2026; an error would end its attempt to close the channel."""
    peer = EvilPeer()
    assert results(peer.send(request(0, 1, 1))) == [(0, Result.IN_PROGRESS)]
    assert results(peer.send(request(1, 1, 1))) == [(1, Result.IN_PROGRESS)]
    assert results(peer.send(request(1, 1, 1))) == [(1, Result.IN_PROGRESS)]
    assert results(peer.send(peer.data(0, stream=1), peer.data(1, stream=1, ssn=1))) == [(1, Result.PERFORMED)]
    assert results(peer.send(request(1, 1, 1))) == [(1, Result.PERFORMED)]
    assert results(peer.send(request(2, 1, 1))) == [(2, Result.PERFORMED)]
    assert peer.events.count(IncomingStreamsReset((1,))) == 1


def test_a_peer_that_asks_again_under_the_next_number_after_the_data_has_arrived() -> None:
    peer = EvilPeer()
    peer.send(request(0, 0, 1))
    assert results(peer.send(peer.data(0, stream=1))) == [(0, Result.PERFORMED)]
    assert results(peer.send(request(1, 0, 1))) == [(1, Result.PERFORMED)]
    assert peer.events.count(IncomingStreamsReset((1,))) == 1, "the stream may be in use again on our side"
    assert results(peer.send(request(2, 0, 1))) == [(2, Result.PERFORMED)]
    assert peer.events.count(IncomingStreamsReset((1,))) == 2, "a reset of its own"


def test_an_equal_request_of_another_peer_is_another_reset() -> None:
    peer = EvilPeer()
    peer.send(request(0, 0, 1))
    peer.send(peer.data(0, stream=1))
    peer.send(encode_reconfig(OutgoingResetRequest((OUR_TSN + 1) & MASK, 7, OUR_TSN, (1,))))
    assert peer.events.count(IncomingStreamsReset((1,))) == 2


@pytest.mark.parametrize("streams", [(2,), (1, 2), ()])
def test_another_request_is_no_repetition(streams: tuple[int, ...]) -> None:
    peer = EvilPeer()
    peer.send(request(0, 1, 1))
    assert results(peer.send(request(1, 1, *streams))) == [(1, Result.REQUEST_ALREADY_IN_PROGRESS)]
    assert results(peer.send(request(1, 2, 1))) == [(1, Result.REQUEST_ALREADY_IN_PROGRESS)]


def asked_while_other_data_is_missing(peer: EvilPeer) -> OutgoingResetRequest:
    peer.association.send([OutgoingMessage(2, 53, b"other")], peer.now)
    peer.pull()
    peer.association.reset_streams([1], peer.now)
    (asked,) = requests(peer.pull())
    return asked


def say(peer: EvilPeer, asked: OutgoingResetRequest, result: Result) -> None:
    peer.send(encode_reconfig(Response(asked.request_number, result)))


def later(peer: EvilPeer) -> list[OutgoingResetRequest]:
    peer.now = peer.association.next_timeout()
    peer.association.handle_timeout(peer.now)
    return requests(peer.pull())


def test_our_request_goes_again_under_its_number_while_the_peer_waits_for_data() -> None:
    peer = EvilPeer(rto_min=0.05, rto_initial=0.05, heartbeat_interval=1000.0)
    asked = asked_while_other_data_is_missing(peer)
    for _ in range(3):
        say(peer, asked, Result.IN_PROGRESS)
        again: list[OutgoingResetRequest] = []
        while not again:
            again = later(peer)
        assert again == [asked]
    say(peer, asked, Result.PERFORMED)
    assert peer.events[-1] == OutgoingStreamsReset((1,))


def test_our_request_gets_another_number_when_the_peer_has_nothing_to_wait_for() -> None:
    """DcSCTP before 2026 answers a repeated number with "In progress" for ever."""
    peer = EvilPeer()
    asked = asked_while_other_data_is_missing(peer)
    say(peer, asked, Result.IN_PROGRESS)
    peer.send(peer.sack(1))
    for _ in range(2):  # once could be an answer that crossed the last data
        assert later(peer) == [asked]
        say(peer, asked, Result.IN_PROGRESS)
        say(peer, asked, Result.IN_PROGRESS)  # a duplicate on the way counts for nothing
        assert requests(peer.pull()) == []
    (again,) = later(peer)
    assert again.request_number == (asked.request_number + 1) & MASK
    assert (again.last_assigned_tsn, again.stream_ids) == (asked.last_assigned_tsn, asked.stream_ids)
    say(peer, again, Result.PERFORMED)
    assert peer.events[-1] == OutgoingStreamsReset((1,))


@pytest.mark.parametrize("steps", range(8, 20))
def test_a_peer_that_answers_in_time_hears_once_of_each_reset(steps: int) -> None:
    """An answer "In progress" that crosses the last data on its way leads to no second request."""
    window = Configuration(receive_window=65_536)
    simulation = Simulation(configuration=window, max_message_size=40_000, reads=(False, True)).connect()
    simulation.send(1, *(OutgoingMessage(0, 53, bytes(40_000), ordered=False) for _ in range(2)))
    for _ in range(steps):
        simulation.step(simulation.now + 5)
    simulation.ends[1].reset_streams([1], simulation.now)
    for _ in range(3):
        simulation.step(simulation.now + 5)
    simulation.reads[0] = True
    simulation.pump()
    simulation.run(until=lambda: simulation.is_flushed)
    simulation.run(seconds=15)
    assert simulation.events[1].count(OutgoingStreamsReset((1,))) == 1
    assert simulation.events[0].count(IncomingStreamsReset((1,))) == 1


def exchanged() -> Simulation:
    """A pair with a delay of 10 ms; end 1 has just answered a lone message, and its answer is not acknowledged."""
    simulation = Simulation(delay=0.01).connect()
    for end in (0, 1):
        simulation.send(end, OutgoingMessage(1, 53, b"first"))
    simulation.run(seconds=1.0)
    for end in (0, 1):
        count = len(simulation.received[1 - end])
        simulation.send(end, OutgoingMessage(1, 53, b"lone"))
        simulation.run(until=lambda other=1 - end, count=count: len(simulation.received[other]) > count)
    return simulation


def close_both_ways(simulation: Simulation, *ends: int) -> float:
    """Seconds until both directions are reset; a side that is not among `ends` follows the other."""
    started = simulation.now
    following = {0, 1}.difference(ends)
    for end in ends:
        simulation.ends[end].reset_streams([1], started)
    while not all(OutgoingStreamsReset((1,)) in events for events in simulation.events):
        assert simulation.step(started + 5)
        for end in [end for end in following if IncomingStreamsReset((1,)) in simulation.events[end]]:
            simulation.ends[end].reset_streams([1], simulation.now)
            following.remove(end)
    return simulation.now - started


def test_a_close_behind_an_exchange_waits_for_no_delayed_acknowledgement() -> None:
    """The SACK that the follower's reset waits for comes along with the RE-CONFIG."""
    assert close_both_ways(exchanged(), 0) == pytest.approx(0.03)


def test_a_close_from_both_ends_behind_a_lone_message_each_waits_for_no_delayed_acknowledgement() -> None:
    """Either reset waits for the SACK of the side that waits itself."""
    simulation = exchanged()
    simulation.run(until=lambda: simulation.is_flushed)
    for end in (0, 1):
        simulation.send(end, OutgoingMessage(1, 53, b"lone"))
    simulation.pump()
    assert close_both_ways(simulation, 0, 1) == pytest.approx(0.04)


@pytest.mark.parametrize("ends", [(0,), (0, 1)])
def test_a_shutdown_behind_an_exchange_waits_for_no_delayed_acknowledgement(ends: tuple[int, ...]) -> None:
    simulation = exchanged()
    started = simulation.now
    for end in ends:
        simulation.ends[end].shutdown(started)
    simulation.run(until=lambda: all(end.state.name == "CLOSED" for end in simulation.ends))
    assert simulation.now - started == pytest.approx(0.03)


def test_a_shutdown_from_both_ends_behind_a_lone_message_each_waits_for_no_delayed_acknowledgement() -> None:
    simulation = exchanged()
    simulation.run(until=lambda: simulation.is_flushed)
    started = simulation.now
    for end in (0, 1):
        simulation.send(end, OutgoingMessage(1, 53, b"lone"))
    simulation.pump()
    for end in (0, 1):
        simulation.ends[end].shutdown(started)
    simulation.run(until=lambda: all(end.state.name == "CLOSED" for end in simulation.ends))
    assert simulation.now - started == pytest.approx(0.04)


@pytest.mark.parametrize("seed", range(5))
def test_resets_while_other_streams_are_busy_and_the_path_loses(seed: int) -> None:
    simulation = Simulation(fate=random_fate(seed, loss=0.05, reordering=0.1)).connect()
    for end in (0, 1):
        simulation.send(end, OutgoingMessage(9, 53, bytes(200_000)), OutgoingMessage(4, 53, b"last"))
        simulation.ends[end].reset_streams([4], simulation.now)
        simulation.send(
            end, OutgoingMessage(4, 53, b"first"), *(OutgoingMessage(9, 53, bytes(9000)) for _ in range(20))
        )
    simulation.run(until=lambda: simulation.is_flushed)
    for events, received in zip(simulation.events, simulation.received, strict=True):
        assert events.count(OutgoingStreamsReset((4,))) == 1
        assert events.count(IncomingStreamsReset((4,))) == 1
        assert [message.data for message in received if message.stream_id == 4] == [b"last", b"first"]
