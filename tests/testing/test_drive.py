"""`drive` and `Pair`, with small layers of which everything is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing import BLACK_HOLE, Link, Network, Pair, Spinning, VirtualTimeout, drive


class Counter:
    """Sends a number every second until an answer says that it has come; answers with the number it got."""

    def __init__(self, *, is_asking: bool) -> None:
        self.due = 0.0 if is_asking else math.inf
        self.outbox: list[bytes] = []
        self.received: list[tuple[float, bytes]] = []
        self.events: list[str] = []
        self.count = 0
        self.is_asking = is_asking

    def receive(self, batch: Sequence[bytes], now: float) -> None:
        for datagram in batch:
            self.received.append((now, datagram))
            self.events.append(f"got {datagram.decode()}")
            if self.is_asking:
                self.due = math.inf
            else:
                self.outbox.append(datagram)

    def handle_timeout(self, now: float) -> None:
        if now >= self.due:
            self.outbox.append(b"%d" % self.count)
            self.count += 1
            self.due = now + 1.0

    def transmit(self, now: float, limit: int) -> list[bytes]:
        leaving, self.outbox = self.outbox[:limit], self.outbox[limit:]
        return leaving

    def take_events(self) -> list[str]:
        events, self.events = self.events, []
        return events

    def next_timeout(self) -> float:
        return self.due


def pair(link: Link | None = None, back: Link | None = None) -> Pair[Counter]:
    return Pair(Counter(is_asking=True), Counter(is_asking=False), link=link, back=back)


def test_the_clock_jumps_to_what_happens_next() -> None:
    p = pair(Link(delay=0.3), Link(delay=0.2))
    end = p.run(lambda: bool(p.left.received))
    assert end == p.now == 0.5
    assert p.right.received == [(0.3, b"0")]


def test_timeouts_fire_while_nothing_arrives() -> None:
    p = pair(Link(delay=0.1, drop={0, 1, 2}), Link(delay=0.1))
    p.run(lambda: bool(p.left.received))
    assert p.left.received == [(3.2, b"3")]


def test_without_a_goal_it_runs_the_whole_time() -> None:
    p = pair(BLACK_HOLE)
    assert p.run(timeout=10.5) == 10.5
    assert p.left.count == 11
    assert p.run(timeout=10.0) == 20.5
    assert p.left.count == 21


def test_a_goal_missed_says_when_and_what_was_waited_for() -> None:
    p = pair(BLACK_HOLE)
    with pytest.raises(VirtualTimeout, match=r"t=5 s.*seed 0.*next_timeout 6"):
        p.run(lambda: bool(p.left.received), timeout=5.0)


def test_events_are_handed_over_with_host_and_time() -> None:
    p = pair(Link(delay=0.5))
    told: list[tuple[str, list[str], float]] = []
    p.run(lambda: len(told) == 2, on_events=lambda name, events, now: told.append((name, events, now)))
    assert told == [("right", ["got 0"], 0.5), ("left", ["got 0"], 1.0)]


def test_a_layer_whose_timer_never_moves_is_named() -> None:
    p = pair()
    p.right.due = 0.0
    p.right.handle_timeout = lambda now: None  # type: ignore[method-assign]
    with pytest.raises(Spinning, match=r"right: next_timeout\(\) stays at 0.0"):
        p.run(timeout=1.0)


def test_a_layer_that_never_falls_silent_is_named() -> None:
    class Chatty(Counter):
        def transmit(self, now: float, limit: int) -> list[bytes]:
            return [b"x"] * limit

    network = Network()
    address, other = network.host("chatty", "192.0.2.1").address(), ("203.0.113.1", 1)

    class OverNetwork(Chatty):
        def transmit(self, now: float, limit: int) -> list[Burst]:  # type: ignore[override]
            return [Burst(address, other, super().transmit(now, limit))]

        def receive(self, batch: Burst, now: float) -> None:  # type: ignore[override]
            raise AssertionError

    with pytest.raises(Spinning, match="most of them by chatty"):
        drive(network, {"chatty": OverNetwork(is_asking=False)}, max_steps=100)


def test_an_exception_tells_host_time_and_seed() -> None:
    class Broken(Counter):
        def receive(self, batch: Sequence[bytes], now: float) -> None:
            raise ValueError("broken")

    p = Pair(Counter(is_asking=True), Broken(is_asking=False), link=Link(delay=0.25), seed=77)
    with pytest.raises(ValueError, match="broken") as caught:
        p.run(timeout=1.0)
    (note,) = caught.value.__notes__
    assert "receive() of right" in note
    assert "t=0.25" in note
    assert "seed 77" in note


def test_a_pair_hears_its_other_half_only() -> None:
    p = pair()
    stranger: Address = p.network.host("stranger", "203.0.113.5").address()
    there = p.network.host("left").address(49152)
    p.network.send(Burst(stranger, there, [b"hello"]), 0.0)
    p.run(timeout=0.5)
    assert [datagram for _, datagram in p.left.received] == [b"0"]
