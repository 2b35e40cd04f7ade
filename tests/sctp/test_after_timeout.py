"""After T3-rtx: the end of a burst is lost, so that no SACK can reveal it (RFC 9260 section 6.3.3)."""

from __future__ import annotations

import pytest

from tests.sctp.simulation import Simulation
from xp2p_trio.sctp import OutgoingMessage
from xp2p_trio.sctp.wire import ChunkType, decode_packet


@pytest.mark.parametrize("lost", [2, 13, 40])
def test_lost_end_of_a_burst_costs_one_timeout(lost: int) -> None:
    """The window opens again while the lost chunks go out, though no new data does, and the SACKs come without delay.

    Seen against Chromium, whose socket had overflowed: one chunk a timeout, 8 s for 64 chunks.
    """
    size = 256 * 1024
    chunks = -(-size // 1160)
    seen = 0

    def fate(sender: int, packet: bytes) -> list[tuple[float, bytes]]:
        nonlocal seen
        if sender == 0 and any(chunk.type == ChunkType.DATA for chunk in decode_packet(packet).chunks):
            seen += 1
            if chunks - lost < seen <= chunks:
                return []
        return [(0.0, packet)]

    simulation = Simulation(delay=0.001, fate=fate).connect()
    start = simulation.now
    simulation.send(0, OutgoingMessage(1, 53, bytes(size)))
    simulation.run(until=lambda: bool(simulation.received[1]))
    statistics = simulation.ends[0].statistics
    assert statistics.timeouts == 1
    assert statistics.retransmitted_chunks == lost
    assert simulation.now - start < 1.0
