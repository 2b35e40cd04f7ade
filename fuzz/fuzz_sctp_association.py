"""A whole association in each of its eight states against commands, packets, lies and time that the input chooses.

The first byte picks the state. Then each command is a byte; commands that need more take it from the input. Chunks
are built with the right tags and near the right numbers, so that they get past the first checks.
"""

from __future__ import annotations

import math

from xp2p_trio.errors import LocalError
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.sctp import Association, Configuration, Event, OutgoingMessage, State
from xp2p_trio.sctp.wire import (
    ChunkType,
    Data,
    ForwardTsn,
    Init,
    OutgoingResetRequest,
    Response,
    decode_init,
    decode_packet,
    encode_chunk,
    encode_common_header,
    encode_cookie_echo,
    encode_data,
    encode_forward_tsn,
    encode_init,
    encode_reconfig,
    encode_sack,
    encode_shutdown,
    with_checksum,
)

MASK = 0xFFFFFFFF
TAG = 0xAAAAAAAA
TSN = 0xFFFFFFF0
WINDOW = 32 * 1024
CONFIGURATION = Configuration(receive_window=WINDOW, send_buffer_size=128 * 1024)
INIT = Init(
    TAG,
    64 * 1024,
    100,
    100,
    TSN,
    supported_extensions=frozenset({ChunkType.RE_CONFIG, ChunkType.FORWARD_TSN}),
    forward_tsn_supported=True,
    edmid=1,
)
MOST_COMMANDS = 400


