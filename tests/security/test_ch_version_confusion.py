"""What is not known is passed over; what contradicts itself is refused."""

from __future__ import annotations

import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dtls.duo import make_server
from tests.dtls.forgery import record
from tests.dtls.hello import GREASE, browser_hello, message, our_hello, records
from tests.dtls.machines import feed, server_machine
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake import encode_message
from xp2p_trio.dtls.messages12 import decode_client_hello, encode_client_hello
from xp2p_trio.dtls.parameters import ExtensionType
from xp2p_trio.dtls.reader import encode_integers
from xp2p_trio.errors import DecodeError


@given(st.integers(0, 2**32))
def test_grease_and_unknowns_anywhere(seed: int) -> None:
    generator = random.Random(seed)
    hello = browser_hello(seed=seed)
    extensions = list(hello.extensions.items())
    known = set(ExtensionType) | set(hello.extensions)
    for _ in range(generator.randrange(20)):
        kind = generator.choice((*GREASE, generator.getrandbits(16)))
        if kind not in known:
            known.add(kind)
            extensions.append((kind, generator.randbytes(generator.randrange(50))))
    generator.shuffle(extensions)
    suites = [*hello.cipher_suites, *generator.choices(GREASE, k=3), generator.getrandbits(16)]
    generator.shuffle(suites)
    hello = attrs.evolve(
        hello,
        extensions=dict(extensions),
        cipher_suites=tuple(suites),
        compression_methods=(generator.randrange(256), 0),
        session_id=generator.randbytes(generator.randrange(33)),
    )
    server = server_machine()
    assert feed(server, [message(hello)]) is None
    assert server.flight is not None


@pytest.mark.parametrize("version", [0xFEFF, 0xFEFD, 0xFE00, 0xFE42])
def test_any_version_of_the_first_records(version: int) -> None:
    server = make_server()
    server.connect(0.0)
    server.receive([record(22, encode_message(message(our_hello())), version=version)], 0.0)
    assert len(server.transmit(0.0, 10)) == 1


@pytest.mark.parametrize("version", [0x0301, 0x0303, 0x0000, 0xFFFF, 0x01FD])
def test_records_of_tls_are_none(version: int) -> None:
    server = make_server()
    server.connect(0.0)
    server.receive([record(22, encode_message(message(our_hello())), version=version)], 0.0)
    assert server.transmit(0.0, 10) == []
    assert server.statistics.datagrams_malformed == 1


@pytest.mark.parametrize("kind", [*ExtensionType, 0x0A0A, 51])
def test_extension_twice(kind: int) -> None:
    body = encode_client_hello(attrs.evolve(our_hello(), extensions={kind: b"\x00\x02\x00\x1d"}))
    twice = body[:-10] + (16).to_bytes(2, "big") + body[-8:] * 2
    with pytest.raises(DecodeError, match="twice"):
        decode_client_hello(twice)


@pytest.mark.parametrize("kind", [kind for kind in ExtensionType if kind is not ExtensionType.USE_SRTP])
@pytest.mark.parametrize("data", [b"\xff", b"\x00\x05\x00\x1d", b"\x00\x02\x00"])
def test_malformed_extension(kind: ExtensionType, data: bytes) -> None:
    refusal = feed(
        server_machine(), [message(attrs.evolve(our_hello(), extensions={**our_hello().extensions, kind: data}))]
    )
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.DECODE_ERROR


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (ExtensionType.SUPPORTED_GROUPS, encode_integers((0x11EC, 24, 0x0A0A), 2, 2)),
        (ExtensionType.SIGNATURE_ALGORITHMS, encode_integers((0x0201, 0x0203, 0x0804), 2, 2)),
    ],
)
def test_nothing_in_common(kind: ExtensionType, data: bytes) -> None:
    hello = attrs.evolve(our_hello(), extensions={**our_hello().extensions, kind: data})
    refusal = feed(server_machine(), [message(hello)])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.HANDSHAKE_FAILURE


def test_hello_without_extensions_at_all() -> None:
    body = encode_client_hello(attrs.evolve(our_hello(), extensions={}))
    assert decode_client_hello(body[:-2]).extensions == {}
    refusal = feed(server_machine(), [dtls.Message(1, 0, body[:-2])])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.HANDSHAKE_FAILURE


def test_our_own_hello_fits_one_datagram() -> None:
    assert len(records(message(our_hello()), 1150)) == 1
