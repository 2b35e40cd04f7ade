"""A digest is never shorter than the key deserves: each scheme is tried with each kind of key."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from xp2p_trio.dtls.parameters import SignatureScheme
from xp2p_trio.dtls.signatures import PrivateKey, schemes_of_key, sign, verify

P256, P384, P521 = (ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1))
RSA, SMALL_RSA = (rsa.generate_private_key(65537, size) for size in (2048, 1024))
ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, PrivateKey] = {
    "P-256": P256,
    "P-384": P384,
    "P-521": P521,
    "RSA-2048": RSA,
    "RSA-1024": SMALL_RSA,
    "Ed25519": ED25519,
}
FITTING = {
    ("P-256", 0x0403),
    ("P-256", 0x0503),  # a longer digest than needed: RFC 8446 section 4.2.3 on DTLS 1.2
    ("P-384", 0x0503),
    ("RSA-2048", 0x0401),
    ("RSA-2048", 0x0804),
    ("Ed25519", 0x0807),
}
DATA = b"what is signed"


@pytest.mark.parametrize("scheme", [*SignatureScheme, 0x0201, 0x0203, 0x0101, 0x0301, 0x0501, 0x0603, 0x0805, 0x0808])
@pytest.mark.parametrize("name", list(KEYS))
def test_scheme_and_key(name: str, scheme: int) -> None:
    key = KEYS[name]
    assert (scheme in schemes_of_key(key)) is ((name, scheme) in FITTING)
    if (name, scheme) not in FITTING:
        # Even a signature that is good as such is not, when the scheme does not belong to the key.
        for fitting in schemes_of_key(key):
            if fitting is not SignatureScheme.RSA_PSS_RSAE_SHA256:
                assert not verify(key.public_key(), scheme, sign(key, fitting, DATA), DATA)
        return
    known = SignatureScheme(scheme)
    if known is SignatureScheme.RSA_PSS_RSAE_SHA256:
        assert isinstance(key, rsa.RSAPrivateKey)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        signature = key.sign(DATA, pss, hashes.SHA256())
    else:
        signature = sign(key, known, DATA)
    assert verify(key.public_key(), scheme, signature, DATA)
    assert not verify(key.public_key(), scheme, signature, DATA + b"!")
    assert not verify(key.public_key(), scheme, signature[:-1], DATA)


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA224(), hashes.SHA384(), hashes.SHA512()])
def test_another_hash_under_the_name_of_the_scheme(algorithm: hashes.HashAlgorithm) -> None:
    assert not verify(P256.public_key(), 0x0403, P256.sign(DATA, ec.ECDSA(algorithm)), DATA)
    assert not verify(RSA.public_key(), 0x0401, RSA.sign(DATA, padding.PKCS1v15(), algorithm), DATA)


def test_undersized_digest_on_a_larger_curve() -> None:
    assert not verify(P384.public_key(), 0x0503, P384.sign(DATA, ec.ECDSA(hashes.SHA256())), DATA)
    assert not verify(P384.public_key(), 0x0403, P384.sign(DATA, ec.ECDSA(hashes.SHA256())), DATA)
