"""One direction of a path at work: a `Link` applied to each datagram, with the state that needs."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import TypeAlias, final

from xp2p_trio.testing.link import Link

Arrival: TypeAlias = tuple[float, bytes]
"""When a datagram arrives, in absolute seconds, and what arrives."""


@final
class Wire:
    """Decides for each datagram whether, when and in what shape it arrives.

    All draws come from `Random.random()`, whose sequence for a seed is the same in every Python version.
    """

    __slots__ = ("_busy_until", "_in_bad_spell", "_last_arrival", "_link", "_number", "_random", "counters")

    def __init__(self, link: Link, random: Random) -> None:
        self.counters: Counter[str] = Counter()
        self._random = random
        self._busy_until = -math.inf
        self._last_arrival = -math.inf
        self.link = link

    @property
    def link(self) -> Link:
        """The configuration; setting it keeps the queue and restarts the count that `Link.drop` refers to."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        self._link = link
        self._number = 0
        self._in_bad_spell = False

    def carry(self, datagram: bytes, header_size: int, now: float) -> list[Arrival]:
        """Take one datagram; `header_size` is that of IP and UDP. Returns what will arrive: mostly one, or none."""
        link, draw, counters = self._link, self._random.random, self.counters
        size = len(datagram) + header_size
        number = self._number
        self._number = number + 1
        counters["sent"] += 1
        counters["sent_size"] += len(datagram)

        if size > link.mtu:
            counters["too_large"] += 1
            return []
        leaves = now
        if link.rate != math.inf:
            start = max(now, self._busy_until)
            if (start - now) * link.rate + size > link.queue_size:
                counters["queue_full"] += 1
                return []
            leaves = self._busy_until = start + size / link.rate

        if number in link.drop or self._is_lost(link):
            counters["lost"] += 1
            return []
        if link.truncate and datagram and draw() < link.truncate:
            counters["truncated"] += 1
            datagram = datagram[: int(draw() * len(datagram))]
        if link.corrupt and datagram and draw() < link.corrupt:
            counters["corrupted"] += 1
            bit = int(draw() * len(datagram) * 8)
            flipped = bytearray(datagram)
            flipped[bit >> 3] ^= 1 << (bit & 7)
            datagram = bytes(flipped)
        copies = 1
        if link.duplicate and draw() < link.duplicate:
            copies += 1 + int(draw() * link.copies)
            counters["duplicated"] += copies - 1
        return [(self._arrival_time(link, leaves), datagram) for _ in range(copies)]

    def carry_stream(self, size: int, now: float) -> float:
        """Take bytes of a stream, headers included: they wait for the rate, and are not lost. Returns their arrival."""
        link, leaves = self._link, now
        if link.rate != math.inf:
            leaves = self._busy_until = max(now, self._busy_until) + size / link.rate
        return leaves + link.delay

    def _is_lost(self, link: Link) -> bool:
        draw, chain = self._random.random, link.burst_loss
        lost = bool(link.loss) and draw() < link.loss
        if chain is None:
            return lost
        if draw() < (chain.to_good if self._in_bad_spell else chain.to_bad):
            self._in_bad_spell = not self._in_bad_spell
        rate = chain.loss_in_bad if self._in_bad_spell else chain.loss_in_good
        return draw() < rate or lost

    def _arrival_time(self, link: Link, leaves: float) -> float:
        draw = self._random.random
        arrives = leaves + link.delay
        if link.jitter:
            arrives += link.jitter * draw()
        if link.reorder and draw() < link.reorder:
            self.counters["reordered"] += 1
            return arrives + link.reorder_delay * draw()
        self._last_arrival = arrives = max(arrives, self._last_arrival)
        return arrives
