"""The sockets of simulated hosts under trio: what the driver gets from `Host.bind`.

No task runs behind them. Of the tasks that wait for an arrival, one (the timekeeper) sleeps until the network's next
one and hands out what came; a send that arrives earlier moves its deadline. With
`trio.testing.MockClock(autojump_threshold=0)` virtual hours pass in the time that the packets take to process.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, final
from weakref import WeakValueDictionary

import trio

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing.host import canonical
from xp2p_trio.testing.streams import StreamAccepted, StreamEnded

if TYPE_CHECKING:
    from xp2p_trio.testing.host import Host
    from xp2p_trio.testing.network import Network
    from xp2p_trio.testing.stream_sockets import VirtualListener, VirtualStream

RECEIVE_BUFFER_SIZE = 4 * 1024 * 1024
"""Bytes of payload that wait for a `receive`; what comes on top is dropped, as a kernel does."""


@final
class Courier:
    """Joins a network to the clock of trio: knows its sockets, hands out arrivals, lets one task keep the time.

    Attributes:
        network: what it is the courier of.
        sockets: the open ones, by host and address, which those of a multicast group share; `streams` and `listeners`
            likewise.
        streams: see there.
        listeners: see there.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.sockets: dict[tuple[str, Address], list[VirtualSocket]] = {}
        self.streams: dict[tuple[str, Address, Address], VirtualStream] = {}
        self.listeners: dict[tuple[str, Address], VirtualListener] = {}
        self._changes = trio.lowlevel.ParkingLot()
        self._waiting: dict[trio.lowlevel.ParkingLot, None] = {}
        self._timekeeper: trio.CancelScope | None = None
        network.watch(self)

    def send(self, burst: Burst, host_name: str) -> None:
        """Hand the burst of a host to the network, now."""
        self.network.send(burst, trio.current_time(), host=host_name)
        self.rearm()

    def deliver(self) -> None:
        """Hand out what has arrived by now; what no socket is bound to is gone."""
        arrived = self.network.deliver_to_hosts(trio.current_time())
        news = self.network.take_stream_news()
        for each in news:
            if isinstance(each, StreamAccepted):
                self._accept(each)
        for host_name, burst in arrived:
            if not burst.transport.is_stream:
                for receiver in self.sockets.get((host_name, burst.local), ()):
                    receiver.arrive(burst)
            elif (stream := self.streams.get((host_name, burst.local, burst.remote))) is not None:
                stream.arrive(burst)
        for each in news:
            if isinstance(each, StreamEnded) and (each.host, each.local, each.remote) in self.streams:
                self.streams[each.host, each.local, each.remote].end()
        for stream in self.streams.values():
            stream.wake_writer()

    def open(self, host: Host, address: Address, group: Address | None = None) -> VirtualSocket:
        """Make a socket; one of a group shares its address with others of the same.

        Raises:
            OSError: the address is taken.
        """
        there = self.sockets.setdefault((host.name, address), [])
        if there and not (group is not None and all(each.group == group for each in there)):
            raise OSError(errno.EADDRINUSE, f"{os.strerror(errno.EADDRINUSE)}: {address[0]} port {address[1]}")
        there.append(opened := VirtualSocket(self, host, address, group))
        return opened

    def forget(self, closed: VirtualSocket, host: Host) -> None:
        """A socket is closed; the last one of a group leaves it."""
        key = host.name, closed.address
        self.sockets[key].remove(closed)
        if not self.sockets[key]:
            del self.sockets[key]
            if closed.group is not None:
                self.network.groups.leave(closed.group, host, closed.address[0])

    async def wait(self, lot: trio.lowlevel.ParkingLot) -> None:
        """Wait until this lot is emptied, or something may have arrived. Who then waits no more calls `relieve`."""
        self._waiting[lot] = None
        try:
            if self._timekeeper is not None:
                await lot.park()
                return
            with trio.CancelScope(deadline=self.network.next_timeout()) as self._timekeeper:
                try:
                    await lot.park()
                finally:
                    self._timekeeper = None
        finally:
            del self._waiting[lot]

    def relieve(self) -> None:
        """Wake one of those that still wait if nobody keeps the time: it will."""
        if self._timekeeper is None:
            for lot in self._waiting:
                if lot:
                    lot.unpark_all()
                    return

    def rearm(self) -> None:
        """Something was sent: perhaps it arrives before all else."""
        if self._timekeeper is not None:
            self._timekeeper.deadline = self.network.next_timeout()

    def addresses_changed(self) -> None:
        """As `Watcher.addresses_changed`: let everybody look."""
        self._changes.unpark_all()
        for lot in self._waiting:
            lot.unpark_all()

    async def wait_addresses_other_than(self, host: Host, known: Sequence[str]) -> None:
        """As `Host.wait_interfaces_changed`."""
        await trio.lowlevel.checkpoint()
        while host.ip_addresses == known:
            await self._changes.park()

    def _accept(self, news: StreamAccepted) -> None:
        listener = self.listeners.get((news.host, news.local))
        if listener is None:
            self.network.close_stream(news.host, news.local, news.remote, trio.current_time())
        else:
            listener.arrive(news)


