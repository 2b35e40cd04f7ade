"""A live ICE agent under a stream of commands, datagrams of every kind, and jumps of time.

The input is a program. Each step is one byte of opcode and its operands; among them are well-signed checks and answers
of an evil peer that knows the credentials, so that the fuzzer gets behind the integrity, and streams to and from it.
"""

from __future__ import annotations

import itertools

from xp2p_trio import stun
from xp2p_trio.errors import DecodeError, LocalError
from xp2p_trio.ice import (
    Agent,
    Configuration,
    Event,
    Role,
    State,
    StreamReleased,
    StreamRequested,
    StreamRequestWithdrawn,
    decode_candidate,
)
from xp2p_trio.sansio import Address, Burst, Closed, Failed, Transport

_LOCALS: tuple[Address, ...] = (("10.0.0.1", 1000), ("10.0.0.2", 1001), ("2001:db8::1", 1002))
_REMOTES: tuple[Address, ...] = (
    ("10.1.0.1", 2000),
    ("10.1.0.2", 2001),
    ("2001:db8::2", 2002),
    ("::ffff:10.1.0.1", 2000),
    ("203.0.113.66", 6666),
    ("not an address", 1),
)
_FRAGMENT, _PASSWORD = "evil", "evilevilevilevilevilevil"
_KEY = stun.short_term_key(_PASSWORD)
_TCP = Transport.TCP


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


class _Driver:
    """The streams that are being connected, and those that are open."""

    def __init__(self) -> None:
        self.pending: dict[int, StreamRequested] = {}
        self.open: list[tuple[Address, Address]] = []
        self.port = 5000

    def take(self, event: Event) -> None:
        match event:
            case StreamRequested(number):
                self.pending[number] = event
            case StreamRequestWithdrawn(number):
                del self.pending[number]
            case StreamReleased(local, remote):
                self.open.remove((local, remote))
            case _:
                pass

    def step(self, agent: Agent, program: _Program, opcode: int, now: float) -> None:
        match opcode % 5:
            case 0:
                path = _path(program)
                if path not in self.open:
                    self.open.append(path)
                agent.stream_accepted(*path, now)
            case 1 if self.pending:
                number, request = self.pending.popitem()
                self.port += 1
                local = (request.local_host or "10.0.0.1", self.port)
                self.open.append((local, request.remote))
                agent.stream_opened(number, local, now)
            case 2 if self.pending:
                agent.stream_failed(self.pending.popitem()[0], "", now)
            case 3 if self.open:
                agent.stream_closed(*self.open.pop(), now)
            case 4 if self.open:
                path = self.open[program.byte() % len(self.open)]
                flags = program.byte()
                chunk = program.take(flags & 63) if flags & 128 else _framed(_evil_request(agent, program))
                agent.receive(Burst(*path, [chunk], _TCP), now)
            case _:
                pass


def _framed(datagram: bytes) -> bytes:
    return len(datagram).to_bytes(2, "big") + datagram


def _configuration(choice: int) -> Configuration:
    return Configuration(
        nomination="aggressive" if choice & 1 else "regular",
        lite=choice & 7 == 2,
        tcp=choice & 7 == 4,
        max_pairs=8,
    )


def test_one_input(data: bytes) -> None:
    program, driver = _Program(data), _Driver()
    draws = itertools.count(1)
    agent = Agent(
        _configuration(program.byte()),
        role=Role(program.byte() & 1),
        random_bytes=lambda size: (next(draws) * 0x9E3779B97F4A7C15 % (1 << 8 * size)).to_bytes(size, "big"),
    )
    now = 0.0
    sent: list[Burst] = []
    is_over = False
    while program.at < len(data):
        now = _step(agent, program, driver, now, sent)
        bursts = agent.transmit(now, 50)
        assert sum(len(burst.datagrams) for burst in bursts) <= 50
        assert not bursts or not is_over
        sent += bursts
        for event in agent.take_events():
            assert not is_over, "an event after the last one"
            driver.take(event)
            is_over = isinstance(event, Closed | Failed)
        assert is_over == (agent.state >= State.FAILED)
        assert agent.next_timeout() >= now
        assert len(agent.pair_report) <= 8
        assert len(agent.remote_candidates) <= 132
        selected = [pair for pair in agent.pair_report if pair.is_valid] if agent.selected_pair else [None]
        assert selected, "the selected pair is not valid"
        agent.take_received()


