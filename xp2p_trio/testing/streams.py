"""TCP on the simulated network, without I/O: streams that keep their order and lose nothing, at the pace of the links.

Who connects learns at once whether there is a way; the other side hears of it when the link has carried that there, and
what was sent meanwhile comes behind it. The boxes on the way let a stream through when it is opened, and look again
whenever something arrives: where one no longer does, or an address has gone to another place, the sender gets the end
of its stream for an answer. Who sends nothing hears nothing; only a host whose own address goes learns it at once.

A link that loses everything (`BLACK_HOLE`) delays what it is given: it is tried again, at intervals that double
(RFC 6298 section 5.5), until the stream is given up. Other faults of links do not touch streams.
"""

from __future__ import annotations

import enum
import errno
import heapq
import math
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing.host import Host, canonical
from xp2p_trio.testing.middlebox import DropReason, Passage
from xp2p_trio.testing.trace import Dropped, Recorder
from xp2p_trio.testing.wire import Wire

if TYPE_CHECKING:
    from xp2p_trio.testing.realm import Middlebox

_SEGMENT_SIZE: Final = 1440
_IPV4_HEADERS_SIZE: Final = 20 + 20  # RFC 791, RFC 9293
_IPV6_HEADERS_SIZE: Final = 40 + 20  # RFC 8200, RFC 9293
_FIRST_RETRY: Final = 0.2  # seconds; Linux's TCP_RTO_MIN
_LAST_RETRY: Final = 120.0  # seconds; Linux's TCP_RTO_MAX
_MAX_RETRIES: Final = 15  # Linux's net.ipv4.tcp_retries2


@attrs.frozen
class StreamAccepted:
    """Somebody opened a stream to a listener. What it brings comes after this.

    Attributes:
        host: the name of the host that listens.
        local: where it listens.
        remote: who came, as it is seen here: the external address of a NAT on the way.
        transport: TCP or TLS.
    """

    host: str
    local: Address
    remote: Address
    transport: Transport


@attrs.frozen
class StreamEnded:
    """An end of a stream will bring nothing more, and what is sent on it is lost. What it brought comes before this.

    Attributes:
        host: the name of the host.
        local: its own address.
        remote: the other end, as it is seen here.
        transport: TCP or TLS.
    """

    host: str
    local: Address
    remote: Address
    transport: Transport


StreamNews: TypeAlias = StreamAccepted | StreamEnded
"""What happens to streams beside what they bring."""


class _Signal(enum.Enum):
    OPENED = enum.auto()
    ENDED = enum.auto()
    RESET = enum.auto()
    RETRY = enum.auto()


_Item: TypeAlias = bytes | _Signal


@final
class _End:
    """One end of a stream, and the way from it to the other one."""

    __slots__ = (
        "held", "host", "is_open", "last_arrival", "local", "other", "realm", "remote", "retries", "stream",
        "under_way", "wire",
    )  # fmt: skip
    other: _End
    stream: _Stream

    def __init__(self, host: Host, local: Address, remote: Address, wire: Wire) -> None:
        self.host, self.local, self.remote, self.wire = host, local, remote, wire
        self.realm = host.realm_of(local[0])
        self.is_open = True
        self.last_arrival = -math.inf
        self.held: list[_Item] = []
        self.retries = 0
        self.under_way = 0

    @property
    def key(self) -> _Key:
        return self.host.name, self.local, self.remote

    @property
    def is_in_place(self) -> bool:
        return self.host.realm_of(self.local[0]) is self.realm


@final
class _Stream:
    """Two ends, and the boxes between them."""

    __slots__ = ("_ends", "_passages", "transport")

    def __init__(self, ends: tuple[_End, _End], passages: list[tuple[Middlebox, Passage]], transport: Transport):
        self._ends = ends
        self._passages = passages
        self.transport = transport
        for end, other in (ends, ends[::-1]):
            end.other, end.stream = other, self

    @property
    def is_whole(self) -> bool:
        """Whether what one end sends arrives at the other."""
        return all(end.is_in_place for end in self._ends) and all(
            box.carries(passage) for box, passage in self._passages
        )

    def forget_if_over(self) -> None:
        if not any(end.is_open for end in self._ends):
            for box, passage in self._passages:
                box.forget(passage)


_Key: TypeAlias = tuple[str, Address, Address]
"""The host, its own address, the other end."""


