"""Our own messages, sent back to us, lead nowhere."""

from __future__ import annotations

import pytest

from tests.dtls.duo import CLIENT_CERTIFICATE, Duo, failure, make_client, make_server
from tests.dtls.machines import client_machine, feed, server_machine, take_flight
from xp2p_trio import dtls
from xp2p_trio.errors import Reason


@pytest.mark.parametrize("make", [make_client, make_server])
def test_everything_that_we_send_reflected(make: type) -> None:
    end = make(remote=CLIENT_CERTIFICATE, certificate=CLIENT_CERTIFICATE)
    end.connect(0.0)
    now = 0.0
    for _ in range(20):
        end.receive(end.transmit(now, 100), now)
        now += 1.0
        end.handle_timeout(now)
    assert end.state is not dtls.State.CONNECTED
    assert not any(isinstance(event, dtls.HandshakeCompleted) for event in end.take_events())


def test_each_flight_reflected() -> None:
    recorded = Duo().connect().sent
    for count in range(len(recorded)):
        duo = Duo()
        duo.begin()
        for from_client, datagram in recorded[:count]:
            duo.pull()
            (duo.client if from_client else duo.server).receive([datagram], 0.0)
        assert duo.client.state is not dtls.State.CONNECTED
        assert duo.server.state is not dtls.State.CONNECTED


def test_two_clients() -> None:
    duo = Duo(make_client(), make_client(certificate=CLIENT_CERTIFICATE, seed=9))
    duo.begin()
    duo.run(seconds=10)
    assert failure(duo.client, duo.events[dtls.Role.CLIENT]).failure.reason is Reason.PROTOCOL_VIOLATION


def test_two_servers_stay_silent() -> None:
    duo = Duo(make_server(), make_server(seed=9))
    duo.begin()
    duo.run(lambda: duo.client.state is dtls.State.FAILED, seconds=100)
    assert all(len(datagram) == 15 for _, datagram in duo.sent)  # nothing but the alert of giving up
    assert duo.client.state is dtls.State.FAILED


def test_our_own_certificate_is_refused_even_if_announced() -> None:
    client = client_machine(remote=CLIENT_CERTIFICATE)
    server = server_machine(certificate=CLIENT_CERTIFICATE)
    assert feed(server, take_flight(client)) is None
    refusal = feed(client, take_flight(server))
    assert refusal is not None
    assert refusal.reason is Reason.FINGERPRINT_MISMATCH
    assert "our own certificate" in refusal.detail
