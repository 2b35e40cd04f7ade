"""Layers that speak lists of bytes (`dtls.Connection`, `sctp.Association`), joined by a simulated link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, final

from xp2p_trio.sansio import Address, Burst, Layer
from xp2p_trio.testing.drive import OnEvents, drive
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.network import Monitor, Network

_LayerT = TypeVar("_LayerT", bound="Layer[Sequence[bytes], bytes, Any]")


@final
class OverUdp(Generic[_LayerT]):
    """A layer that speaks lists of bytes, put on one path so that it speaks bursts.

    Attributes:
        layer: the layer itself.
        local: our end of the path.
        remote: the other end; what comes from elsewhere is ignored.
    """

    def __init__(self, layer: _LayerT, local: Address, remote: Address) -> None:
        self.layer = layer
        self.local = local
        self.remote = remote

    def __repr__(self) -> str:
        return repr(self.layer)

    def receive(self, batch: Burst, now: float) -> None:
        """As `Layer.receive`."""
        if batch.local == self.local and batch.remote == self.remote:
            self.layer.receive(batch.datagrams, now)

    def handle_timeout(self, now: float) -> None:
        """As `Layer.handle_timeout`."""
        self.layer.handle_timeout(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """As `Layer.transmit`."""
        datagrams = self.layer.transmit(now, limit)
        return [Burst(self.local, self.remote, datagrams)] if datagrams else []

    def take_events(self) -> list[Any]:
        """As `Layer.take_events`."""
        return self.layer.take_events()

    def next_timeout(self) -> float:
        """As `Layer.next_timeout`."""
        return self.layer.next_timeout()


@final
class Pair(Generic[_LayerT]):
    """Two layers and the network between them, with the virtual time that has passed.

    Args:
        left: one layer; its host is named "left".
        right: the other; its host is named "right".
        link: from left to right.
        back: from right to left; None is like `link`.
        seed: of the network.
        now: virtual time of the start.
        monitors: of the network.

    Attributes:
        left: as given.
        right: as given.
        network: with the hosts "left" and "right"; links can be changed at any time.
        now: virtual time, in seconds; the start of the next `run`.
    """

    def __init__(
        self,
        left: _LayerT,
        right: _LayerT,
        *,
        link: Link | None = None,
        back: Link | None = None,
        seed: int = 0,
        now: float = 0.0,
        monitors: Sequence[Monitor] = (),
    ) -> None:
        self.left = left
        self.right = right
        self.now = now
        self.network = Network(seed=seed, link=link, monitors=monitors)
        left_address = self.network.host("left", "192.0.2.1").address()
        right_address = self.network.host("right", "192.0.2.2").address()
        if back is not None:
            self.network.set_link("right", "left", back)
        self._layers = {
            "left": OverUdp(left, left_address, right_address),
            "right": OverUdp(right, right_address, left_address),
        }

    def run(
        self, until: Callable[[], bool] | None = None, *, timeout: float = 60.0, on_events: OnEvents | None = None
    ) -> float:
        """`drive` the two on from `now`, and move that; without `until` for all of `timeout`."""
        self.now = drive(self.network, self._layers, until=until, now=self.now, timeout=timeout, on_events=on_events)
        return self.now
