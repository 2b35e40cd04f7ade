"""A client and a server under simulated time, over a wire that does as it is told."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

from xp2p_trio import dtls
from xp2p_trio.sansio import RandomBytes

LATENCY = 0.01
"""Seconds one way."""

Fate: TypeAlias = Callable[[int, bool, bytes], Sequence[tuple[float, bytes]]]
"""(index of the datagram, whether the client sent it, the datagram) -> what arrives after which extra delay."""


def seeded(seed: int | str) -> RandomBytes:
    return random.Random(seed).randbytes


CLIENT_CERTIFICATE = dtls.Certificate.generate(seeded("client"))
SERVER_CERTIFICATE = dtls.Certificate.generate(seeded("server"))
OTHER_CERTIFICATE = dtls.Certificate.generate(seeded("other"))


def make_client(
    configuration: dtls.Configuration | None = None,
    *,
    certificate: dtls.Certificate = CLIENT_CERTIFICATE,
    remote: dtls.Certificate = SERVER_CERTIFICATE,
    remote_fingerprints: Sequence[dtls.Fingerprint] | None = None,
    seed: int | str = 1,
) -> dtls.Connection:
    return dtls.Connection(
        configuration or dtls.Configuration(),
        role=dtls.Role.CLIENT,
        certificate=certificate,
        remote_fingerprints=[remote.fingerprint()] if remote_fingerprints is None else remote_fingerprints,
        random_bytes=seeded(seed),
    )


def make_server(
    configuration: dtls.Configuration | None = None,
    *,
    certificate: dtls.Certificate = SERVER_CERTIFICATE,
    remote: dtls.Certificate = CLIENT_CERTIFICATE,
    remote_fingerprints: Sequence[dtls.Fingerprint] | None = None,
    seed: int | str = 2,
) -> dtls.Connection:
    return dtls.Connection(
        configuration or dtls.Configuration(),
        role=dtls.Role.SERVER,
        certificate=certificate,
        remote_fingerprints=[remote.fingerprint()] if remote_fingerprints is None else remote_fingerprints,
        random_bytes=seeded(seed),
    )


def deliver(index: int, from_client: bool, datagram: bytes) -> Sequence[tuple[float, bytes]]:
    return [(0.0, datagram)]


class Duo:
    """Both ends, the wire between them and the time.

    Attributes:
        sent: every datagram that left, with whether the client sent it.
        fate: what the wire does.
    """

    def __init__(
        self,
        client: dtls.Connection | None = None,
        server: dtls.Connection | None = None,
        *,
        fate: Fate = deliver,
        configuration: dtls.Configuration | None = None,
    ) -> None:
        self.client = client or make_client(configuration)
        self.server = server or make_server(configuration)
        self.fate = fate
        self.now = 0.0
        self.sent: list[tuple[bool, bytes]] = []
        self.events: dict[dtls.Role, list[dtls.Event]] = {dtls.Role.CLIENT: [], dtls.Role.SERVER: []}
        self._wire: list[tuple[float, int, bool, bytes]] = []
        self._order = 0

    def begin(self) -> None:
        self.server.connect(self.now)
        self.client.connect(self.now)

    def pull(self) -> None:
        """Put on the wire what both have to send."""
        for end, from_client in ((self.client, True), (self.server, False)):
            for datagram in end.transmit(self.now, 100):
                self.put(from_client, datagram)
        self.events[dtls.Role.CLIENT] += self.client.take_events()
        self.events[dtls.Role.SERVER] += self.server.take_events()

    def put(self, from_client: bool, datagram: bytes) -> None:
        index = len(self.sent)
        self.sent.append((from_client, datagram))
        for delay, arriving in self.fate(index, from_client, datagram):
            heapq.heappush(self._wire, (self.now + LATENCY + delay, self._order, from_client, arriving))
            self._order += 1

    def step(self) -> bool:
        """Go on to the next arrival or timer; False when there is none."""
        self.pull()
        arrival = self._wire[0][0] if self._wire else math.inf
        due = min(arrival, self.client.next_timeout(), self.server.next_timeout())
        if due == math.inf:
            return False
        self.now = max(self.now, due)
        while self._wire and self._wire[0][0] <= self.now:
            _, _, from_client, datagram = heapq.heappop(self._wire)
            (self.server if from_client else self.client).receive([datagram], self.now)
        for end in (self.client, self.server):
            if end.next_timeout() <= self.now:
                end.handle_timeout(self.now)
        self.pull()
        return True

    def run(self, until: Callable[[], bool] | None = None, *, seconds: float = 200.0) -> None:
        """Go on until a condition holds, everything is idle, or the time is over."""
        end = self.now + seconds
        self.pull()
        while not (until is not None and until()) and self.now <= end and self.step():
            pass

    @property
    def is_connected(self) -> bool:
        return self.client.state is dtls.State.CONNECTED and self.server.state is dtls.State.CONNECTED

    def connect(self) -> Duo:
        self.begin()
        self.run(lambda: self.is_connected)
        assert self.is_connected
        self.settle()
        return self

    def settle(self) -> None:
        """Let everything arrive that is on the wire."""
        self.run(lambda: not self._wire)

    def echo(self, text: bytes = b"ping") -> None:
        """Carry data both ways over an intact wire."""
        self.fate = deliver
        self.settle()
        self.client.take_received()
        self.server.take_received()
        self.client.send([text], self.now)
        self.server.send([text[::-1]], self.now)
        self.pull()
        self.settle()
        assert self.server.take_received() == [text]
        assert self.client.take_received() == [text[::-1]]


def connected(configuration: dtls.Configuration | None = None) -> Duo:
    return Duo(configuration=configuration).connect()


def failure(connection: dtls.Connection, events: Sequence[dtls.Event]) -> dtls.Failed:
    """The terminal event, which is the last one and a failure."""
    assert connection.state is dtls.State.FAILED
    event = events[-1]
    assert isinstance(event, dtls.Failed)
    return event
