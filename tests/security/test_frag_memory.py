"""Memory follows the bytes that arrived, up to a cap; lengths that are only announced cost nothing."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from tests.dtls.duo import Duo
from tests.dtls.forgery import record
from xp2p_trio import dtls
from xp2p_trio.dtls.reassembly import (
    MAX_BUFFERED_SIZE,
    MAX_CERTIFICATE_SIZE,
    MAX_MESSAGE_SIZE,
    MAX_MESSAGES_AHEAD,
    Disposition,
    Reassembler,
)


def hostile(count: int, seed: int = 3) -> list[dtls.Fragment]:
    generator = random.Random(seed)
    fragments = []
    for _ in range(count):
        length = generator.choice((10, 1000, MAX_MESSAGE_SIZE, MAX_CERTIFICATE_SIZE, 0xFFFFFF))
        offset = generator.randrange(length)
        body = bytes(min(generator.choice((1, 1, 100, 1400)), length - offset))
        kind = generator.choice((1, 2, 11, 12, 255))
        fragments.append(dtls.Fragment(kind, length, generator.choice((1, 2, 7, 8, 65535)), offset, body))
    return fragments


def test_100_000_hostile_fragments() -> None:
    reassembler = Reassembler()
    fragments = hostile(5000)
    tracemalloc.start()
    try:
        for _ in range(20):
            for fragment in fragments:
                reassembler.add(fragment)
                assert reassembler.take_message() is None
        assert tracemalloc.get_traced_memory()[1] < 192 * 1024
    finally:
        tracemalloc.stop()


def test_limits() -> None:
    def fragment(kind: int = 1, length: int = 10, message_seq: int = 1, size: int = 1) -> Disposition:
        return Reassembler().add(dtls.Fragment(kind, length, message_seq, 0, bytes(size)))

    assert fragment(message_seq=MAX_MESSAGES_AHEAD - 1) is Disposition.KEPT
    assert fragment(message_seq=MAX_MESSAGES_AHEAD) is Disposition.REFUSED
    assert fragment(length=MAX_MESSAGE_SIZE) is Disposition.KEPT
    assert fragment(length=MAX_MESSAGE_SIZE + 1) is Disposition.REFUSED
    assert fragment(kind=11, length=MAX_CERTIFICATE_SIZE) is Disposition.KEPT
    assert fragment(kind=11, length=MAX_CERTIFICATE_SIZE + 1) is Disposition.REFUSED


def test_full_of_what_never_becomes_whole() -> None:
    """Who fills the room does not keep it: what comes next takes its place."""
    reassembler = Reassembler()
    for message_seq in range(MAX_MESSAGES_AHEAD):
        for offset in range(0, 12_000, 1000):
            reassembler.add(dtls.Fragment(1, MAX_MESSAGE_SIZE, message_seq, offset, bytes(1000)))
    first = reassembler.add(dtls.Fragment(1, 2000, 0, 0, bytes(1000)))
    second = reassembler.add(dtls.Fragment(1, 2000, 0, 1000, bytes(1000)))
    assert Disposition.REFUSED not in (first, second)
    assert reassembler.take_message() == dtls.Message(1, 0, bytes(2000))


def test_messages_that_were_passed_by_give_their_room_back() -> None:
    reassembler = Reassembler()
    for message_seq in range(4):
        reassembler.add(dtls.Fragment(1, 16000, message_seq, 0, bytes(15000)))
    assert reassembler.add(dtls.Fragment(1, 10, 4, 0, bytes(10))) is Disposition.KEPT
    assert reassembler.take_first_message((1,)) == dtls.Message(1, 4, bytes(10))
    for message_seq in range(5, 9):
        assert reassembler.add(dtls.Fragment(1, 16000, message_seq, 0, bytes(15000))) is Disposition.KEPT


def test_room_is_given_back() -> None:
    reassembler = Reassembler()
    for message_seq in range(200):
        assert reassembler.add(dtls.Fragment(1, 16000, message_seq, 0, bytes(16000))) is Disposition.KEPT
        assert reassembler.take_message() is not None
    assert MAX_BUFFERED_SIZE < 200 * 16000


@pytest.mark.parametrize("first_flight", [False, True])
def test_flood_at_a_connection(first_flight: bool) -> None:
    duo = Duo()
    duo.begin()
    if first_flight:
        duo.server.receive(duo.client.transmit(0.0, 10), 0.0)
    datagrams = [
        record(22, dtls.encode_fragment(dtls.Message(item.handshake_type, item.message_seq, b""), 0, 0)[:1] + tail)
        for item in hostile(2000)
        for tail in [
            item.length.to_bytes(3, "big")
            + item.message_seq.to_bytes(2, "big")
            + item.offset.to_bytes(3, "big")
            + len(item.body).to_bytes(3, "big")
            + item.body
        ]
    ]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            for datagram in datagrams:
                duo.server.receive([datagram], 0.0)
        assert tracemalloc.get_traced_memory()[1] - before < 256 * 1024
    finally:
        tracemalloc.stop()
    assert duo.server.statistics.fragments_refused > 1000
