"""No (key, nonce) pair is used twice, whatever happens on the wire."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.dtls.duo import Duo, Fate, make_client, make_server
from xp2p_trio import dtls
from xp2p_trio.dtls import handshake12
from xp2p_trio.dtls.protection import Opener, Sealer


class SpyAead:
    """The AEAD of the library, watched."""

    def __init__(self, seen: set[tuple[bytes, bytes]], cipher: type[AESGCM | ChaCha20Poly1305], key: bytes) -> None:
        self._seen, self._real, self._key = seen, cipher(key), key

    def encrypt(self, nonce: bytes, data: bytes, additional: bytes | None) -> bytes:
        assert len(nonce) == 12
        assert (self._key, nonce) not in self._seen
        self._seen.add((self._key, nonce))
        return self._real.encrypt(nonce, data, additional)

    def decrypt(self, nonce: bytes, data: bytes, additional: bytes | None) -> bytes:
        return self._real.decrypt(nonce, data, additional)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[tuple[bytes, bytes]]:
    seen: set[tuple[bytes, bytes]] = set()
    monkeypatch.setattr(handshake12, "make_aead", lambda cipher, key: SpyAead(seen, cipher, key))
    return seen


def storm(seed: int) -> Fate:
    generator = random.Random(seed)

    def fate(index: int, from_client: bool, datagram: bytes) -> Sequence[tuple[float, bytes]]:
        if generator.random() < 0.3:
            return []
        return [(generator.random() * 0.3, datagram)] * generator.choice((1, 1, 2))

    return fate


@pytest.mark.parametrize("suite", list(dtls.CipherSuite)[:2] + list(dtls.CipherSuite)[-1:])
def test_over_retransmission_data_and_alerts(seen: set[tuple[bytes, bytes]], suite: dtls.CipherSuite) -> None:
    for seed in range(30):
        configuration = dtls.Configuration(cipher_suites=(suite,))
        client = make_client(configuration, seed=2 * seed)
        duo = Duo(client, make_server(configuration, seed=2 * seed + 1), fate=storm(seed))
        duo.begin()
        duo.run(lambda duo=duo: duo.is_connected)
        assert duo.is_connected
        for _ in range(20):
            duo.client.send([b"the same text"] * 3, duo.now)
            duo.server.send([b"the same text"] * 3, duo.now)
            duo.step()
        duo.client.close(duo.now)
        duo.settle()
    assert len(seen) > 30 * 120


@pytest.mark.parametrize(("cipher", "iv_size"), [(AESGCM, 4), (ChaCha20Poly1305, 12)])
def test_nonce_is_a_function_of_the_sequence_number(cipher: type[AESGCM | ChaCha20Poly1305], iv_size: int) -> None:
    seen: set[tuple[bytes, bytes]] = set()
    iv = bytes(range(iv_size))
    first, last = 2**32 - 3, 2**32 + 3
    sealer = Sealer(SpyAead(seen, cipher, bytes(32)), iv, epoch=1, sequence_number=first, limit=2**48 - 1)  # type: ignore[arg-type]
    records = sealer.seal(23, [b"x"] * (last - first + 1))
    counters = [(1 << 48 | number).to_bytes(8, "big") for number in range(first, last + 1)]
    if iv_size == 4:
        expected = {iv + counter for counter in counters}
        assert [record[13:21] for record in records] == counters
    else:
        expected = {bytes(a ^ b for a, b in zip(iv, bytes(4) + counter, strict=True)) for counter in counters}
    assert {nonce for _, nonce in seen} == expected
    assert [record[3:11] for record in records] == counters
    opener = Opener(cipher(bytes(32)), iv, epoch=1)
    for number, record in zip(range(first, last + 1), records, strict=True):
        assert opener.open(23, number, record[13:]) == b"x"


def test_a_key_that_is_used_up_seals_nothing() -> None:
    sealer = Sealer(AESGCM(bytes(16)), bytes(4), epoch=1, sequence_number=2**48 - 2, limit=2**48 + 5)
    assert len(sealer.seal(23, [b"x"] * 9)) == 2
    assert sealer.seal(21, [b"x"]) == []
