"""When the I bit asks for an acknowledgement without delay (RFC 9260 section 6.1, RFC 7053)."""

from __future__ import annotations

import pytest

from tests.sctp.evil import EvilPeer
from tests.sctp.simulation import Simulation
from xp2p_trio.sctp import Configuration, OutgoingMessage
from xp2p_trio.sctp.wire import IMMEDIATE, ChunkType, decode_packet

PAYLOAD = 1160
"""User bytes of a full packet of the default size."""


def immediate(packets: list[bytes]) -> list[bool]:
    """Whether each DATA chunk has the I bit."""
    return [
        bool(chunk.flags & IMMEDIATE)
        for packet in packets
        for chunk in decode_packet(packet).chunks
        if chunk.type == ChunkType.DATA
    ]


def leaving(*sizes: int, limit: int = 50, configuration: Configuration | None = None) -> list[bool]:
    simulation = Simulation(configuration=configuration).connect()
    simulation.send(0, *(OutgoingMessage(1, 53, bytes(size)) for size in sizes))
    flags: list[bool] = []
    while packets := simulation.ends[0].transmit(simulation.now, limit):
        flags += immediate(packets)
    return flags


def warm() -> Simulation:
    """A pair with a delay of 10 ms that has exchanged its first data."""
    simulation = Simulation(delay=0.01).connect()
    for end in (0, 1):
        simulation.send(end, OutgoingMessage(1, 53, b"first"))
    simulation.run(seconds=1.0)
    return simulation


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_only_the_end_of_a_message_of_several_packets(limit: int) -> None:
    assert leaving(3 * PAYLOAD, limit=limit) == [False, False, True]


def test_the_end_of_a_burst_of_several_packets() -> None:
    assert leaving(800, 800, 800) == [False, False, True]


def test_a_lone_packet_has_none() -> None:
    assert leaving(100) == [False]
    assert leaving(PAYLOAD) == [False]
    assert leaving(100, 100) == [False, False]


def test_a_window_used_up() -> None:
    window = Configuration(initial_cwnd_packets=1)
    assert leaving(PAYLOAD, PAYLOAD, configuration=window) == [True]


def test_a_lone_message_before_the_end() -> None:
    simulation = Simulation().connect()
    simulation.send(0, OutgoingMessage(1, 53, b"last"))
    simulation.ends[0].shutdown(simulation.now)
    assert immediate(simulation.ends[0].transmit(simulation.now, 50)) == [True]


def test_the_last_lone_message_of_a_stream_before_its_reset() -> None:
    simulation = Simulation().connect()
    simulation.send(0, OutgoingMessage(1, 53, b"1"), OutgoingMessage(2, 53, b"other"), OutgoingMessage(1, 53, b"2"))
    simulation.ends[0].reset_streams([1], simulation.now)
    assert immediate(simulation.ends[0].transmit(simulation.now, 50)) == [False, False, True]


def test_the_acknowledgement_of_a_lone_message_rides_on_the_reply() -> None:
    """Two packets a round trip of request and reply."""
    simulation = warm()
    before = sum(map(len, simulation.sent))
    for _ in range(50):
        for sender in (0, 1):
            count = len(simulation.received[1 - sender])
            simulation.send(sender, OutgoingMessage(1, 53, b"ping"))
            simulation.run(until=lambda other=1 - sender, count=count: len(simulation.received[other]) > count)
    simulation.run(until=lambda: simulation.is_flushed)
    assert sum(map(len, simulation.sent)) - before == 101


def test_an_acknowledgement_waits_at_most_20_milliseconds() -> None:
    simulation = warm()
    simulation.send(0, OutgoingMessage(1, 53, b"lone"))
    started = simulation.now
    simulation.run(until=lambda: simulation.is_flushed)
    assert simulation.now - started == pytest.approx(0.04)


def test_the_first_data_of_an_association_is_acknowledged_at_once() -> None:
    """RFC 9260 section 5.1."""
    peer = EvilPeer()
    assert peer.chunk_types(peer.send(peer.data(0))) == [ChunkType.SACK]
    assert peer.send(peer.data(1, ssn=1)) == []
    assert peer.chunk_types(peer.send(peer.data(2, ssn=2))) == [ChunkType.SACK]
