"""A peer that holds the keys and misbehaves all the same."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from tests.dtls.duo import SERVER_CERTIFICATE, Duo, connected
from tests.dtls.hello import message, our_hello
from tests.dtls.machines import client_machine, feed, script
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake import encode_message
from xp2p_trio.dtls.key_schedule12 import SUITE_PARAMETERS, derive_traffic_keys
from xp2p_trio.dtls.messages12 import (
    CertificateRequest,
    ServerKeyExchange,
    decode_server_hello,
    encode_certificate_request,
    encode_server_ecdh_params,
    encode_server_hello,
    encode_server_key_exchange,
)
from xp2p_trio.dtls.parameters import ContentType, ExtensionType, HandshakeType, SignatureScheme
from xp2p_trio.dtls.protection import Sealer, make_aead
from xp2p_trio.dtls.signatures import sign

Seal = Callable[[int, bytes], list[bytes]]


def evil(role: dtls.Role) -> tuple[Duo, dtls.Connection, Seal]:
    """An established pair, the end that is attacked, and its peer's key, worked out of the key log."""
    duo = connected(dtls.Configuration(key_log=True))
    _, client_random, master_secret = duo.client.key_log_lines[0].split(" ")
    [fragment] = dtls.decode_fragments(dtls.decode_records(duo.sent[1][1])[0].fragment)
    hello = decode_server_hello(fragment.body)
    parameters = SUITE_PARAMETERS[dtls.CipherSuite(hello.cipher_suite)]
    keys = derive_traffic_keys(parameters, bytes.fromhex(master_secret), bytes.fromhex(client_random), hello.random)
    key, iv = (keys.client_key, keys.client_iv) if role is dtls.Role.CLIENT else (keys.server_key, keys.server_iv)
    sealer = Sealer(make_aead(parameters.cipher, key), iv, epoch=1, sequence_number=1000, limit=2**48 - 1)
    victim = duo.server if role is dtls.Role.CLIENT else duo.client
    return duo, victim, lambda content_type, fragment: sealer.seal(content_type, [fragment])


EACH = pytest.mark.parametrize("role", list(dtls.Role), ids=lambda role: f"evil-{role.name.lower()}")


@EACH
def test_the_key_is_right(role: dtls.Role) -> None:
    duo, victim, seal = evil(role)
    victim.receive(seal(ContentType.APPLICATION_DATA, b"in the name of the peer"), duo.now)
    assert victim.take_received() == [b"in the name of the peer"]


@EACH
def test_what_means_nothing_is_passed_over(role: dtls.Role) -> None:
    duo, victim, seal = evil(role)
    nonsense = [
        (ContentType.CHANGE_CIPHER_SPEC, b"\x01"),
        (ContentType.ALERT, b""),
        (ContentType.ALERT, b"\x02"),
        (ContentType.ALERT, b"\x07\x28"),
        (ContentType.ALERT, b"\x01\x5a"),
        (ContentType.ALERT, b"\x01\x64"),
        (ContentType.HANDSHAKE, b""),
        (ContentType.HANDSHAKE, b"\x14\x00"),
        (24, b"heartbeat"),
        (26, b"ack"),
        (0, b""),
        (255, b"x"),
    ]
    for content_type, fragment in nonsense:
        victim.receive(seal(content_type, fragment), duo.now)
        assert victim.state is dtls.State.CONNECTED
        assert victim.transmit(duo.now, 10) == []
    assert victim.statistics.alerts_ignored == 2


@EACH
@pytest.mark.parametrize("handshake_type", [*HandshakeType, 4, 24, 254])
def test_no_handshake_begins_under_keys(role: dtls.Role, handshake_type: int) -> None:
    duo, victim, seal = evil(role)
    before = victim.export_keying_material("x", None, 8)
    for message_seq in (0, 1, 4, 5, 6, 7, 8, 500):
        body = message(our_hello()).body if handshake_type == HandshakeType.CLIENT_HELLO else b""
        item = dtls.Message(handshake_type, message_seq, body)
        victim.receive(seal(ContentType.HANDSHAKE, encode_message(item)), duo.now + 10)
    assert victim.state is dtls.State.CONNECTED
    assert victim.export_keying_material("x", None, 8) == before
    repeated = victim.transmit(duo.now + 10, 100)
    if role is dtls.Role.CLIENT and handshake_type == HandshakeType.FINISHED:
        assert len(repeated) == 1  # its last flight once more, which the peer seems to miss
    else:
        assert repeated == []
        assert victim.statistics.renegotiations_ignored > 0


