"""The real network with some of its datagrams lost, both ways, below everything of ours."""

from __future__ import annotations

import random
from collections.abc import Sequence

import attrs

from xp2p_trio.driver import DatagramSocket, Interface, SystemNetwork
from xp2p_trio.sansio import Address, Burst


@attrs.define
class LossyNetwork:
    """Shape: `xp2p_trio.driver.Network`.

    Attributes:
        loss: share of datagrams that are lost; may be changed at any time.
        lost: how many were.
    """

    loss: float
    lost: int = 0
    _system: SystemNetwork = attrs.field(factory=SystemNetwork)
    _random: random.Random = attrs.field(factory=lambda: random.Random(0))

    def interfaces(self) -> Sequence[Interface]:
        return self._system.interfaces()

    def bind(self, address: Address) -> DatagramSocket:
        return _LossySocket(self, self._system.bind(address))

    async def resolve(self, host: str, port: int) -> list[Address]:
        return await self._system.resolve(host, port)

    async def wait_interfaces_changed(self) -> None:
        await self._system.wait_interfaces_changed()

    def surviving(self, datagrams: Sequence[bytes]) -> list[bytes]:
        """What is left of a burst."""
        left = [datagram for datagram in datagrams if self._random.random() >= self.loss]
        self.lost += len(datagrams) - len(left)
        return left


@attrs.define
class _LossySocket:
    _network: LossyNetwork
    _socket: DatagramSocket

    @property
    def address(self) -> Address:
        return self._socket.address

    async def receive(self) -> Sequence[Burst]:
        bursts = await self._socket.receive()
        return [Burst(each.local, each.remote, self._network.surviving(each.datagrams)) for each in bursts]

    def transmit(self, burst: Burst) -> int:
        left = self._network.surviving(burst.datagrams)
        if left:
            self._socket.transmit(Burst(burst.local, burst.remote, left))
        return len(burst.datagrams)

    async def wait_writable(self) -> None:
        await self._socket.wait_writable()

    def close(self) -> None:
        self._socket.close()
