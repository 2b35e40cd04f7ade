"""sctp_reassembly_cap: what waits to become whole is bounded, whatever its pieces are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable

import pytest

from tests.sctp.evil import EvilPeer
from xp2p_trio.errors import Reason
from xp2p_trio.sctp import State

WINDOW = 256 * 1024


def tiny_fragments(peer: EvilPeer) -> Iterable[bytes]:
    return (peer.data(n, b"f", flags=2 if n == 0 else 0) for n in range(60_000))


def half_messages(peer: EvilPeer) -> Iterable[bytes]:
    return (peer.data(n, b"h" * 20, stream=n % 1024, flags=2) for n in range(60_000))


def holes(peer: EvilPeer) -> Iterable[bytes]:
    return (peer.data(2 * n + 1, b"o" * 20, ssn=n & 0xFFFF) for n in range(30_000))


def wrong_order(peer: EvilPeer) -> Iterable[bytes]:
    return (peer.data(n, b"w" * 1000, stream=n % 1024, ssn=1 + n // 1024) for n in range(20_000))


def unread(peer: EvilPeer) -> Iterable[bytes]:
    return (peer.data(n, b"u" * 300, ssn=n & 0xFFFF) for n in range(20_000))


@pytest.mark.parametrize("attack", [tiny_fragments, half_messages, holes, wrong_order, unread])
def test_a_flood_ends_at_the_window(attack: Callable[[EvilPeer], Iterable[bytes]]) -> None:
    peer = EvilPeer(receive_window=WINDOW)
    packets = [peer.packet(chunk) for chunk in attack(peer)]
    peer.association.receive(packets[:1], peer.now)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for start in range(0, len(packets), 50):
            peer.association.receive(packets[start : start + 50], peer.now)
            peer.association.transmit(peer.now, 50)
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    statistics = peer.association.statistics
    assert statistics.received_size <= WINDOW * 1.25 + 1176
    assert statistics.refused_chunks
    assert growth < 4 * 1024 * 1024


def test_a_message_above_the_announced_size_ends_the_association() -> None:
    peer = EvilPeer(receive_window=WINDOW)
    limit = WINDOW // 4
    for number in range(limit // 1000 + 1):
        peer.send(peer.data(number, bytes(1000), flags=2 if number == 0 else 0))
    assert peer.association.state == State.CLOSED
    assert peer.events[-1].failure.reason == Reason.PROTOCOL_VIOLATION  # type: ignore[union-attr]


def test_a_gap_closes_even_when_the_window_is_full() -> None:
    peer = EvilPeer(receive_window=WINDOW)
    for number in range(1, 300):
        peer.send(peer.data(number, bytes(1000), ssn=number))
    assert peer.association.statistics.a_rwnd < 1000
    peer.send(peer.data(0, bytes(1000), ssn=0))
    assert len(peer.association.take_received()) > 200
    assert peer.association.statistics.received_size == 0
