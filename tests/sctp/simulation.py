"""Two associations, a path between them and a clock of their own."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

from xp2p_trio.sctp import Association, Configuration, Event, Message, OutgoingMessage

Fate = Callable[[int, bytes], list[tuple[float, bytes]]]
"""From the sender (0 or 1) and a packet to its copies, each with an additional delay; no copy is loss."""


def seeded(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def near_the_wrap(seed: int) -> Callable[[int], bytes]:
    """Randomness whose first two numbers of four bytes are a tag and a TSN just below 2**32."""
    source = random.Random(seed)
    answers = iter([source.randbytes(4), (2**32 - 5).to_bytes(4, "big")])

    def random_bytes(size: int) -> bytes:
        return next(answers, None) or source.randbytes(size) if size == 4 else source.randbytes(size)

    return random_bytes


def perfect(_sender: int, packet: bytes) -> list[tuple[float, bytes]]:
    return [(0.0, packet)]


class Simulation:
    """Runs a pair over a path with a delay; `fate` decides about every packet."""

    def __init__(
        self,
        *,
        delay: float = 0.01,
        fate: Fate = perfect,
        configuration: Configuration | None = None,
        other_configuration: Configuration | None = None,
        seed: int = 0,
        max_message_size: int = 262144,
        reads: tuple[bool, bool] = (True, True),
    ) -> None:
        configuration = configuration or Configuration()
        self.ends = (
            Association(configuration, random_bytes=near_the_wrap(seed), max_message_size=max_message_size),
            Association(
                other_configuration or configuration,
                random_bytes=near_the_wrap(seed + 1000),
                max_message_size=max_message_size,
            ),
        )
        self.delay = delay
        self.fate = fate
        self.now = 100.0
        self.reads = list(reads)
        self.events: tuple[list[Event], list[Event]] = ([], [])
        self.received: tuple[list[Message], list[Message]] = ([], [])
        self.sent: tuple[list[bytes], list[bytes]] = ([], [])
        self._wire: list[tuple[float, int, int, bytes]] = []
        self._order = 0

    def connect(self) -> Simulation:
        for end in self.ends:
            end.connect(self.now)
        self.run(until=lambda: all(end.state.name == "ESTABLISHED" for end in self.ends))
        return self

    def send(self, sender: int, *messages: OutgoingMessage) -> None:
        self.ends[sender].send(messages, self.now)

    def pump(self) -> None:
        """Everything that can happen without time passing."""
        for sender, end in enumerate(self.ends):
            while packets := end.transmit(self.now, 50):
                self.sent[sender].extend(packets)
                for packet in packets:
                    for extra, copy in self.fate(sender, packet):
                        self._order += 1
                        heapq.heappush(self._wire, (self.now + self.delay + extra, self._order, 1 - sender, copy))
            self.collect(sender)

    def collect(self, which: int) -> None:
        end = self.ends[which]
        if self.reads[which]:
            self.received[which].extend(end.take_received())
        self.events[which].extend(end.take_events())

    def step(self, deadline: float = math.inf) -> bool:
        """Let time pass to what comes next; False when nothing does before `deadline`."""
        self.pump()
        arrival = self._wire[0][0] if self._wire else math.inf
        due = min(arrival, *(end.next_timeout() for end in self.ends))
        if due > deadline or due == math.inf:
            return False
        self.now = max(self.now, due)
        batches: tuple[list[bytes], list[bytes]] = ([], [])
        while self._wire and self._wire[0][0] <= self.now:
            _, _, receiver, packet = heapq.heappop(self._wire)
            batches[receiver].append(packet)
        for end, batch in zip(self.ends, batches, strict=True):
            if batch:
                end.receive(batch, self.now)
            if end.next_timeout() <= self.now:
                end.handle_timeout(self.now)
        self.pump()
        return True

    def run(self, *, until: Callable[[], bool] | None = None, seconds: float = 300.0) -> None:
        """Run until a condition holds, or for so many seconds."""
        deadline = self.now + seconds
        while not (until is not None and until()):
            if not self.step(deadline):
                if until is not None:
                    raise AssertionError(f"nothing left to happen at {self.now}, with {self.ends[0].statistics}")
                self.now = deadline
                return

    @property
    def is_flushed(self) -> bool:
        return not any(end.unacknowledged_size for end in self.ends)


def random_fate(
    seed: int, *, loss: float = 0.0, duplication: float = 0.0, reordering: float = 0.0, corruption: float = 0.0
) -> Fate:
    """A path that loses, doubles, delays and damages packets at random."""
    source = random.Random(seed)

    def fate(_sender: int, packet: bytes) -> list[tuple[float, bytes]]:
        copies = []
        for _ in range(2 if source.random() < duplication else 1):
            if source.random() < loss:
                continue
            copy = packet
            if source.random() < corruption:
                at = source.randrange(len(copy))
                copy = copy[:at] + bytes([copy[at] ^ (1 << source.randrange(8))]) + copy[at + 1 :]
            copies.append((source.random() * 0.1 if source.random() < reordering else 0.0, copy))
        return copies

    return fate
