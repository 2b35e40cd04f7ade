"""sctp_ssn_mid_wrap: every number may wrap in the middle of a transfer."""

from __future__ import annotations

from tests.sctp.evil import EvilPeer
from tests.sctp.simulation import Simulation, random_fate
from xp2p_trio.sctp import OutgoingMessage


def test_stream_sequence_numbers_wrap_in_both_directions() -> None:
    simulation = Simulation(delay=0.001, fate=random_fate(2, loss=0.002, reordering=0.05)).connect()
    count = 65_536 + 2000
    sent = 0
    while sent < count:
        batch = [OutgoingMessage(0, 53, (sent + n).to_bytes(4, "big")) for n in range(min(4000, count - sent))]
        simulation.send(0, *batch)
        sent += len(batch)
        simulation.run(until=lambda: simulation.is_flushed)
    assert [int.from_bytes(message.data, "big") for message in simulation.received[1]] == list(range(count))


def test_tsns_wrap_inside_a_message_in_any_order() -> None:
    """The initial TSN is 2**32 - 5."""
    for order in ((0, 1, 2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3, 2, 1, 0), (4, 5, 0, 7, 2, 3, 6, 1)):
        peer = EvilPeer()
        for number in order:
            flags = 2 if number == 0 else 1 if number == 7 else 0
            peer.send(peer.data(number, bytes([number]), flags=flags))
        (message,) = peer.association.take_received()
        assert message.data == bytes(range(8))
