"""sctp_sack_lies: a SACK can only acknowledge what is outstanding, once."""

from __future__ import annotations

import pytest

from tests.sctp.evil import EvilPeer
from xp2p_trio.errors import Reason
from xp2p_trio.sansio import Failed
from xp2p_trio.sctp import OutgoingMessage, State
from xp2p_trio.sctp.wire import ChunkType, encode_chunk, encode_shutdown


def sending(chunks: int = 8) -> EvilPeer:
    peer = EvilPeer()
    peer.association.send([OutgoingMessage(0, 53, bytes(1160 * chunks))], peer.now)
    peer.pull()
    return peer


def assert_violated(peer: EvilPeer) -> None:
    assert peer.association.state == State.CLOSED
    assert isinstance(peer.events[-1], Failed)
    assert peer.events[-1].failure.reason == Reason.PROTOCOL_VIOLATION
    assert peer.replies[-1].chunks[0].type == ChunkType.ABORT


@pytest.mark.parametrize("count", [9, 100, 2**31 - 1])
def test_optimistic_acknowledgement(count: int) -> None:
    peer = sending()
    peer.send(peer.sack(count))
    assert_violated(peer)


def test_gap_beyond_what_was_sent() -> None:
    peer = sending()
    peer.send(peer.sack(2, ((2, 7),)))
    assert_violated(peer)


def test_shutdown_beyond_what_was_sent() -> None:
    peer = sending()
    peer.send(encode_shutdown((peer.tsn + 8) & 0xFFFFFFFF))
    assert_violated(peer)


@pytest.mark.parametrize("count", [-1, -1000, 4 - 2**31])
def test_old_ones_are_ignored(count: int) -> None:
    peer = sending()
    peer.send(peer.sack(3))
    before = peer.association.statistics
    peer.send(peer.sack(count, ((2, 3),)))
    after = peer.association.statistics
    assert (after.flight_size, after.cwnd, after.peer_rwnd) == (before.flight_size, before.cwnd, before.peer_rwnd)


@pytest.mark.parametrize("blocks", [((3, 2),), ((4, 5), (2, 3)), ((2, 4), (3, 5)), ((0, 2),), ((2, 3), (3, 4))])
def test_blocks_out_of_order_say_nothing(blocks: tuple[tuple[int, int], ...]) -> None:
    peer = sending()
    flight_size = peer.association.statistics.flight_size
    peer.send(peer.sack(0, blocks))
    assert peer.association.statistics.flight_size == flight_size
    assert peer.association.state == State.ESTABLISHED


def test_repeating_or_splitting_gains_no_window() -> None:
    whole, split = sending(10), sending(10)
    whole.send(whole.sack(10))
    for count in range(1, 11):
        for _ in range(5):
            split.send(split.sack(count))
    assert split.association.statistics.cwnd <= whole.association.statistics.cwnd


def test_taking_back_is_survived() -> None:
    peer = sending(8)
    full = peer.association.statistics.flight_size
    peer.send(peer.sack(0, ((3, 8),)))
    assert peer.association.statistics.flight_size < full
    peer.send(peer.sack(0))
    assert peer.association.statistics.flight_size == full
    peer.send(peer.sack(8))
    assert peer.association.statistics.flight_size == 0
    assert peer.association.unacknowledged_size == 0


def test_counts_that_do_not_fit_the_length() -> None:
    peer = sending()
    for value in (bytes(11), bytes(8) + b"\0\x01\0\0", bytes(8) + b"\0\0\xff\xff", bytes(16)):
        peer.send(encode_chunk(ChunkType.SACK, 0, value))
    assert peer.association.statistics.dropped_malformed == 4
