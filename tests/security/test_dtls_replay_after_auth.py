"""The window moves only for records that were opened."""

from __future__ import annotations

import pytest

from tests.dtls.duo import connected
from tests.dtls.forgery import record


@pytest.mark.parametrize("sequence_number", [2**48 - 1, 2**40, 300])
def test_forged_number_ahead(sequence_number: int) -> None:
    duo = connected()
    for size in (0, 10, 24, 25, 60):
        forged = record(23, bytes(size), epoch=1, sequence_number=sequence_number)
        duo.server.receive([forged], duo.now)
        duo.client.receive([forged], duo.now)
    duo.echo()
    assert duo.server.statistics.records_replayed == 0


def test_replays_are_delivered_once() -> None:
    duo = connected()
    duo.client.send([b"%d" % index for index in range(50)], duo.now)
    records = duo.client.transmit(duo.now, 100)
    for _ in range(3):
        duo.server.receive(records, duo.now)
        duo.server.receive(records[::-1], duo.now)
    assert duo.server.take_received() == [b"%d" % index for index in range(50)]
    assert duo.server.statistics.records_replayed == 250


def test_forgery_does_not_burn_the_number_of_a_genuine_record() -> None:
    duo = connected()
    duo.client.send([b"genuine"], duo.now)
    [datagram] = duo.client.transmit(duo.now, 1)
    for position in range(13, len(datagram)):
        forged = bytearray(datagram)
        forged[position] ^= 1
        duo.server.receive([bytes(forged)], duo.now)
    assert duo.server.take_received() == []
    duo.server.receive([datagram], duo.now)
    assert duo.server.take_received() == [b"genuine"]
