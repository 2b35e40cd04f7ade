"""The streams of simulated hosts under trio: what the driver gets from `Host.connect_stream` and `Host.listen`."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, final

import trio

from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing.host import canonical
from xp2p_trio.testing.sockets import courier_of

if TYPE_CHECKING:
    from xp2p_trio.testing.host import Host
    from xp2p_trio.testing.streams import StreamAccepted

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes that one `receive` gives at most."""

WINDOW_SIZE: Final = 256 * 1024
"""Bytes that may be under way or unread at the other end; what comes on top is kept."""

KEEP_SIZE: Final = 256 * 1024
"""Bytes that are kept; a frame that does not fit is not taken."""

CONNECT_TIMEOUT: Final = 127.0
"""Seconds after which nobody has answered; Linux's, with net.ipv4.tcp_syn_retries = 6."""


@final
class VirtualStream:
    """One end of a stream on a simulated host: the driver's `StreamSocket`."""

    def __init__(self, host: Host, local: Address, remote: Address, transport: Transport) -> None:
        self._host = host
        self._courier = courier_of(host.network)
        self._local, self._remote, self._transport = local, remote, transport
        self._arrived = bytearray()
        self._kept: deque[bytes] = deque()
        self._kept_size = 0
        self._reader, self._writer = trio.lowlevel.ParkingLot(), trio.lowlevel.ParkingLot()
        self._has_reader = self._has_writer = False
        self._is_held = self._is_over = self._is_closed = False
        self._courier.streams[host.name, local, remote] = self

    def __repr__(self) -> str:
        return f"<VirtualStream from {self._local} to {self._remote}>"

    @property
    def local(self) -> Address:
        """Our end."""
        return self._local

    @property
    def remote(self) -> Address:
        """The other end, as it is seen here."""
        return self._remote

    @property
    def transport(self) -> Transport:
        """TCP or TLS."""
        return self._transport

    @property
    def is_over(self) -> bool:
        """Whether nothing more will arrive, and what is sent is lost."""
        return self._is_over

    @property
    def is_blocked(self) -> bool:
        """Whether something is kept."""
        return bool(self._kept)

    @property
    def unread_size(self) -> int:
        """Bytes that have arrived and wait for `receive`."""
        return len(self._arrived)

    async def receive(self) -> bytes:
        """Wait for the next piece of the stream; empty at its end.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
            trio.BusyResourceError: another task waits here.
        """
        if self._has_reader:
            raise trio.BusyResourceError("another task is receiving from this stream")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._has_reader = True
        try:
            while True:
                if self._is_closed:
                    raise trio.ClosedResourceError("this stream was closed")
                self._courier.deliver()
                if self._arrived or self._is_over:
                    break
                await self._courier.wait(self._reader)
        finally:
            self._has_reader = False
            self._courier.relieve()
        piece = bytes(self._arrived[:RECEIVE_SIZE])
        del self._arrived[:RECEIVE_SIZE]
        if (other_end := self._other_end()) is not None:
            other_end.wake_writer()  # there is more room for what it sends
        await trio.lowlevel.cancel_shielded_checkpoint()
        return piece

    def transmit(self, frames: Sequence[bytes]) -> int:
        """Send frames, or keep them while too much is under way or `hold` is on. Returns how many are done with.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed")
        for number, frame in enumerate(frames):
            if self._kept and self._kept_size + len(frame) > KEEP_SIZE:
                return number
            if not self._is_over:
                self._kept.append(frame)
                self._kept_size += len(frame)
                self._push()
        return len(frames)

    async def wait_writable(self) -> None:
        """Wait until everything that was kept has been sent, or the stream is at its end.

        Raises:
            trio.ClosedResourceError: the stream was closed by us.
            trio.BusyResourceError: another task waits here.
        """
        if self._has_writer:
            raise trio.BusyResourceError("another task is waiting to send on this stream")
        await trio.lowlevel.checkpoint()
        self._has_writer = True
        try:
            while not self._is_closed:
                self._courier.deliver()
                self._push()
                if not self._kept:
                    return
                await self._courier.wait(self._writer)
        finally:
            self._has_writer = False
            self._courier.relieve()
        raise trio.ClosedResourceError("this stream was closed")

    def hold(self) -> None:
        """Behave as a stream whose other end reads nothing, until `release`."""
        self._is_held = True

    def release(self) -> None:
        """End `hold`."""
        self._is_held = False
        self._push()
        self.wake_writer()

    def close(self) -> None:
        """End the stream and wake whoever waits; what is kept is lost. Again is harmless."""
        if not self._is_closed:
            self._is_closed = True
            del self._courier.streams[self._host.name, self._local, self._remote]
            self._courier.network.close_stream(self._host.name, self._local, self._remote, trio.current_time())
            self._courier.rearm()
            self._forget()

    def arrive(self, burst: Burst) -> None:
        """Take what came for this end."""
        for piece in burst.datagrams:
            self._arrived += piece
        self._reader.unpark_all()

    def end(self) -> None:
        """Nothing more will come."""
        self._is_over = True
        self._forget()

    def wake_writer(self) -> None:
        """Let who waits to send look whether it can."""
        self._writer.unpark_all()

    def _forget(self) -> None:
        self._kept.clear()
        self._kept_size = 0
        self._reader.unpark_all()
        self._writer.unpark_all()

    def _push(self) -> None:
        """Send of what is kept as much as there is room for."""
        if self._is_held or not self._kept:
            return
        room = WINDOW_SIZE - self._outstanding_size()
        frames: list[bytes] = []
        while self._kept and room > 0:
            frames.append(self._kept.popleft())
            room -= len(frames[-1])
        if frames:
            self._kept_size -= sum(map(len, frames))
            self._courier.send(Burst(self._local, self._remote, frames, self._transport), self._host.name)

    def _outstanding_size(self) -> int:
        under_way = self._courier.network.streams.under_way(self._host, self._local, self._remote)
        reader = self._other_end()
        return under_way + (0 if reader is None else reader.unread_size)

    def _other_end(self) -> VirtualStream | None:
        key = self._courier.network.streams.other_end(self._host, self._local, self._remote)
        return None if key is None else self._courier.streams.get(key)


@final
class VirtualListener:
    """A port of a simulated host that takes streams: the driver's `StreamListener`."""

    def __init__(self, host: Host, address: Address) -> None:
        self._host = host
        self._courier = courier_of(host.network)
        self._address = address
        self._arrived: deque[VirtualStream] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._is_accepting = self._is_closed = False
        self._courier.listeners[host.name, address] = self

    def __repr__(self) -> str:
        return f"<VirtualListener {self._address[0]} port {self._address[1]}>"

    @property
    def address(self) -> Address:
        """The local address."""
        return self._address

    async def accept(self) -> VirtualStream:
        """Wait for the next stream.

        Raises:
            trio.ClosedResourceError: the listener was closed.
            trio.BusyResourceError: another task waits here.
        """
        if self._is_accepting:
            raise trio.BusyResourceError("another task is accepting from this listener")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._is_accepting = True
        try:
            while not self._is_closed:
                self._courier.deliver()
                if self._arrived:
                    stream = self._arrived.popleft()
                    await trio.lowlevel.cancel_shielded_checkpoint()
                    return stream
                await self._courier.wait(self._lot)
        finally:
            self._is_accepting = False
            self._courier.relieve()
        raise trio.ClosedResourceError("this listener was closed")

    def close(self) -> None:
        """Release the port, end the streams that nobody took, and wake whoever waits. Again is harmless."""
        if not self._is_closed:
            self._is_closed = True
            del self._courier.listeners[self._host.name, self._address]
            self._courier.network.stop_listening(self._host.name, self._address)
            while self._arrived:
                self._arrived.popleft().close()
            self._lot.unpark_all()

    def arrive(self, news: StreamAccepted) -> None:
        """Take a stream that somebody opened."""
        self._arrived.append(VirtualStream(self._host, news.local, news.remote, news.transport))
        self._lot.unpark_all()