def _step(agent: Agent, program: _Program, driver: _Driver, now: float, sent: list[Burst]) -> float:
    opcode = program.byte() % 16
    try:
        match opcode:
            case 0:
                agent.gather(now)
            case 1:
                which = program.byte()
                transport = _TCP if which & 128 else Transport.UDP
                agent.add_local_address(_LOCALS[which % len(_LOCALS)], now, transport)
            case 2:
                agent.add_stun_server(_REMOTES[program.byte() % len(_REMOTES)], now)
            case 3:
                agent.end_of_local_addresses(now)
            case 4:
                agent.set_remote_credentials(_FRAGMENT, _PASSWORD, now, lite=program.byte() & 15 == 1)
            case 5:
                host, port = _REMOTES[program.byte() % len(_REMOTES)]
                foundation = program.byte()
                kind = ("tcp", " tcptype passive") if foundation & 128 else ("udp", "")
                line = f"candidate:{foundation} 1 {kind[0]} {1 + program.byte()} {host} {port} typ host{kind[1]}"
                agent.add_remote_candidate(decode_candidate(line), now)
            case 6:
                agent.end_of_remote_candidates(now)
            case 7:
                agent.set_role(Role(program.byte() & 1), now)
            case 8:
                agent.send([program.take(program.byte() % 32)], now)
            case 9:
                agent.handle_timeout(now)
            case 10 | 11:
                now = max(now, min(agent.next_timeout(), now + 3600)) + program.byte() / 100 * (opcode - 10)
                agent.handle_timeout(now)
            case 12:
                agent.receive(Burst(*_path(program), [program.take(program.byte())]), now)
            case 13:
                agent.receive(Burst(*_path(program), [_evil_request(agent, program)]), now)
            case 14 if sent:
                agent.receive(_evil_answer(sent[-1 - program.byte() % len(sent)], program), now)
            case 15:
                choice = program.byte()
                if choice > 250:
                    agent.close(now)
                else:
                    driver.step(agent, program, choice, now)
            case _:
                pass
    except (LocalError, DecodeError):
        pass
    return now


def _path(program: _Program) -> tuple[Address, Address]:
    return _LOCALS[program.byte() % len(_LOCALS)], _REMOTES[program.byte() % len(_REMOTES)]


def _evil_request(agent: Agent, program: _Program) -> bytes:
    flags = program.byte()
    attributes: list[stun.Attribute] = [stun.Username(f"{agent.local_username_fragment}:{_FRAGMENT}")]
    if flags & 1:
        attributes.append(stun.Priority(program.byte() << 24))
    if flags & 2:
        attributes.append(stun.UseCandidate())
    if flags & 4:
        attributes.append(stun.IceControlling(program.byte() << 56))
    if flags & 8:
        attributes.append(stun.IceControlled(program.byte() << 56))
    if flags & 16:
        attributes.append(stun.Opaque(0x7F00 | program.byte(), program.take(4)))
    message = stun.Message(stun.MessageClass.REQUEST, 1 + (flags >> 7), bytes([program.byte()]) * 12, tuple(attributes))
    return stun.encode_message(message, key=stun.short_term_key(agent.local_password), fingerprint=not flags & 64)


def _evil_answer(burst: Burst, program: _Program) -> Burst:
    """An answer to something that the agent has sent, from where it went to."""
    datagram = burst.datagrams[0][2:] if burst.transport is _TCP else burst.datagrams[0]
    code = program.byte()
    if len(datagram) < stun.HEADER_SIZE:
        return Burst(burst.local, burst.remote, burst.datagrams, burst.transport)
    mapped = _REMOTES[code % 5]
    attribute: stun.Attribute = stun.XorMappedAddress(burst.local if code < 128 else mapped)
    kind = stun.MessageClass.SUCCESS_RESPONSE
    if code & 7 == 7:
        kind = stun.MessageClass.ERROR_RESPONSE
        attribute = stun.ErrorCode(487 if code & 8 else 400)
    reply = stun.Message(kind, 1, datagram[8:20], (attribute,))
    raw = stun.encode_message(reply, key=_KEY, fingerprint=True)
    return Burst(burst.local, burst.remote, [_framed(raw) if burst.transport is _TCP else raw], burst.transport)


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