@final
class Streams:
    """All streams and listeners of a network; times are those of the network.

    Args:
        wire: gives what joins two hosts, named.
        recorder: gets each step.
        counters: of the whole network.
    """

    def __init__(self, wire: Callable[[str, str], Wire], recorder: Recorder, counters: Counter[str]) -> None:
        self._wire = wire
        self._recorder = recorder
        self._counters = counters
        self._listeners: dict[tuple[str, Address], Transport] = {}
        self._ends: dict[_Key, _End] = {}
        self._in_flight: list[tuple[float, int, _End, _Item]] = []
        self._order = 0
        self._news: list[StreamNews] = []

    @property
    def in_flight(self) -> int:
        """How many pieces are under way."""
        return sum(isinstance(item, bytes) for _, _, _, item in self._in_flight)

    def next_arrival(self) -> float:
        """When to `deliver` next, `math.inf` if nothing is under way."""
        return self._in_flight[0][0] if self._in_flight else math.inf

    def take_news(self) -> list[StreamNews]:
        """Drain the news, oldest first."""
        news, self._news = self._news, []
        return news

    def listen(self, host: Host, address: Address, transport: Transport) -> Address:
        """As `Network.listen`."""
        ip_address, port = _checked(address, transport)
        if ip_address not in host.ip_addresses:
            raise OSError(errno.EADDRNOTAVAIL, f"host {host.name!r} has no address {ip_address}")
        chosen: Address = (ip_address, port) if port else host.address(ip_address=ip_address)
        if (host.name, chosen) in self._listeners:
            raise OSError(errno.EADDRINUSE, f"address already in use: {ip_address} port {port} over TCP")
        self._listeners[host.name, chosen] = transport
        return chosen

    def stop_listening(self, host: Host, address: Address) -> None:
        """As `Network.stop_listening`."""
        self._listeners.pop((host.name, address), None)

    def connect(
        self, host: Host, remote: Address, now: float, *, transport: Transport, local_ip: str | None
    ) -> Address:
        """As `Network.connect`."""
        destination = _checked(remote, transport)
        local = host.address(ip_address=_local_ip(host, destination) if local_ip is None else canonical(local_ip))
        passages: list[tuple[Middlebox, Passage]] = []
        try:
            server, seen_local, seen_remote = self._find(host, local, destination, passages, now)
            ways = self._wire(host.name, server.name), self._wire(server.name, host.name)
            if any(_is_dead(wire) for wire in ways):
                raise _error(errno.ETIMEDOUT, destination, "no answer: the link loses everything")
            spoken = self._listeners.get((server.name, seen_local))
            if spoken is None:
                raise _error(errno.ECONNREFUSED, destination, "connection refused: nobody listens there")
            if spoken is not transport:
                raise _error(errno.EPROTO, destination, f"{spoken.name} is spoken there, not {transport.name}")
        except OSError:
            for box, passage in passages:
                box.forget(passage)
            raise
        ours = _End(host, local, destination, ways[0])
        theirs = _End(server, seen_local, seen_remote, ways[1])
        _Stream((ours, theirs), passages, transport)
        if (stale := self._ends.get(theirs.key)) is not None:  # the NAT gave this address out before
            self._end(stale, now)
        self._ends[ours.key], self._ends[theirs.key] = ours, theirs
        self._counters["streams"] += 1
        self._send(ours, _Signal.OPENED, now)
        return local

    def round_trip(self, host: Host, local: Address, remote: Address) -> float:
        """Seconds that an open stream takes there and back, without the time that a rate takes."""
        end = self._ends[host.name, local, remote]
        return end.wire.link.delay + end.other.wire.link.delay

    def other_end(self, host: Host, local: Address, remote: Address) -> tuple[str, Address, Address] | None:
        """The host of the other end, with its own address and ours as it sees them; None when the stream is over."""
        end = self._ends.get((host.name, local, remote))
        return None if end is None else end.other.key

    def under_way(self, host: Host, local: Address, remote: Address) -> int:
        """Bytes that were sent from this end and have not arrived; 0 when the stream is over."""
        end = self._ends.get((host.name, local, remote))
        return 0 if end is None else end.under_way

    def send(self, host: Host, burst: Burst, now: float) -> None:
        """Send on a stream; on one that is over it is lost."""
        end = self._ends.get((host.name, burst.local, burst.remote))
        for data in burst.datagrams:
            self._recorder.sent(now, burst.local, burst.remote, data, burst.transport)
            if end is not None and end.stream.transport is burst.transport:
                self._send(end, data, now)

    def close(self, host: Host, local: Address, remote: Address, now: float) -> None:
        """As `Network.close_stream`."""
        end = self._ends.get((host.name, local, remote))
        if end is not None:
            self._send(end, _Signal.ENDED, now)
            self._shut(end)

    def address_gone(self, host: Host, ip_address: str, now: float) -> None:
        """A host has lost an address: its own ends of streams there are over."""
        for end in list(self._ends.values()):
            if end.host is host and end.local[0] == ip_address:
                self._end(end, now)

    def deliver(self, now: float) -> list[tuple[str, Burst]]:
        """What has arrived by `now`, with the name of the host; neighbours on one stream share a burst."""
        bursts: list[tuple[str, Burst]] = []
        pieces: list[bytes] = []
        last: _End | None = None
        while self._in_flight and self._in_flight[0][0] <= now:
            _, _, end, item = heapq.heappop(self._in_flight)
            if item is _Signal.RETRY:
                self._retry(end, now)
                continue
            if isinstance(item, bytes):
                end.other.under_way -= len(item)
            if item is _Signal.RESET:
                self._end(end, now)
            elif not end.is_open or not end.stream.is_whole:
                self._carry(end, _Signal.RESET, now)
            elif item is _Signal.ENDED:
                self._end(end, now)
            elif item is _Signal.OPENED:
                self._tell(StreamAccepted(end.host.name, end.local, end.remote, end.stream.transport), now)
            elif isinstance(item, bytes):
                self._counters["stream_size"] += len(item)
                self._recorder.delivered(now, end.remote, end.local, item, end.stream.transport)
                if end is not last:
                    last, pieces = end, []
                    bursts.append((end.host.name, Burst(end.local, end.remote, pieces, end.stream.transport)))
                pieces.append(item)
        return bursts

    def _find(
        self,
        client: Host,
        source: Address,
        destination: Address,
        passages: list[tuple[Middlebox, Passage]],
        now: float,
    ) -> tuple[Host, Address, Address]:
        """Go to the host that an address leads to. Returns that, and the two addresses as it sees them."""
        asked = destination
        is_same_family = (":" in source[0]) == (":" in destination[0])
        realm = client.realm_of(source[0]) if is_same_family else None
        while realm is not None and destination[0] not in realm.members and realm.gateway is not None:
            box = realm.gateway
            passage = self._pass(box, box.open_out(source, destination), source, destination, asked, now)
            passages.append((box, passage))
            source, realm = passage.translated, box.outside
        while realm is not None:
            member = realm.members.get(destination[0])
            if member is None:
                break
            if isinstance(member, Host):
                return member, destination, source
            passage = self._pass(member, member.open_in(source, destination), source, destination, asked, now)
            passages.append((member, passage))
            destination, realm = passage.translated, member.inside
        self._counters["unroutable"] += 1
        raise _error(errno.ETIMEDOUT, asked, "no answer: no host has that address")

    def _pass(
        self,
        box: Middlebox,
        outcome: Passage | DropReason,
        source: Address,
        destination: Address,
        asked: Address,
        now: float,
    ) -> Passage:
        if isinstance(outcome, DropReason):
            self._counters["filtered"] += 1
            self._recorder.note(Dropped(now, box.name, outcome, source, destination, b""))
            raise _error(errno.ETIMEDOUT, asked, f"no answer: {box!r} lets it not through ({outcome.value})")
        return outcome

    def _send(self, end: _End, item: _Item, now: float) -> None:
        if isinstance(item, bytes):
            end.under_way += len(item)
        if end.held:
            end.held.append(item)
        elif _is_dead(end.wire):
            end.held.append(item)
            end.retries = 0
            self._schedule(now + _FIRST_RETRY, end, _Signal.RETRY)
        else:
            self._carry(end, item, now)

    def _retry(self, end: _End, now: float) -> None:
        """What a dead link did not take is tried again."""
        if not _is_dead(end.wire):
            held, end.held = end.held, []
            for item in held:
                self._carry(end, item, now)
            return
        end.retries += 1
        if end.retries < _MAX_RETRIES:
            self._schedule(now + min(_FIRST_RETRY * 2**end.retries, _LAST_RETRY), end, _Signal.RETRY)
            return
        end.under_way -= sum(len(item) for item in end.held if isinstance(item, bytes))
        end.held.clear()
        self._end(end, now)

    def _carry(self, end: _End, item: _Item, now: float) -> None:
        """Put it onto the wire, behind what was sent before."""
        size = len(item) if isinstance(item, bytes) else 0
        header_size = _IPV6_HEADERS_SIZE if ":" in end.local[0] else _IPV4_HEADERS_SIZE
        arrives = end.wire.carry_stream(size + header_size * max(1, -(-size // _SEGMENT_SIZE)), now)
        end.last_arrival = arrives = max(arrives, end.last_arrival)
        self._schedule(arrives, end.other, item)

    def _schedule(self, time: float, end: _End, item: _Item) -> None:
        self._order += 1
        heapq.heappush(self._in_flight, (time, self._order, end, item))

    def _end(self, end: _End, now: float) -> None:
        if end.is_open:
            self._shut(end)
            self._tell(StreamEnded(end.host.name, end.local, end.remote, end.stream.transport), now)

    def _shut(self, end: _End) -> None:
        end.is_open = False
        del self._ends[end.key]
        end.stream.forget_if_over()

    def _tell(self, news: StreamNews, now: float) -> None:
        self._news.append(news)
        self._recorder.digest(now, news)


def _checked(address: Address, transport: Transport) -> Address:
    if not transport.is_stream:
        raise InvalidArgument(f"a stream goes over TCP or TLS, not over {transport.name}")
    if not 0 <= address[1] <= 65535:
        raise InvalidArgument(f"port {address[1]} is out of range")
    return canonical(address[0]), address[1]


def _local_ip(host: Host, destination: Address) -> str:
    is_ipv6 = ":" in destination[0]
    for ip_address in host.ip_addresses:
        if (":" in ip_address) == is_ipv6:
            return ip_address
    raise _error(errno.ENETUNREACH, destination, f"host {host.name!r} has no IPv{'6' if is_ipv6 else '4'} address")


def _is_dead(wire: Wire) -> bool:
    return wire.link.loss >= 1.0


def _error(number: int, remote: Address, reason: str) -> OSError:
    return OSError(number, f"no stream to {remote[0]} port {remote[1]}: {reason}")
