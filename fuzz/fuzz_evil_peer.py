"""The whole stack of a victim against a peer that is authentic and evil: good ICE, good DTLS keys, above them anything.

The input is a program. The evil side writes SCTP packets with the right ports, tag and checksum around chunks of its
own making, among them well-formed DATA, SACK, FORWARD TSN and RE-CONFIG, DCEP and user messages, and records that are
no SCTP, while the victim opens, uses, reads and closes channels and time passes.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

from xp2p_trio import peer
from xp2p_trio.datachannel import ChannelParameters, encode_ack, encode_open
from xp2p_trio.datachannel.dcep import ChannelType, Open
from xp2p_trio.errors import LocalError
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.sctp import OutgoingMessage
from xp2p_trio.sctp.wire.checksum import with_checksum
from xp2p_trio.testing import Link, Peers

_PPIDS = (50, 51, 53, 56, 57, 52, 54, 0, 99)
_CHUNK_TYPES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 130, 192, 64, 128, 255)
_PARAMETER_TYPES = (13, 14, 15, 16, 17, 18, 1, 7, 8, 9, 0x8001, 0x8008, 0xC000, 0xFFFF)
_MAX_STEPS = 200
_MAX_ANSWERS = 2000  # datagrams of the victim in a whole run; it has little to say


class _Program:
    """Reads operands; past the end all are zero."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def number(self) -> int:
        return self.byte() << 8 | self.byte()

    def take(self) -> bytes:
        size = self.byte()
        self.at += size
        return self.data[self.at - size : self.at]


class _Evil:
    """Bob after the takeover: his path and keys, and an SCTP of nobody's."""

    def __init__(self, peers: Peers) -> None:
        self.bob = peers.bob
        association, dtls = peers.bob.association, peers.bob.dtls_connection
        assert association is not None
        assert dtls is not None
        self.dtls = dtls
        association.send([OutgoingMessage(1000, 53, b"probe", ordered=False)], peers.now)
        (probe,) = association.transmit(peers.now, 1)
        self.header = probe[:8] + bytes(4)
        at = 12
        while probe[at] != 0:  # our own honest packet: a SACK may stand before the DATA
            at += struct.unpack_from("!H", probe, at + 2)[0] + 3 & ~3
        self.tsn = struct.unpack_from("!I", probe, at + 4)[0]
        self.seen_tsn = 0
        self.ssns: dict[int, int] = {}
        self.reconfig_number = self.tsn

    def hear(self, packets: list[bytes]) -> None:
        """Remember the newest TSN of the victim."""
        for packet in packets:
            at = 12
            while at + 16 <= len(packet):
                kind, _, length = struct.unpack_from("!BBH", packet, at)
                if kind == 0:
                    self.seen_tsn = struct.unpack_from("!I", packet, at + 4)[0]
                at += max(length + 3 & ~3, 4)

    def packet(self, *chunks: bytes) -> bytes:
        return with_checksum(self.header + b"".join(chunks))

    def data(self, flags: int, stream_id: int, ppid: int, payload: bytes, *, skip: int = 0) -> bytes:
        tsn = self.tsn + skip & 0xFFFFFFFF
        self.tsn = tsn + 1 & 0xFFFFFFFF
        ssn = self.ssns.get(stream_id, 0)
        if flags & 1:
            self.ssns[stream_id] = ssn + 1 & 0xFFFF
        return _chunk(0, flags, struct.pack("!IHHI", tsn, stream_id, ssn, ppid) + payload)


def _chunk(kind: int, flags: int, value: bytes) -> bytes:
    return struct.pack("!BBH", kind, flags, len(value) + 4) + value + bytes(-len(value) % 4)


