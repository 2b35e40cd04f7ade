"""stun_short_attr: no field is read before its bytes are there."""

from __future__ import annotations

import pytest

from tests.stun.vectors import RFC5769
from xp2p_trio.errors import DecodeError
from xp2p_trio.stun import MAGIC_COOKIE, decode_message

TYPES = [
    0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E, 0x0020, 0x0024, 0x0025,
    0x7FFF, 0x8002, 0x8022, 0x8023, 0x8028, 0x8029, 0x802A, 0xC057,
]  # fmt: skip


def datagram(kind: int, value: bytes) -> bytes:
    body = kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) & 3)
    return b"\x00\x01" + len(body).to_bytes(2, "big") + MAGIC_COOKIE.to_bytes(4, "big") + bytes(12) + body


@pytest.mark.parametrize("kind", TYPES)
def test_every_length_of_every_attribute(kind: int) -> None:
    decoded = 0
    for size in range(65):
        for fill in (b"\x00", b"\x01", b"\xff"):
            try:
                message = decode_message(datagram(kind, fill * size))
            except DecodeError:
                continue
            decoded += 1
            assert message.attributes[0].type == kind
    assert decoded < 65 * 3 or kind in (0x7FFF, 0xC057)


@pytest.mark.parametrize("name", RFC5769)
def test_every_truncation_with_a_length_that_pretends(name: str) -> None:
    raw = RFC5769[name]
    for size in range(20, len(raw)):
        cut = raw[:2] + (size - 20).to_bytes(2, "big") + raw[4:size]
        try:
            message = decode_message(cut)
        except DecodeError:
            continue
        assert len(message.raw) == size
