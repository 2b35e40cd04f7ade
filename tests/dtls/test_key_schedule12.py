"""The PRF against published vectors; keys, verify_data and exporters against OpenSSL are in tests/interop."""

from __future__ import annotations

from xp2p_trio import dtls
from xp2p_trio.dtls.key_schedule12 import (
    SUITE_PARAMETERS,
    ConnectionSecrets,
    derive_traffic_keys,
    prf,
)

# The test vector for the PRF with SHA-256 that circulates since the mailing list of the TLS working group had it.
SECRET = bytes.fromhex("9bbe436ba940f017b17652849a71db35")
SEED = bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
OUTPUT = bytes.fromhex(
    "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
    "0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
    "87347b66"
)


def test_prf_sha256() -> None:
    for size in (0, 1, 12, 32, 33, 48, 64, 100):
        assert prf("sha256", SECRET, b"test label", SEED, size) == OUTPUT[:size]


def test_key_block_is_cut_in_order() -> None:
    """RFC 5246 section 6.3: client key, server key, client IV, server IV, out of server_random + client_random."""
    for parameters in SUITE_PARAMETERS.values():
        keys = derive_traffic_keys(parameters, b"m" * 48, b"c" * 32, b"s" * 32)
        block = keys.client_key + keys.server_key + keys.client_iv + keys.server_iv
        assert block == prf(parameters.hash_name, b"m" * 48, b"key expansion", b"s" * 32 + b"c" * 32, len(block))
        assert (len(keys.client_key), len(keys.server_iv)) == (parameters.key_size, parameters.iv_size)
        assert len(block) == 2 * (parameters.key_size + parameters.iv_size)


def test_every_suite_has_its_parameters() -> None:
    assert set(SUITE_PARAMETERS) == set(dtls.CipherSuite)
    for suite, parameters in SUITE_PARAMETERS.items():
        assert parameters.is_rsa is ("_RSA_" in suite.name)
        assert parameters.hash_name == suite.name[-6:].lower()
        assert parameters.key_size == (16 if "128_GCM" in suite.name else 32)
        assert parameters.iv_size == (4 if "GCM" in suite.name else 12)


def test_exporter_is_the_prf_with_lengths() -> None:
    """RFC 5705 section 4."""
    parameters = SUITE_PARAMETERS[dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]
    secrets = ConnectionSecrets(parameters, b"m" * 48, b"c" * 32, b"s" * 32)
    randoms = b"c" * 32 + b"s" * 32
    assert secrets.export("label", None, 70) == prf("sha384", b"m" * 48, b"label", randoms, 70)
    assert secrets.export("label", b"", 70) == prf("sha384", b"m" * 48, b"label", randoms + b"\0\0", 70)
    assert secrets.export("label", b"ab", 70) == prf("sha384", b"m" * 48, b"label", randoms + b"\0\2ab", 70)
    assert "6d6d" not in repr(secrets)
    assert "mmm" not in repr(secrets)
