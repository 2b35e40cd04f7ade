"""Randoms come from the injected source, all of them."""

from __future__ import annotations

import collections
import random

from tests.dtls.duo import CLIENT_CERTIFICATE, SERVER_CERTIFICATE, seeded
from xp2p_trio import dtls

COUNT = 10_000


def test_every_client_hello_is_another() -> None:
    source = random.Random(5)
    drawn: list[bytes] = []

    def counting(size: int) -> bytes:
        drawn.append(source.randbytes(size))
        return drawn[-1]

    randoms = set()
    histogram: collections.Counter[int] = collections.Counter()
    for _ in range(COUNT):
        client = dtls.Connection(
            dtls.Configuration(),
            role=dtls.Role.CLIENT,
            certificate=CLIENT_CERTIFICATE,
            remote_fingerprints=[SERVER_CERTIFICATE.fingerprint()],
            random_bytes=counting,
        )
        client.connect(0.0)
        [datagram] = client.transmit(0.0, 1)
        value = datagram[27:59]  # after both headers and the version
        assert value == drawn[-1]
        randoms.add(value)
        histogram.update(value)
    assert len(randoms) == len(drawn) == COUNT
    expected = COUNT * 32 / 256
    chi_square = sum((histogram[byte] - expected) ** 2 / expected for byte in range(256))
    assert 160 < chi_square < 360  # 255 degrees of freedom: mean 255, deviation 22.6


def test_both_sides_draw_their_randoms_and_keys() -> None:
    sizes: dict[dtls.Role, list[int]] = {role: [] for role in dtls.Role}
    ends = {}
    for role, certificate, remote in (
        (dtls.Role.CLIENT, CLIENT_CERTIFICATE, SERVER_CERTIFICATE),
        (dtls.Role.SERVER, SERVER_CERTIFICATE, CLIENT_CERTIFICATE),
    ):
        source = seeded(role)

        def counting(size: int, role: dtls.Role = role, source: dtls.connection.RandomBytes = source) -> bytes:
            sizes[role].append(size)
            return source(size)

        ends[role] = dtls.Connection(
            dtls.Configuration(),
            role=role,
            certificate=certificate,
            remote_fingerprints=[remote.fingerprint()],
            random_bytes=counting,
        )
        ends[role].connect(0.0)
    for _ in range(3):
        for sender, receiver in ((dtls.Role.CLIENT, dtls.Role.SERVER), (dtls.Role.SERVER, dtls.Role.CLIENT)):
            ends[receiver].receive(ends[sender].transmit(0.0, 10), 0.0)
    assert ends[dtls.Role.CLIENT].state is dtls.State.CONNECTED
    assert sizes == {dtls.Role.CLIENT: [32, 32], dtls.Role.SERVER: [32, 32, 32]}
