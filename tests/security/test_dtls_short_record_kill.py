"""CVE-2026-75806 and its like: no forged datagram ends an association, moves its window or makes it grow."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.dtls.duo import connected
from tests.dtls.forgery import forged_datagrams, record
from xp2p_trio import dtls
from xp2p_trio.dtls.parameters import ContentType

SUITES = (
    dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
)


@pytest.mark.parametrize("suite", SUITES)
def test_every_length_type_and_epoch(suite: dtls.CipherSuite) -> None:
    duo = connected(dtls.Configuration(cipher_suites=(suite,)))
    for content_type in (*ContentType, 0, 24, 26, 255):
        for epoch in range(4):
            for size in range(65):
                for filler in (b"\x00", b"\xff", b"\x02"):
                    datagram = record(content_type, filler * size, epoch=epoch, sequence_number=2**20 + size)
                    duo.server.receive([datagram], duo.now)
                    duo.client.receive([datagram], duo.now)
    duo.echo()


def attack(count: int, seed: int) -> None:
    duo = connected()
    duo.client.send([b"some data"] * 20, duo.now)
    genuine = duo.client.transmit(duo.now, 100)
    duo.server.receive(genuine, duo.now)
    assert len(duo.server.take_received()) == 20
    genuine += [datagram for from_client, datagram in duo.sent if from_client]
    for datagram in forged_datagrams(1000, seed, genuine):  # so that caches are warm
        duo.server.receive([datagram], duo.now)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for index, datagram in enumerate(forged_datagrams(count, seed + 1, genuine)):
            duo.server.receive([datagram], duo.now)
            if index % 1000 == 0:
                assert duo.server.transmit(duo.now, 100) == []
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert growth < 64 * 1024
    assert duo.server.take_received() == []
    assert duo.server.state is dtls.State.CONNECTED
    assert duo.server.next_timeout() == float("inf")
    duo.echo()


def test_100_000_forged_datagrams() -> None:
    attack(100_000, seed=1)


@pytest.mark.slow
def test_1_000_000_forged_datagrams() -> None:
    attack(1_000_000, seed=2)
