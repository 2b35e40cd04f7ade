"""Nobody in between can talk the two down: to another version, suite, or without the extensions that bind them."""

from __future__ import annotations

import attrs
import pytest

from tests.dtls.hello import message, our_hello
from tests.dtls.machines import client_machine, feed, script, server_machine, take_flight
from xp2p_trio import dtls
from xp2p_trio.dtls.messages12 import decode_server_hello, encode_server_hello
from xp2p_trio.dtls.parameters import ExtensionType
from xp2p_trio.dtls.reader import encode_integers

SERVER_HELLO = script()[0][0]
assert SERVER_HELLO is not None
HELLO = decode_server_hello(SERVER_HELLO.body)


def client_refuses(**changes: object) -> dtls.AlertDescription:
    assert SERVER_HELLO is not None
    body = encode_server_hello(attrs.evolve(HELLO, **changes))  # type: ignore[arg-type]
    refusal = feed(client_machine(), [SERVER_HELLO._replace(body=body)])
    assert refusal is not None
    return refusal.alert


@pytest.mark.parametrize("version", [0xFEFF, 0xFEFC, 0x0303, 0xFE00, 0])
def test_server_of_another_version(version: int) -> None:
    assert client_refuses(server_version=version) is dtls.AlertDescription.PROTOCOL_VERSION


@pytest.mark.parametrize("suite", [0x002F, 0xC009, 0x1301, 0x00FF, 0])
def test_server_chooses_what_was_not_offered(suite: int) -> None:
    assert client_refuses(cipher_suite=suite) is dtls.AlertDescription.ILLEGAL_PARAMETER
    assert client_refuses(compression_method=1) is dtls.AlertDescription.ILLEGAL_PARAMETER


@pytest.mark.parametrize("kind", [ExtensionType.EXTENDED_MASTER_SECRET, ExtensionType.RENEGOTIATION_INFO])
def test_server_without_what_is_required(kind: ExtensionType) -> None:
    rest = {other: data for other, data in HELLO.extensions.items() if other != kind}
    assert client_refuses(extensions=rest) is dtls.AlertDescription.HANDSHAKE_FAILURE


@pytest.mark.parametrize("kind", [0, 16, 43, 51, 0x0A0A, 0xFFFF])
def test_server_answers_what_was_not_asked(kind: int) -> None:
    assert client_refuses(extensions={**HELLO.extensions, kind: b""}) is dtls.AlertDescription.UNSUPPORTED_EXTENSION


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x02\x00\x63\x00", b"\x00\x04\x00\x07\x00\x01\x00", b"\x00\x02\x00\x07\x01x"]
)
def test_server_answers_use_srtp_wrongly(data: bytes) -> None:
    alert = client_refuses(extensions={**HELLO.extensions, ExtensionType.USE_SRTP: data})
    assert alert in (dtls.AlertDescription.DECODE_ERROR, dtls.AlertDescription.ILLEGAL_PARAMETER)


@pytest.mark.parametrize("version", [0xFEFF, 0x0303, 0x0301, 0xFF00])
def test_client_of_an_older_version(version: int) -> None:
    refusal = feed(server_machine(), [message(attrs.evolve(our_hello(), client_version=version))])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.PROTOCOL_VERSION


def test_client_that_does_not_speak_ours() -> None:
    hello = our_hello()
    versions = {**hello.extensions, ExtensionType.SUPPORTED_VERSIONS: encode_integers((0xFEFC, 0x0A0A), 1, 2)}
    refusal = feed(server_machine(), [message(attrs.evolve(hello, extensions=versions))])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.PROTOCOL_VERSION


def test_changed_hello_is_found_by_the_end() -> None:
    """Somebody in between removes the suites that he dislikes: both sides see different transcripts."""
    client, server = client_machine(), server_machine()
    take_flight(client)
    weakened = message(attrs.evolve(our_hello(), cipher_suites=(0xC02C,)))
    assert feed(server, [weakened]) is None
    assert feed(client, take_flight(server)) is None
    refusal = feed(server, take_flight(client))
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.DECRYPT_ERROR
    assert server.session is None
