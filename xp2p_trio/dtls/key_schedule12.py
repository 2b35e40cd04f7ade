"""Keys of DTLS 1.2.

The PRF (RFC 5246 section 5), the extended master secret (RFC 7627 section 4), the key block (RFC 5246 section 6.3),
verify_data (RFC 5246 section 7.4.9) and exported keying material (RFC 5705 section 4).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TypeAlias

import attrs
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from xp2p_trio.dtls.parameters import CipherSuite

MASTER_SECRET_SIZE = 48
VERIFY_DATA_SIZE = 12
RESERVED_LABELS = frozenset(
    ("client finished", "server finished", "master secret", "extended master secret", "key expansion")
)
"""Labels of the PRF that no exporter may use (RFC 5705 section 6, RFC 7627 section 6)."""

_Cipher: TypeAlias = type[AESGCM | ChaCha20Poly1305]


@attrs.frozen
class SuiteParameters:
    """What a cipher suite stands for.

    Attributes:
        cipher: the AEAD.
        key_size: bytes of its key.
        iv_size: bytes of the fixed part of its nonce.
        hash_name: the hash of PRF and transcript, as hashlib names it.
        is_rsa: whether the server's certificate holds an RSA key; else it is ECDSA or Ed25519.
    """

    cipher: _Cipher
    key_size: int
    iv_size: int
    hash_name: str
    is_rsa: bool


SUITE_PARAMETERS = {
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: SuiteParameters(AESGCM, 16, 4, "sha256", False),
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: SuiteParameters(AESGCM, 32, 4, "sha384", False),
    CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: SuiteParameters(AESGCM, 16, 4, "sha256", True),
    CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: SuiteParameters(AESGCM, 32, 4, "sha384", True),
    CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: SuiteParameters(ChaCha20Poly1305, 32, 12, "sha256", True),
    CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: SuiteParameters(
        ChaCha20Poly1305, 32, 12, "sha256", False
    ),
}


@attrs.frozen
class TrafficKeys:
    """Key and fixed nonce part of both directions."""

    client_key: bytes = attrs.field(repr=False)
    server_key: bytes = attrs.field(repr=False)
    client_iv: bytes = attrs.field(repr=False)
    server_iv: bytes = attrs.field(repr=False)


def prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """P_hash of RFC 5246 section 5."""
    labelled_seed = label + seed
    output = bytearray()
    a = labelled_seed
    while len(output) < size:
        a = hmac.digest(secret, a, hash_name)
        output += hmac.digest(secret, a + labelled_seed, hash_name)
    return bytes(output[:size])


def derive_master_secret(parameters: SuiteParameters, premaster_secret: bytes, transcript: bytes) -> bytes:
    """The extended master secret over the messages up to ClientKeyExchange (RFC 7627 section 4)."""
    session_hash = hashlib.new(parameters.hash_name, transcript).digest()
    return prf(parameters.hash_name, premaster_secret, b"extended master secret", session_hash, MASTER_SECRET_SIZE)


def derive_traffic_keys(
    parameters: SuiteParameters, master_secret: bytes, client_random: bytes, server_random: bytes
) -> TrafficKeys:
    """Cut the key block; an AEAD has no MAC keys in it (RFC 5246 section 6.3)."""
    key_size, iv_size = parameters.key_size, parameters.iv_size
    block = prf(
        parameters.hash_name, master_secret, b"key expansion", server_random + client_random, 2 * (key_size + iv_size)
    )
    ivs = 2 * key_size
    return TrafficKeys(
        client_key=block[:key_size],
        server_key=block[key_size:ivs],
        client_iv=block[ivs : ivs + iv_size],
        server_iv=block[ivs + iv_size :],
    )


def derive_verify_data(
    parameters: SuiteParameters, master_secret: bytes, transcript: bytes, *, by_client: bool
) -> bytes:
    """What a Finished message holds."""
    label = b"client finished" if by_client else b"server finished"
    digest = hashlib.new(parameters.hash_name, transcript).digest()
    return prf(parameters.hash_name, master_secret, label, digest, VERIFY_DATA_SIZE)


@attrs.frozen
class ConnectionSecrets:
    """What outlives the handshake, for exporters and the key log."""

    parameters: SuiteParameters
    master_secret: bytes = attrs.field(repr=False)
    client_random: bytes
    server_random: bytes

    def export(self, label: str, context: bytes | None, size: int) -> bytes:
        """Exported keying material; an absent context differs from an empty one (RFC 5705 section 4)."""
        seed = self.client_random + self.server_random
        if context is not None:
            seed += len(context).to_bytes(2, "big") + context
        return prf(self.parameters.hash_name, self.master_secret, label.encode("ascii"), seed, size)

    @property
    def key_log_line(self) -> str:
        """A line of an SSLKEYLOGFILE, which gives away the whole session."""
        return f"CLIENT_RANDOM {self.client_random.hex()} {self.master_secret.hex()}"
