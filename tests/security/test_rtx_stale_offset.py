"""A timer that fires in the middle of a flight sends the flight anew, from its first message, in new records."""

from __future__ import annotations

import pytest

from tests.dtls.duo import make_client, make_server
from xp2p_trio import dtls

SMALL = dtls.Configuration(max_datagram_size=256)


def contents(datagrams: list[bytes]) -> list[bytes]:
    return [record.fragment for datagram in datagrams for record in dtls.decode_records(datagram)]


def numbers(datagrams: list[bytes]) -> list[tuple[int, int]]:
    return [
        (record.epoch, record.sequence_number) for datagram in datagrams for record in dtls.decode_records(datagram)
    ]


@pytest.mark.parametrize("interrupted_after", range(4))
def test_timer_between_any_two_outputs(interrupted_after: int) -> None:
    client, server = make_client(SMALL), make_server(SMALL)
    client.connect(0.0)
    server.connect(0.0)
    server.receive(client.transmit(0.0, 10), 0.0)
    begun = server.transmit(0.0, interrupted_after)
    server.handle_timeout(server.next_timeout())
    whole = server.transmit(0.1, 100)
    assert len(whole) > 2
    assert contents(whole)[: len(contents(begun))] == contents(begun)
    seen = numbers(begun) + numbers(whole)
    assert len(set(seen)) == len(seen)
    client.receive(whole, 0.1)
    server.receive(client.transmit(0.1, 100), 0.1)
    client.receive(server.transmit(0.1, 100), 0.1)
    assert client.state is server.state is dtls.State.CONNECTED


def test_repeated_flight_is_equal_in_content_and_new_in_number() -> None:
    server, client = make_server(), make_client()
    client.connect(0.0)
    server.connect(0.0)
    server.receive(client.transmit(0.0, 10), 0.0)
    flights = [server.transmit(0.0, 10)]
    for _ in range(2):
        server.handle_timeout(server.next_timeout())
        flights.append(server.transmit(server.next_timeout(), 10))
    assert contents(flights[0]) == contents(flights[1]) == contents(flights[2])
    seen = [number for flight in flights for number in numbers(flight)]
    assert seen == sorted(set(seen))
