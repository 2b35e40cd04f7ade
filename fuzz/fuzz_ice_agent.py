"""A live ICE agent under a stream of commands, datagrams and streams of every kind, and jumps of time.

The input is a program. Each step is one byte of opcode and its operands; among them are well-signed checks and answers
of an evil peer that knows the credentials of every restart, so that the fuzzer gets behind the integrity, a TURN server
that works, says anything, or is gone, and a driver that does what it likes with the streams that it is asked for.
"""

from __future__ import annotations

import contextlib
import itertools
import math

import attrs

from xp2p_trio import stun, turn
from xp2p_trio.errors import LocalError
from xp2p_trio.ice import (
    Agent,
    Candidate,
    CandidateType,
    Configuration,
    NameRequested,
    Role,
    State,
    StreamReleased,
    StreamRequested,
    StreamRequestWithdrawn,
    TurnServer,
)
from xp2p_trio.sansio import Address, Burst, Closed, Failed, Transport
from xp2p_trio.testing import turn_server
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration

_LOCALS: tuple[Address, ...] = (("10.0.0.1", 1000), ("10.0.0.2", 1001), ("2001:db8::1", 1002))
_REMOTES: tuple[Address, ...] = (
    ("10.1.0.1", 2000),
    ("10.1.0.2", 2001),
    ("2001:db8::2", 2002),
    ("::ffff:10.1.0.1", 2000),
    ("203.0.113.66", 6666),
    ("not an address", 1),
)
_NAMES = ("3f2a.local", "b.local")
_SERVER: Address = ("192.0.2.7", 3478)
_TRANSPORTS = tuple(Transport)
_FRAGMENT, _PASSWORD = "evil", "evilevilevilevilevilevil"
_KEY = stun.short_term_key(_PASSWORD)
_CREDENTIALS = turn.Credentials("user", "password")
_MAX_PAIRS = 8
_MAX_SENT = 64

Path = tuple[Address, Address, Transport]


