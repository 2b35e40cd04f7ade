"""A pair against a reference model: whatever the path does, what is delivered is what was sent.

The numbers are those of docs on invariants: 35 exactly once and in order, 36 partial reliability at most once,
37 windows, 38 and 40 bounds of cwnd and RTO, 39 SACKs well formed and monotone, 41 every TSN assigned once,
42 a_rwnd within its cap, 44 packet size, 46 across the wrap of all numbers, 47 shutdown delivers or reports.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.sctp.simulation import Simulation, random_fate
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.sctp import (
    Configuration,
    IncomingStreamsReset,
    MessageAbandoned,
    OutgoingMessage,
    OutgoingStreamsReset,
    State,
)
from xp2p_trio.sctp.wire import ChunkType, decode_data, decode_packet, decode_sack

MASK = 0xFFFFFFFF
PACKET_SIZE = 1191
WINDOW = 64 * 1024

ends = st.integers(0, 1)
streams = st.integers(0, 3)


class WireSpy:
    """What one end has put on the wire."""

    def __init__(self) -> None:
        self.payloads: dict[int, tuple[int, int, int, bytes]] = {}
        self.highest: int | None = None
        self.acknowledged: int | None = None

    def look(self, packets: list[bytes]) -> None:
        for packet in packets:
            assert len(packet) <= PACKET_SIZE
            seen_data = False
            for chunk in decode_packet(packet).chunks:
                if chunk.type == ChunkType.DATA:
                    seen_data = True
                    data = decode_data(chunk.flags, chunk.value)
                    identity = (data.stream_id, data.ssn, data.flags & 7, data.payload)
                    assert self.payloads.setdefault(data.tsn, identity) == identity
                    if self.highest is None or (data.tsn - self.highest) & MASK < 2**31:
                        # TSNs follow each other; the end of an abandoned message may take one that is never sent.
                        assert self.highest is None or (data.tsn - self.highest) & MASK < 200
                        self.highest = data.tsn
                    continue
                assert not seen_data, "control chunks come first (RFC 9260 section 6.10)"
                if chunk.type == ChunkType.SACK:
                    sack = decode_sack(chunk.value)
                    if self.acknowledged is not None:
                        assert (sack.cumulative_tsn_ack - self.acknowledged) & MASK < 2**31
                    self.acknowledged = sack.cumulative_tsn_ack
                    assert sack.a_rwnd <= WINDOW
                    assert len(sack.duplicate_tsns) <= 20
                    previous = 1
                    for start, end in sack.gap_ack_blocks:
                        assert previous < start <= end
                        previous = end + 1


class PairMachine(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 1000),
        loss=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
        reordering=st.sampled_from([0.0, 0.3]),
        duplication=st.sampled_from([0.0, 0.2]),
        corruption=st.sampled_from([0.0, 0.05]),
    )
    def set_up(self, seed: int, loss: float, reordering: float, duplication: float, corruption: float) -> None:
        configuration = Configuration(zero_checksum=not corruption, receive_window=WINDOW, max_retransmissions=100)
        self.simulation = Simulation(
            configuration=configuration,
            seed=seed,
            max_message_size=40_000,
            fate=random_fate(seed, loss=loss, reordering=reordering, duplication=duplication, corruption=corruption),
        )
        self.spies = (WireSpy(), WireSpy())
        self.sent: tuple[list[OutgoingMessage], list[OutgoingMessage]] = ([], [])
        self.resets: list[list[int]] = [[], []]
        self.number = 0
        self.simulation.connect()

    @rule(
        end=ends,
        stream=streams,
        size=st.one_of(st.integers(8, 100), st.integers(8, 5000), st.sampled_from([1160, 1161, 20_000, 40_000])),
        count=st.integers(1, 8),
        ordered=st.booleans(),
        policy=st.sampled_from([(None, None), (None, None), (0, None), (2, None), (None, 0.05), (None, 0.5)]),
    )
    def send(
        self, end: int, stream: int, size: int, count: int, ordered: bool, policy: tuple[int | None, float | None]
    ) -> None:
        messages = []
        for _ in range(count):
            self.number += 1
            data = self.number.to_bytes(8, "big") + bytes([self.number & 0xFF]) * (size - 8)
            messages.append(OutgoingMessage(stream, 53, data, ordered, *policy))
        self.sent[end].extend(messages)
        self.simulation.send(end, *messages)

    @rule(steps=st.integers(1, 60))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            if not self.simulation.step(self.simulation.now + 5):
                break

    @rule(seconds=st.sampled_from([0.001, 0.3, 5.0, 120.0]))
    def jump(self, seconds: float) -> None:
        self.simulation.pump()
        self.simulation.now += seconds

    @rule(end=ends)
    def toggle_reading(self, end: int) -> None:
        self.simulation.reads[end] = not self.simulation.reads[end]

    @precondition(lambda self: len(self.resets[0]) + len(self.resets[1]) < 10)
    @rule(end=ends, stream=streams)
    def reset(self, end: int, stream: int) -> None:
        done = sum(
            event.stream_ids.count(stream)
            for event in self.simulation.events[end]
            if isinstance(event, OutgoingStreamsReset)
        )
        if self.resets[end].count(stream) == done:
            self.resets[end].append(stream)
            self.simulation.ends[end].reset_streams([stream], self.simulation.now)

    @invariant()
    def windows_and_bounds_hold(self) -> None:
        for number, end in enumerate(self.simulation.ends):
            self.spies[number].look(self.simulation.sent[number])
            self.simulation.sent[number].clear()
            statistics = end.statistics
            # Since the last look the window may have been halved, and filled before that.
            assert statistics.flight_size <= 2 * max(statistics.cwnd, 1176) + 10 * 1176 + PACKET_SIZE
            assert statistics.cwnd >= 1176
            assert 0.4 <= statistics.rto <= 10.0
            assert statistics.received_size <= WINDOW * 1.25 + 1176
            assert statistics.a_rwnd == max(WINDOW - statistics.received_size, 0)
            assert end.unacknowledged_size == sum(end.unacknowledged_size_of(stream) for stream in range(4))
            assert end.unacknowledged_size >= sum(end.buffered_size(stream) for stream in range(4))

    @invariant()
    def what_arrives_was_sent(self) -> None:
        for number in (0, 1):
            sent = {message.data: message for message in self.sent[number]}
            received = self.simulation.received[1 - number]
            assert len({message.data for message in received}) == len(received), "at most once"
            last = dict.fromkeys(range(4), 0)
            for message in received:
                original = sent[message.data]
                assert original.stream_id == message.stream_id
                if original.ordered:
                    position = int.from_bytes(message.data[:8], "big")
                    assert position > last[message.stream_id], "in order"
                    last[message.stream_id] = position

    def teardown(self) -> None:
        if not hasattr(self, "simulation"):
            return
        simulation = self.simulation
        simulation.fate = random_fate(0)
        simulation.reads[:] = [True, True]
        simulation.pump()
        simulation.run(until=lambda: simulation.is_flushed and self.resets_are_done(), seconds=2000)
        simulation.run(seconds=15)
        self.windows_and_bounds_hold()
        self.what_arrives_was_sent()
        for number in (0, 1):
            got = {message.data for message in simulation.received[1 - number]}
            missing = [message for message in self.sent[number] if message.data not in got]
            assert all(message.max_retransmits is not None or message.lifetime is not None for message in missing)
            abandoned = sum(isinstance(event, MessageAbandoned) for event in simulation.events[number])
            assert abandoned >= len(missing)
            assert simulation.ends[number].statistics.received_size == 0
            assert simulation.ends[number].statistics.flight_size == 0
        simulation.ends[0].shutdown(simulation.now)
        simulation.run(seconds=100)
        for end, events in zip(simulation.ends, simulation.events, strict=True):
            assert end.state == State.CLOSED
            assert isinstance(events[-1], Closed)
            assert sum(isinstance(event, Closed | Failed) for event in events) == 1

    def resets_are_done(self) -> bool:
        for number in (0, 1):
            done = [
                stream
                for event in self.simulation.events[number]
                if isinstance(event, OutgoingStreamsReset)
                for stream in event.stream_ids
            ]
            seen = [
                stream
                for event in self.simulation.events[1 - number]
                if isinstance(event, IncomingStreamsReset)
                for stream in event.stream_ids
            ]
            if sorted(done) != sorted(self.resets[number]) or sorted(seen) != sorted(self.resets[number]):
                return False
        return True


TestPair = PairMachine.TestCase
