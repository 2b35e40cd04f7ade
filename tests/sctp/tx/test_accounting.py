"""What is in flight, lost and unacknowledged, against a recount of the records, whatever the peer answers."""

from __future__ import annotations

import random

import pytest

from xp2p_trio.sctp import OutgoingMessage
from xp2p_trio.sctp.tx import Outbound, RetransmissionTimeout, SendQueue, StandardCongestionControl
from xp2p_trio.sctp.tx.outstanding_data import Fate
from xp2p_trio.sctp.wire import (
    ChunkType,
    GapAckBlock,
    PacketBuilder,
    decode_data,
    decode_forward_tsn,
    decode_packet,
    encode_common_header,
)

MASK = 0xFFFFFFFF
INITIAL = MASK - 20
STREAMS = 4


class Peer:
    """Loses, takes back, answers late and out of order, and shuts its window."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.cumulative = (INITIAL - 1) & MASK
        self.held: set[int] = set()

    def take(self, packet: bytes, loss: float) -> None:
        for chunk in decode_packet(packet).chunks:
            if self.source.random() < loss:
                continue
            if chunk.type == ChunkType.DATA:
                tsn = decode_data(chunk.flags, chunk.value).tsn
                if 0 < (tsn - self.cumulative) & MASK < 0x80000000:
                    self.held.add(tsn)
            elif chunk.type == ChunkType.FORWARD_TSN:
                self.skip_to(decode_forward_tsn(chunk.value).new_cumulative_tsn)
        while (self.cumulative + 1) & MASK in self.held:
            self.skip_to((self.cumulative + 1) & MASK)

    def skip_to(self, tsn: int) -> None:
        if 0 < (tsn - self.cumulative) & MASK < 0x80000000:
            self.cumulative = tsn
            self.held = {each for each in self.held if (each - tsn) & MASK < 0x80000000 and each != tsn}

    def sack(self) -> tuple[int, int, tuple[GapAckBlock, ...]]:
        if self.held and self.source.random() < 0.03:
            self.held.discard(self.source.choice(sorted(self.held)))
        blocks: list[GapAckBlock] = []
        for offset in sorted((tsn - self.cumulative) & MASK for tsn in self.held):
            if blocks and blocks[-1][1] == offset - 1:
                blocks[-1] = (blocks[-1][0], offset)
            else:
                blocks.append((offset, offset))
        return self.cumulative, self.source.choice([200_000] * 6 + [0, 1, 700, 3000]), tuple(blocks)


def recount(outbound: Outbound) -> None:
    outstanding = outbound.outstanding
    chunks = outstanding.chunks
    expected = [(outstanding.cumulative_tsn_ack + 1 + number) & MASK for number in range(len(chunks))]
    assert list(chunks) == expected
    assert outbound.next_tsn == (outstanding.cumulative_tsn_ack + 1 + len(chunks)) & MASK
    assert outstanding.flight_size == sum(chunk.size for chunk in chunks.values() if chunk.fate == Fate.IN_FLIGHT)
    assert set(outstanding.lost) == {tsn for tsn, chunk in chunks.items() if chunk.fate == Fate.LOST}
    assert outbound.t3.is_running or not outstanding.flight_size
    assert outbound.peer_rwnd >= 0
    streams = [stream for stream in map(outbound.queue.stream, range(STREAMS)) if stream is not None]
    for stream in streams:
        assert stream.buffered_size == sum(message.size - message.offset for message in stream.queue)
        assert stream.unacknowledged_size >= stream.buffered_size
    assert outbound.queue.unacknowledged_size == sum(stream.unacknowledged_size for stream in streams)
    waiting = {id(message) for stream in streams for message in (*stream.queue, *stream.held)}
    waiting |= {id(chunk.message) for chunk in chunks.values() if chunk.fate != Fate.ABANDONED}
    assert outbound.queue.unacknowledged_count == len(waiting)


@pytest.mark.parametrize("seed", range(4))
def test_sums_are_those_of_the_records(seed: int) -> None:
    source = random.Random(seed)
    rto = RetransmissionTimeout(initial=0.05, minimum=0.05, maximum=1.0)
    congestion = StandardCongestionControl(pmdcs=1176, initial_packets=10, peer_window=200_000)
    outbound = Outbound(
        queue=SendQueue(),
        initial_tsn=INITIAL,
        peer_rwnd=200_000,
        congestion=congestion,
        rto=rto,
        partial_reliability=True,
    )
    peer = Peer(source)
    waiting: list[tuple[int, int, tuple[GapAckBlock, ...]]] = []
    header = encode_common_header(5000, 5000, 1)
    now = 1.0

    def transmit(limit: int, loss: float) -> None:
        builder = PacketBuilder(header, 1191, limit)
        outbound.fill(builder, now)
        builder.flush()
        assert len(builder.packets) <= limit
        for packet in builder.packets:
            peer.take(packet, loss)

    for _ in range(4000):
        choice = source.randrange(8)
        if choice == 0 and outbound.queue.unacknowledged_size < 100_000:
            message = OutgoingMessage(
                source.randrange(STREAMS),
                53,
                bytes(source.choice([1, 10, 1160, 1161, 9000])),
                ordered=source.random() < 0.5,
                max_retransmits=source.choice([None, None, 0, 2]),
                lifetime=source.choice([None, None, 0.01, 0.3]),
            )
            outbound.queue.add([message] * source.randrange(1, 6), now)
        elif choice in {1, 2}:
            transmit(source.choice([1, 2, 50]), 0.15)
        elif choice in {3, 4, 5}:
            waiting.append(peer.sack())
            if source.random() < 0.8:
                assert outbound.receive_sack(*waiting.pop(source.randrange(len(waiting))), now)
        else:
            now += source.choice([0.0, 0.001, 0.02, 0.1])
            outbound.expire_messages(now)
            if outbound.t3.expire(now):
                outbound.handle_t3(now)
        recount(outbound)
    assert outbound.timeouts > 10
    assert outbound.fast_retransmits > 3
    assert len(outbound.abandoned) > 10
    for _ in range(2000):
        transmit(50, 0.0)
        assert outbound.receive_sack(peer.cumulative, 200_000, (), now)
        now += 0.05
        outbound.expire_messages(now)
        if outbound.t3.expire(now):
            outbound.handle_t3(now)
    recount(outbound)
    assert outbound.is_all_acknowledged
    assert outbound.queue.unacknowledged_size == 0