class _Program:
    """Reads operands; past the end all are zero."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]


class _Run:
    """The agent, its surroundings, and what holds whatever happens."""

    def __init__(self, program: _Program) -> None:
        self.program = program
        draws = itertools.count(1)

        def random_bytes(size: int) -> bytes:
            return (next(draws) * 0x9E3779B97F4A7C15 % (1 << 8 * size)).to_bytes(size, "big")

        flags = program.byte()
        self.is_lite = flags & 12 == 12
        is_tcp = bool(flags & 2) and not self.is_lite
        self.agent = Agent(
            Configuration(
                nomination="aggressive" if flags & 1 and not is_tcp else "regular",
                tcp=is_tcp,
                lite=self.is_lite,
                max_pairs=_MAX_PAIRS,
            ),
            role=Role(program.byte() & 1),
            random_bytes=random_bytes,
            relay_only=bool(flags & 16) and not self.is_lite,
            hide_hosts=bool(flags & 32) and not self.is_lite,
        )
        configuration = TurnServerConfiguration(relay_hosts=[_SERVER[0]], users={"user": "password"})
        self.server = turn_server.TurnServer(configuration, random_bytes)
        self.is_server_there = True
        self.now = 0.0
        self.sent: list[Burst] = []
        self.identities: list[tuple[str, str]] = []
        self.requested: list[StreamRequested] = []
        self.open: list[Path] = []
        self.names: list[str] = []
        self.answered: dict[tuple[Address, Address], float] = {}
        self.is_over = False

    # What surrounds the agent.

    def flow(self) -> None:
        """Let the server answer what comes to it, and keep the rest for the peer."""
        for _ in range(8):
            bursts = self.agent.transmit(self.now, 50)
            assert sum(len(burst.datagrams) for burst in bursts) <= 50
            assert not bursts or not self.is_over
            self.note_events()
            for burst in bursts:
                if burst.remote != _SERVER:
                    self.note_sent(burst)
                elif self.is_server_there and (burst.transport is Transport.UDP or self.is_open(burst)):
                    self.server.receive(burst.reversed(), self.now)
            for burst in self.server.transmit(self.now, 50):
                if burst.local != _SERVER:
                    self.note_sent(burst)
                elif self.is_server_there and (burst.transport is Transport.UDP or self.is_open(burst.reversed())):
                    self.agent.receive(burst.reversed(), self.now)
            if not bursts:
                break
        self.note_events()

    def is_open(self, burst: Burst) -> bool:
        return (burst.local, burst.remote, burst.transport) in self.open

    def note_sent(self, burst: Burst) -> None:
        """Something left for a peer; data only if that has answered within 30 s."""
        assert not burst.transport.is_stream or self.is_open(burst), "sent into a stream that is not open"
        self.sent = [*self.sent[1 - _MAX_SENT :], burst]
        for datagram in burst.datagrams:
            first = datagram[2] if burst.transport.is_stream else datagram[0]
            if first > 3:
                at = self.answered.get((burst.local, burst.remote), -math.inf)
                assert self.is_lite or self.now <= at + 30, "data without consent"

    def note_events(self) -> None:
        for event in self.agent.take_events():
            assert not self.is_over, "an event after the last one"
            match event:
                case StreamRequested():
                    self.requested.append(event)
                case StreamRequestWithdrawn(number):
                    assert number in [request.number for request in self.requested], "withdrawn, and not asked for"
                    self.requested = [request for request in self.requested if request.number != number]
                case StreamReleased(local, remote, transport):
                    assert (local, remote, transport) in self.open, "released, and not open"
                    self.close_stream((local, remote, transport))
                case NameRequested(name):
                    self.names.append(name)
                case Closed() | Failed():
                    self.is_over = True
                case _:
                    pass
        identity = self.agent.local_username_fragment, self.agent.local_password
        if identity not in self.identities:
            self.identities.append(identity)

    def close_stream(self, path: Path) -> None:
        self.open.remove(path)
        if path[1] == _SERVER:
            self.server.stream_closed(path[1], path[0], self.now, path[2])

    def check(self) -> None:
        agent = self.agent
        assert self.is_over == agent.has_ended
        assert not self.is_over or agent.state >= State.FAILED
        for _ in range(50):
            if agent.next_timeout() > self.now:
                break
            agent.handle_timeout(self.now)
            self.flow()
        else:
            raise AssertionError("it spins")
        assert len(agent.pair_report) <= _MAX_PAIRS
        assert len(agent.remote_candidates) <= 132
        assert len(self.open) <= 64
        selected = [pair for pair in agent.pair_report if pair.is_valid]
        assert selected or agent.selected_pair is None or agent.is_restarting, "the selected pair is not valid"
        agent.take_received()

    # What happens.

    def step(self) -> None:
        with contextlib.suppress(LocalError):
            self.act(self.program.byte() % 32)

    def act(self, opcode: int) -> None:
        agent, program, now = self.agent, self.program, self.now
        match opcode:
            case 0:
                agent.gather(now)
            case 1:
                agent.add_local_address(self.local(), now)
            case 2:
                agent.add_stun_server(self.remote(), now)
            case 3:
                agent.end_of_local_addresses(now)
            case 4:
                flags = program.byte()
                agent.set_remote_credentials(
                    _FRAGMENT, _PASSWORD, now, lite=flags & 15 == 1, renomination=bool(flags & 16)
                )
            case 5:
                agent.add_remote_candidate(self.candidate(), now)
            case 6:
                agent.end_of_remote_candidates(now)
            case 7:
                agent.set_role(Role(program.byte() & 1), now)
            case 8:
                agent.send([program.take(program.byte() % 32) or b"\x16"], now)
            case 9:
                agent.handle_timeout(now)
            case 10 | 11:
                self.now = max(now, min(agent.next_timeout(), now + 3600)) + program.byte() / 100 * (opcode - 10)
                agent.handle_timeout(self.now)
                self.server.handle_timeout(self.now)
            case 12:
                agent.receive(Burst(self.local(), self.remote(), [program.take(program.byte())]), now)
            case 13:
                agent.receive(Burst(self.local(), self.remote(), [self.evil_request()]), now)
            case 14 if self.sent:
                self.answer(self.sent[-1 - program.byte() % len(self.sent)])
            case 15 if program.byte() > 250:
                agent.close(now)
            case 16:
                agent.restart(now, (f"ours{program.byte()}", _PASSWORD) if program.byte() & 1 else None)
            case 17:
                agent.cancel_restart(now)
            case 18:
                agent.remove_local_address(self.local(), now, self.udp_or_tcp())
            case 19:
                agent.add_local_address(self.local(), now, Transport.TCP)
            case 20:
                transport = _TRANSPORTS[program.byte() % 3]
                agent.add_turn_server(
                    TurnServer(_SERVER, _CREDENTIALS, transport, name=transport.value, is_renewable=True), now
                )
            case 21 if self.requested:
                self.open_stream(self.requested.pop(program.byte() % len(self.requested)))
            case 22 if self.requested:
                agent.stream_failed(self.requested.pop(program.byte() % len(self.requested)).number, "no", now)
            case 23 if self.open:
                path = self.open[program.byte() % len(self.open)]
                self.close_stream(path)
                agent.stream_closed(*path[:2], now, path[2])
            case 24:
                self.accept((self.local(), (self.remote()[0], 3000 + program.byte() % 8), Transport.TCP))
            case 25 if self.open:
                path = self.open[program.byte() % len(self.open)]
                data = program.take(program.byte()) if program.byte() & 1 else self.frame(self.evil_request())
                agent.receive(Burst(path[0], path[1], [data], path[2]), now)
            case 26:
                agent.receive(Burst(self.local(), _SERVER, [program.take(program.byte())]), now)
            case 27:
                self.is_server_there = not self.is_server_there
            case 28 if self.names:
                hosts = [self.remote()[0] for _ in range(program.byte() % 4)]
                agent.name_resolved(self.names.pop(program.byte() % len(self.names)), hosts, now)
            case 29:
                agent.refresh_turn_credentials(_TRANSPORTS[program.byte() % 3].value, _CREDENTIALS, now)
            case 30:
                agent.server_failed(_TRANSPORTS[program.byte() % 3].value, "is gone", now)
            case 31 if self.server.allocations:
                relayed = self.server.allocations[0].relayed_address
                self.server.receive(Burst(relayed, self.remote(), [self.evil_request()]), now)
            case _:
                pass

    # Operands.

    def local(self) -> Address:
        return _LOCALS[self.program.byte() % len(_LOCALS)]

    def remote(self) -> Address:
        return _REMOTES[self.program.byte() % len(_REMOTES)]

    def udp_or_tcp(self) -> Transport:
        return _TRANSPORTS[self.program.byte() % 2]

    def candidate(self) -> Candidate:
        program = self.program
        host, port = self.remote()
        kind = program.byte()
        if kind & 7 == 7:
            host = _NAMES[kind >> 7]
        is_tcp = kind & 24 == 24
        return Candidate(
            foundation=str(kind & 3),
            component=1,
            transport="tcp" if is_tcp else "udp",
            priority=1 + program.byte(),
            host=host,
            port=port,
            type=CandidateType.HOST,
            tcp_type="passive" if is_tcp else None,
            username_fragment=_FRAGMENT if kind & 32 else None,
        )

    def frame(self, datagram: bytes) -> bytes:
        return len(datagram).to_bytes(2, "big") + datagram

    def open_stream(self, request: StreamRequested) -> None:
        local = (request.local_host or _LOCALS[0][0], 40000 + request.number)
        path = (local, request.remote, request.transport)
        self.open.append(path)
        if request.remote == _SERVER:
            self.server.stream_accepted(request.remote, local, self.now, request.transport)
        self.agent.stream_opened(request.number, local, self.now)

    def accept(self, path: Path) -> None:
        if path not in self.open:
            self.open.append(path)
            self.agent.stream_accepted(path[0], path[1], self.now)

    def evil_request(self) -> bytes:
        """A check that is signed as one of this generation, or of another."""
        program = self.program
        flags = program.byte()
        which = program.byte() % 8
        identities = self.identities or [(self.agent.local_username_fragment, self.agent.local_password)]
        fragment, password = identities[-1 - which % len(identities)]
        attributes: list[stun.Attribute] = [stun.Username(f"{fragment}:{_FRAGMENT}")]
        if flags & 1:
            attributes.append(stun.Priority(program.byte() << 24))
        if flags & 2:
            attributes.append(stun.UseCandidate())
        if flags & 4:
            attributes.append(stun.IceControlling(program.byte() << 56))
        if flags & 8:
            attributes.append(stun.IceControlled(program.byte() << 56))
        if flags & 16:
            attributes.append(stun.Opaque(0xC001 if flags & 32 else 0x7F00 | program.byte(), program.take(4)))
        tid = bytes([program.byte()]) * 12
        message = stun.Message(stun.MessageClass.REQUEST, 1 + (flags >> 7), tid, tuple(attributes))
        return stun.encode_message(message, key=stun.short_term_key(password), fingerprint=not flags & 64)

    def answer(self, burst: Burst) -> None:
        """An answer to something that has left, from where it went to; by way of the server if it went that way."""
        datagram = burst.datagrams[0][2 if burst.transport.is_stream else 0 :]
        code = self.program.byte()
        if len(datagram) < stun.HEADER_SIZE:
            return
        attribute: stun.Attribute = stun.XorMappedAddress(burst.local if code < 128 else _REMOTES[code % 5])
        kind = stun.MessageClass.SUCCESS_RESPONSE
        if code & 7 == 7:
            kind = stun.MessageClass.ERROR_RESPONSE
            attribute = stun.ErrorCode(487 if code & 8 else 400)
        reply = stun.encode_message(stun.Message(kind, 1, datagram[8:20], (attribute,)), key=_KEY, fingerprint=True)
        back = attrs.evolve(burst, datagrams=[self.frame(reply) if burst.transport.is_stream else reply])
        if kind is stun.MessageClass.SUCCESS_RESPONSE:
            self.answered[burst.local, burst.remote] = self.now
        if burst.local[0] == _SERVER[0]:
            self.server.receive(back, self.now)
        elif not burst.transport.is_stream or self.is_open(burst):
            self.agent.receive(back, self.now)


def test_one_input(data: bytes) -> None:
    program = _Program(data)
    run = _Run(program)
    while program.at < len(data):
        run.step()
        run.flow()
        run.check()


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
