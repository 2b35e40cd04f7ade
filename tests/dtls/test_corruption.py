"""Bits that flip in handshake datagrams: both are connected to each other, or it is said why not; nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.dtls.duo import Duo
from xp2p_trio import dtls


@pytest.mark.parametrize("target", range(4))
def test_each_byte_of_the_handshake(target: int) -> None:
    size = len(Duo().connect().sent[target][1])
    outcomes = set()
    for position in range(size):

        def fate(
            index: int, from_client: bool, datagram: bytes, position: int = position
        ) -> Sequence[tuple[float, bytes]]:
            if index != target:
                return [(0.0, datagram)]
            mutated = bytearray(datagram)
            mutated[position] ^= 1 << position % 8
            return [(0.0, bytes(mutated))]

        duo = Duo(fate=fate)
        duo.begin()
        duo.run(lambda duo=duo: duo.is_connected)
        if duo.is_connected:
            assert duo.client.export_keying_material("x", None, 9) == duo.server.export_keying_material("x", None, 9)
            duo.echo()
            outcomes.add("connected")
        else:
            assert dtls.State.FAILED in (duo.client.state, duo.server.state)
            ends = [event for events in duo.events.values() for event in events if isinstance(event, dtls.Failed)]
            assert all(event.failure.detail for event in ends)
            outcomes.add("failed")
    assert "connected" in outcomes
    assert target == 3 or "failed" in outcomes
