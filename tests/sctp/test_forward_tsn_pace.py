"""Many holes, one after the other: FORWARD TSN goes from each to the next (RFC 3758 section 3.5, C)."""

from __future__ import annotations

from tests.sctp.simulation import Simulation
from xp2p_trio.sctp import OutgoingMessage, State
from xp2p_trio.sctp.wire import ChunkType, decode_forward_tsn, decode_packet

HOLES = 15


class LossyAtFirst:
    """Loses every tenth DATA chunk of the first sender, and if asked the first copy of every FORWARD TSN."""

    def __init__(self, *, forward_tsn_too: bool) -> None:
        self.forward_tsn_too = forward_tsn_too
        self.data_packets = 0
        self.forwarded: set[int] = set()

    def __call__(self, sender: int, packet: bytes) -> list[tuple[float, bytes]]:
        is_lost = False
        for chunk in decode_packet(packet).chunks if sender == 0 else ():
            if chunk.type == ChunkType.DATA:
                self.data_packets += 1
                is_lost = self.data_packets % 10 == 0
            elif chunk.type == ChunkType.FORWARD_TSN and self.forward_tsn_too:
                tsn = decode_forward_tsn(chunk.value).new_cumulative_tsn
                is_lost = is_lost or tsn not in self.forwarded
                self.forwarded.add(tsn)
        return [] if is_lost else [(0.0, packet)]


def run(*, forward_tsn_too: bool) -> Simulation:
    """Send what has the holes; each message fills a packet and is never sent again."""
    simulation = Simulation(delay=0.005, fate=LossyAtFirst(forward_tsn_too=forward_tsn_too)).connect()
    start = simulation.now
    simulation.send(0, *(OutgoingMessage(1, 53, bytes(1160), max_retransmits=0) for _ in range(10 * HOLES + 5)))
    simulation.run(until=lambda: simulation.is_flushed)
    assert len(simulation.received[1]) == 9 * HOLES + 5
    assert all(end.state == State.ESTABLISHED for end in simulation.ends)
    simulation.now -= start
    return simulation


def test_each_hole_costs_a_round_trip_and_no_timeout() -> None:
    """Seen with Chromium at 3 % loss: a hole waited for T3-rtx, which doubled; nine of them took 6 s."""
    simulation = run(forward_tsn_too=False)
    assert simulation.ends[0].statistics.timeouts == 0
    assert simulation.now < 0.5


def test_a_peer_that_follows_forward_tsn_is_alive() -> None:
    """Seen with Chromium: eleven timeouts, each answered, and the association was given up."""
    simulation = run(forward_tsn_too=True)
    assert simulation.ends[0].statistics.timeouts > 10