class Input:
    """The fuzzer's bytes, taken from the front; zeros after their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken + bytes(size - len(taken))

    def number(self, size: int = 1) -> int:
        """The next bytes as a number."""
        return int.from_bytes(self.take(size), "big")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._data)


class Scene:
    """One association, and what a peer would know of it."""

    def __init__(self, source: Input) -> None:
        self.source = source
        self.now = 10.0
        self.counter = 0
        self.association = Association(CONFIGURATION, max_message_size=8192, random_bytes=self.random_bytes)
        self.tag = 0
        self.tsn = 0
        self.cookie = b""
        self.events: list[Event] = []
        self.drive(State(source.number() % 8))

    def random_bytes(self, size: int) -> bytes:
        """Tags and numbers near the wrap, the same in every run."""
        self.counter += 1
        return (MASK - 8 - self.counter).to_bytes(4, "big") * (size // 4)

    def drive(self, state: State) -> None:
        """Bring the association into a state."""
        if state == State.CLOSED:
            return
        self.association.connect(self.now)
        self.pull()
        if state >= State.COOKIE_ECHOED:
            answer = Init(TAG, 64 * 1024, 100, 100, TSN, INIT.supported_extensions, True, 1, b"cookie")
            self.push(encode_init(answer, ChunkType.INIT_ACK), crc=True)
        if state >= State.ESTABLISHED:
            self.push(encode_chunk(ChunkType.COOKIE_ACK, 0, b""))
        if state in {State.SHUTDOWN_PENDING, State.SHUTDOWN_RECEIVED}:
            self.association.send([OutgoingMessage(0, 51, b"x")], self.now)
        if state in {State.SHUTDOWN_PENDING, State.SHUTDOWN_SENT}:
            self.association.shutdown(self.now)
        elif state >= State.SHUTDOWN_RECEIVED:
            self.push(encode_shutdown((self.tsn - 1) & MASK))

    def push(self, *chunks: bytes, crc: bool = False, tag: int | None = None) -> None:
        """Send a packet to it."""
        packet = encode_common_header(5000, 5000, self.tag if tag is None else tag) + b"".join(chunks)
        self.association.receive([with_checksum(packet) if crc else packet], self.now)
        self.pull()

    def pull(self) -> None:
        """Take what it sends, and learn from it what a peer would."""
        for packet in self.association.transmit(self.now, 1 + self.source.number() % 8):
            assert len(packet) <= CONFIGURATION.max_packet_size
            for chunk in decode_packet(packet).chunks:
                if chunk.type in {ChunkType.INIT, ChunkType.INIT_ACK}:
                    init = decode_init(chunk.value)
                    self.cookie = init.state_cookie or self.cookie
                    if not self.tag or chunk.type == ChunkType.INIT:
                        self.tag, self.tsn = init.initiate_tag, init.initial_tsn
        self.events += self.association.take_events()

    def near(self, number: int) -> int:
        """A number a little beside `number`."""
        return (number + self.source.number() - 64) & MASK

    def chunk(self) -> bytes:
        """A chunk of the peer's."""
        source = self.source
        match source.number() % 14:
            case 0 | 1 | 2:
                flags = source.number() & 15
                payload = bytes(source.number(2) % 1200)
                return encode_data(Data(self.near(TSN), source.number() % 110, source.number() % 8, 53, payload, flags))
            case 3 | 4:
                blocks = [(source.number(), source.number()) for _ in range(source.number() % 5)]
                return encode_sack(self.near(self.tsn), source.number(2), blocks, [])
            case 5:
                skipped = tuple((source.number() % 110, source.number() % 8) for _ in range(source.number() % 4))
                return encode_forward_tsn(ForwardTsn(self.near(TSN), skipped))
            case 6:
                stream_ids = tuple(source.number() % 110 for _ in range(source.number() % 4))
                return encode_reconfig(
                    OutgoingResetRequest(self.near(TSN), self.near(self.tsn), self.near(TSN), stream_ids)
                )
            case 7:
                return encode_reconfig(Response(self.near(self.tsn), source.number() % 9))
            case 8:
                return encode_shutdown(self.near(self.tsn))
            case 9:
                return encode_cookie_echo(self.cookie)
            case 10:
                return encode_init(INIT, ChunkType.INIT)
            case 11:
                return encode_chunk(source.number() % 16, source.number(), source.take(source.number() % 32))
            case 12:
                return encode_chunk(source.number(), source.number(), source.take(source.number() % 64))
            case _:
                return source.take(source.number() % 64)

    def command(self) -> None:
        """One step."""
        source = self.source
        association = self.association
        match source.number() % 12:
            case 0 | 1 | 2 | 3 | 4:
                tag = (self.tag, self.tag, self.tag, 0, TAG)[source.number() % 5]
                self.push(*(self.chunk() for _ in range(1 + source.number() % 4)), crc=True, tag=tag)
            case 5:
                message = OutgoingMessage(
                    source.number() % 110,
                    53,
                    bytes(source.number(2)),
                    ordered=bool(source.number() & 1),
                    max_retransmits=(None, 0, 1)[source.number() % 3],
                    lifetime=(None, 0.0, 0.5)[source.number() % 3],
                )
                association.send([message], self.now)
            case 6:
                before = association.next_timeout()
                if before < math.inf:
                    self.now = max(self.now, before)
                    association.handle_timeout(self.now)
                    events = association.take_events()
                    self.events += events
                    has_output = bool(association.transmit(self.now, 50))
                    assert has_output or events or association.next_timeout() > before or self.is_over
            case 7:
                self.now += source.number(2) / 100
            case 8:
                association.take_received()
            case 9:
                association.reset_streams([source.number() % 110], self.now)
            case 10:
                if source.number() % 8 == 0:
                    association.shutdown(self.now)
            case _:
                self.pull()

    @property
    def is_over(self) -> bool:
        """Whether the terminal event has come."""
        return bool(self.events) and isinstance(self.events[-1], Closed | Failed)

    def check(self) -> None:
        """What holds after every step."""
        association = self.association
        statistics = association.statistics
        assert 0 <= statistics.received_size <= WINDOW * 1.25 + 1176
        assert statistics.flight_size >= 0
        assert statistics.peer_rwnd >= 0
        assert association.unacknowledged_size >= 0
        assert sum(isinstance(event, Closed | Failed) for event in self.events) == int(self.is_over)
        if self.is_over:
            assert association.next_timeout() == math.inf
            assert association.state == State.CLOSED


def test_one_input(data: bytes) -> None:
    source = Input(data)
    scene = Scene(source)
    for _ in range(MOST_COMMANDS):
        if source.is_empty:
            break
        try:
            scene.command()
        except LocalError:
            continue
        scene.check()


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
