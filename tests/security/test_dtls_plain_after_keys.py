"""Content type x epoch x state: application data only under keys, and nothing in the clear once there are any."""

from __future__ import annotations

import itertools

import pytest

from tests.dtls.duo import Duo, connected, failure, make_client, make_server
from tests.dtls.forgery import record
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake import encode_message
from xp2p_trio.dtls.handshaking import REFUSAL_GRACE
from xp2p_trio.dtls.parameters import ContentType, HandshakeType

HELLO_REQUEST = encode_message(dtls.Message(HandshakeType.HELLO_REQUEST, 7, b""))
FRAGMENTS = {
    ContentType.CHANGE_CIPHER_SPEC: b"\x01",
    ContentType.ALERT: b"\x02\x28",
    ContentType.HANDSHAKE: HELLO_REQUEST,
    ContentType.APPLICATION_DATA: b"not to be delivered, and long enough for nonce and tag",
}


def partly(flights: int) -> Duo:
    """A handshake of which so many flights have arrived."""
    duo = Duo(make_client(), make_server())
    duo.begin()
    for index in range(flights):
        sender, receiver = (duo.client, duo.server) if index % 2 == 0 else (duo.server, duo.client)
        receiver.receive(sender.transmit(0.0, 100), 0.0)
    return duo


@pytest.mark.parametrize("flights", range(5))
@pytest.mark.parametrize("epoch", [*range(6), 0xFFFF])
@pytest.mark.parametrize("content_type", [*ContentType, 24, 25, 0, 255])
def test_record_that_nothing_vouches_for(content_type: int, epoch: int, flights: int) -> None:
    duo = partly(flights)
    fragment = FRAGMENTS.get(content_type, b"anything") if isinstance(content_type, ContentType) else b"anything"
    for end in (duo.client, duo.server):
        before = end.state
        end.receive([record(content_type, fragment, epoch=epoch, sequence_number=99)], 0.0)
        assert end.state is before
        assert end.take_received() == []
    for _ in range(3):
        duo.server.receive(duo.client.transmit(0.0, 100), 0.0)
        duo.client.receive(duo.server.transmit(0.0, 100), 0.0)
    assert duo.is_connected
    assert duo.client.take_received() == duo.server.take_received() == []
    duo.echo()


def test_messages_of_two_keys_never_join() -> None:
    """CVE-2023-6937: a Finished in the clear, in the same record as what comes before it."""
    duo = Duo()
    duo.begin()
    duo.server.receive(duo.client.transmit(0.0, 100), 0.0)
    duo.client.receive(duo.server.transmit(0.0, 100), 0.0)
    [flight] = duo.client.transmit(0.0, 100)
    records = dtls.decode_records(flight)
    plain = [item.fragment for item in records if item.epoch == 0 and item.content_type == ContentType.HANDSHAKE]
    finished = encode_message(dtls.Message(HandshakeType.FINISHED, 4, bytes(12)))
    duo.server.receive([record(ContentType.HANDSHAKE, b"".join(plain) + finished)], 0.0)
    assert duo.server.statistics.messages_refused == 1
    assert not any(isinstance(event, dtls.HandshakeCompleted) for event in duo.server.take_events())
    duo.server.handle_timeout(REFUSAL_GRACE)
    assert "type 20" in failure(duo.server, duo.server.take_events()).failure.detail


def test_finished_in_the_clear_after_change_cipher_spec_is_not_heard() -> None:
    duo = Duo()
    duo.begin()
    duo.server.receive(duo.client.transmit(0.0, 100), 0.0)
    duo.client.receive(duo.server.transmit(0.0, 100), 0.0)
    [flight] = duo.client.transmit(0.0, 100)
    records = dtls.decode_records(flight)
    finished = encode_message(dtls.Message(HandshakeType.FINISHED, 4, bytes(12)))
    poisoned = [
        record(item.content_type, item.fragment, sequence_number=item.sequence_number)
        for item in records
        if item.epoch == 0
    ]
    duo.server.receive([*poisoned, record(ContentType.HANDSHAKE, finished, sequence_number=50)], 0.0)
    assert duo.server.state is dtls.State.CONNECTING
    duo.server.receive([flight], 0.0)
    assert duo.server.state is dtls.State.CONNECTED


@pytest.mark.parametrize(("content_type", "epoch"), list(itertools.product(ContentType, (0, 2, 3))))
def test_established_association_ignores_other_epochs(content_type: ContentType, epoch: int) -> None:
    duo = connected()
    before = duo.server.statistics
    duo.server.receive([record(content_type, FRAGMENTS[content_type], epoch=epoch)], duo.now)
    after = duo.server.statistics
    assert after.records_discarded + after.alerts_ignored == before.records_discarded + before.alerts_ignored + 1
    duo.echo()
