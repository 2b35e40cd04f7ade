"""Messages of a byte or none cost far more than their bytes: what holds them is limited by what they cost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from tests.sctp.simulation import Simulation
from xp2p_trio.datachannel import ChannelMux, ChannelParameters, Configuration
from xp2p_trio.datachannel.ppid import BINARY, BINARY_EMPTY
from xp2p_trio.sctp import Message, OutgoingMessage

OFFERED = 1_000_000
BATCH = 100
SEND_BUFFER = 2 * 1024 * 1024
RECEIVE_BUFFER = 1024 * 1024
MIB = 1024 * 1024


def offer(simulation: Simulation) -> int:
    """Give end 0 messages while it has room for them, and let them leave now and then."""
    taken = 0
    while taken < OFFERED and simulation.ends[0].send_room:
        simulation.send(0, *(OutgoingMessage(1, BINARY, bytes([n])) for n in range(BATCH)))
        taken += BATCH
        if taken % (10 * BATCH) == 0:
            simulation.run(seconds=0.1)
    return taken


def peak_during(action: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_sender_of_a_million_bytes_one_by_one() -> None:
    """Its peer never reads. Both associations, their packets and the reports of this test hold less than 5 MiB."""
    simulation = Simulation(reads=(True, False)).connect()
    taken = 0

    def fill() -> None:
        nonlocal taken
        taken = offer(simulation)

    assert peak_during(fill) < 5 * MIB
    assert SEND_BUFFER // 256 < taken < SEND_BUFFER // 64
    assert simulation.ends[0].unacknowledged_size <= SEND_BUFFER // 128


@pytest.mark.parametrize(("ppid", "payload"), [(BINARY, b"x"), (BINARY_EMPTY, b"\0")])
def test_a_reader_that_never_takes_a_million_messages(ppid: int, payload: bytes) -> None:
    """What is held before `receive_buffer` is reached costs less than twice that."""
    mux = ChannelMux(Configuration())
    mux.associate(is_dtls_client=True, outbound_streams=10, remote_max_message_size=1000, now=0.0)
    mux.open_channel(ChannelParameters(negotiated_id=1), 0.0)
    received = 0

    def fill() -> None:
        nonlocal received
        while received < OFFERED and mux.unread_size < RECEIVE_BUFFER:
            mux.receive([Message(1, ppid, payload) for _ in range(BATCH)], 0.0)
            received += BATCH

    assert peak_during(fill) < 2 * RECEIVE_BUFFER
    assert RECEIVE_BUFFER // 256 < received <= RECEIVE_BUFFER // 128 + BATCH
    assert len(mux.take_received()) == received
    assert mux.unread_size == 0
