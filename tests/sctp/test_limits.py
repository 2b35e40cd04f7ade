"""What bounds the data in flight, and what the windows and timers learn from it."""

from __future__ import annotations

import pytest

from tests.sctp.evil import EvilPeer
from tests.sctp.simulation import Simulation, random_fate
from xp2p_trio.sctp import Configuration, OutgoingMessage, State
from xp2p_trio.sctp.wire import ChunkType, decode_packet, encode_heartbeat, encode_init

PACKET = 1176
"""Bytes that a full packet has for DATA chunks."""


def test_tiny_chunks_in_flight_are_counted() -> None:
    """Usrsctp tosses TSNs that are 4,096 or more above the cumulative one; gap ack blocks have 16 bits."""
    simulation = Simulation(configuration=Configuration(initial_cwnd_packets=1000)).connect()
    simulation.run(seconds=1)
    simulation.send(0, *(OutgoingMessage(1, 53, b"x") for _ in range(20_000)))
    chunks = 0
    while packets := simulation.ends[0].transmit(simulation.now, 50):
        chunks += sum(len(decode_packet(packet).chunks) for packet in packets)
    assert chunks == 4096


@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_a_flood_of_tiny_messages_overruns_nobody(loss: float) -> None:
    configuration = Configuration(initial_cwnd_packets=200)
    simulation = Simulation(configuration=configuration, fate=random_fate(1, loss=loss)).connect()
    simulation.send(0, *(OutgoingMessage(1, 53, b"x") for _ in range(30_000)))
    simulation.run(until=lambda: simulation.is_flushed, seconds=60)
    assert len(simulation.received[1]) == 30_000
    assert simulation.ends[1].statistics.refused_chunks == 0


def test_the_congestion_window_stays_where_it_is_while_the_receiver_is_what_limits() -> None:
    """RFC 9260 section 7.2.1: it must not grow unless it is used to the full."""
    narrow = Configuration(receive_window=65536)
    simulation = Simulation(other_configuration=narrow, max_message_size=65536).connect()
    for _ in range(4):
        simulation.send(0, *(OutgoingMessage(1, 53, bytes(16384)) for _ in range(64)))
        simulation.run(until=lambda: simulation.is_flushed)
    assert simulation.ends[0].statistics.cwnd <= 65536 + 2 * PACKET


def test_what_was_given_up_measures_nothing() -> None:
    """The cumulative TSN passes an abandoned chunk by FORWARD TSN, long after a round trip (RFC 9260 section 6.3.1)."""
    simulation = Simulation(delay=0.1, fate=random_fate(2, loss=0.1)).connect()
    simulation.run(seconds=1)
    worst = 0.0
    for _ in range(200):
        simulation.send(0, *(OutgoingMessage(1, 53, bytes(1000), max_retransmits=0) for _ in range(8)))
        simulation.run(until=lambda: simulation.is_flushed)
        worst = max(worst, simulation.ends[0].statistics.srtt or 0.0)
    assert worst < 0.3


def test_the_fast_retransmission_leaves_also_when_a_batch_was_full() -> None:
    """RFC 9260 section 7.2.4, rule 3: one packet, whatever the window says."""
    peer = EvilPeer()
    peer.association.send([OutgoingMessage(1, 53, bytes(PACKET - 16)) for _ in range(10)], peer.now)
    peer.pull()
    packet = peer.packet(
        encode_heartbeat(bytes(1150)), peer.sack(0, ((2, 2),)), peer.sack(0, ((2, 3),)), peer.sack(0, ((2, 4),))
    )
    peer.association.receive([packet], peer.now)
    types = []
    while packets := peer.association.transmit(peer.now, 1):
        types += [chunk.type for each in packets for chunk in decode_packet(each).chunks]
    assert types == [ChunkType.HEARTBEAT_ACK, ChunkType.DATA]
    assert peer.association.statistics.retransmitted_chunks == 1


@pytest.mark.parametrize("state", [State.CLOSED, State.ESTABLISHED])
def test_an_init_among_other_chunks_is_nothing(state: State) -> None:
    """RFC 9260 section 8.5.1, A: an INIT has a packet of its own and a verification tag of 0."""
    peer = EvilPeer(state)
    init = encode_init(peer.init, ChunkType.INIT)
    answers = peer.send(encode_heartbeat(b"first"), *(init for _ in range(20)), crc=True)
    assert ChunkType.INIT_ACK not in peer.chunk_types(answers)
