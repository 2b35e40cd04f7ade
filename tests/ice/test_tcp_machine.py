"""An agent whose streams are opened, fail, end and bring anything, in any order; and what holds whatever happens."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ice.lone import PORT, SOCKET, TCP, Lone, frame, passive
from xp2p_trio import stun
from xp2p_trio.ice import (
    Candidate,
    CandidateType,
    Role,
    State,
    StreamReleased,
    StreamRequested,
    StreamRequestWithdrawn,
)
from xp2p_trio.ice.tcp import MAX_CONNECTING, MAX_CONNECTING_TO_HOST
from xp2p_trio.sansio import Address, Burst, Transport

PathOf: TypeAlias = tuple[Address, Address, Transport]
hosts = st.integers(1, 4).map(lambda n: f"198.51.100.{n}")
numbers = st.integers(0, 1000)


class StreamsMachine(RuleBasedStateMachine):
    """The model is what a driver knows: streams that are being connected, and streams that are open."""

    @initialize(role=st.sampled_from(Role), is_known=st.booleans())
    def start(self, role: Role, *, is_known: bool) -> None:
        self.lone = Lone(role, is_known=is_known)
        self.is_known = is_known
        self.pending: dict[int, StreamRequested] = {}
        self.open: dict[PathOf, None] = {}
        self.answered: set[PathOf] = set()
        self.asked: list[tuple[PathOf, bytes]] = []
        self.port = 50000
        self.restarts = 0
        self.look()

    # What happens.

    @rule(host=hosts, port=st.integers(7000, 7009))
    def candidate(self, host: str, port: int) -> None:
        self.lone.agent.add_remote_candidate(passive((host, port), foundation=f"{host[-1]}{port}"), self.lone.now)
        self.look()

    @precondition(lambda self: self.port > 50001)
    @rule(host=hosts)
    def udp_candidate(self, host: str) -> None:
        candidate = Candidate("u", 1, "udp", 2**30, host, 9000, CandidateType.HOST)
        self.lone.agent.add_remote_candidate(candidate, self.lone.now)
        self.look()

    @rule(number=numbers, is_good=st.booleans())
    def connect(self, number: int, *, is_good: bool) -> None:
        if self.pending:
            request = self.pending.pop(sorted(self.pending)[number % len(self.pending)])
            if is_good:
                self.port += 1
                local = (str(request.local_host), self.port)
                self.open[local, request.remote, TCP] = None
                self.lone.agent.stream_opened(request.number, local, self.lone.now)
            else:
                self.lone.agent.stream_failed(request.number, "no answer", self.lone.now)
            self.look()

    @rule(host=hosts, port=st.integers(1000, 1005))
    def accept(self, host: str, port: int) -> None:
        if self.lone.agent.has_ended:  # a driver listens no more, and no event comes after the last
            return
        path = (PORT, (host, port), TCP)
        self.answered.discard(path)  # the same two addresses are another stream
        self.open[path] = None
        self.lone.agent.stream_accepted(PORT, (host, port), self.lone.now)
        self.look()

    @rule(number=numbers)
    def end(self, number: int) -> None:
        if self.open:
            path = sorted(self.open, key=str)[number % len(self.open)]
            self.forget(path)
            self.lone.agent.stream_closed(path[0], path[1], self.lone.now)
            self.look()

    @rule(number=numbers, chunk=st.binary(max_size=60), is_framed=st.booleans())
    def bring(self, number: int, chunk: bytes, *, is_framed: bool) -> None:
        if self.open:
            path = sorted(self.open, key=str)[number % len(self.open)]
            self.lone.bring(path, frame(chunk) if is_framed else chunk)
            self.look()

    @rule(number=numbers, nominates=st.booleans(), password=st.sampled_from([None, "x" * 22]))
    def check(self, number: int, *, nominates: bool, password: str | None) -> None:
        if self.open:
            path = sorted(self.open, key=str)[number % len(self.open)]
            attributes = (stun.Priority(1000), *([stun.UseCandidate()] if nominates else []))
            self.lone.bring(path, frame(self.lone.check(*attributes, password=password)))
            self.look()

    @rule(number=numbers, code=st.sampled_from([0, 0, 0, 400, 487]))
    def answer(self, number: int, code: int) -> None:
        if self.asked:
            path, request = self.asked.pop(number % len(self.asked))
            reply = self.lone.answer(request, path[0], code=code)
            if path[2] is not TCP:
                self.answered.add(path)
                self.lone.bring(path, reply)
            elif path in self.open:
                if not code:
                    self.answered.add(path)
                self.lone.bring(path, frame(reply))
            self.look()

    @rule(over=st.sampled_from([TCP, Transport.UDP]))
    def cooperate(self, over: Transport) -> None:
        """Whatever is asked for over this transport is there, and is answered, for a while."""
        for _ in range(8):
            while self.pending and over is TCP:
                self.connect(0, is_good=True)
            asked = self.asked
            self.asked = [entry for entry in asked if entry[0][2] is not over]
            for entry in asked:
                if entry[0][2] is over:
                    self.asked.append(entry)
                    self.answer(len(self.asked) - 1, 0)
            self.wait(0.06)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.06, 0.5, 3.0, 12.0]))
    def wait(self, seconds: float) -> None:
        until = self.lone.now + seconds
        self.look()
        at_once = 0
        while (due := self.lone.agent.next_timeout()) <= until:
            at_once = at_once + 1 if due <= self.lone.now else 0
            assert at_once < 100, "the agent spins"
            self.lone.now = max(self.lone.now, due)
            self.lone.agent.handle_timeout(self.lone.now)
            self.look()
        self.lone.now = until

    @rule()
    def introduce(self) -> None:
        if not self.is_known and self.lone.agent.state < State.FAILED:
            self.is_known = True
            self.lone.introduce()
            self.look()

    @precondition(lambda self: self.restarts < 3)
    @rule()
    def restart(self) -> None:
        self.restarts += 1
        self.is_known = False
        self.lone.agent.restart(self.lone.now)
        self.lone.agent.end_of_local_addresses(self.lone.now)
        self.look()

    @rule(is_udp=st.booleans())
    def change_sockets(self, *, is_udp: bool) -> None:
        base, transport = (SOCKET, Transport.UDP) if is_udp else (PORT, TCP)
        self.lone.agent.remove_local_address(base, self.lone.now, transport)
        self.look()
        self.lone.agent.add_local_address(base, self.lone.now, transport)
        self.look()

    @rule()
    def send(self) -> None:
        if self.lone.agent.selected_pair is not None:
            self.lone.agent.send([b"\x80data"], self.lone.now)
            self.look()

    # What is seen.

    def look(self) -> None:
        """Be the driver: do what is asked, carry what leaves."""
        self.serve()
        for burst in self.lone.pull():
            self.watch(burst)
        self.serve()
        self.lone.agent.take_received()

    def serve(self) -> None:
        for event in self.lone.take(object):
            match event:
                case StreamRequested(number):
                    self.pending[number] = event
                case StreamRequestWithdrawn(number):
                    assert self.pending.pop(number, None) is not None, "a request that is not pending is withdrawn"
                case StreamReleased(local, remote, transport):
                    assert (local, remote, transport) in self.open, "a stream that is not open is released"
                    self.forget((local, remote, transport))

    def watch(self, burst: Burst) -> None:
        path = (burst.local, burst.remote, burst.transport)
        assert burst.transport is not TCP or path in self.open, "frames for a stream that is not open"
        for item in burst.datagrams:
            datagram = item[2:] if burst.transport is TCP else item
            if burst.transport is TCP:
                assert int.from_bytes(item[:2], "big") == len(datagram)
            if datagram[0] > 3:
                assert path in self.answered, "data before an answer over that very stream"
            elif stun.decode_message(datagram).message_class is stun.MessageClass.REQUEST:
                self.asked.append((path, datagram))

    def forget(self, path: PathOf) -> None:
        del self.open[path]
        self.answered.discard(path)

    @invariant()
    def limits(self) -> None:
        if not hasattr(self, "lone"):
            return
        assert len(self.pending) <= MAX_CONNECTING
        assert max(Counter(r.remote[0] for r in self.pending.values()).values(), default=0) <= MAX_CONNECTING_TO_HOST
        assert self.lone.agent.next_timeout() >= self.lone.now
        assert len(self.lone.agent.pair_report) <= 128
        assert len(self.lone.agent.remote_candidates) <= 132

    def teardown(self) -> None:
        """Nothing is left open behind the end."""
        if not hasattr(self, "lone"):
            return
        self.lone.agent.close(self.lone.now)
        self.look()
        assert (self.pending, self.open) == ({}, {})
        assert self.lone.agent.next_timeout() == float("inf")


TestStreams = StreamsMachine.TestCase
