"""Two associations over a path of their own, in simulated time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from tests.sctp.evil import EvilPeer
from tests.sctp.simulation import Simulation, perfect, random_fate
from xp2p_trio.errors import InvalidArgument, InvalidState, Reason
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.sctp import (
    AssociationEstablished,
    Configuration,
    IncomingStreamsReset,
    Message,
    MessageAbandoned,
    OutgoingMessage,
    OutgoingStreamsReset,
    State,
)
from xp2p_trio.sctp.wire import ChunkType, decode_packet

WITH_CHECKSUM = Configuration(zero_checksum=False)


def chunk_types(packet: bytes) -> list[int]:
    return [chunk.type for chunk in decode_packet(packet).chunks]


def drop_first(count: int, *types: ChunkType) -> Callable[[int, bytes], list[tuple[float, bytes]]]:
    left = [count]

    def fate(_sender: int, packet: bytes) -> list[tuple[float, bytes]]:
        if left[0] and any(kind in types for kind in chunk_types(packet)):
            left[0] -= 1
            return []
        return [(0.0, packet)]

    return fate


def test_both_connect_and_both_are_told() -> None:
    simulation = Simulation().connect()
    for events in simulation.events:
        assert [type(event) for event in events] == [AssociationEstablished]
        assert events[0].inbound_streams == 65535
        assert events[0].partial_reliability
        assert events[0].stream_reset
        assert events[0].zero_checksum_sent


def test_one_side_connects() -> None:
    simulation = Simulation()
    simulation.ends[0].connect(simulation.now)
    simulation.run(until=lambda: all(end.state == State.ESTABLISHED for end in simulation.ends))


def test_data_queued_before_the_association_leaves_with_the_cookie() -> None:
    simulation = Simulation(delay=0.1)
    simulation.ends[0].connect(simulation.now)
    simulation.send(0, OutgoingMessage(1, 51, b"early"))
    simulation.run(until=lambda: bool(simulation.received[1]))
    assert simulation.now == pytest.approx(100.3)  # INIT, INIT ACK, COOKIE ECHO with DATA
    assert simulation.received[1] == [Message(1, 51, b"early")]


@pytest.mark.parametrize("losses", [(first, second) for first in range(10) for second in range(first, 10)])
def test_handshake_survives_every_single_and_double_loss(losses: tuple[int, int]) -> None:
    seen = [0]

    def fate(_sender: int, packet: bytes) -> list[tuple[float, bytes]]:
        seen[0] += 1
        return [] if seen[0] - 1 in losses else [(0.0, packet)]

    for both in (True, False):
        seen[0] = 0
        simulation = Simulation(fate=fate)
        simulation.ends[0].connect(simulation.now)
        if both:
            simulation.ends[1].connect(simulation.now)
        simulation.send(0, OutgoingMessage(0, 51, b"there"))
        simulation.send(1, OutgoingMessage(0, 51, b"back"))
        simulation.run(until=lambda: simulation.is_flushed, seconds=60)
        assert simulation.received == ([Message(0, 51, b"back")], [Message(0, 51, b"there")])


@pytest.mark.parametrize("size", [1, 3, 4, 1160, 1161, 2320, 65536, 262144])
@pytest.mark.parametrize("configuration", [Configuration(), WITH_CHECKSUM])
def test_messages_of_every_size_arrive(size: int, configuration: Configuration) -> None:
    simulation = Simulation(configuration=configuration).connect()
    data = random.Random(size).randbytes(size)
    simulation.send(0, OutgoingMessage(7, 53, data), OutgoingMessage(7, 53, data[::-1], ordered=False))
    simulation.run(until=lambda: simulation.is_flushed)
    assert [message.data for message in simulation.received[1]] == [data, data[::-1]]
    assert all(len(packet) <= 1191 for packet in simulation.sent[0])


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_transfer_over_a_lossy_path_is_complete(loss: float, ordered: bool) -> None:
    simulation = Simulation(fate=random_fate(5, loss=loss, reordering=0.05, duplication=0.02)).connect()
    messages = [OutgoingMessage(n % 3, 53, random.Random(n).randbytes(1 + n * 997 % 40000), ordered) for n in range(60)]
    simulation.send(0, *messages)
    simulation.run(until=lambda: simulation.is_flushed, seconds=1000)
    for stream_id in range(3):
        expected = [message.data for message in messages if message.stream_id == stream_id]
        got = [message.data for message in simulation.received[1] if message.stream_id == stream_id]
        assert got == expected if ordered else sorted(got) == sorted(expected)


def test_corruption_is_noticed_by_the_checksum() -> None:
    simulation = Simulation(configuration=WITH_CHECKSUM, fate=random_fate(6, corruption=0.1)).connect()
    data = [random.Random(n).randbytes(3000) for n in range(100)]
    simulation.send(0, *(OutgoingMessage(0, 53, each) for each in data))
    simulation.run(until=lambda: simulation.is_flushed, seconds=1000)
    assert [message.data for message in simulation.received[1]] == data
    assert simulation.ends[1].statistics.dropped_checksum


def test_small_messages_share_packets() -> None:
    simulation = Simulation().connect()
    before = len(simulation.sent[0])
    simulation.send(0, *(OutgoingMessage(0, 51, b"x" * 32) for _ in range(240)))
    simulation.pump()
    assert len(simulation.sent[0]) - before == 10


def test_streams_take_turns() -> None:
    simulation = Simulation().connect()
    simulation.send(0, *(OutgoingMessage(1, 53, bytes(3000)) for _ in range(20)), OutgoingMessage(2, 51, b"quick"))
    simulation.run(until=lambda: simulation.is_flushed)
    assert [message.stream_id for message in simulation.received[1]].index(2) == 1


def test_a_gap_on_one_stream_does_not_delay_another() -> None:
    simulation = Simulation().connect()
    simulation.fate = drop_first(1, ChunkType.DATA)
    simulation.send(0, OutgoingMessage(1, 53, bytes(1160)), OutgoingMessage(2, 53, bytes(1160)))
    simulation.run(until=lambda: bool(simulation.received[1]))
    assert simulation.received[1][0].stream_id == 2


def test_fast_retransmit_needs_no_timeout() -> None:
    simulation = Simulation(delay=0.05).connect()
    simulation.fate = drop_first(1, ChunkType.DATA)
    simulation.send(0, OutgoingMessage(1, 53, bytes(10 * 1160)))
    simulation.run(until=lambda: simulation.is_flushed)
    statistics = simulation.ends[0].statistics
    assert (statistics.timeouts, statistics.fast_retransmits, statistics.retransmitted_chunks) == (0, 1, 1)


def test_a_slow_reader_stalls_the_sender_and_gets_everything() -> None:
    small = Configuration(receive_window=64 * 1024)
    simulation = Simulation(configuration=small, max_message_size=32768, reads=(True, False)).connect()
    data = [random.Random(n).randbytes(1 + n * 7 % 5000) for n in range(400)]
    simulation.send(0, *(OutgoingMessage(0, 53, each) for each in data))
    simulation.run(seconds=60)
    statistics = simulation.ends[1].statistics
    assert 64 * 1024 - 1160 < statistics.received_size <= 64 * 1024 * 1.25 + 1160
    assert simulation.ends[0].unacknowledged_size > sum(map(len, data)) - 64 * 1024 * 1.3
    assert not any(isinstance(event, Failed) for event in simulation.events[0])
    simulation.reads[1] = True
    started = simulation.now
    simulation.run(until=lambda: simulation.is_flushed)
    assert [message.data for message in simulation.received[1]] == data
    assert simulation.now - started < 5


def test_slow_reader_of_tiny_messages() -> None:
    small = Configuration(receive_window=64 * 1024)
    simulation = Simulation(configuration=small, max_message_size=32768, reads=(True, False)).connect()
    data = [n.to_bytes(4, "big") for n in range(5000)]
    simulation.send(0, *(OutgoingMessage(0, 53, each) for each in data))
    simulation.run(seconds=60)
    assert simulation.ends[1].statistics.received_size <= 64 * 1024 * 1.25 + 256
    simulation.reads[1] = True
    simulation.run(until=lambda: simulation.is_flushed)
    assert [message.data for message in simulation.received[1]] == data


def test_no_retransmission_means_none() -> None:
    simulation = Simulation().connect()
    simulation.fate = drop_first(1, ChunkType.DATA)
    for n in range(6):
        simulation.send(0, OutgoingMessage(0, 51, bytes([n]) * 1100, max_retransmits=0))
    simulation.run(until=lambda: simulation.is_flushed)
    simulation.run(seconds=2)
    assert [message.data[0] for message in simulation.received[1]] == [1, 2, 3, 4, 5]
    assert [event for event in simulation.events[0] if isinstance(event, MessageAbandoned)] == [
        MessageAbandoned(0, 51, 1100, transmitted=True)
    ]
    assert simulation.ends[0].statistics.retransmitted_chunks == 0
    assert sum(ChunkType.FORWARD_TSN in chunk_types(packet) for packet in simulation.sent[0]) == 1


def test_without_loss_partial_reliability_costs_nothing() -> None:
    simulation = Simulation().connect()
    for _ in range(50):
        simulation.send(0, OutgoingMessage(0, 51, bytes(2500), max_retransmits=0, ordered=False))
        simulation.run(seconds=0.3)
    assert len(simulation.received[1]) == 50
    assert not any(ChunkType.FORWARD_TSN in chunk_types(packet) for packet in simulation.sent[0])


def test_lifetime_ends_messages_that_never_left() -> None:
    simulation = Simulation(configuration=Configuration(initial_cwnd_packets=1), delay=1.0).connect()
    simulation.send(0, OutgoingMessage(0, 53, bytes(50_000)))
    simulation.send(0, *(OutgoingMessage(1, 51, b"old", lifetime=0.5) for _ in range(3)))
    assert simulation.ends[0].buffered_size(1) == 9
    simulation.run(seconds=0.6)
    assert simulation.ends[0].buffered_size(1) == 0
    assert simulation.events[0][1:] == [MessageAbandoned(1, 51, 3, transmitted=False)] * 3
    simulation.run(until=lambda: simulation.is_flushed)
    assert [len(message.data) for message in simulation.received[1]] == [50_000]


def test_a_message_cut_by_its_lifetime_is_forgotten_by_both() -> None:
    simulation = Simulation(configuration=Configuration(initial_cwnd_packets=2), delay=0.2).connect()
    simulation.send(0, OutgoingMessage(1, 53, bytes(200_000), lifetime=0.7), OutgoingMessage(1, 51, b"next"))
    simulation.run(until=lambda: simulation.is_flushed)
    simulation.run(seconds=1)
    assert [message.data for message in simulation.received[1]] == [b"next"]
    assert simulation.ends[1].statistics.received_size == 0


def test_streams_are_reset_both_ways_and_used_again() -> None:
    simulation = Simulation(fate=random_fate(1, loss=0.1)).connect()
    for round_number in range(3):
        for end in (0, 1):
            simulation.send(end, *(OutgoingMessage(4, 51, bytes([round_number]) * 2000) for _ in range(5)))
            simulation.ends[end].reset_streams([4], simulation.now)
            simulation.send(end, OutgoingMessage(4, 51, b"after"))
        simulation.run(
            until=lambda n=round_number: all(
                sum(isinstance(event, OutgoingStreamsReset) for event in events) == n + 1
                and sum(isinstance(event, IncomingStreamsReset) for event in events) == n + 1
                for events in simulation.events
            )
        )
        simulation.run(until=lambda: simulation.is_flushed)
    for received in simulation.received:
        assert [message.data[:1] for message in received] == [
            byte for n in range(3) for byte in [bytes([n])] * 5 + [b"a"]
        ]


@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("both", [True, False])
def test_shutdown_delivers_everything_first(loss: float, both: bool) -> None:
    simulation = Simulation(fate=random_fate(10, loss=loss)).connect()
    for end in (0, 1):
        simulation.send(end, *(OutgoingMessage(n, 51, bytes(3000)) for n in range(20)))
    simulation.ends[0].shutdown(simulation.now)
    if both:
        simulation.ends[1].shutdown(simulation.now)
    simulation.run(until=lambda: all(end.next_timeout() == math.inf for end in simulation.ends))
    assert [len(received) for received in simulation.received] == [20, 20]
    assert all(isinstance(events[-1], Closed) for events in simulation.events)
    assert all(sum(isinstance(event, Closed | Failed) for event in events) == 1 for events in simulation.events)


def test_abort_ends_both() -> None:
    simulation = Simulation().connect()
    simulation.ends[0].abort(simulation.now, "enough")
    simulation.run(seconds=1)
    assert simulation.events[0][-1] == Closed()
    assert isinstance(simulation.events[1][-1], Failed)
    assert simulation.events[1][-1].failure.reason == Reason.ABORT_RECEIVED
    assert "enough" in simulation.events[1][-1].failure.detail


def test_a_dead_peer_is_noticed_with_data_and_without() -> None:
    for with_data in (True, False):
        simulation = Simulation().connect()
        simulation.fate = lambda _sender, _packet: []
        if with_data:
            simulation.send(0, OutgoingMessage(0, 51, b"anyone?"))
        simulation.run(seconds=600)
        assert isinstance(simulation.events[0][-1], Failed)
        assert simulation.events[0][-1].failure.reason == Reason.PEER_UNREACHABLE


def test_nobody_answers_the_handshake() -> None:
    simulation = Simulation(fate=lambda _sender, _packet: [])
    simulation.ends[0].connect(simulation.now)
    simulation.run(seconds=600)
    assert simulation.events[0][-1].failure.reason == Reason.HANDSHAKE_TIMEOUT
    assert len(simulation.sent[0]) == 9


def test_an_idle_pair_only_exchanges_heartbeats() -> None:
    simulation = Simulation().connect()
    simulation.run(seconds=1)
    before = [len(sent) for sent in simulation.sent]
    simulation.run(seconds=300)
    assert all(9 <= len(sent) - count <= 20 for sent, count in zip(simulation.sent, before, strict=True))
    assert simulation.ends[0].statistics.srtt == pytest.approx(0.02, abs=0.005)


def test_misuse_is_refused_and_changes_nothing() -> None:
    simulation = Simulation().connect()
    end = simulation.ends[0]
    for wrong in (OutgoingMessage(0, 51, b""), OutgoingMessage(65535, 51, b"x"), OutgoingMessage(0, 2**32, b"x")):
        with pytest.raises(InvalidArgument):
            end.send([OutgoingMessage(0, 51, b"fine"), wrong], simulation.now)
    with pytest.raises(InvalidArgument):
        end.reset_streams([1, 65535], simulation.now)
    assert end.unacknowledged_size == 0
    end.shutdown(simulation.now)
    with pytest.raises(InvalidState):
        end.send([OutgoingMessage(0, 51, b"late")], simulation.now)


def test_the_window_opens_as_far_as_the_peer_allows() -> None:
    simulation = Simulation(delay=0.05).connect()
    simulation.send(0, OutgoingMessage(0, 53, bytes(65536)))
    fed = peak = 0
    while simulation.step(simulation.now + 1):
        peak = max(peak, simulation.ends[0].statistics.flight_size)
        while simulation.ends[0].send_room >= 65536 and fed < 20 * 2**20:
            simulation.send(0, OutgoingMessage(0, 53, bytes(65536)))
            fed += 65536
    assert peak > 900 * 1024


def test_time_may_jump() -> None:
    simulation = Simulation().connect()
    simulation.send(0, OutgoingMessage(0, 53, bytes(30_000)))
    simulation.pump()
    simulation.now += 3600
    simulation.run(until=lambda: simulation.is_flushed)
    assert len(simulation.received[1]) == 1
    assert simulation.fate is perfect


def test_what_was_queued_for_more_streams_than_the_peer_takes_is_given_up() -> None:
    few = Configuration(inbound_streams=10)
    simulation = Simulation(other_configuration=few)
    simulation.send(0, OutgoingMessage(9, 51, b"fits"), OutgoingMessage(10, 51, b"does not"))
    simulation.connect()
    simulation.run(until=lambda: simulation.is_flushed)
    assert MessageAbandoned(10, 51, 8, transmitted=False) in simulation.events[0]
    assert [message.data for message in simulation.received[1]] == [b"fits"]
    with pytest.raises(InvalidArgument):
        simulation.send(0, OutgoingMessage(10, 51, b"x"))


def test_few_sacks_for_a_long_batch() -> None:
    simulation = Simulation(configuration=Configuration(initial_cwnd_packets=100)).connect()
    simulation.run(seconds=1)
    before = len(simulation.sent[1])
    simulation.send(0, OutgoingMessage(0, 53, bytes(50 * 1160)))
    simulation.run(until=lambda: simulation.is_flushed)
    assert len(simulation.sent[1]) - before == 5


def test_a_sack_travels_with_data_and_leaves_no_packet_half_empty() -> None:
    peer = EvilPeer()
    peer.association.receive([peer.packet(peer.data(0, b"question"))], peer.now)
    peer.association.send([OutgoingMessage(0, 53, bytes(5000))], peer.now)
    packets = peer.association.transmit(peer.now, 50)
    assert [chunk_types(packet) for packet in packets] == [[ChunkType.SACK, ChunkType.DATA]] + [[ChunkType.DATA]] * 4
    assert all(len(packet) == 1188 for packet in packets[:4])


def test_a_short_round_trip_keeps_the_rto_above_its_floor() -> None:
    simulation = Simulation(delay=0.0001).connect()
    simulation.send(0, OutgoingMessage(0, 53, bytes(200_000)))
    simulation.run(until=lambda: simulation.is_flushed)
    statistics = simulation.ends[0].statistics
    assert statistics.rto == 0.4
    assert statistics.srtt is not None
    assert statistics.srtt < 0.01