def test_one_input(data: bytes) -> None:
    program = _Program(data)
    peers = Peers(seed=program.byte(), link=Link(delay=0.001))
    victim = peers.alice
    channels = [
        victim.create_data_channel(ChannelParameters("victim's"), peers.now),
        victim.create_data_channel(ChannelParameters("both", negotiated_id=1, ordered=False), peers.now),
    ]
    peers.connect()
    evil = _Evil(peers)
    now = peers.now
    over: Closed | Failed | None = None
    answers = 0
    for _ in range(_MAX_STEPS):
        if program.at >= len(program.data):
            break
        now = _step(program, evil, victim, channels, now)
        with contextlib.suppress(LocalError):
            evil.bob.agent.send(evil.dtls.transmit(now, 1000), now)
        for burst in evil.bob.agent.transmit(now, 1000):
            victim.receive(burst.reversed(), now)
        while bursts := victim.transmit(now, 50):
            answers += sum(len(burst.datagrams) for burst in bursts)
            for burst in bursts:
                evil.bob.agent.receive(burst.reversed(), now)
            assert answers <= _MAX_ANSWERS, "the victim does not fall silent"
        evil.bob.agent.take_events()
        evil.dtls.receive(evil.bob.agent.take_received(), now)
        evil.dtls.take_events()
        evil.hear(evil.dtls.take_received())
        for event in victim.take_events():
            assert over is None, f"{event} after {over}"
            over = event if isinstance(event, Closed | Failed) else None
        _check(victim, over, now)


def _check(victim: peer.Connection, over: Closed | Failed | None, now: float) -> None:
    assert victim.is_over == (over is not None)
    assert victim.next_timeout() > now, "due again after everything was said"
    statistics = victim.statistics
    assert statistics.sctp is not None
    assert statistics.sctp.received_size <= 1.25 * victim.configuration.sctp.receive_window
    channels = statistics.channels
    open_channels = channels.channels_opened + channels.channels_arrived - channels.channels_closed
    assert open_channels <= victim.configuration.channels.max_open_channels


def _step(program: _Program, evil: _Evil, victim: peer.Connection, channels: list[int], now: float) -> float:
    opcode = program.byte()
    if opcode >= 192:
        return _pass_time(program, victim, now)
    if opcode >= 128:
        with contextlib.suppress(LocalError):
            _VICTIM_COMMANDS[opcode % len(_VICTIM_COMMANDS)](program, victim, channels, now)
        return now
    record = _EVIL_WORDS[opcode % len(_EVIL_WORDS)](program, evil)
    with contextlib.suppress(LocalError):
        evil.dtls.send([record], now)
    return now


def _pass_time(program: _Program, victim: peer.Connection, now: float) -> float:
    """Evil answers consent checks at every step, so that the path lives; a quarter of a second at a time, or a jump."""
    choice = program.byte()
    due = victim.next_timeout()
    now = min(due, now + 20.0) if choice & 1 else now + (choice >> 1) * 0.02
    victim.handle_timeout(now)
    return now


# What the evil side says: one SCTP packet, or what is none.


def _noise(program: _Program, evil: _Evil) -> bytes:
    return program.take()


def _any_chunks(program: _Program, evil: _Evil) -> bytes:
    return evil.packet(program.take())


def _typed_chunk(program: _Program, evil: _Evil) -> bytes:
    kind = _CHUNK_TYPES[program.byte() % len(_CHUNK_TYPES)]
    return evil.packet(_chunk(kind, program.byte(), program.take()))


def _user_message(program: _Program, evil: _Evil) -> bytes:
    ppid, stream_id = _PPIDS[program.byte() % len(_PPIDS)], program.byte() % 8
    return evil.packet(evil.data(3 | program.byte() & 4, stream_id, ppid, program.take() or b"x"))


def _fragment(program: _Program, evil: _Evil) -> bytes:
    ppid, stream_id, flags, skip = 53, program.byte() % 8, program.byte() & 7, program.byte() % 4
    return evil.packet(evil.data(flags, stream_id, ppid, program.take(), skip=skip))


def _open(program: _Program, evil: _Evil) -> bytes:
    kinds = list(ChannelType)
    message = Open(
        kinds[program.byte() % len(kinds)], program.number(), program.number(), program.take().hex()[:40], ""
    )
    return evil.packet(evil.data(3, program.byte() % 16, 50, encode_open(message)))


def _many_opens(program: _Program, evil: _Evil) -> bytes:
    first, opened = program.number(), encode_open(Open(ChannelType.RELIABLE, 0, 0, "", ""))
    return evil.packet(*[evil.data(3, first + 2 * number & 0xFFFF, 50, opened) for number in range(40)])


