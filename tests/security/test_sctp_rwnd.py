"""sctp_rwnd: the window closes, is never negative, opens by itself, and a closed one is probed by one chunk an RTO."""

from __future__ import annotations

from tests.sctp.evil import EvilPeer
from tests.sctp.simulation import Simulation
from xp2p_trio.sctp import Configuration, OutgoingMessage, State
from xp2p_trio.sctp.wire import ChunkType, decode_packet


def test_no_reader_for_a_minute() -> None:
    configuration = Configuration(receive_window=128 * 1024)
    simulation = Simulation(configuration=configuration, max_message_size=65536, reads=(True, False)).connect()
    simulation.send(0, *(OutgoingMessage(0, 53, bytes([n]) * 20_000) for n in range(50)))
    sizes = set()
    for _ in range(60):
        simulation.run(seconds=1)
        sizes.add(simulation.ends[1].statistics.received_size)
        assert simulation.ends[1].statistics.a_rwnd >= 0
    assert max(sizes) <= 128 * 1024 * 1.25
    simulation.reads[1] = True
    simulation.run(until=lambda: simulation.is_flushed)
    assert [message.data[0] for message in simulation.received[1]] == list(range(50))


def test_one_probe_an_rto() -> None:
    peer = EvilPeer()
    peer.association.send([OutgoingMessage(0, 53, bytes(50_000))], peer.now)
    peer.pull()
    peer.send(peer.sack(10, a_rwnd=0))
    probes = 0
    started = peer.now
    while peer.now - started < 60:
        peer.now = peer.association.next_timeout()
        peer.association.handle_timeout(peer.now)
        for packet in peer.association.transmit(peer.now, 50):
            probes += sum(chunk.type == ChunkType.DATA for chunk in decode_packet(packet).chunks)
        peer.send(peer.sack(10, a_rwnd=0))
    assert 5 <= probes <= 20
    assert peer.association.state == State.ESTABLISHED, "a peer that says that it is full is alive"


def test_a_window_update_goes_out_when_the_reader_comes() -> None:
    peer = EvilPeer(receive_window=65536)
    for number in range(80):
        peer.send(peer.data(number, bytes(1000), ssn=number))
    assert peer.association.statistics.a_rwnd == 0
    peer.association.take_received()
    assert peer.chunk_types(peer.pull()) == [ChunkType.SACK]


def test_a_shut_window_is_probed_after_an_rto_and_the_path_is_not_blamed() -> None:
    """RFC 9260 section 6.1, A: the first probe leaves after one RTO; probes do not affect cwnd."""
    peer = EvilPeer()
    peer.association.send([OutgoingMessage(0, 53, bytes(50_000))], peer.now)
    peer.pull()
    assert peer.send(peer.sack(10, a_rwnd=0)) == []
    cwnd = peer.association.statistics.cwnd
    waits = []
    for _ in range(4):
        due = peer.association.next_timeout()
        waits.append(round(due - peer.now, 3))
        peer.now = due
        peer.association.handle_timeout(peer.now)
        assert peer.chunk_types(peer.pull()).count(ChunkType.DATA) == 1
        peer.send(peer.sack(10, a_rwnd=0))
    assert waits == [0.4, 0.8, 1.6, 3.2]
    assert peer.association.statistics.cwnd == cwnd
    answers = peer.send(peer.sack(10))
    assert peer.chunk_types(answers).count(ChunkType.DATA) > 1


def test_a_window_that_opens_in_time_loses_no_message() -> None:
    simulation = Simulation(reads=(True, False)).connect()
    simulation.send(0, *(OutgoingMessage(1, 53, bytes(60_000), max_retransmits=0) for _ in range(30)))
    simulation.run(seconds=0.25)
    assert simulation.ends[1].statistics.a_rwnd < 2000
    simulation.reads[1] = True
    simulation.collect(1)
    simulation.run(until=lambda: simulation.is_flushed)
    assert len(simulation.received[1]) == 30
