"""What a peer, or somebody in its name, can make us repeat is bounded; and so is what we repeat by ourselves."""

from __future__ import annotations

import itertools

import pytest

from tests.dtls.duo import Duo, connected, failure, make_client, make_server
from xp2p_trio import dtls
from xp2p_trio.dtls.flights import MAX_CUED_REPETITIONS
from xp2p_trio.errors import Reason


def test_client_alone_gives_up() -> None:
    client = make_client()
    client.connect(5.0)
    times = []
    while client.state is dtls.State.CONNECTING:
        times += [client.next_timeout()] * len(client.transmit(5.0, 10))
        client.handle_timeout(client.next_timeout())
    assert failure(client, client.take_events()).failure.reason is Reason.HANDSHAKE_TIMEOUT
    gaps = [round(times[0] - 5.0, 6)] + [round(b - a, 6) for a, b in itertools.pairwise(times)]
    assert gaps[:6] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
    assert times[-1] <= 65.0
    assert len(times) <= 13


def test_number_of_repetitions_is_bounded() -> None:
    client = make_client(dtls.Configuration(maximum_retransmit_timeout=0.1, maximum_retransmissions=12))
    client.connect(0.0)
    sent = 0
    while client.state is dtls.State.CONNECTING:
        sent += len(client.transmit(0.0, 10))
        client.handle_timeout(client.next_timeout())
    assert sent == 13
    assert client.statistics.retransmissions == 12


def test_server_alone_gives_up() -> None:
    server = make_server()
    server.connect(0.0)
    assert server.next_timeout() == 60.0
    server.handle_timeout(60.0)
    assert failure(server, server.take_events()).failure.reason is Reason.HANDSHAKE_TIMEOUT


@pytest.mark.parametrize("gap", [0.0, 0.0001, 0.026])
def test_client_hello_repeated_10_000_times(gap: float) -> None:
    """Whatever the rate: the flight is repeated by its own timer only."""
    client, server = make_client(), make_server()
    client.connect(0.0)
    server.connect(0.0)
    hello = client.transmit(0.0, 10)
    now, answers = 0.0, 0
    for _ in range(10_000):
        server.receive(hello, now)
        answers += len(server.transmit(now, 10))
        now += gap
    assert answers == 1
    assert server.statistics.retransmissions == 0


def test_last_flight_of_an_established_server() -> None:
    """A copy of a Finished is a replay; only a new record of it counts, and ten times at most."""
    duo = Duo(fate=lambda index, from_client, datagram: [] if not from_client and index >= 3 else [(0.0, datagram)])
    duo.begin()
    duo.run(lambda: duo.server.state is dtls.State.CONNECTED)
    flights = [datagram for from_client, datagram in duo.sent if from_client][1:]
    for _ in range(1000):
        duo.server.receive(flights, duo.now)
    assert duo.server.transmit(duo.now, 100) == []
    duo.run(lambda: duo.client.state is not dtls.State.CONNECTING, seconds=100)
    assert duo.client.state is dtls.State.FAILED
    assert 1 <= duo.server.statistics.retransmissions_cued <= MAX_CUED_REPETITIONS
    assert duo.server.state is dtls.State.CONNECTED or duo.server.state is dtls.State.FAILED


def test_nothing_for_a_client_hello_after_the_end() -> None:
    duo = connected()
    hello = [datagram for from_client, datagram in duo.sent if from_client][:1]
    for step in range(1000):
        duo.server.receive(hello, duo.now + step)
        assert duo.server.transmit(duo.now + step, 10) == []