def _ack(program: _Program, evil: _Evil) -> bytes:
    return evil.packet(evil.data(3, program.byte() % 8, 50, encode_ack()))


def _any_dcep(program: _Program, evil: _Evil) -> bytes:
    return evil.packet(evil.data(3, program.byte() % 8, 50, program.take() or b"\x03"))


def _sack(program: _Program, evil: _Evil) -> bytes:
    cumulative = evil.seen_tsn + program.byte() - 128 & 0xFFFFFFFF
    window = program.number() << (program.byte() & 15)
    gaps, duplicates = program.byte() % 8, program.byte() % 8
    numbers = [program.number() for _ in range(2 * gaps + 2 * duplicates)]
    value = struct.pack("!IIHH", cumulative, window & 0xFFFFFFFF, gaps, duplicates)
    return evil.packet(_chunk(3, 0, value + struct.pack(f"!{len(numbers)}H", *numbers)))


def _honest_sack(program: _Program, evil: _Evil) -> bytes:
    return evil.packet(_chunk(3, 0, struct.pack("!IIHH", evil.seen_tsn, 1 << 20, 0, 0)))


def _forward_tsn(program: _Program, evil: _Evil) -> bytes:
    skip = program.byte()
    streams = [(program.number(), program.number()) for _ in range(program.byte() % 6)]
    value = struct.pack("!I", evil.tsn + skip - 1 & 0xFFFFFFFF)
    evil.tsn = evil.tsn + skip & 0xFFFFFFFF
    return evil.packet(_chunk(192, 0, value + b"".join(struct.pack("!HH", *stream) for stream in streams)))


def _reconfig(program: _Program, evil: _Evil) -> bytes:
    parameters = b""
    for _ in range(1 + program.byte() % 2):
        kind = _PARAMETER_TYPES[program.byte() % len(_PARAMETER_TYPES)]
        number = evil.reconfig_number + program.byte() % 3 & 0xFFFFFFFF
        evil.reconfig_number = evil.reconfig_number + 1 & 0xFFFFFFFF
        value = struct.pack("!III", number, program.byte(), evil.tsn - 1 & 0xFFFFFFFF) + program.take()
        parameters += struct.pack("!HH", kind, len(value) + 4) + value + bytes(-len(value) % 4)
    return evil.packet(_chunk(130, 0, parameters))


_EVIL_WORDS: tuple[Callable[[_Program, _Evil], bytes], ...] = (
    _noise, _any_chunks, _typed_chunk, _user_message, _fragment, _open, _many_opens, _ack, _any_dcep, _sack,
    _honest_sack, _forward_tsn, _reconfig,
)  # fmt: skip


# What the victim does meanwhile.


def _victim_opens(program: _Program, victim: peer.Connection, channels: list[int], now: float) -> None:
    limits = ({}, {"max_retransmits": 0}, {"max_packet_life_time": 0.1})[program.byte() % 3]
    channels.append(
        victim.create_data_channel(ChannelParameters("more", ordered=bool(program.byte() & 1), **limits), now)
    )


def _victim_sends(program: _Program, victim: peer.Connection, channels: list[int], now: float) -> None:
    channel_id = channels[program.byte() % len(channels)]
    victim.send([(channel_id, bytes(program.number() % 5000)), (channel_id, "")], now)


def _victim_closes_channel(program: _Program, victim: peer.Connection, channels: list[int], now: float) -> None:
    victim.close_channel(channels[program.byte() % len(channels)], now)


def _victim_reads(program: _Program, victim: peer.Connection, channels: list[int], now: float) -> None:
    for channel_id, message in victim.take_received():
        assert isinstance(message, str | bytes)
        if channel_id not in channels:
            channels.append(channel_id)


def _victim_closes(program: _Program, victim: peer.Connection, channels: list[int], now: float) -> None:
    if program.byte() & 1:
        victim.close(now)


_VICTIM_COMMANDS: tuple[Callable[[_Program, peer.Connection, list[int], float], None], ...] = (
    _victim_opens, _victim_sends, _victim_closes_channel, _victim_reads, _victim_closes,
)  # fmt: skip


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
