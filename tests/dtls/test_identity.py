"""Certificates of our own, and fingerprints."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.dtls.duo import CLIENT_CERTIFICATE, SERVER_CERTIFICATE, seeded
from xp2p_trio import dtls
from xp2p_trio.errors import DecodeError, InvalidArgument

RFC_8122 = "SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB"


def test_generated_certificate() -> None:
    certificate = x509.load_der_x509_certificate(CLIENT_CERTIFICATE.der)
    assert certificate.subject == certificate.issuer
    assert certificate.serial_number > 0
    certificate.verify_directly_issued_by(certificate)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert certificate.not_valid_before_utc == dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def test_same_seed_same_certificate() -> None:
    first, again, other = (dtls.Certificate.generate(seeded(seed)) for seed in ("a", "a", "b"))
    assert first == again
    assert first.der == again.der
    assert first.der != other.der
    assert dtls.Certificate.generate().der != dtls.Certificate.generate().der


def test_rsa_certificate_and_dates() -> None:
    begin, end = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    made = dtls.Certificate.generate(seeded(1), key_type="rsa", not_before=begin, not_after=end)
    certificate = x509.load_der_x509_certificate(made.der)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert (certificate.not_valid_before_utc, certificate.not_valid_after_utc) == (begin, end)
    with pytest.raises(InvalidArgument):
        dtls.Certificate.generate(not_before=end, not_after=begin)
    with pytest.raises(InvalidArgument):
        dtls.Certificate.generate(key_type="dsa")  # type: ignore[arg-type]


@pytest.mark.parametrize("key_type", ["ecdsa", "rsa"])
def test_pem_round_trip(key_type: dtls.certificate.KeyType) -> None:
    made = dtls.Certificate.generate(key_type=key_type)
    pem = made.to_pem()
    parts = [part + "-----END" for part in pem.split("-----END")][:2]
    assert parts[0].startswith("-----BEGIN CERTIFICATE")
    for text in (pem, pem.encode(), pem[pem.index("-----BEGIN PRIVATE") :] + pem[: pem.index("-----BEGIN PRIVATE")]):
        read = dtls.Certificate.from_pem(text)
        assert read.der == made.der
        assert read.private_key.private_numbers() == made.private_key.private_numbers()  # type: ignore[union-attr]


def test_pem_that_is_none() -> None:
    pem, other = CLIENT_CERTIFICATE.to_pem(), SERVER_CERTIFICATE.to_pem()
    certificate, key = pem[: pem.index("-----BEGIN PRIVATE")], other[other.index("-----BEGIN PRIVATE") :]
    encrypted = CLIENT_CERTIFICATE.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    ).decode()
    for text in ("", "junk", "\u20ac", certificate, key, certificate + key, certificate + encrypted, pem[:-60]):
        with pytest.raises(InvalidArgument):
            dtls.Certificate.from_pem(text)


def test_repr_masks_the_key() -> None:
    assert repr(CLIENT_CERTIFICATE) == f"Certificate(der=<{len(CLIENT_CERTIFICATE.der)} bytes>, private_key=<masked>)"


@pytest.mark.parametrize("name", ["sha-256", "sha-384", "sha-512", "SHA-256"])
def test_fingerprint_text(name: str) -> None:
    fingerprint = CLIENT_CERTIFICATE.fingerprint(name)
    assert fingerprint.value == hashlib.new(name.lower().replace("-", ""), CLIENT_CERTIFICATE.der).digest()
    text = dtls.encode_fingerprint(fingerprint)
    assert text == str(fingerprint)
    assert text.split(" ")[0] == name.lower()
    assert dtls.decode_fingerprint(text) == dtls.decode_fingerprint(text.upper()) == fingerprint
    assert fingerprint.is_usable


def test_example_of_the_rfc() -> None:
    fingerprint = dtls.decode_fingerprint(RFC_8122)
    assert fingerprint.algorithm == "sha-1"
    assert len(fingerprint.value) == 20
    assert not fingerprint.is_usable


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha-256",
        "sha-256 ",
        "sha-256 AB",
        "sha-256 " + "AB:" * 32,
        "sha-256 " + ":".join(["AB"] * 31),
        "sha-256 " + ":".join(["AG"] * 32),
        "sha-256 " + "AB" * 32,
        "sha-256\t" + ":".join(["AB"] * 32),
        " sha-256 " + ":".join(["AB"] * 32),
        "sha-256 " + ":".join(["AB"] * 32) + "\n",
        "sha-256 \uff21\uff22",
        "sha-512 " + ":".join(["AB"] * 32),
        "x" * 33 + " AB",
        "sha-1 " + ":".join(["AB"] * 300),
    ],
)
def test_text_that_is_no_fingerprint(text: str) -> None:
    with pytest.raises(DecodeError):
        dtls.decode_fingerprint(text)


@given(st.text(max_size=120))
def test_any_text(text: str) -> None:
    try:
        fingerprint = dtls.decode_fingerprint(text)
    except DecodeError:
        return
    assert dtls.decode_fingerprint(str(fingerprint)) == fingerprint
