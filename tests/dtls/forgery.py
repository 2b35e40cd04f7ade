"""Records that nobody with keys has made."""

from __future__ import annotations

import random
from collections.abc import Iterator

from xp2p_trio.dtls.parameters import ContentType
from xp2p_trio.dtls.record import RECORD_HEADER


def record(
    content_type: int, fragment: bytes, *, epoch: int = 0, sequence_number: int = 0, version: int = 0xFEFD
) -> bytes:
    header = RECORD_HEADER.pack(
        content_type, version, epoch, sequence_number >> 32, sequence_number & 0xFFFFFFFF, len(fragment)
    )
    return header + fragment


def forged_datagrams(count: int, seed: int, genuine: list[bytes]) -> Iterator[bytes]:
    """All lengths up to 64, all types, epochs 0 to 3, and what was on the wire with bits changed; never a replay."""
    generator = random.Random(seed)
    types = [*ContentType, 0, 24, 25, 26, 32, 63, 255]
    for index in range(count):
        kind = index % 4
        if kind < 2:
            yield record(
                generator.choice(types),
                generator.randbytes(generator.randrange(65)),
                epoch=generator.choice((0, 1, 1, 1, 2, 3, 0xFFFF)),
                sequence_number=generator.choice((generator.randrange(100), generator.getrandbits(48), 2**48 - 1)),
                version=generator.choice((0xFEFD, 0xFEFD, 0xFEFD, 0xFEFF, 0xFEFC, 0x0303)),
            )
        elif kind == 2:
            datagram = bytearray(generator.choice(genuine))
            datagram[generator.randrange(len(datagram))] ^= 1 << generator.randrange(8)
            yield bytes(datagram)
        else:
            yield generator.randbytes(generator.randrange(80))
