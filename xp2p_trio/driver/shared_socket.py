"""One socket of a network, shared: what a session believes to own of it, and who waits to send on it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final, final

import trio

from xp2p_trio.driver.network import DatagramSocket
from xp2p_trio.driver.nursery import Background
from xp2p_trio.ice import Demultiplexer
from xp2p_trio.ice.demultiplexing import MAX_FRAGMENTS
from xp2p_trio.sansio import Address, Burst

RECEIVE_BUFFER_SIZE: Final = 1024 * 1024
"""Bytes that wait for one session, each datagram counted with `DATAGRAM_CHARGE` more; what comes on top is dropped."""

DATAGRAM_CHARGE: Final = 128

MAX_EARLY_BURSTS: Final = 16
"""What comes for a session before it has bound a socket: its peer may ask at once."""


@final
class Port:
    """A socket of the network, and those who wait to send on it."""

    def __init__(self, socket: DatagramSocket, background: Background) -> None:
        self.socket = socket
        self.is_closed = False
        self._background = background
        self._blocked: dict[SharedSocket, None] = {}
        self._is_watched = False

    def wake_when_writable(self, waiting: SharedSocket) -> None:
        """One task waits for all, since only one may wait for a socket."""
        self._blocked[waiting] = None
        if not self._is_watched:
            self._is_watched = True
            self._background.start_soon(self._watch)

    def close(self) -> None:
        """Release the port, and let those try who wait: it takes everything now, to nowhere."""
        self.is_closed = True
        self.socket.close()
        for waiting in self._blocked:
            waiting.wake_writer()

    @trio.lowlevel.enable_ki_protection
    async def _watch(self) -> None:
        try:
            while self._blocked:
                await self.socket.wait_writable()
                blocked, self._blocked = self._blocked, {}
                for waiting in blocked:  # who came first is the first to try
                    waiting.wake_writer()
                await trio.lowlevel.checkpoint()  # now they try, and come back if it was not enough for all
        except trio.ClosedResourceError:
            return
        finally:
            self._is_watched = False


@final
class Session:
    """One connection's place in a mux: what the demultiplexer routes to. It takes part while it has a socket."""

    def __init__(self, demultiplexer: Demultiplexer[Session]) -> None:
        self.demultiplexer = demultiplexer
        self._sockets: dict[Address, SharedSocket] = {}
        self._fragments: list[str] = []
        self._early: list[Burst] = []

    def add_username_fragment(self, username_fragment: str) -> None:
        """Be named by this fragment as well, as soon as there is a socket.

        Raises:
            InvalidArgument: it is no username fragment, or that of another session.
        """
        self.demultiplexer.check(username_fragment, self)
        self._fragments = [each for each in self._fragments if each != username_fragment] + [username_fragment]
        del self._fragments[:-MAX_FRAGMENTS]
        if self._sockets:
            self.demultiplexer.add(username_fragment, self, trio.current_time())

    def expect(self, username_fragment: str) -> None:
        """The same, but from now on: the peer asks already.

        Raises:
            InvalidArgument: as `add_username_fragment`.
        """
        self.add_username_fragment(username_fragment)
        self.demultiplexer.add(username_fragment, self, trio.current_time())

    def bind(self, port: Port) -> SharedSocket:
        """A socket on this port; what came before it is there.

        Raises:
            OSError: there is one already.
        """
        address = port.socket.address
        if address in self._sockets:
            text = os.strerror(errno.EADDRINUSE)
            raise OSError(errno.EADDRINUSE, f"{text}: {address[0]} port {address[1]}")
        self.demultiplexer.enter(self)
        for fragment in self._fragments:
            if not self.demultiplexer.has(fragment):  # another session may have taken it while this one had no socket
                self.demultiplexer.add(fragment, self, trio.current_time())
        socket = self._sockets[address] = SharedSocket(port, self)
        for burst in self._early:
            if burst.local == address:
                socket.arrive(burst)
        self._early = [burst for burst in self._early if burst.local != address]
        return socket

    def arrive(self, burst: Burst) -> int:
        """Take what came for this session; returns how many datagrams of it are lost."""
        socket = self._sockets.get(burst.local)
        if socket is not None:
            return socket.arrive(burst)
        if len(self._early) < MAX_EARLY_BURSTS:
            self._early.append(burst)
            return 0
        return len(burst.datagrams)

    def closed(self, address: Address) -> None:
        """A socket was closed. A connection without one is over, or waits for a network."""
        del self._sockets[address]
        if not self._sockets:
            self._leave()

    def close(self) -> None:
        """Close every socket."""
        for socket in list(self._sockets.values()):
            socket.close()
        self._leave()

    def _leave(self) -> None:
        self._early.clear()
        self.demultiplexer.remove(self, trio.current_time())


