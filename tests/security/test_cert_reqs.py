"""Certificates as they come: kinds of keys, long chains, empty ones, and what cannot be parsed."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from tests.dtls.duo import CLIENT_CERTIFICATE, Duo, make_client, make_server
from tests.dtls.machines import feed, script, server_machine
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake12 import Refusal
from xp2p_trio.dtls.messages12 import (
    MAX_CHAIN_LENGTH,
    CertificateRequest,
    decode_certificate_request,
    encode_certificate,
    encode_certificate_request,
)
from xp2p_trio.dtls.parameters import HandshakeType
from xp2p_trio.errors import InvalidArgument

KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "RSA-2048": rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
UNWELCOME = {
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "RSA-1024": rsa.generate_private_key(65537, 1024),
    "DSA": dsa.generate_private_key(2048),
}


def self_signed(key: object, not_after: dt.datetime | None = None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        1,
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        not_after or dt.datetime(2049, 1, 1, tzinfo=dt.UTC),  # type: ignore[attr-defined]
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


def server_with(leaf: bytes) -> dtls.Certificate:
    return dtls.Certificate(leaf, CLIENT_CERTIFICATE.private_key)


def present(body: bytes, leaf: bytes) -> Refusal | None:
    """Show a Certificate message to a server that was told of that leaf."""
    server = server_machine(remote=server_with(leaf))
    assert feed(server, [script()[1][0]]) is None
    return feed(server, [dtls.Message(HandshakeType.CERTIFICATE, 1, body)])


@pytest.mark.parametrize("ours", KEYS)
@pytest.mark.parametrize("theirs", KEYS)
def test_kinds_of_keys(ours: str, theirs: str) -> None:
    client, server = (dtls.Certificate(self_signed(KEYS[name]), KEYS[name]) for name in (ours, theirs))
    if ours == theirs:
        server = dtls.Certificate(self_signed(KEYS[name := theirs], dt.datetime(2048, 1, 1, tzinfo=dt.UTC)), KEYS[name])
    Duo(make_client(certificate=client, remote=server), make_server(certificate=server, remote=client)).connect().echo()


@pytest.mark.parametrize("name", UNWELCOME)
def test_unwelcome_keys(name: str) -> None:
    leaf = self_signed(UNWELCOME[name])
    refusal = present(encode_certificate((leaf,)), leaf)
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.UNSUPPORTED_CERTIFICATE
    pem = x509.load_der_x509_certificate(leaf).public_bytes(serialization.Encoding.PEM)
    key = UNWELCOME[name].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(InvalidArgument):
        dtls.Certificate.from_pem(pem + key)


def test_leaf_of_a_chain_counts() -> None:
    leaf, other = CLIENT_CERTIFICATE.der, self_signed(KEYS["P-384"])
    assert present(encode_certificate((leaf, *[other] * (MAX_CHAIN_LENGTH - 1))), leaf) is None
    assert present(encode_certificate((leaf, b"not one at all")), leaf) is None
    too_long = present(encode_certificate((leaf, *[other] * MAX_CHAIN_LENGTH)), leaf)
    assert too_long is not None
    assert too_long.alert is dtls.AlertDescription.DECODE_ERROR
    behind = present(encode_certificate((other, leaf)), leaf)
    assert behind is not None
    assert behind.alert is dtls.AlertDescription.BAD_CERTIFICATE


def test_expired_certificate_is_no_worse() -> None:
    leaf = self_signed(KEYS["P-256"], dt.datetime(2021, 1, 1, tzinfo=dt.UTC))
    assert present(encode_certificate((leaf,)), leaf) is None


@pytest.mark.parametrize("leaf", [b"\x30", b"\x30\x00", bytes(500), b"\x30\x82\xff\xff", CLIENT_CERTIFICATE.der[:-1]])
def test_announced_junk(leaf: bytes) -> None:
    refusal = present(encode_certificate((leaf,)), leaf)
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.DECODE_ERROR


def test_every_bit_of_an_announced_certificate() -> None:
    """Whatever the library makes of it, the answer is a verdict and no exception."""
    for bit in range(8 * len(CLIENT_CERTIFICATE.der)):
        leaf = bytearray(CLIENT_CERTIFICATE.der)
        leaf[bit // 8] ^= 1 << bit % 8
        verdict = present(encode_certificate((bytes(leaf),)), bytes(leaf))
        assert verdict is None or isinstance(verdict, Refusal)


def test_certificate_request() -> None:
    message = script()[0][3]
    assert message is not None
    request = decode_certificate_request(message.body)
    assert request.certificate_types == (64, 1)
    assert 0x0403 in request.schemes
    assert message.body.endswith(b"\x00\x00")  # no authorities
    with_authorities = encode_certificate_request(request)[:-2] + b"\x00\x08\x00\x02ab\x00\x02cd"
    assert decode_certificate_request(with_authorities) == request
    assert decode_certificate_request(encode_certificate_request(CertificateRequest((), ()))).schemes == ()
