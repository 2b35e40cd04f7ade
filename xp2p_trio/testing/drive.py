"""Shuttling: sans-IO layers, a simulated network and a virtual clock, with no other moving part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from xp2p_trio.sansio import Burst, Layer
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.streams import StreamEnded, StreamNews

BurstLayer: TypeAlias = Layer[Burst, Burst, Any]
"""What can be driven as it is: `peer.Connection`, `ice.Agent`, `stun.Client`."""

OnEvents: TypeAlias = Callable[[str, list[Any], float], None]
"""Gets the name of the host, the events drained from its layer, and the time."""

OnStreamNews: TypeAlias = Callable[[StreamNews, float], None]
"""Gets what happened to a stream, and the time."""

TRANSMIT_LIMIT = 64
"""Datagrams asked of a layer at a time."""

_TIMEOUTS_AT_ONCE = 100  # of one layer at one instant; a layer that has more to do re-arms its timer without end


class VirtualTimeout(TimeoutError):
    """`until` did not hold before the virtual deadline."""


class Spinning(AssertionError):
    """A layer kept going without progress; the text names it."""


def drive(
    network: Network,
    layers: Mapping[str, BurstLayer],
    *,
    until: Callable[[], bool] | None = None,
    now: float = 0.0,
    timeout: float = 60.0,
    on_events: OnEvents | None = None,
    on_stream_news: OnStreamNews | None = None,
    max_steps: int = 1_000_000,
) -> float:
    """Move datagrams and the clock until `until` holds.

    The clock jumps from one timeout to the next; nothing waits for real. An exception from a layer passes through with
    a note of where and when, and of the network's seed, which replays the run.

    Args:
        network: what lies between.
        layers: by the name of the host that each sits on; a layer receives what comes for any address of its host.
        until: asked after every step; None runs for the whole of `timeout`.
        now: virtual time of the start, in seconds.
        timeout: seconds of virtual time.
        on_events: takes the events of the layers; without it they stay where they are.
        on_stream_news: takes the streams that were accepted, before what they bring, and those that ended, after it.
        max_steps: how many calls that move data or time at most.

    Returns:
        The virtual time of the end.

    Raises:
        VirtualTimeout: `until` did not hold in time.
        Spinning: a layer's timer never moves on, or `max_steps` are used up.
    """
    return _Run(network, layers, on_events, on_stream_news, max_steps, now).run(until, now + timeout)


class _Run:
    """The state of one `drive`."""

    def __init__(
        self,
        network: Network,
        layers: Mapping[str, BurstLayer],
        on_events: OnEvents | None,
        on_stream_news: OnStreamNews | None,
        max_steps: int,
        now: float,
    ) -> None:
        self._network = network
        self._layers = {network.host(name).name: layer for name, layer in layers.items()}
        self._on_events = on_events
        self._on_stream_news = on_stream_news
        self._max_steps = max_steps
        self._steps = dict.fromkeys(layers, 0)
        self._timeouts_at_once = dict.fromkeys(layers, 0)
        self._now = now

    def run(self, until: Callable[[], bool] | None, deadline: float) -> float:
        while True:
            moved = True
            while moved:
                moved = self._shuttle()
                if until is not None and until():
                    return self._now
            soonest = min(self._network.next_timeout(), *(layer.next_timeout() for layer in self._layers.values()))
            if soonest > deadline:
                if until is None:
                    return deadline
                raise VirtualTimeout(f"not reached by t={deadline:g} s of virtual time; {self._story()}")
            if soonest > self._now:
                self._now = soonest
                self._timeouts_at_once = dict.fromkeys(self._layers, 0)
            for name, layer in self._layers.items():
                if layer.next_timeout() <= self._now:
                    self._expire(name, layer)

    def _shuttle(self) -> bool:
        """Let every layer say its word once, and deliver what has arrived. Returns whether anything moved."""
        moved = False
        for name, layer in self._layers.items():
            bursts: list[Burst] = self._call(name, layer.transmit, self._now, TRANSMIT_LIMIT)
            for burst in bursts:
                self._network.send(burst, self._now, host=name)
                moved = True
        bursts_by_host = self._network.deliver_to_hosts(self._now)
        news = self._network.take_stream_news() if self._on_stream_news is not None else []
        moved |= self._hand_on(each for each in news if not isinstance(each, StreamEnded))
        for name, burst in bursts_by_host:
            if name in self._layers:
                self._call(name, self._layers[name].receive, burst, self._now)
                moved = True
        moved |= self._hand_on(each for each in news if isinstance(each, StreamEnded))
        if self._on_events is not None:
            for name, layer in self._layers.items():
                if events := layer.take_events():
                    self._on_events(name, events, self._now)
                    moved = True
        return moved

    def _hand_on(self, news: Iterable[StreamNews]) -> bool:
        moved = False
        for each in news:
            assert self._on_stream_news is not None
            self._on_stream_news(each, self._now)
            moved = True
        return moved

    def _expire(self, name: str, layer: BurstLayer) -> None:
        self._timeouts_at_once[name] += 1
        if self._timeouts_at_once[name] > _TIMEOUTS_AT_ONCE:
            raise Spinning(
                f"{name}: next_timeout() stays at {layer.next_timeout()!r}, however often handle_timeout() is called; "
                f"{self._story()}"
            )
        self._call(name, layer.handle_timeout, self._now)

    def _call(self, name: str, word: Callable[..., Any], *arguments: object) -> Any:
        self._steps[name] += 1
        if sum(self._steps.values()) > self._max_steps:
            busiest = max(self._steps, key=self._steps.__getitem__)
            raise Spinning(f"{self._max_steps} calls are used up, most of them by {busiest}; {self._story()}")
        try:
            return word(*arguments)
        except Exception as error:
            error.add_note(f"in {word.__name__}() of {name}; {self._story()}")
            raise

    def _story(self) -> str:
        layers = ", ".join(
            f"{name}: {layer!r} next_timeout {layer.next_timeout():g}" for name, layer in self._layers.items()
        )
        return f"t={self._now!r} s, seed {self._network.seed}, {self._network.in_flight} datagrams in flight, {layers}"
