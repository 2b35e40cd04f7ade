"""Ephemeral Diffie-Hellman over X25519 and P-256 (RFC 8422 sections 5.10 and 5.11), keys drawn from injected bytes."""

from __future__ import annotations

from typing import TypeAlias

import attrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from xp2p_trio.dtls.parameters import NamedGroup
from xp2p_trio.sansio import RandomBytes

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the base point (FIPS 186-5, SP 800-186 section 3.2.1.3)."""

_POINT_SIZE = 65
_UNCOMPRESSED = 0x04

EphemeralKey: TypeAlias = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey


@attrs.frozen
class KeyShare:
    """An ephemeral key pair.

    Attributes:
        group: which group it lives in.
        private_key: used once.
        public_key: as it travels.
    """

    group: NamedGroup
    private_key: EphemeralKey = attrs.field(repr=False)
    public_key: bytes


def derive_p256_key(random_bytes: RandomBytes) -> ec.EllipticCurvePrivateKey:
    """A P-256 key out of random bytes, 64 bits more than needed (FIPS 186-5 appendix A.2.1)."""
    scalar = int.from_bytes(random_bytes(40), "big") % (P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def generate_key_share(group: NamedGroup, random_bytes: RandomBytes) -> KeyShare:
    """A fresh key pair."""
    if group is NamedGroup.X25519:
        private_key = x25519.X25519PrivateKey.from_private_bytes(random_bytes(32))
        return KeyShare(group, private_key, private_key.public_key().public_bytes_raw())
    curve_key = derive_p256_key(random_bytes)
    public_key = curve_key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return KeyShare(group, curve_key, public_key)


def exchange(share: KeyShare, peer_public_key: bytes) -> bytes | None:
    """The shared secret, or None if the peer's key is not one: wrong length, off the curve, or of small order."""
    try:
        if isinstance(share.private_key, x25519.X25519PrivateKey):
            # An all-zero secret raises, as RFC 7748 section 6.1 and RFC 8422 section 5.11 ask.
            return share.private_key.exchange(x25519.X25519PublicKey.from_public_bytes(peer_public_key))
        # RFC 8422 section 5.4.1 has only the uncompressed form; the library would also take the compressed one.
        if len(peer_public_key) != _POINT_SIZE or peer_public_key[0] != _UNCOMPRESSED:
            return None
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), peer_public_key)
        return share.private_key.exchange(ec.ECDH(), point)
    except ValueError:
        return None
