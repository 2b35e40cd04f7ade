"""The ClientHello of a real browser, in the two datagrams that it takes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.dtls.duo import make_server
from xp2p_trio import dtls
from xp2p_trio.dtls.messages12 import decode_client_hello, decode_server_hello
from xp2p_trio.dtls.parameters import ExtensionType, HandshakeType

VECTORS = Path(__file__).parent.parent / "vectors" / "dtls"
STABLE = "chromium-150.0.7871.100-client-hello"
TRIALS = "chromium-150.0.7871.100-trials-client-hello"
EACH = pytest.mark.parametrize("name", [STABLE, TRIALS])


def load(name: str) -> list[bytes]:
    """The datagrams of a vector."""
    lines = (VECTORS / f"{name}.txt").read_text(encoding="ascii").splitlines()
    paragraphs = "\n".join(line for line in lines if not line.startswith("#")).split("\n\n")
    return [bytes.fromhex(paragraph) for paragraph in paragraphs if paragraph.strip()]


def fragments(datagrams: list[bytes]) -> list[dtls.Fragment]:
    return [
        fragment
        for datagram in datagrams
        for record in dtls.decode_records(datagram)
        for fragment in dtls.decode_fragments(record.fragment)
    ]


def listening() -> dtls.Connection:
    server = make_server()
    server.connect(0.0)
    return server


def answers(server: dtls.Connection) -> bool:
    """Whether the whole flight of a server comes, for DTLS 1.2 over X25519 with ECDSA and AES-GCM."""
    flight = fragments(server.transmit(0.0, 10))
    if not flight:
        return False
    assert [fragment.handshake_type for fragment in flight] == [
        HandshakeType.SERVER_HELLO,
        HandshakeType.CERTIFICATE,
        HandshakeType.SERVER_KEY_EXCHANGE,
        HandshakeType.CERTIFICATE_REQUEST,
        HandshakeType.SERVER_HELLO_DONE,
    ]
    hello = decode_server_hello(flight[0].body)
    assert hello.server_version == dtls.Version.DTLS_1_2
    assert hello.cipher_suite == dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    assert set(hello.extensions) == {
        ExtensionType.EXTENDED_MASTER_SECRET,
        ExtensionType.RENEGOTIATION_INFO,
        ExtensionType.EC_POINT_FORMATS,
        ExtensionType.USE_SRTP,
    }
    assert flight[2].body[:4] == b"\x03\x00\x1d\x20"
    assert server.state is dtls.State.CONNECTING
    return True


@EACH
def test_what_it_offers(name: str) -> None:
    first, second = fragments(load(name)[:2])
    assert (first.offset, second.offset, second.offset + len(second.body)) == (0, len(first.body), first.length)
    hello = decode_client_hello(first.body + second.body)
    assert hello.extensions[ExtensionType.SUPPORTED_VERSIONS] == bytes.fromhex("04fefcfefd")
    assert hello.extensions[ExtensionType.SUPPORTED_GROUPS][2:4] == bytes.fromhex("11ec")


@EACH
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1, 1), (1, 1, 0)])
def test_whole(name: str, order: tuple[int, ...]) -> None:
    server, pieces = listening(), load(name)[:2]
    server.receive([pieces[index] for index in order], 0.0)
    assert answers(server)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("lost", range(4))
def test_one_lost_of_two_sendings(lost: int, order: tuple[int, ...]) -> None:
    """It repeats itself in new records; the fragments of both sendings make one message."""
    server, pieces = listening(), load(STABLE)
    left = pieces[:lost] + pieces[lost + 1 :]
    server.receive([left[index] for index in order], 0.0)
    assert answers(server)


@pytest.mark.parametrize("kept", [(0,), (1,), (0, 2), (1, 3)])
def test_half_of_it_is_not_answered(kept: tuple[int, ...]) -> None:
    server, pieces = listening(), load(STABLE)
    server.receive([pieces[index] for index in kept], 0.0)
    assert not answers(server)
    assert server.state is dtls.State.CONNECTING
    server.receive(pieces, 0.0)
    assert answers(server)