@EACH
def test_flood_of_repeated_finished(role: dtls.Role) -> None:
    duo, victim, seal = evil(role)
    answers = 0
    for step in range(2000):
        finished = encode_message(dtls.Message(HandshakeType.FINISHED, 1, bytes(12)))
        victim.receive(seal(ContentType.HANDSHAKE, finished), duo.now + step)
        answers += len(victim.transmit(duo.now + step, 10))
    assert answers == (10 if role is dtls.Role.CLIENT else 0)


@EACH
@pytest.mark.parametrize("level", [1, 2])
def test_close_notify_at_either_level(role: dtls.Role, level: int) -> None:
    duo, victim, seal = evil(role)
    victim.receive(seal(ContentType.ALERT, bytes([level, 0])), duo.now)
    assert victim.take_events()[-1:] == [dtls.Closed(by_peer=True)]
    assert len(victim.transmit(duo.now, 10)) == 1


def server_says(position: int, item: dtls.Message) -> dtls.AlertDescription:
    """What the client makes of another message in that place of the server's flight."""
    items = list(script()[0][:position])
    refusal = feed(client_machine(), [*items, item])
    assert refusal is not None
    return refusal.alert


def genuine(position: int) -> dtls.Message:
    item = script()[0][position]
    assert item is not None
    return item


@pytest.mark.parametrize(
    ("kind", "data", "alert"),
    [
        (ExtensionType.EXTENDED_MASTER_SECRET, b"x", dtls.AlertDescription.DECODE_ERROR),
        (ExtensionType.RENEGOTIATION_INFO, b"\x01x", dtls.AlertDescription.HANDSHAKE_FAILURE),
        (ExtensionType.EC_POINT_FORMATS, b"\x01\x01", dtls.AlertDescription.ILLEGAL_PARAMETER),
        (ExtensionType.EC_POINT_FORMATS, b"\x00", dtls.AlertDescription.DECODE_ERROR),
    ],
)
def test_server_hello_with_a_strange_extension(kind: int, data: bytes, alert: dtls.AlertDescription) -> None:
    hello = decode_server_hello(genuine(0).body)
    body = encode_server_hello(attrs.evolve(hello, extensions={**hello.extensions, kind: data}))
    assert server_says(0, genuine(0)._replace(body=body)) is alert


def test_server_that_takes_no_signature_of_ours() -> None:
    body = encode_certificate_request(CertificateRequest((64,), (SignatureScheme.RSA_PKCS1_SHA256,)))
    assert server_says(3, genuine(3)._replace(body=body)) is dtls.AlertDescription.HANDSHAKE_FAILURE


def test_server_hello_done_with_a_body() -> None:
    assert server_says(4, genuine(4)._replace(body=b"x")) is dtls.AlertDescription.DECODE_ERROR


@pytest.mark.parametrize("group", [23, 24, 29, 0x11EC])
def test_server_signs_a_key_that_is_none(group: int) -> None:
    hello, ours = decode_server_hello(genuine(0).body), our_hello()
    params = encode_server_ecdh_params(group, bytes(32))
    scheme = SignatureScheme.ECDSA_SECP256R1_SHA256
    signature = sign(SERVER_CERTIFICATE.private_key, scheme, ours.random + hello.random + params)
    body = encode_server_key_exchange(ServerKeyExchange(group, bytes(32), scheme, signature))
    items = [genuine(0), genuine(1), genuine(2)._replace(body=body), genuine(3), genuine(4)]
    refusal = feed(client_machine(), items)
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.ILLEGAL_PARAMETER
