"""A peer made by hand: packets at will against one association in any state."""

from __future__ import annotations

from tests.sctp.simulation import near_the_wrap
from xp2p_trio.sctp import Association, Configuration, Event, OutgoingMessage, State
from xp2p_trio.sctp.wire import (
    ChunkType,
    Data,
    Init,
    Packet,
    decode_init,
    decode_packet,
    encode_chunk,
    encode_common_header,
    encode_cookie_echo,
    encode_data,
    encode_init,
    encode_sack,
    encode_shutdown,
    with_checksum,
)

OUR_TAG = 0xAAAAAAAA
OUR_TSN = 0xFFFFFFFB
MASK = 0xFFFFFFFF


class EvilPeer:
    """Drives an association into a state, then sends what it likes."""

    def __init__(self, state: State = State.ESTABLISHED, *, init: Init | None = None, **settings: object) -> None:
        self.now = 50.0
        self.association = Association(
            Configuration(**settings),  # type: ignore[arg-type]
            random_bytes=near_the_wrap(3),
            max_message_size=int(settings.get("receive_window", 65536)) // 4,  # type: ignore[call-overload]
        )
        self.init = init or Init(
            OUR_TAG,
            131072,
            1024,
            1024,
            OUR_TSN,
            supported_extensions=frozenset({ChunkType.RE_CONFIG, ChunkType.FORWARD_TSN}),
            forward_tsn_supported=True,
            edmid=1,
        )
        self.tag = 0
        self.tsn = 0
        self.events: list[Event] = []
        self.replies: list[Packet] = []
        self._drive(state)
        assert self.association.state == state, (self.association.state, self.events)

    def _drive(self, state: State) -> None:
        if state == State.CLOSED:
            return
        self.association.connect(self.now)
        self.pull()
        init = decode_init(self.replies[-1].chunks[0].value)
        self.tag, self.tsn = init.initiate_tag, init.initial_tsn
        if state == State.COOKIE_WAIT:
            return
        init_ack = Init(*(getattr(self.init, name) for name in INIT_FIELDS), state_cookie=b"our cookie")
        self.send(encode_init(init_ack, ChunkType.INIT_ACK), crc=True)
        if state == State.COOKIE_ECHOED:
            return
        self.send(encode_chunk(ChunkType.COOKIE_ACK, 0, b""))
        if state == State.ESTABLISHED:
            return
        if state in {State.SHUTDOWN_PENDING, State.SHUTDOWN_RECEIVED}:
            self.association.send([OutgoingMessage(0, 51, b"unacknowledged")], self.now)
            self.pull()
        if state in {State.SHUTDOWN_PENDING, State.SHUTDOWN_SENT}:
            self.association.shutdown(self.now)
            self.pull()
        else:
            self.send(encode_shutdown((self.tsn - 1) & MASK))

    def packet(self, *chunks: bytes, tag: int | None = None, crc: bool = False) -> bytes:
        packet = encode_common_header(5000, 5000, self.tag if tag is None else tag) + b"".join(chunks)
        return with_checksum(packet) if crc else packet

    def send(self, *chunks: bytes, tag: int | None = None, crc: bool = False) -> list[Packet]:
        """Send one packet and give what comes back at once."""
        return self.send_raw(self.packet(*chunks, tag=tag, crc=crc))

    def send_raw(self, *packets: bytes) -> list[Packet]:
        self.association.receive(packets, self.now)
        return self.pull()

    def pull(self) -> list[Packet]:
        answers = []
        while packets := self.association.transmit(self.now, 50):
            answers.extend(decode_packet(packet) for packet in packets)
        self.replies.extend(answers)
        self.events.extend(self.association.take_events())
        return answers

    def data(self, number: int, payload: bytes = b"x", *, stream: int = 0, ssn: int = 0, flags: int = 3) -> bytes:
        """A DATA chunk; `number` counts TSNs from 0."""
        return encode_data(Data((OUR_TSN + number) & MASK, stream, ssn, 53, payload, flags))

    def sack(self, count: int = 0, blocks: tuple[tuple[int, int], ...] = (), a_rwnd: int = 131072) -> bytes:
        """A SACK for the first `count` chunks of the association's."""
        return encode_sack((self.tsn - 1 + count) & MASK, a_rwnd, blocks, ())

    def cookie_echo_for(self, init: Init) -> tuple[bytes, Init]:
        """The COOKIE ECHO that answers what the association says to `init`, and its INIT ACK."""
        (answer,) = self.send(encode_init(init, ChunkType.INIT), tag=0, crc=True)
        init_ack = decode_init(answer.chunks[0].value)
        assert init_ack.state_cookie is not None
        return encode_cookie_echo(init_ack.state_cookie), init_ack

    def chunk_types(self, answers: list[Packet]) -> list[int]:
        return [chunk.type for packet in answers for chunk in packet.chunks]


INIT_FIELDS = (
    "initiate_tag",
    "a_rwnd",
    "outbound_streams",
    "inbound_streams",
    "initial_tsn",
    "supported_extensions",
    "forward_tsn_supported",
    "edmid",
)
