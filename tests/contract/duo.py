"""Two ends of a protocol, words that are the same for every layer, and a record of calls that can be played again."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

import attrs

from xp2p_trio.errors import LocalError
from xp2p_trio.sansio import Address, Burst, Closed, Failed, RandomBytes, Transport
from xp2p_trio.testing import Network

Item: TypeAlias = Any
"""What travels: a burst of one datagram, a datagram, or a message, as the layer has it."""

LIMIT = 8
PATIENCE = 200


@attrs.define
class Call:
    """One call of a layer's method and what it gave: a result, or the class of a LocalError."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None

    @property
    def now(self) -> float | None:
        """The time argument: the first of `transmit`, the last of everything else."""
        if "now" in self.kwargs:
            return float(self.kwargs["now"])
        if not self.args:
            return None
        last = self.args[0] if self.name == "transmit" else self.args[-1]
        return last if isinstance(last, float) else None

    def at(self, now: float) -> Call:
        """The same call at another time."""
        if "now" in self.kwargs:
            return attrs.evolve(self, kwargs={**self.kwargs, "now": now})
        args = (now, *self.args[1:]) if self.name == "transmit" else (*self.args[:-1], now)
        return attrs.evolve(self, args=args)

    def on(self, layer: Any) -> Any:
        """Make the call."""
        try:
            return getattr(layer, self.name)(*self.args, **self.kwargs)
        except LocalError as error:
            return type(error)


class Recorder:
    """Passes every method call on to the layer and keeps it."""

    def __init__(self, layer: Any) -> None:
        self.wrapped = layer
        self.calls: list[Call] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.wrapped, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            made = Call(name, args, kwargs)
            self.calls.append(made)
            try:
                made.result = attribute(*args, **kwargs)
            except LocalError as error:
                made.result = type(error)
                raise
            return made.result

        return call


class End:
    """One end: a layer behind words that are the same for all. Subclasses fill in what differs."""

    ready_events: tuple[type, ...] = ()

    is_indirect = False
    """Whether what is sent may wait for the permission of a server; then it is only the timer that moves."""

    def __init__(self, layer: Any) -> None:
        self.layer = Recorder(layer)
        self.is_ready = False
        self.terminal: Closed | Failed | None = None
        self.events: list[Any] = []

    def start(self, now: float) -> None:
        """The command that sets the layer going."""

    def close(self, now: float) -> None:
        """The command that ends it."""
        self.layer.close(now)

    def send(self, payload: bytes, now: float) -> None:
        """Queue a message, on layers that carry data."""

    def taken(self) -> list[Any]:
        """What came for the one above."""
        return []

    def answer(self, event: Any, other: End, now: float) -> None:
        """Do what an event asks of the one above, and carry what it says to the other side."""

    def outgoing(self, now: float, limit: int = LIMIT) -> list[Item]:
        """`transmit`, one item a datagram."""
        items = self.layer.transmit(now, limit)
        assert len(items) <= limit
        return list(items)

    def incoming(self, items: list[Item], now: float) -> None:
        """`receive` of what the other side's `outgoing` gave."""
        self.layer.receive(items, now)

    def noise(self, data: bytes) -> Item:
        """An item made of arbitrary bytes."""
        return data

    def is_counted(self, data: bytes) -> bool:
        """Whether noise of these bytes shows in the statistics at once."""
        return True

    def content(self, item: Item) -> bytes:
        """The bytes of an item."""
        assert isinstance(item, bytes)
        return item

    def news(self, other: End, now: float) -> list[Any]:
        """Drain the events and act on them."""
        events = self.layer.take_events()
        for event in events:
            assert self.terminal is None, f"{event} came after {self.terminal}"
            self.events.append(event)
            if isinstance(event, Closed | Failed):
                self.terminal = event
            if isinstance(event, self.ready_events):
                self.is_ready = True
            self.answer(event, other, now)
        return list(events)


