"""One datagram of somebody without keys, anywhere in a handshake, costs at most a repetition.

What DTLS 1.2 cannot tell from the genuine thing is left out: well-formed hellos, CertificateRequests and
ClientKeyExchanges, which only Finished vouches for.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dtls.duo import OTHER_CERTIFICATE, Duo, failure
from tests.dtls.forgery import record
from xp2p_trio import dtls
from xp2p_trio.dtls.handshaking import REFUSAL_GRACE
from xp2p_trio.dtls.messages12 import (
    CertificateVerify,
    HelloVerifyRequest,
    ServerKeyExchange,
    encode_certificate,
    encode_certificate_verify,
    encode_hello_verify_request,
    encode_server_key_exchange,
)
from xp2p_trio.dtls.parameters import ContentType, HandshakeType
from xp2p_trio.errors import Reason

COOKIE = dtls.Configuration(require_cookie=True)


def fragment(kind: int, message_seq: int, body: bytes, *, length: int | None = None, offset: int = 0) -> bytes:
    header = (
        bytes([kind])
        + (len(body) if length is None else length).to_bytes(3, "big")
        + message_seq.to_bytes(2, "big")
        + offset.to_bytes(3, "big")
        + len(body).to_bytes(3, "big")
    )
    return record(ContentType.HANDSHAKE, header + body)


def messages(message_seq: int) -> Iterator[list[bytes]]:
    for kind in [*HandshakeType, 4, 99]:
        yield [fragment(kind, message_seq, b"")]
        yield [fragment(kind, message_seq, b"x" * 50)]
        yield [fragment(kind, message_seq, b"x", length=5000)]
    stolen = encode_certificate((OTHER_CERTIFICATE.der,))
    yield [fragment(HandshakeType.CERTIFICATE, message_seq, stolen)]
    for cookie in (b"", b"c" * 20):
        request = encode_hello_verify_request(HelloVerifyRequest(0xFEFF, cookie))
        yield [fragment(HandshakeType.HELLO_VERIFY_REQUEST, message_seq, request)]
    exchange = encode_server_key_exchange(ServerKeyExchange(29, b"\x09" * 32, 0x0403, b"x" * 70))
    yield [fragment(HandshakeType.SERVER_KEY_EXCHANGE, message_seq, exchange)]
    proof = encode_certificate_verify(CertificateVerify(0x0403, b"x" * 70))
    yield [fragment(HandshakeType.CERTIFICATE_VERIFY, message_seq, proof)]


def bursts() -> Iterator[list[bytes]]:
    """What is not one message: floods that fill each queue, and all that is no handshake message."""
    for kind in (1, 2, 11, 16):
        yield [
            fragment(kind, message_seq, b"x" * 1200, length=16000, offset=offset)
            for message_seq in range(8)
            for offset in range(0, 14_000, 1200)
        ]
    for content_type in ContentType:
        yield [record(content_type, b"x" * 40, epoch=1, sequence_number=2**48 - 1 - index) for index in range(40)]
        yield [record(content_type, b"", epoch=1), record(content_type, b"\x01"), record(content_type, b"\x02\x28")]


def withstands(forged: list[bytes], configuration: dtls.Configuration) -> None:
    """Put it in front of each step of a handshake, at either end."""
    for role in dtls.Role:
        for step in range(6 if configuration.require_cookie else 4):
            duo = Duo(configuration=configuration)
            duo.begin()
            for index in range(7):
                if index == step:
                    (duo.client if role is dtls.Role.CLIENT else duo.server).receive(forged, duo.now)
                duo.step()
            duo.run(lambda duo=duo: duo.is_connected)
            assert duo.is_connected, (role, step)
            assert duo.now < 0.5
            for end in dtls.Role:
                assert [type(event) for event in duo.events[end]] == [dtls.HandshakeCompleted]


@pytest.mark.parametrize(
    ("message_seq", "configuration"),
    [(0, COOKIE), (1, COOKIE), *((number, dtls.Configuration()) for number in range(8))],
)
def test_one_message(message_seq: int, configuration: dtls.Configuration) -> None:
    for forged in messages(message_seq):
        withstands(forged, configuration)


@pytest.mark.parametrize("configuration", [dtls.Configuration(), COOKIE], ids=["plain", "cookie"])
def test_one_burst(configuration: dtls.Configuration) -> None:
    for forged in bursts():
        withstands(forged, configuration)


def test_request_for_a_cookie_that_the_server_never_made() -> None:
    """Its ServerHello answers the first hello, whose transcript is the one that counts."""
    duo = Duo()
    duo.begin()
    [hello] = duo.client.transmit(0.0, 10)
    request = encode_hello_verify_request(HelloVerifyRequest(0xFEFF, b"forged"))
    for message_seq in range(3):
        forged = fragment(HandshakeType.HELLO_VERIFY_REQUEST, message_seq, request)
        duo.client.receive([forged], 0.0)
    duo.server.receive([hello, *duo.client.transmit(0.0, 10)], 0.0)
    duo.run(lambda: duo.is_connected, seconds=1.0)
    duo.echo()


def test_refusal_stands_when_nothing_better_comes() -> None:
    """The peer is told, and which message it was."""
    duo = Duo()
    duo.begin()
    duo.client.receive([fragment(HandshakeType.CLIENT_HELLO, 0, b"x")], 1.0)
    duo.client.transmit(1.0, 10)
    while duo.client.state is dtls.State.CONNECTING:
        due = duo.client.next_timeout()
        duo.client.handle_timeout(due)
    assert due == 1.0 + REFUSAL_GRACE
    event = failure(duo.client, duo.client.take_events())
    assert event.failure.reason is Reason.PROTOCOL_VIOLATION
    assert "type 1 in state WAIT_SERVER_HELLO" in event.failure.detail
    [alert] = duo.client.transmit(due, 10)
    assert alert == record(ContentType.ALERT, b"\x02\x0a", sequence_number=int.from_bytes(alert[5:11], "big"))


def test_repetitions_of_what_is_refused_do_not_prolong_it() -> None:
    duo = Duo()
    duo.begin()
    now = 0.0
    while duo.client.state is dtls.State.CONNECTING:
        duo.client.receive([fragment(HandshakeType.FINISHED, 0, b"x" * 12)], now)
        duo.client.handle_timeout(now)
        duo.client.transmit(now, 10)
        now += 0.125
    assert now == REFUSAL_GRACE + 0.125
    assert duo.client.statistics.messages_refused == REFUSAL_GRACE / 0.125 + 1


def test_what_passes_for_genuine_ends_it_in_bounded_time() -> None:
    """A well-formed CertificateRequest that the server did not send: the transcripts differ, and that is found out."""
    duo = Duo()
    duo.begin()
    request = fragment(HandshakeType.CERTIFICATE_REQUEST, 3, b"\x01\x40\x00\x02\x04\x03\x00\x00")
    hello = duo.client.transmit(0.0, 10)
    duo.server.receive(hello, 0.0)
    duo.client.receive([request, *duo.server.transmit(0.0, 10)], 0.0)
    duo.run(seconds=10.0)
    assert "did not prove" in failure(duo.server, duo.events[dtls.Role.SERVER]).failure.detail
    assert failure(duo.client, duo.events[dtls.Role.CLIENT]).failure.reason is Reason.ALERT_RECEIVED
    assert duo.now < 3 * REFUSAL_GRACE