async def connect_stream(host: Host, local_host: str | None, remote: Address, transport: Transport) -> VirtualStream:
    """`Host.connect_stream`."""
    if local_host is not None and canonical(local_host) not in host.ip_addresses:
        raise OSError(errno.EADDRNOTAVAIL, f"host {host.name!r} has no address {local_host}")
    network = host.network
    await trio.lowlevel.checkpoint()
    silence: TimeoutError | None = None
    try:
        local = network.connect(host.name, remote, trio.current_time(), transport=transport, local_ip=local_host)
    except TimeoutError as error:
        silence = error
    if silence is not None:
        await trio.sleep(CONNECT_TIMEOUT)
        raise silence
    stream = VirtualStream(host, local, (canonical(remote[0]), remote[1]), transport)
    courier = courier_of(network)
    courier.rearm()
    round_trips = 2 if transport is Transport.TLS else 1  # RFC 8446 section 2
    try:
        await trio.sleep(round_trips * network.streams.round_trip(host, local, stream.remote))
    except BaseException:
        stream.close()
        raise
    courier.deliver()
    if stream.is_over and (transport is Transport.TLS or local[0] not in host.ip_addresses):
        stream.close()
        raise OSError(errno.ECONNRESET, f"the stream to {remote[0]} port {remote[1]} ended before it was ready")
    return stream
