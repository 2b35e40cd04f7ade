"""Signatures of the handshake. A scheme fixes the hash, and with it which keys it fits; nothing else is tried.

A digest is never shorter than the curve is strong. A longer one is allowed: under DTLS 1.2 a scheme does not fix the
curve, and a signature by any curve that we offer as a group must be taken (RFC 8446 section 4.2.3). DTLS 1.3 is
stricter.

Ours are deterministic (RFC 6979 for ECDSA), so that a handshake can be replayed byte for byte.
"""

from __future__ import annotations

from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from xp2p_trio.dtls.parameters import SignatureScheme

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

MINIMUM_RSA_BITS = 2048
"""RFC 9325 section 4.5."""

MAXIMUM_RSA_BITS = 8192
"""Beyond it a verification costs more time than a stranger may take from us."""

OFFERED_SCHEMES = (
    SignatureScheme.ECDSA_SECP256R1_SHA256,
    SignatureScheme.ED25519,
    SignatureScheme.ECDSA_SECP384R1_SHA384,
    SignatureScheme.RSA_PKCS1_SHA256,
    SignatureScheme.RSA_PSS_RSAE_SHA256,
)
"""What is verified, in our order of preference."""


def schemes_of_key(key: PrivateKey | PublicKey) -> tuple[SignatureScheme, ...]:
    """The schemes that fit a key; none if the key is of an unwelcome curve or size."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        if key.curve.name == "secp256r1":
            return (SignatureScheme.ECDSA_SECP256R1_SHA256, SignatureScheme.ECDSA_SECP384R1_SHA384)
        if key.curve.name == "secp384r1":
            return (SignatureScheme.ECDSA_SECP384R1_SHA384,)
        return ()
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return (SignatureScheme.ED25519,)
    if MINIMUM_RSA_BITS <= key.key_size <= MAXIMUM_RSA_BITS:
        return (SignatureScheme.RSA_PKCS1_SHA256, SignatureScheme.RSA_PSS_RSAE_SHA256)
    return ()


def signing_schemes(key: PrivateKey) -> tuple[SignatureScheme, ...]:
    """The schemes that we sign with: all that fit but RSA-PSS, whose salt would not be reproducible."""
    return tuple(scheme for scheme in schemes_of_key(key) if scheme is not SignatureScheme.RSA_PSS_RSAE_SHA256)


def sign(key: PrivateKey, scheme: SignatureScheme, data: bytes) -> bytes:
    """Sign `data` with a scheme out of `signing_schemes(key)`."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = hashes.SHA256() if scheme is SignatureScheme.ECDSA_SECP256R1_SHA256 else hashes.SHA384()
        return key.sign(data, ec.ECDSA(algorithm, deterministic_signing=True))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def verify(key: PublicKey, scheme: int, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is one of `data` by the holder of `key`, under a scheme that fits the key."""
    if scheme not in schemes_of_key(key):
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            algorithm = hashes.SHA256() if scheme == SignatureScheme.ECDSA_SECP256R1_SHA256 else hashes.SHA384()
            key.verify(signature, data, ec.ECDSA(algorithm))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif scheme == SignatureScheme.RSA_PKCS1_SHA256:
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            # RFC 8446 section 4.2.3: the salt is as long as the digest.
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
            key.verify(signature, data, pss, hashes.SHA256())
    except InvalidSignature:
        return False
    return True
