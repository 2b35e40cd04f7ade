"""One agent, and a peer that the test plays by hand: its checks, its answers, its streams."""

from __future__ import annotations

import random
from typing import Any

import attrs

from xp2p_trio import stun
from xp2p_trio.ice import Agent, Candidate, CandidateType, Configuration, Event, Role, StreamReleased, StreamRequested
from xp2p_trio.sansio import Address, Burst, Transport

TCP = Transport.TCP
HOST = "192.0.2.1"
SOCKET: Address = (HOST, 5001)
PORT: Address = (HOST, 6001)
PEER: Address = ("198.51.100.7", 7001)
PEER_PASSWORD = "p" * 22


def passive(address: Address = PEER, priority: int = 1000, **fields: Any) -> Candidate:
    """A port that the peer listens on."""
    candidate = Candidate("t", 1, "tcp", priority, *address, CandidateType.HOST, tcp_type="passive")
    return attrs.evolve(candidate, **fields)


def frame(data: bytes) -> bytes:
    """With its length before it (RFC 4571)."""
    return len(data).to_bytes(2, "big") + data


class Lone:
    """An agent with a socket and a TCP port, whose peer is known by its credentials alone.

    Args:
        role: of the agent.
        is_known: whether the peer's credentials have been set.
        fields: of its configuration.
    """

    def __init__(self, role: Role = Role.CONTROLLING, *, is_known: bool = True, **fields: Any) -> None:
        configuration = Configuration(**{"tcp": not fields.get("lite"), "carries": "any", **fields})
        self.agent = Agent(configuration, role=role, random_bytes=random.Random(1).randbytes)
        self.now = 100.0
        self.events: list[Event] = []
        self.number = 0
        self.agent.gather(self.now)
        self.agent.add_local_address(SOCKET, self.now)
        self.agent.add_local_address(PORT, self.now, TCP)
        self.agent.end_of_local_addresses(self.now)
        if is_known:
            self.introduce()

    def introduce(self) -> None:
        self.agent.set_remote_credentials("peer", PEER_PASSWORD, self.now, renomination=True)

    def take(self, kind: type[Any]) -> list[Any]:
        """Drain the events; those of one kind, all are in `events`."""
        new = self.agent.take_events()
        self.events += new
        return [event for event in new if isinstance(event, kind)]

    def requested(self) -> list[StreamRequested]:
        return self.take(StreamRequested)

    def released(self) -> list[StreamReleased]:
        return self.take(StreamReleased)

    def pull(self) -> list[Burst]:
        """What leaves now."""
        return self.agent.transmit(self.now, 1000)

    def wait(self, seconds: float) -> list[Burst]:
        """Let time pass, timer by timer. Returns what has left."""
        until, bursts = self.now + seconds, self.pull()
        while (due := self.agent.next_timeout()) <= until:
            self.now = max(self.now, due)
            self.agent.handle_timeout(self.now)
            bursts += self.pull()
        self.now = until
        return bursts

    def open(self, request: StreamRequested, port: int = 50001) -> tuple[Address, Address, Transport]:
        """Connect what the agent asked for."""
        local = (request.local_host or HOST, port)
        self.agent.stream_opened(request.number, local, self.now)
        return local, request.remote, request.transport

    def accept(self, remote: Address, local: Address = PORT) -> tuple[Address, Address, Transport]:
        """The peer, or anybody, connects."""
        self.agent.stream_accepted(local, remote, self.now)
        return local, remote, TCP

    def bring(self, path: tuple[Address, Address, Transport], *chunks: bytes) -> None:
        """Bytes as they come in over a stream, or datagrams."""
        self.agent.receive(Burst(path[0], path[1], chunks, path[2]), self.now)

    def check(self, *attributes: stun.Attribute, password: str | None = None) -> bytes:
        """A check of the peer."""
        self.number += 1
        username = stun.Username(f"{self.agent.local_username_fragment}:peer")
        message = stun.Message(
            stun.MessageClass.REQUEST,
            stun.Method.BINDING,
            b"peer" + self.number.to_bytes(8, "big"),
            (username, *(attributes or (stun.Priority(1234),))),
        )
        key = stun.short_term_key(self.agent.local_password if password is None else password)
        return stun.encode_message(message, key=key, fingerprint=True)

    def answer(self, request: bytes, mapped: Address, *, code: int = 0) -> bytes:
        """What the peer says to a check."""
        asked = stun.decode_message(request)
        kind = stun.MessageClass.ERROR_RESPONSE if code else stun.MessageClass.SUCCESS_RESPONSE
        attribute: stun.Attribute = stun.ErrorCode(code, "") if code else stun.XorMappedAddress(mapped)
        message = stun.Message(kind, asked.method, asked.transaction_id, (attribute,))
        return stun.encode_message(message, key=stun.short_term_key(PEER_PASSWORD), fingerprint=True)

    def answer_all(self, bursts: list[Burst], mapped: Address | None = None) -> int:
        """Answer every check among what has left. Returns how many there were."""
        count = 0
        for burst in bursts:
            for item in burst.datagrams:
                datagram = item[2:] if burst.transport.is_stream else item
                if datagram[0] > 3 or stun.decode_message(datagram).message_class is not stun.MessageClass.REQUEST:
                    continue
                count += 1
                reply = self.answer(datagram, mapped or burst.local)
                path = (burst.local, burst.remote, burst.transport)
                self.bring(path, frame(reply) if burst.transport.is_stream else reply)
        return count

    def connect(self) -> tuple[Address, Address, Transport]:
        """Become connected over a stream that the agent makes. Returns its path."""
        self.agent.add_remote_candidate(passive(), self.now)
        self.agent.end_of_remote_candidates(self.now)
        self.pull()
        (request,) = self.requested()
        path = self.open(request)
        for _ in range(3):
            self.answer_all(self.wait(0.1))
        return path


def framed(bursts: list[Burst]) -> list[bytes]:
    """The datagrams in what has left over streams; each item is one whole frame."""
    datagrams = []
    for burst in bursts:
        if burst.transport.is_stream:
            for item in burst.datagrams:
                assert int.from_bytes(item[:2], "big") == len(item) - 2
                datagrams.append(item[2:])
    return datagrams
