"""Records of the next epoch that come early are kept, a few, and authenticated when there are keys."""

from __future__ import annotations

import itertools

import pytest

from tests.dtls.duo import Duo, make_client, make_server
from tests.dtls.forgery import record
from xp2p_trio import dtls
from xp2p_trio.dtls.connection import MAX_PARKED_RECORDS
from xp2p_trio.dtls.parameters import ContentType

SMALL = dtls.Configuration(max_datagram_size=256)


def second_flight() -> tuple[Duo, list[bytes]]:
    duo = Duo(make_client(SMALL), make_server(SMALL))
    duo.begin()
    duo.server.receive(duo.client.transmit(0.0, 100), 0.0)
    duo.client.receive(duo.server.transmit(0.0, 100), 0.0)
    return duo, duo.client.transmit(0.0, 100)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_flight_in_any_order(order: tuple[int, ...]) -> None:
    duo, flight = second_flight()
    assert len(flight) == 3
    duo.server.receive([flight[index] for index in order], 0.0)
    assert duo.server.state is dtls.State.CONNECTED


def test_records_one_by_one_in_any_order() -> None:
    """change_cipher_spec before, between and after the messages, Finished first."""
    _, flight = second_flight()
    pieces = [
        record(item.content_type, item.fragment, epoch=item.epoch, sequence_number=item.sequence_number)
        for datagram in flight
        for item in dtls.decode_records(datagram)
    ]
    for order in itertools.permutations(range(len(pieces))):
        duo, _ = second_flight()
        duo.server.receive([pieces[index] for index in order], 0.0)
        assert duo.server.state is dtls.State.CONNECTED, order


def test_junk_does_not_get_in_and_the_queue_has_an_end() -> None:
    duo, flight = second_flight()
    junk = [
        record(ContentType.APPLICATION_DATA, bytes(1200), epoch=1, sequence_number=number) for number in range(1000)
    ]
    duo.server.receive(junk, 0.0)
    assert duo.server.statistics.records_parked <= MAX_PARKED_RECORDS
    duo.server.receive(flight, 0.0)
    assert duo.server.state is dtls.State.CONNECTED
    assert duo.server.take_received() == []
    assert duo.server.statistics.records_forged > 0
