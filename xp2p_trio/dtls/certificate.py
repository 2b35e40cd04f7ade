"""Our own identity: a self-signed certificate and its private key (RFC 8827 section 6.5)."""

from __future__ import annotations

import datetime as dt
from typing import Literal, TypeAlias, final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from xp2p_trio.dtls.fingerprint import Fingerprint, fingerprint_certificate
from xp2p_trio.dtls.key_exchange import derive_p256_key
from xp2p_trio.dtls.signatures import PrivateKey, signing_schemes
from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.sansio import RandomBytes

KeyType: TypeAlias = Literal["ecdsa", "rsa"]

RSA_BITS = 2048
_RSA_PUBLIC_EXPONENT = 65537

DEFAULT_NOT_BEFORE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
DEFAULT_NOT_AFTER = dt.datetime(2049, 12, 31, tzinfo=dt.UTC)
"""The dates mean nothing here, as identity is the fingerprint (RFC 8122 section 6.2); 2049 is the end of UTCTime."""

_COMMON_NAME = "WebRTC"
"""The same for everybody, so that it says nothing about anybody."""


@final
@attrs.frozen
class Certificate:
    """A certificate with its private key.

    Attributes:
        der: the certificate as it travels.
    """

    der: bytes = attrs.field(repr=lambda der: f"<{len(der)} bytes>")
    private_key: PrivateKey = attrs.field(repr=lambda _: "<masked>", eq=False)

    @classmethod
    def generate(
        cls,
        random_bytes: RandomBytes | None = None,
        *,
        key_type: KeyType = "ecdsa",
        not_before: dt.datetime = DEFAULT_NOT_BEFORE,
        not_after: dt.datetime = DEFAULT_NOT_AFTER,
    ) -> Certificate:
        """Make a new identity: ECDSA over P-256, or RSA of 2048 bits.

        Args:
            random_bytes: source of the key and the serial number; without it they come from the cryptographic
                library. An RSA key always does, so that only an ECDSA certificate can be reproduced.
            key_type: "ecdsa" or "rsa".
            not_before: begin of the validity, an aware datetime.
            not_after: end of the validity, an aware datetime.

        Raises:
            InvalidArgument: the key type is unknown, or the validity ends before it begins.
        """
        if not_after <= not_before:
            raise InvalidArgument(f"not_after {not_after} is not later than not_before {not_before}")
        if key_type not in ("ecdsa", "rsa"):
            raise InvalidArgument(f"key_type {key_type!r} is neither 'ecdsa' nor 'rsa'")
        private_key: PrivateKey
        if key_type == "rsa":
            private_key = rsa.generate_private_key(_RSA_PUBLIC_EXPONENT, RSA_BITS)
        elif random_bytes is None:
            private_key = ec.generate_private_key(ec.SECP256R1())
        else:
            private_key = derive_p256_key(random_bytes)
        # RFC 5280 section 4.1.2.2: positive, at most 20 bytes.
        serial = x509.random_serial_number() if random_bytes is None else int.from_bytes(random_bytes(8), "big") >> 1
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAME)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private_key.public_key())
            .serial_number(serial or 1)
            .not_valid_before(not_before)
            .not_valid_after(not_after)
        )
        deterministic = True if isinstance(private_key, ec.EllipticCurvePrivateKey) else None
        certificate = builder.sign(private_key, hashes.SHA256(), ecdsa_deterministic=deterministic)
        return cls(certificate.public_bytes(serialization.Encoding.DER), private_key)

    @classmethod
    def from_pem(cls, pem: str | bytes) -> Certificate:
        """Read a certificate and its unencrypted private key from one PEM text, in either order.

        Raises:
            InvalidArgument: one of the two is missing, they do not belong together, or the key cannot be used here.
        """
        data = pem.encode("ascii", "replace") if isinstance(pem, str) else pem
        try:
            certificate = x509.load_pem_x509_certificate(data)
            private_key = serialization.load_pem_private_key(_private_key_block(data), password=None)
            same = certificate.public_key() == private_key.public_key()
        except (ValueError, TypeError) as error:
            raise InvalidArgument(f"no certificate with an unencrypted private key in this PEM: {error}") from error
        if not same:
            raise InvalidArgument("the private key is not the one of the certificate")
        if not isinstance(
            private_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
        ) or not signing_schemes(private_key):
            raise InvalidArgument("the key is none of ECDSA P-256, ECDSA P-384, RSA of 2048 bits or more, Ed25519")
        return cls(certificate.public_bytes(serialization.Encoding.DER), private_key)

    def to_pem(self) -> str:
        """The certificate and the private key, unencrypted (PKCS #8). Keep it as secret as the key."""
        key = self.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = x509.load_der_x509_certificate(self.der).public_bytes(serialization.Encoding.PEM)
        return (certificate + key).decode("ascii")

    def fingerprint(self, algorithm: str = "sha-256") -> Fingerprint:
        """What a session description announces.

        Raises:
            InvalidArgument: the hash is unknown or too weak.
        """
        return fingerprint_certificate(self.der, algorithm)


def _private_key_block(pem: bytes) -> bytes:
    """The part of a PEM text that holds the private key."""
    marker = pem.find(b"PRIVATE KEY-----")
    start = pem.rfind(b"-----BEGIN", 0, marker) if marker >= 0 else -1
    if start < 0:
        raise DecodeError("it has no private key")
    return pem[start:]


def decode_public_key(der: bytes) -> object:
    """The public key of a peer's certificate; its type is for the caller to judge.

    Raises:
        DecodeError: the certificate or its key does not parse.
    """
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except Exception as error:  # the library raises more kinds than it documents
        raise DecodeError(f"the certificate does not parse: {error}") from error
