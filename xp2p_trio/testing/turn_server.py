"""A TURN server (RFC 8656) without I/O: allocations of UDP, permissions, channels, data, quotas, faults to order.

For tests and demos: it keeps its limits, but has no operator's tools, no database and no second process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.sansio import Address, Burst, RandomBytes, Transport
from xp2p_trio.stun import (
    TRANSACTION_ID_SIZE,
    Data,
    ErrorCode,
    Message,
    MessageClass,
    Method,
    Software,
    UnknownAttributes,
    XorPeerAddress,
    decode_message,
    encode_message,
)
from xp2p_trio.testing.stun_server import MAX_QUEUED_BURSTS, answer_binding
from xp2p_trio.testing.turn_allocations import Allocations, FiveTuple, ServerAllocation, TurnServerEvent
from xp2p_trio.testing.turn_authentication import Authenticated, ChallengeLimit, Gatekeeper, Rejected
from xp2p_trio.testing.turn_configuration import TurnFaults, TurnServerConfiguration
from xp2p_trio.testing.turn_requests import Answer, Requests
from xp2p_trio.testing.turn_streams import ClientStreams
from xp2p_trio.turn import MAX_DATA_SIZE, decode_channel_data, encode_channel_data


@final
class TurnServer:
    """A server on a host of `Network`, for `drive`; or behind sockets, as `serve_turn` runs it.

    Datagrams for one of its relayed addresses are taken as from a peer, all else as from a client. Clients that come
    over a stream are told of by `stream_accepted` and `stream_closed`, and what `StreamDropped` names is to be closed.

    Args:
        configuration: what it does.
        random_bytes: for ports, transaction ids and the secret of its nonces.

    Attributes:
        faults: what it does wrong.
        requests_received: requests by method, retransmissions included.
    """

    def __init__(self, configuration: TurnServerConfiguration, random_bytes: RandomBytes) -> None:
        self.faults = TurnFaults()
        self.requests_received: dict[int, int] = {}
        self._configuration = configuration
        self._random_bytes = random_bytes
        self._gatekeeper = Gatekeeper(configuration, random_bytes)
        self._challenges = ChallengeLimit(configuration.challenge_rate)
        self._events: list[TurnServerEvent] = []
        self._allocations = Allocations(configuration, random_bytes, self._events)
        self._requests = Requests(configuration, self._allocations)
        self._streams = ClientStreams(configuration, self._allocations, self._events)
        self._unanswered: dict[FiveTuple, tuple[Message, Authenticated]] = {}
        self._outgoing: dict[FiveTuple, list[bytes]] = {}
        self._queued = 0
        self._now = -math.inf
        self._wakes = math.inf

    @property
    def allocations(self) -> list[ServerAllocation]:
        """Those that exist."""
        return self._allocations.all()

    @property
    def stream_count(self) -> int:
        """Clients that are connected over a stream."""
        return len(self._streams)

    def set_password(self, username: str, password: str | None) -> None:
        """Change what a user has to prove, or, with None, remove the user."""
        users = self._gatekeeper.users
        if users is not None and password is None:
            users.pop(username, None)
        elif users is not None and password is not None:
            users[username] = password

    def stream_accepted(
        self, local: Address, remote: Address, now: float, transport: Transport = Transport.TCP
    ) -> None:
        """A client has connected.

        Raises:
            InvalidArgument: the transport is no stream.
        """
        self._advance(now)
        self._streams.accept(_stream(transport, local, remote), self._now)
        self._rearm()

    def stream_closed(self, local: Address, remote: Address, now: float, transport: Transport = Transport.TCP) -> None:
        """A client's stream is at its end, and so is its allocation; one that is not known is ignored.

        Raises:
            InvalidArgument: the transport is no stream.
        """
        self._advance(now)
        self._streams.forget(_stream(transport, local, remote))
        self._rearm()

    def relayed_address_taken(self, relayed_address: Address, now: float) -> None:
        """The port in `AllocationCreated` cannot be bound: there will be another one, or the client is refused (508).

        To be told before `transmit`, which tells the client where its relayed address is.
        """
        self._advance(now)
        self._allocations.move(relayed_address)
        self._rearm()

    def receive(self, batch: Burst, now: float) -> None:
        """Take datagrams of a client or of a peer, or what a client's stream has brought."""
        self._advance(now)
        if batch.transport.is_stream:
            self._from_stream(FiveTuple(batch.transport, batch.local, batch.remote), batch.datagrams)
            return
        if self.faults.is_silent:
            return
        allocation = self._allocations.at(batch.local)
        if allocation is not None:
            self._from_peer(allocation, batch.remote, batch.datagrams)
            return
        path = FiveTuple(batch.transport, batch.local, batch.remote)
        for datagram in batch.datagrams:
            self._from_client(path, datagram)

    def handle_timeout(self, now: float) -> None:
        """Let allocations expire, and streams that want nothing."""
        self._advance(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """Responses, and data to clients and peers."""
        self._advance(now)
        if self._unanswered:
            self._answer_allocates()
        bursts: list[Burst] = []
        while self._outgoing and limit > 0:
            path, datagrams = next(iter(self._outgoing.items()))
            if len(datagrams) > limit:
                datagrams, self._outgoing[path] = datagrams[:limit], datagrams[limit:]
            else:
                del self._outgoing[path]
            limit -= len(datagrams)
            self._queued -= len(datagrams)
            bursts.append(Burst(path.server, path.client, datagrams, path.transport))
        return bursts

    def take_events(self) -> list[TurnServerEvent]:
        """Which relayed addresses came and went, and which streams are to go."""
        events = self._events[:]
        self._events.clear()
        return events

    def next_timeout(self) -> float:
        """When an allocation or a stream may end next."""
        return self._wakes

    # --- clients ---

    def _from_stream(self, path: FiveTuple, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            data = chunk
            while frames := self._streams.decode(path, data, self._now):
                data = b""
                if not self.faults.is_silent:
                    for frame in frames:
                        self._from_client(path, frame)

    def _from_client(self, path: FiveTuple, datagram: bytes) -> None:
        if datagram and 64 <= datagram[0] <= 79:  # RFC 7983 section 7
            self._channel_data(path, datagram)
            return
        try:
            message = decode_message(datagram)
        except DecodeError:
            return
        if message.message_class is MessageClass.INDICATION and message.method == Method.SEND:
            self._send_indication(path, message)
        elif message.message_class is MessageClass.REQUEST:
            self.requests_received[message.method] = self.requests_received.get(message.method, 0) + 1
            if message.method == Method.BINDING:
                if self._may_answer(path):
                    self._put(path, answer_binding(message, path.client))
            elif self._requests.knows(message.method):
                self._request(path, message)

    def _request(self, path: FiveTuple, request: Message) -> None:
        found = self._gatekeeper.check(request, path.client, self._now, always_stale=self.faults.always_stale)
        if isinstance(found, Rejected):
            if self._may_answer(path):
                self._respond(path, request, found, None)
            return
        if unknown := request.unknown_required:  # RFC 8489 section 6.3.1
            self._respond(path, request, Rejected(420, "Unknown Attribute", (UnknownAttributes(unknown),)), found)
            return
        if self.faults.forgets:
            self.faults.forgets = False
            self._allocations.delete(path, is_expired=True)
        code = self.faults.error_codes.get(Method(request.method))
        if code is not None:
            answer: Answer | None = Rejected(code, "as configured")
        else:
            answer = self._requests.answer(request, path, found.username, self._now)
        self._rearm()
        if answer is None:
            self._unanswered[path] = request, found
        else:
            self._respond(path, request, answer, found)

    def _answer_allocates(self) -> None:
        """Tell clients where their relayed addresses came to be."""
        for path, (request, found) in self._unanswered.items():
            self._respond(path, request, self._requests.allocated(path, self._now), found)
        self._unanswered.clear()

    def _may_answer(self, path: FiveTuple) -> bool:
        """Whether who has proved nothing gets an answer: over UDP it may go to somebody else than asked."""
        return path.transport.is_stream or self._challenges.admits(path.client[0], self._now)

    def _respond(self, path: FiveTuple, request: Message, answer: Answer, found: Authenticated | None) -> None:
        attributes = list(answer.attributes)
        kind = MessageClass.SUCCESS_RESPONSE
        if isinstance(answer, Rejected):
            kind = MessageClass.ERROR_RESPONSE
            attributes.insert(0, ErrorCode(answer.code, answer.reason))
        if found is not None and request.method in (Method.ALLOCATE, Method.REFRESH):
            attributes.append(Software(self._configuration.software))
        response = Message(kind, request.method, request.transaction_id, tuple(attributes))
        if found is None or found.key is None or self.faults.no_integrity:
            self._put(path, encode_message(response, fingerprint=True))
        else:
            key = bytes(16) if self.faults.wrong_integrity else found.key
            self._put(path, encode_message(response, key=key, algorithm=found.integrity, fingerprint=True))

    # --- data ---

    def _send_indication(self, path: FiveTuple, message: Message) -> None:
        """RFC 8656 section 11.2."""
        allocation, peer, data = self._allocations.get(path), message.get(XorPeerAddress), message.get(Data)
        if allocation is not None and peer is not None and data is not None and not message.unknown_required:
            self._to_peer(allocation, peer.address, data.data)

    def _channel_data(self, path: FiveTuple, datagram: bytes) -> None:
        """RFC 8656 section 12.6."""
        allocation = self._allocations.get(path)
        try:
            number, data = decode_channel_data(datagram)
        except DecodeError:
            return
        if allocation is not None and (peer := allocation.peer_of(number, self._now)) is not None:
            self._to_peer(allocation, peer, data)

    def _to_peer(self, allocation: ServerAllocation, peer: Address, data: bytes) -> None:
        if allocation.may_relay(peer[0], self._now) and len(data) <= MAX_DATA_SIZE:
            self._put(FiveTuple(Transport.UDP, allocation.relayed_address, peer), data)

    def _from_peer(self, allocation: ServerAllocation, peer: Address, datagrams: Sequence[bytes]) -> None:
        """RFC 8656 section 11.3."""
        if not allocation.may_relay(peer[0], self._now):
            return
        path, number = allocation.path, allocation.channel_of(peer, self._now)
        for datagram in datagrams:
            if len(datagram) > MAX_DATA_SIZE:
                continue
            if number is not None:
                self._put(path, encode_channel_data(number, datagram, padded=path.transport.is_stream))
                continue
            transaction_id = self._random_bytes(TRANSACTION_ID_SIZE)
            attributes = (XorPeerAddress(peer), Data(datagram))
            indication = Message(MessageClass.INDICATION, Method.DATA, transaction_id, attributes)
            self._put(path, encode_message(indication))

    # --- the rest ---

    def _put(self, path: FiveTuple, datagram: bytes) -> None:
        if self._queued < MAX_QUEUED_BURSTS:
            self._outgoing.setdefault(path, []).append(datagram)
            self._queued += 1

    def _advance(self, now: float) -> None:
        self._now = max(self._now, now)
        if self._now >= self._wakes:
            self._allocations.expire(self._now)
            self._streams.expire(self._now)
            self._rearm()

    def _rearm(self) -> None:
        self._wakes = min(self._allocations.next_expiry(), self._streams.next_expiry())


def _stream(transport: Transport, local: Address, remote: Address) -> FiveTuple:
    if not transport.is_stream:
        raise InvalidArgument(f"{transport.name} is no stream")
    return FiveTuple(transport, local, remote)