class BurstEnd(End):
    """An end that speaks bursts."""

    def outgoing(self, now: float, limit: int = LIMIT) -> list[Item]:
        bursts = self.layer.transmit(now, limit)
        assert sum(len(burst.datagrams) for burst in bursts) <= limit
        return [attrs.evolve(burst, datagrams=[datagram]) for burst in bursts for datagram in burst.datagrams]

    def incoming(self, items: list[Item], now: float) -> None:
        batch: list[Burst] = []
        for item in items:
            turned = item.reversed()
            if batch and path_of(batch[-1]) == path_of(turned):
                batch[-1] = attrs.evolve(batch[-1], datagrams=[*batch[-1].datagrams, *turned.datagrams])
            else:
                batch.append(turned)
        for burst in batch:
            self.layer.receive(burst, now)

    def content(self, item: Item) -> bytes:
        (datagram,) = item.datagrams
        assert isinstance(datagram, bytes)
        return datagram


def path_of(burst: Burst) -> tuple[Address, Address, Transport]:
    """What the datagrams of a burst have in common."""
    return burst.local, burst.remote, burst.transport


@attrs.define
class Duo:
    """Two ends and the time; items travel at once, but those numbered in `lose` are lost where the carrier may lose."""

    left: End
    right: End
    is_lossy: bool = True
    lose: Collection[int] = frozenset()
    now: float = 1000.0
    travelled: list[tuple[End, Item]] = attrs.field(factory=list)

    @property
    def ends(self) -> tuple[End, End]:
        """Both."""
        return self.left, self.right

    def other(self, end: End) -> End:
        """The other one."""
        return self.right if end is self.left else self.left

    def start(self) -> None:
        """Set both going."""
        for end in self.ends:
            end.start(self.now)

    def shuttle(self, limit: int = LIMIT) -> bool:
        """Carry what both have to say now, once. Returns whether anything happened."""
        moved = False
        for end in self.ends:
            other = self.other(end)
            moved |= bool(end.news(other, self.now))
            items = end.outgoing(self.now, limit)
            arriving = []
            for item in items:
                if not self.is_lossy or len(self.travelled) not in self.lose:
                    arriving.append(item)
                self.travelled.append((end, item))
            if arriving:
                other.incoming(arriving, self.now)
            moved |= bool(items)
            moved |= bool(end.news(other, self.now))  # pulling may have been the last thing to do
        return moved

    def settle(self, limit: int = LIMIT) -> None:
        """Shuttle until both are quiet at this instant."""
        for _ in range(PATIENCE):
            if not self.shuttle(limit):
                return
        raise AssertionError("the two never fall silent")

    def run(self, until: Callable[[], bool], *, limit: int = LIMIT, timeout: float = 120.0) -> None:
        """Move on from timeout to timeout until the goal is reached."""
        deadline = self.now + timeout
        self.settle(limit)
        while not until():
            soonest = min(end.layer.wrapped.next_timeout() for end in self.ends)
            assert soonest <= deadline, f"not reached within {timeout} s; next timeout {soonest}"
            self.now = max(self.now, soonest)
            for end in self.ends:
                if end.layer.wrapped.next_timeout() <= self.now:
                    end.layer.handle_timeout(self.now)
            self.settle(limit)

    def establish(self, limit: int = LIMIT) -> None:
        """Start both and run until both are ready."""
        self.start()
        self.run(lambda: all(end.is_ready for end in self.ends), limit=limit)


def random_bytes(seed: int) -> Callable[[str], RandomBytes]:
    """Named seeded sources."""
    return Network(seed=seed).random_bytes


def play(layer: Any, calls: Iterable[Call]) -> list[Call]:
    """Make the calls on a fresh layer; returns them with what they gave this time."""
    return [attrs.evolve(call, result=call.on(layer)) for call in calls]


def told(calls: Iterable[Call], *names: str) -> list[Any]:
    """All that these methods gave, in order, flattened."""
    return [thing for call in calls if call.name in names for thing in call.result]


def is_idle(layer: Any) -> bool:
    """Whether no timer runs."""
    return bool(layer.next_timeout() == math.inf)