@final
class VirtualSocket:
    """A UDP socket of a simulated host: the driver's `DatagramSocket`.

    Attributes:
        group: the multicast group that it hears, if any.
    """

    def __init__(self, courier: Courier, host: Host, address: Address, group: Address | None) -> None:
        self._courier = courier
        self._host = host
        self._address = address
        self.group = group
        self._arrived: list[Burst] = []
        self._arrived_size = 0
        self._receiver: trio.lowlevel.Task | None = None
        self._lot = trio.lowlevel.ParkingLot()
        self._writable = trio.Event()
        self._writable.set()
        self._has_writer = False
        self._is_closed = False
        self._dropped = 0

    def __repr__(self) -> str:
        return f"<VirtualSocket {self._address[0]} port {self._address[1]}>"

    @property
    def address(self) -> Address:
        """The local address."""
        return self._address

    @property
    def dropped(self) -> int:
        """Datagrams that came while the receive buffer was full."""
        return self._dropped

    async def receive(self) -> Sequence[Burst]:
        """Wait until something has arrived; returns all of it.

        Raises:
            trio.ClosedResourceError: the socket was closed.
            trio.BusyResourceError: another task waits here.
        """
        if self._receiver is not None:
            raise trio.BusyResourceError("another task is receiving from this socket")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._receiver = trio.lowlevel.current_task()
        try:
            while True:
                if self._is_closed:
                    raise trio.ClosedResourceError("this socket was closed")
                self._courier.deliver()
                if self._arrived:
                    break
                await self._courier.wait(self._lot)
        finally:
            self._receiver = None
            self._courier.relieve()
        bursts, self._arrived = self._arrived, []
        self._arrived_size = 0
        await trio.lowlevel.cancel_shielded_checkpoint()
        return bursts

    def transmit(self, burst: Burst) -> int:
        """Send the burst. Returns how many of its datagrams are done with: all, or none while `hold` is on.

        Raises:
            trio.ClosedResourceError: the socket was closed.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this socket was closed")
        if not self._writable.is_set():
            return 0
        self._courier.send(Burst(self._address, burst.remote, burst.datagrams), self._host.name)
        return len(burst.datagrams)

    async def wait_writable(self) -> None:
        """Wait until `transmit` can take more.

        Raises:
            trio.ClosedResourceError: the socket was closed.
            trio.BusyResourceError: another task waits here.
        """
        if self._has_writer:
            raise trio.BusyResourceError("another task is waiting to send on this socket")
        self._has_writer = True
        try:
            await self._writable.wait()
        finally:
            self._has_writer = False
        if self._is_closed:
            raise trio.ClosedResourceError("this socket was closed")

    def hold(self) -> None:
        """Behave as a socket whose buffer is full, until `release`."""
        self._writable = trio.Event()

    def release(self) -> None:
        """End `hold`."""
        self._writable.set()

    def close(self) -> None:
        """Release the port and wake whoever waits. Again is harmless."""
        if not self._is_closed:
            self._is_closed = True
            self._courier.forget(self, self._host)
            self._writable.set()
            self._lot.unpark_all()

    def arrive(self, burst: Burst) -> None:
        """Take what came for this socket."""
        size = sum(map(len, burst.datagrams))
        if self._arrived_size + size > RECEIVE_BUFFER_SIZE:
            self._dropped += len(burst.datagrams)
            return
        self._arrived.append(burst)
        self._arrived_size += size
        self._lot.unpark_all()


_couriers: WeakValueDictionary[Network, Courier] = WeakValueDictionary()
"""Held by their sockets: a network without sockets needs none."""


def courier_of(network: Network) -> Courier:
    """The one courier of a network."""
    courier = _couriers.get(network)
    if courier is None:
        courier = _couriers[network] = Courier(network)
    return courier


def bind(host: Host, address: Address) -> VirtualSocket:
    """`Host.bind`."""
    ip_address, port = _check_local(host, address)
    courier = courier_of(host.network)
    chosen: Address = (ip_address, port)
    while port == 0 and (chosen[1] == 0 or (host.name, chosen) in courier.sockets):
        chosen = host.address(ip_address=ip_address)
    return courier.open(host, chosen)


def bind_multicast(host: Host, group: str, port: int, interface_address: str) -> VirtualSocket:
    """`Host.bind_multicast`."""
    address, destination = _check_local(host, (interface_address, port)), (canonical(group), port)
    if port == 0:
        return bind(host, address)
    opened = courier_of(host.network).open(host, address, destination)
    host.join_group(destination, ip_address=address[0])
    return opened


def _check_local(host: Host, address: Address) -> Address:
    ip_address, port = canonical(address[0]), address[1]
    if not 0 <= port <= 65535:
        raise InvalidArgument(f"port {port} is out of range")
    if ip_address not in host.ip_addresses:
        raise OSError(errno.EADDRNOTAVAIL, f"{os.strerror(errno.EADDRNOTAVAIL)}: {ip_address} port {port}")
    return ip_address, port


async def resolve(network: Network, host: str, port: int) -> list[Address]:
    """`Host.resolve`."""
    await trio.lowlevel.checkpoint()
    ip_addresses = network.resolve(host)
    if not ip_addresses:
        raise OSError(socket.EAI_NONAME, f"no host {host!r} on the simulated network")
    return [(ip_address, port) for ip_address in ip_addresses]
