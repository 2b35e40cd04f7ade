"""At the end of the numbers under a key the association ends; nothing wraps."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.dtls.duo import Duo, connected, failure
from xp2p_trio import dtls
from xp2p_trio.errors import Reason


def test_association_ends_at_the_limit() -> None:
    duo = connected(dtls.Configuration(record_limit=10))  # number 0 was Finished
    client = duo.client
    for _ in range(10):
        client.send([b"x"], duo.now)
        assert len(client.transmit(duo.now, 100)) == 1
    assert client.state is dtls.State.CONNECTED
    client.send([b"y", b"z"], duo.now)
    assert client.transmit(duo.now, 100) == []
    event = failure(client, client.take_events())
    assert event.failure.reason is Reason.LIMIT_EXCEEDED
    assert client.transmit(duo.now, 100) == []


def test_limit_while_closing() -> None:
    duo = connected(dtls.Configuration(record_limit=3))
    duo.client.send([b"x"] * 10, duo.now)
    duo.client.close(duo.now)
    assert len(duo.client.transmit(duo.now, 100)) == 3
    assert duo.client.transmit(duo.now, 100) == []
    assert duo.client.take_events() == [dtls.Closed(by_peer=False)]
    assert duo.client.state is dtls.State.CLOSED


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_limit_while_a_flight_is_repeated(limit: int) -> None:
    """Each repetition of Finished takes a number too; when there is none left, the handshake goes quiet and fails."""

    def fate(index: int, from_client: bool, datagram: bytes) -> Sequence[tuple[float, bytes]]:
        return [(0.0, datagram)] if index < 2 else []

    duo = Duo(configuration=dtls.Configuration(record_limit=limit), fate=fate)
    duo.begin()
    duo.run(seconds=200)
    assert failure(duo.client, duo.events[dtls.Role.CLIENT]).failure.reason is Reason.HANDSHAKE_TIMEOUT
    assert all(datagram for _, datagram in duo.sent)
