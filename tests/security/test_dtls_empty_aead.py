"""The AEADs of the library are tested, not trusted."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from xp2p_trio.dtls.protection import Opener, Sealer

KINDS = [(AESGCM, 16, 4), (AESGCM, 32, 4), (ChaCha20Poly1305, 32, 12)]


@pytest.mark.parametrize(("cipher", "key_size", "iv_size"), KINDS)
@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(100)])
def test_only_the_genuine_record_opens(
    cipher: type[AESGCM | ChaCha20Poly1305], key_size: int, iv_size: int, plaintext: bytes
) -> None:
    key, iv = bytes(range(key_size)), bytes(range(iv_size))
    [record] = Sealer(cipher(key), iv, epoch=1, limit=2**48 - 1).seal(23, [plaintext])
    fragment = record[13:]
    opener = Opener(cipher(key), iv, epoch=1)
    assert opener.open(23, 0, fragment) == plaintext
    for size in range(len(fragment)):
        assert opener.open(23, 0, fragment[:size]) is None
    for size in (0, 8, 16, 24):
        assert opener.open(23, 0, bytes(size)) is None
    for bit in range(8 * len(fragment)):
        forged = bytearray(fragment)
        forged[bit // 8] ^= 1 << bit % 8
        assert opener.open(23, 0, bytes(forged)) is None
    assert opener.open(22, 0, fragment) is None
    assert opener.open(23, 1, fragment) is None
    assert Opener(cipher(key), iv, epoch=2).open(23, 0, fragment) is None
    assert Opener(cipher(key), iv[::-1], epoch=1).open(23, 0, fragment) is None
    assert Opener(cipher(key[::-1]), iv, epoch=1).open(23, 0, fragment) is None
