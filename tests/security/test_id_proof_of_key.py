"""A certificate counts only with a valid signature over this transcript by its key, in its place, once."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs
import pytest

from tests.dtls.duo import CLIENT_CERTIFICATE, OTHER_CERTIFICATE, SERVER_CERTIFICATE, Duo, failure, make_client
from tests.dtls.machines import Item, client_machine, feed, run, script, server_machine, take_flight
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake12 import Refusal
from xp2p_trio.dtls.messages12 import (
    CertificateVerify,
    decode_certificate_verify,
    decode_server_key_exchange,
    encode_certificate,
    encode_certificate_verify,
    encode_server_key_exchange,
)
from xp2p_trio.dtls.parameters import HandshakeType
from xp2p_trio.dtls.states12 import ClientState, ServerState

# What the client sends in its second flight: Certificate, ClientKeyExchange, CertificateVerify, (ccs), Finished.
FLIGHT = list(script()[1][1:])
SERVER_FLIGHT = list(script()[0][:5])


def stolen(certificate: dtls.Certificate) -> dtls.Certificate:
    """Somebody else's certificate with a key of one's own."""
    return dtls.Certificate(certificate.der, OTHER_CERTIFICATE.private_key)


def refuses(flight: list[Item]) -> Refusal:
    server = server_machine()
    assert feed(server, [script()[1][0]]) is None
    refusal = feed(server, flight)
    assert server.session is None
    assert server.state is not ServerState.COMPLETED
    assert refusal is not None
    return refusal


def test_genuine_flight_is_accepted() -> None:
    server = server_machine()
    assert feed(server, script()[1]) is None
    assert server.session is not None


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_message_left_out(missing: int) -> None:
    refusal = refuses(FLIGHT[:missing] + FLIGHT[missing + 1 :])
    assert refusal.alert is dtls.AlertDescription.UNEXPECTED_MESSAGE


def test_change_cipher_spec_left_out() -> None:
    assert refuses(FLIGHT[:3] + FLIGHT[4:]).alert is dtls.AlertDescription.UNEXPECTED_MESSAGE


@pytest.mark.parametrize("order", [order for order in itertools.permutations(range(3)) if order != (0, 1, 2)])
def test_messages_in_another_order(order: tuple[int, ...]) -> None:
    assert refuses([FLIGHT[index] for index in order] + FLIGHT[3:]).alert is dtls.AlertDescription.UNEXPECTED_MESSAGE


@pytest.mark.parametrize("repeated", [0, 1, 2])
def test_message_twice(repeated: int) -> None:
    flight = FLIGHT[: repeated + 1] + FLIGHT[repeated:]
    assert refuses(flight).alert is dtls.AlertDescription.UNEXPECTED_MESSAGE


@pytest.mark.parametrize("position", [0, 1, 2])
def test_message_empty(position: int) -> None:
    message = FLIGHT[position]
    assert message is not None
    refusal = refuses([*FLIGHT[:position], message._replace(body=b""), *FLIGHT[position + 1 :]])
    assert refusal.alert is dtls.AlertDescription.DECODE_ERROR


def test_empty_chain() -> None:
    message = dtls.Message(HandshakeType.CERTIFICATE, 1, encode_certificate(()))
    assert refuses([message, *FLIGHT[1:]]).alert is dtls.AlertDescription.HANDSHAKE_FAILURE


def forge(change: Callable[[CertificateVerify], CertificateVerify]) -> list[Item]:
    message = FLIGHT[2]
    assert message is not None
    body = encode_certificate_verify(change(decode_certificate_verify(message.body)))
    return [*FLIGHT[:2], message._replace(body=body), *FLIGHT[3:]]


def test_every_bit_of_the_signature() -> None:
    message = FLIGHT[2]
    assert message is not None
    size = len(decode_certificate_verify(message.body).signature)
    for bit in range(8 * size):

        def flip(proof: CertificateVerify, bit: int = bit) -> CertificateVerify:
            signature = bytearray(proof.signature)
            signature[bit // 8] ^= 1 << bit % 8
            return attrs.evolve(proof, signature=bytes(signature))

        assert "did not prove" in refuses(forge(flip)).detail


@pytest.mark.parametrize("scheme", [0x0000, 0x0203, 0x0401, 0x0503, 0x0603, 0x0804, 0x0807, 0x0303, 0xFFFF])
def test_another_scheme(scheme: int) -> None:
    refusal = refuses(forge(lambda proof: attrs.evolve(proof, scheme=scheme)))
    assert refusal.alert is dtls.AlertDescription.DECRYPT_ERROR
    assert "did not prove" in refusal.detail


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", bytes(64), b"\x30\x06\x02\x01\x00\x02\x01\x00"])
def test_degenerate_signature(signature: bytes) -> None:
    refusal = refuses(forge(lambda proof: attrs.evolve(proof, signature=signature)))
    assert refusal.alert is dtls.AlertDescription.DECRYPT_ERROR
    assert "did not prove" in refusal.detail


def test_signature_over_another_transcript() -> None:
    _, other = run(client_machine(seed=77), server_machine(seed=78))
    assert "did not prove" in refuses([*FLIGHT[:2], other[3], *FLIGHT[3:]]).detail


def test_client_without_the_key() -> None:
    client, server = client_machine(certificate=stolen(CLIENT_CERTIFICATE)), server_machine()
    assert feed(server, take_flight(client)) is None
    assert feed(client, take_flight(server)) is None
    refusal = feed(server, take_flight(client))
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.DECRYPT_ERROR
    assert server.session is None


def test_server_without_the_key() -> None:
    client, server = client_machine(), server_machine(certificate=stolen(SERVER_CERTIFICATE))
    assert feed(server, take_flight(client)) is None
    refusal = feed(client, take_flight(server))
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.DECRYPT_ERROR
    assert client.state is ClientState.WAIT_SERVER_KEY_EXCHANGE


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_server_leaves_a_message_out(missing: int) -> None:
    client = client_machine()
    refusal = feed(client, SERVER_FLIGHT[:missing] + SERVER_FLIGHT[missing + 1 :])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.UNEXPECTED_MESSAGE


def test_server_signs_other_parameters() -> None:
    message = SERVER_FLIGHT[2]
    assert message is not None
    key_exchange = decode_server_key_exchange(message.body)
    public_key = bytes([key_exchange.public_key[0] ^ 1]) + key_exchange.public_key[1:]
    forged = message._replace(body=encode_server_key_exchange(attrs.evolve(key_exchange, public_key=public_key)))
    refusal = feed(client_machine(), [*SERVER_FLIGHT[:2], forged])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.DECRYPT_ERROR


@pytest.mark.parametrize("position", range(12))
def test_every_byte_of_finished(position: int) -> None:
    message = FLIGHT[4]
    assert message is not None
    body = bytearray(message.body)
    body[position] ^= 0x80
    assert refuses([*FLIGHT[:4], message._replace(body=bytes(body))]).alert is dtls.AlertDescription.DECRYPT_ERROR


@pytest.mark.parametrize("body", [b"", bytes(12), bytes(36)])
def test_finished_of_another_content(body: bytes) -> None:
    message = FLIGHT[4]
    assert message is not None
    assert refuses([*FLIGHT[:4], message._replace(body=body)]).alert is dtls.AlertDescription.DECRYPT_ERROR


def test_whole_connection_to_a_client_without_the_key() -> None:
    duo = Duo(make_client(certificate=stolen(CLIENT_CERTIFICATE)))
    duo.begin()
    duo.run(seconds=100)
    assert "did not prove" in failure(duo.server, duo.events[dtls.Role.SERVER]).failure.detail
    assert not any(isinstance(event, dtls.HandshakeCompleted) for event in duo.events[dtls.Role.SERVER])
    failure(duo.client, duo.events[dtls.Role.CLIENT])
