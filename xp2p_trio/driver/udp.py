"""UDP sockets of the kernel, a batch at a time.

    wait_readable -> recvmsg, recvmsg, ... until empty or RECEIVE_BATCH -> one Burst for each source
    one Burst -> sendmsg of a run of equal datagrams (UDP_SEGMENT), or sendto one by one

Linux segments one large send into datagrams (GSO) and joins received datagrams of one flow into one large receive
(GRO); both are used where the kernel has them, and dropped for good on a socket whose kernel refuses. Microseconds a
datagram of 1200 bytes over loopback, CPython 3.11:

    datagrams in the burst      1      8     32     50
    transmit, GSO             4.0    0.6   0.23   0.17
    transmit, one by one      3.6    3.6    3.4    3.3
    receive, GRO             10.0    1.5   0.47   0.35      (with trio's wait_readable, which is 8 of the 10)
    receive, one by one       9.5    2.9    1.8    1.6
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Sequence
from struct import Struct
from typing import Final, final

import attrs
import trio

from xp2p_trio.sansio import Address, Burst

RECEIVE_BATCH: Final = 64
"""Once this many datagrams are drained, `receive` hands them up, so that one busy socket cannot starve other tasks."""

BUFFER_SIZE: Final = 4 * 1024 * 1024
"""Asked of the kernel for each direction; it silently gives what the administrator allows."""

MAX_DATAGRAM_SIZE: Final = 65_535
"""Bytes that a receive buffer has to hold."""

_SOL_UDP: Final = 17
# Linux, include/uapi/linux/udp.h. The socket module has no names for them.
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_MAX_SEGMENTS: Final = 64  # UDP_MAX_SEGMENTS of the kernels before 6.7
_MAX_SEGMENTED_SIZE: Final = 65_000  # below the 65,507 bytes that UDP over IPv4 can carry

_SEGMENT_SIZE: Final = Struct("=H")
_GRO_SIZE: Final = Struct("=i")
_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(_GRO_SIZE.size) if hasattr(socket, "CMSG_SPACE") else 0

# What a kernel, driver or route without segmentation offload answers. Where plain sends fail alike, it was not that.
_OFFLOAD_REFUSED: Final = frozenset({errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP})

_MAX_KNOWN_ADDRESSES: Final = 1024
_ERRORS_BEFORE_PAUSE: Final = 16
_ERROR_PAUSE: Final = 0.01


@attrs.frozen
class SocketStatistics:
    """What one socket has done so far.

    Attributes:
        datagrams_received: handed up by `receive`.
        datagrams_sent: taken by the kernel.
        datagrams_lost: refused by the kernel, and counted as lost on the way.
        receive_errors: errors that a receive call answered, mostly ICMP's news of earlier sends.
        is_offloading: whether runs of datagrams leave by one call (GSO).
    """

    datagrams_received: int
    datagrams_sent: int
    datagrams_lost: int
    receive_errors: int
    is_offloading: bool


@final
class UdpSocket:
    """A bound UDP socket: the `DatagramSocket` of the kernel.

    Args:
        sock: a bound, non-blocking datagram socket, which this object owns from now on.
        offload: whether to use GSO and GRO where the kernel has them.
        buffer: to receive into, 64 KiB at least; sockets of one thread may share it.
        address: the local address, if it is another than the one that is bound.
    """

    __slots__ = (
        "_address",
        "_buffer",
        "_consecutive_errors",
        "_has_gro",
        "_has_gso",
        "_is_closed",
        "_is_drained",
        "_lost",
        "_receive_errors",
        "_received",
        "_sent",
        "_sockaddrs",
        "_socket",
        "_sources",
        "_view",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        *,
        offload: bool = True,
        buffer: bytearray | None = None,
        address: Address | None = None,
    ) -> None:
        self._socket = sock
        host, port = sock.getsockname()[:2]
        self._address: Address = (str(ipaddress.ip_address(host)), port) if address is None else address
        self._buffer = bytearray(MAX_DATAGRAM_SIZE) if buffer is None else buffer
        self._view = memoryview(self._buffer)
        self._sources: dict[object, Address] = {}
        self._sockaddrs: dict[Address, Address | None] = {}
        self._is_closed = False
        self._is_drained = True
        self._consecutive_errors = 0
        self._received = self._sent = self._lost = self._receive_errors = 0
        is_linux = sys.platform == "linux"
        self._has_gso = offload and is_linux and _probe_gso(sock)
        self._has_gro = offload and is_linux and _enable_gro(sock)

    @property
    def address(self) -> Address:
        """The local address, with the port that was really bound."""
        return self._address

    @property
    def statistics(self) -> SocketStatistics:
        """What was done so far."""
        return SocketStatistics(self._received, self._sent, self._lost, self._receive_errors, self._has_gso)

    async def receive(self) -> Sequence[Burst]:
        """Wait until something has arrived, then drain a bounded batch, one burst for each source.

        Raises:
            trio.ClosedResourceError: the socket was closed.
            trio.BusyResourceError: another task waits here.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this socket was already closed")
        if not self._is_drained:
            # The last batch stopped at its bound: look before waiting. A cancellation never costs a datagram.
            await trio.lowlevel.checkpoint_if_cancelled()
            if bursts := self._drain():
                await trio.lowlevel.cancel_shielded_checkpoint()
                return bursts
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            if bursts := self._drain():
                return bursts
            if self._consecutive_errors >= _ERRORS_BEFORE_PAUSE:
                # A socket that answers nothing but errors must not keep the processor busy.
                await trio.sleep(_ERROR_PAUSE)
                if self._is_closed:
                    raise trio.ClosedResourceError("this socket was closed by another task")

    def transmit(self, burst: Burst) -> int:
        """Send the burst without blocking; see `DatagramSocket.transmit`.

        Raises:
            trio.ClosedResourceError: the socket was closed.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this socket was already closed")
        datagrams = burst.datagrams
        try:
            destination = self._sockaddrs[burst.remote]
        except KeyError:
            destination = self._learn_destination(burst.remote)
        if destination is None:
            self._lost += len(datagrams)
            return len(datagrams)
        done, total = 0, len(datagrams)
        while done < total:
            stop = _run_end(datagrams, done) if self._has_gso else done + 1
            if stop - done > 1:
                count = self._send_run(datagrams[done:stop], destination)
            else:
                count = self._send_each(datagrams[done:stop], destination)
            done += count
            if done < stop:
                break
        return done

    async def wait_writable(self) -> None:
        """Wait until `transmit` can take more.

        Raises:
            trio.ClosedResourceError: the socket was closed.
            trio.BusyResourceError: another task waits here.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this socket was already closed")
        await trio.lowlevel.wait_writable(self._socket)

    def close(self) -> None:
        """Release the port and wake whoever waits. Again is harmless."""
        if not self._is_closed:
            self._is_closed = True
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _drain(self) -> list[Burst]:
        batch: dict[Address, list[bytes]] = {}
        count = failures = 0
        self._is_drained = False
        while count < RECEIVE_BATCH and failures < RECEIVE_BATCH:
            try:
                if self._has_gro:
                    size, ancillary, _, raw_source = self._socket.recvmsg_into([self._buffer], _ANCILLARY_SIZE)
                else:
                    size, raw_source = self._socket.recvfrom_into(self._buffer)
                    ancillary = None
            except BlockingIOError:
                self._is_drained = True
                break
            except OSError:
                failures += 1
                continue
            data = bytes(self._view[:size])
            segment_size = _GRO_SIZE.unpack_from(ancillary[0][2])[0] if ancillary else size
            try:
                source = self._sources[raw_source]
            except KeyError:
                source = self._learn_source(raw_source)
            datagrams = batch.get(source)
            if datagrams is None:
                datagrams = batch[source] = []
            if 0 < segment_size < size:
                datagrams += [data[start : start + segment_size] for start in range(0, size, segment_size)]
                count += -(-size // segment_size)
            else:
                datagrams.append(data)
                count += 1
        self._received += count
        self._receive_errors += failures
        self._consecutive_errors = self._consecutive_errors + failures if not count else 0
        local = self._address
        return [Burst(local, source, datagrams) for source, datagrams in batch.items()]

    def _send_run(self, datagrams: Sequence[bytes], destination: Address) -> int:
        """Send datagrams of one size, the last of which may be smaller, by one call (GSO)."""
        control = [(_SOL_UDP, _UDP_SEGMENT, _SEGMENT_SIZE.pack(len(datagrams[0])))]
        try:
            self._socket.sendmsg(datagrams, control, 0, destination)
        except BlockingIOError:
            return 0
        except OSError as refusal:
            lost_before = self._lost
            done = self._send_each(datagrams, destination)
            if refusal.errno in _OFFLOAD_REFUSED and self._lost == lost_before:
                self._has_gso = False
            return done
        self._sent += len(datagrams)
        return len(datagrams)

    def _send_each(self, datagrams: Sequence[bytes], destination: Address) -> int:
        """Send one by one; an error of the destination is a lost datagram."""
        done = 0
        for datagram in datagrams:
            try:
                self._socket.sendto(datagram, destination)
            except BlockingIOError:
                break
            except OSError:
                self._lost += 1
            else:
                self._sent += 1
            done += 1
        return done

    def _learn_destination(self, remote: Address) -> Address | None:
        """Check an address once, so that no name of a peer's making ever reaches the blocking resolver of sendto."""
        if len(self._sockaddrs) >= _MAX_KNOWN_ADDRESSES:
            self._sockaddrs.clear()
        destination: Address | None = None
        try:
            if 0 < remote[1] <= 65535 and ipaddress.ip_address(remote[0]).version == self._version:
                destination = remote
        except ValueError:
            pass
        self._sockaddrs[remote] = destination
        return destination

    def _learn_source(self, raw_source: tuple[str, int]) -> Address:
        if len(self._sources) >= _MAX_KNOWN_ADDRESSES:
            self._sources.clear()
        source = (str(ipaddress.ip_address(raw_source[0])), raw_source[1])
        self._sources[raw_source] = source
        return source

    @property
    def _version(self) -> int:
        return 6 if self._socket.family == socket.AF_INET6 else 4


def _run_end(datagrams: Sequence[bytes], start: int) -> int:
    """Where the run of one segmented send ends: equal sizes, the last may be smaller but not empty."""
    size = len(datagrams[start])
    if not size:
        return start + 1
    limit = min(len(datagrams), start + min(_MAX_SEGMENTS, max(1, _MAX_SEGMENTED_SIZE // size)))
    stop = start + 1
    while stop < limit:
        following = len(datagrams[stop])
        if following != size:
            return stop + 1 if 0 < following < size else stop
        stop += 1
    return stop


def _probe_gso(sock: socket.socket) -> bool:
    """Ask first: a kernel before 4.18 ignores the control message and sends one giant datagram."""
    try:
        sock.getsockopt(_SOL_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True


def _enable_gro(sock: socket.socket) -> bool:
    try:
        sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True
