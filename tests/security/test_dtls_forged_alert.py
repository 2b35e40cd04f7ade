"""An alert that nothing vouches for ends nothing by itself."""

from __future__ import annotations

import random

import pytest

from tests.dtls.duo import Duo, connected, failure, make_client, make_server
from tests.dtls.forgery import record
from xp2p_trio import dtls
from xp2p_trio.dtls.handshaking import ALERT_GRACE
from xp2p_trio.dtls.parameters import ContentType
from xp2p_trio.errors import Reason

ALERTS = [bytes((level, description)) for level in (1, 2) for description in (0, 10, 40, 42, 90, 255)]


@pytest.mark.parametrize("alert", ALERTS)
def test_at_each_step(alert: bytes) -> None:
    for step in range(6):
        duo = Duo()
        duo.begin()
        for index in range(8):
            if index == step:
                for end in (duo.client, duo.server):
                    end.receive([record(ContentType.ALERT, alert)], duo.now)
            duo.step()
        duo.run(lambda duo=duo: duo.is_connected)
        assert duo.is_connected
        duo.echo()


@pytest.mark.parametrize("seed", range(20))
def test_alert_before_every_datagram_and_loss(seed: int) -> None:
    """It does not help to repeat it, as long as the peer is heard within the grace."""
    generator = random.Random(seed)
    duo = Duo(fate=lambda index, from_client, datagram: [(0.0, datagram)] if generator.random() > 0.1 else [])
    duo.begin()
    while not duo.is_connected:
        for end in (duo.client, duo.server):
            end.receive([record(ContentType.ALERT, b"\x02\x28")], duo.now)
        assert duo.step()
    duo.echo()


def test_established() -> None:
    duo = connected()
    for alert in ALERTS:
        for epoch in range(3):
            duo.server.receive([record(ContentType.ALERT, alert, epoch=epoch, sequence_number=77)], duo.now)
    assert duo.server.statistics.alerts_ignored == len(ALERTS)
    duo.echo()


def test_peer_that_really_gave_up() -> None:
    """It stays silent after its alert, and is believed then, long before all repetitions are over."""
    client = make_client()
    client.connect(0.0)
    client.receive([record(ContentType.ALERT, b"\x02\x28")], 0.0)
    assert client.state is dtls.State.CONNECTING
    while client.state is dtls.State.CONNECTING:
        client.handle_timeout(client.next_timeout())
        client.transmit(0.0, 10)
    event = failure(client, client.take_events())
    assert event.failure.reason is Reason.ALERT_RECEIVED
    assert "handshake_failure" in event.failure.detail
    assert client.next_timeout() == float("inf")


def test_grace_is_measured_in_simulated_time() -> None:
    client = make_client()
    client.connect(0.0)
    client.transmit(0.0, 10)
    client.receive([record(ContentType.ALERT, b"\x02\x28")], 10.0)
    while client.state is dtls.State.CONNECTING:
        due = client.next_timeout()
        client.handle_timeout(due)
    assert due == 10.0 + ALERT_GRACE


def test_grace_is_as_long_as_a_peer_may_be_silent() -> None:
    """Both back off: after some losses a living peer repeats its flight more rarely than the shortest grace."""
    client = make_client()
    client.connect(0.0)
    now = 0.0
    while now < 6.0:
        now = client.next_timeout()
        client.handle_timeout(now)
        client.transmit(now, 10)
    next_repetition = client.next_timeout()
    assert next_repetition - now > 2 * ALERT_GRACE
    client.receive([record(ContentType.ALERT, b"\x02\x28")], now)
    client.handle_timeout(now + ALERT_GRACE)
    assert client.state is dtls.State.CONNECTING
    client.handle_timeout(next_repetition)
    assert client.state is dtls.State.CONNECTING


def test_nobody_has_given_up_who_has_not_begun() -> None:
    server = make_server()
    server.connect(0.0)
    before = server.next_timeout()
    server.receive([record(ContentType.ALERT, b"\x02\x28")], 10.0)
    assert server.next_timeout() == before