@final
class SharedSocket:
    """A session's view of a shared socket: the `DatagramSocket` that it believes to own."""

    def __init__(self, port: Port, session: Session) -> None:
        self._port = port
        self._session = session
        self._arrived: list[Burst] = []
        self._arrived_size = 0
        self._reader = trio.lowlevel.ParkingLot()
        self._writer = trio.lowlevel.ParkingLot()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<SharedSocket {self.address[0]} port {self.address[1]}>"

    @property
    def address(self) -> Address:
        """The local address."""
        return self._port.socket.address

    async def receive(self) -> Sequence[Burst]:
        """Wait until something has arrived; returns all of it.

        Raises:
            trio.ClosedResourceError: the socket was closed.
            trio.BusyResourceError: another task waits here.
        """
        if self._reader:
            raise trio.BusyResourceError("another task is receiving from this socket")
        if self._arrived:
            await trio.lowlevel.checkpoint_if_cancelled()
            bursts = self._take()
            await trio.lowlevel.cancel_shielded_checkpoint()
            return bursts
        while not self._arrived:
            if self._is_closed:
                raise trio.ClosedResourceError("this socket was closed")
            await self._reader.park()
        return self._take()

    def transmit(self, burst: Burst) -> int:
        """Send the burst without blocking; see `DatagramSocket.transmit`.

        Raises:
            trio.ClosedResourceError: the socket was closed.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this socket was closed")
        if self._port.is_closed:  # the mux has ended before its connections; to them it is a network that is dead
            return len(burst.datagrams)
        self._session.demultiplexer.sent(self._session, burst)
        return self._port.socket.transmit(burst)

    async def wait_writable(self) -> None:
        """Wait until `transmit` can take more. Those who wait for one port have their turn one after the other.

        Raises:
            trio.ClosedResourceError: the socket was closed.
            trio.BusyResourceError: another task waits here.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this socket was closed")
        if self._writer:
            raise trio.BusyResourceError("another task is waiting to send on this socket")
        self._port.wake_when_writable(self)
        await self._writer.park()
        if self._is_closed:
            raise trio.ClosedResourceError("this socket was closed")

    def close(self) -> None:
        """Leave the port to the others and wake whoever waits. Again is harmless."""
        if not self._is_closed:
            self._is_closed = True
            self._session.closed(self.address)
            self._arrived.clear()
            self._reader.unpark_all()
            self._writer.unpark_all()

    def arrive(self, burst: Burst) -> int:
        """Take what came for this socket; returns how many datagrams found no room."""
        datagrams = burst.datagrams
        size = sum(map(len, datagrams)) + DATAGRAM_CHARGE * len(datagrams)
        lost = 0
        while self._arrived_size + size > RECEIVE_BUFFER_SIZE:
            lost += 1
            size -= len(datagrams[-lost]) + DATAGRAM_CHARGE
        if lost:
            burst = Burst(burst.local, burst.remote, datagrams[:-lost])
        if burst.datagrams:
            self._arrived.append(burst)
            self._arrived_size += size
            self._reader.unpark()
        return lost

    def wake_writer(self) -> None:
        """The port takes more."""
        self._writer.unpark_all()

    def _take(self) -> list[Burst]:
        bursts, self._arrived = self._arrived, []
        self._arrived_size = 0
        return bursts
