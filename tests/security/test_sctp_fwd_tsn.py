"""sctp_fwd_tsn: FORWARD TSN frees and never allocates, only moves within reach, and only where it was negotiated."""

from __future__ import annotations

import gc
import time
import tracemalloc

import attrs
import pytest

from tests.sctp.evil import OUR_TSN, EvilPeer
from xp2p_trio.sctp import Message, State
from xp2p_trio.sctp.wire import ChunkType, ForwardTsn, decode_sack, encode_forward_tsn

MASK = 0xFFFFFFFF


def forward(number: int, *skipped: tuple[int, int]) -> bytes:
    return encode_forward_tsn(ForwardTsn((OUR_TSN + number) & MASK, skipped))


def test_a_flood_holds_nothing() -> None:
    peer = EvilPeer()
    packets = [peer.packet(forward(n, *((s, n & 0xFFFF) for s in range(20)))) for n in range(2000)]
    peer.association.receive(packets[:10], peer.now)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            peer.association.receive(packets, peer.now)
        gc.collect()  # what was discarded with its traceback waits for the collector, longer in some versions
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert growth < 64 * 1024
    assert len(peer.pull()) <= 2


@pytest.mark.parametrize("number", [0x10000, 2**31 - 2])
def test_too_far_ahead_is_dropped(number: int) -> None:
    peer = EvilPeer()
    peer.send(forward(number))
    assert peer.association.statistics.dropped_unexpected == 1
    (answer,) = peer.send(peer.data(0), peer.data(1))
    assert peer.association.take_received()
    sack = decode_sack(answer.chunks[0].value)
    assert (sack.cumulative_tsn_ack, sack.gap_ack_blocks) == ((OUR_TSN + 1) & MASK, ())


def test_one_behind_is_answered_and_changes_nothing() -> None:
    peer = EvilPeer()
    peer.send(peer.data(0), peer.data(1, ssn=1))
    (answer,) = peer.send(forward(0))
    assert decode_sack(answer.chunks[0].value).cumulative_tsn_ack == (OUR_TSN + 1) & MASK


def test_not_negotiated_is_not_understood() -> None:
    init = attrs.evolve(EvilPeer(State.CLOSED).init, forward_tsn_supported=False, supported_extensions=frozenset())
    peer = EvilPeer(init=init)
    peer.send(forward(5))
    assert peer.association.statistics.dropped_unexpected == 1


def test_parts_of_what_is_given_up_are_freed_and_what_waited_is_delivered() -> None:
    peer = EvilPeer()
    peer.send(peer.data(1, b"half", ssn=0, flags=2), peer.data(4, b"later", ssn=2), peer.data(5, b"last", ssn=3))
    assert peer.association.take_received() == []
    peer.send(forward(3, (0, 1)))
    assert peer.association.take_received() == [Message(0, 53, b"later"), Message(0, 53, b"last")]
    assert peer.association.statistics.received_size == 0


def test_one_stream_many_times_costs_little() -> None:
    peer = EvilPeer()
    waiting = [peer.packet(peer.data(n + 1, b"w", ssn=10_000 + n)) for n in range(4000)]
    peer.association.receive(waiting, peer.now)
    started = time.process_time()
    peer.send(forward(0, *((0, n) for n in range(280))))
    assert time.process_time() - started < 0.1
    assert peer.association.take_received() == []
    peer.send(forward(0x1000, (0, 10_000)))
    assert len(peer.association.take_received()) == 4000


def test_unordered_needs_no_stream() -> None:
    peer = EvilPeer()
    peer.send(peer.data(1, b"half", flags=4 | 2))
    peer.send(forward(2))
    peer.send(peer.data(3, b"whole", flags=4 | 3))
    assert peer.association.take_received() == [Message(0, 53, b"whole")]


def test_deferred_reset_and_forward_tsn_do_not_grow() -> None:
    """mediasoup GHSA-rq7g-r9qr-rwpq."""
    from xp2p_trio.sctp.wire import OutgoingResetRequest, encode_reconfig

    peer = EvilPeer()
    request = OutgoingResetRequest(OUR_TSN, 0, (OUR_TSN + 60_000) & MASK, (1,))
    peer.send(encode_reconfig(request))
    for number in range(3000):
        peer.send(forward(number, (1, number)), peer.data(number + 2, b"x", stream=1, ssn=number, flags=4 | 3))
    assert peer.association.statistics.received_size <= 1024 * 1024 * 1.25
    assert ChunkType.SACK in peer.chunk_types(peer.replies)


def test_a_flood_of_small_steps_past_many_waiting_messages_costs_little() -> None:
    peer = EvilPeer(receive_window=1024 * 1024)
    count = 4000
    for first in range(0, count, 40):
        peer.send(*(peer.data(number, ssn=20_000 + number) for number in range(first, first + 40)))
    packet = peer.packet(*(forward(count + step, (0, step)) for step in range(1300)))
    started = time.process_time()
    peer.association.receive([packet], peer.now)
    assert time.process_time() - started < 0.1, "it took 0.2 s when each step sorted all that waits"
    peer.send(forward(count + 1300, (0, 21_000)))
    assert len(peer.association.take_received()) == count
