"""A `Layer` that asks the local link for the addresses of names, and answers for names of ours (RFC 6762).

One-shot, as the RFC has it in section 5.1: it asks when it is told to, and remembers nothing that it was not asked for.
"""

from __future__ import annotations

import math
from typing import Final, final

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.mdns.events import Event, NameResolved, NameUnresolved
from xp2p_trio.mdns.link import PORT, Link
from xp2p_trio.mdns.names import canonical_name, from_labels
from xp2p_trio.mdns.resolver import Resolver
from xp2p_trio.mdns.responder import Responder
from xp2p_trio.mdns.statistics import Statistics
from xp2p_trio.mdns.wire import TYPE_A, TYPE_AAAA, Message, decode_message
from xp2p_trio.sansio import Address, Burst, Closed, RandomBytes, Scope, canonical_host, host_scopes

MAX_HOSTS: Final = 4
"""Addresses that one name may have. Browsers make a name for each address."""

_ACCEPTED: Final = frozenset({Scope.UNICAST, Scope.LINK_LOCAL})


@final
class Endpoint:
    """One program on the local link.

    It asks from, and answers at, the addresses that it is given. One with port 5353 stands for a socket that hears
    the group, and nothing else; one with another port for a socket of its own, which gets answers by unicast where
    5353 cannot be shared (RFC 6762 section 5.1), and at which nobody asks.

    Args:
        random_bytes: source of the ids of queries.
        enable_ipv6: whether IPv6 addresses are of use, so that names are asked for them as well.
    """

    def __init__(self, random_bytes: RandomBytes, *, enable_ipv6: bool = False) -> None:
        record_types = (TYPE_A, TYPE_AAAA) if enable_ipv6 else (TYPE_A,)
        self._resolver = Resolver(record_types, random_bytes)
        self._responder = Responder()
        self._links: dict[Address, Link] = {}
        self._events: list[Event] = []
        self._is_closed = False
        self._resolved = self._unresolved = 0
        self._queries_sent = self._answers_sent = self._ignored = 0
        self._now = -math.inf

    @property
    def is_closed(self) -> bool:
        """Whether the terminal event has come."""
        return self._is_closed

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return Statistics(
            names_asked=len(self._resolver),
            names_resolved=self._resolved,
            names_unresolved=self._unresolved,
            names_published=len(self._responder),
            queries_sent=self._queries_sent,
            answers_sent=self._answers_sent,
            datagrams_ignored=self._ignored,
            answers_dropped=self._responder.dropped,
        )

    def add_local_address(self, address: Address, now: float, *, prefix_length: int | None = None) -> None:
        """A socket is bound here.

        Args:
            address: with port 5353, if the socket hears the group.
            now: the time.
            prefix_length: of the network that the address is in; None takes everybody for a neighbour.

        Raises:
            InvalidArgument: the address is not numeric, or the prefix does not fit it.
        """
        self._now = max(self._now, now)
        link = Link(address, prefix_length)
        if self._is_closed or address in self._links:
            return
        self._links[address] = link
        self._responder.add_link(link)

    def remove_local_address(self, address: Address, now: float) -> None:
        """The socket is gone."""
        self._now = max(self._now, now)
        if self._links.pop(address, None) is not None:
            self._resolver.forget_address(address)
            self._responder.forget_address(address)

    def resolve(self, name: str, now: float) -> None:
        """Ask for the addresses of a name; `NameResolved` or `NameUnresolved` answers, within 5 seconds.

        Raises:
            InvalidArgument: it is not `label.local`.
        """
        self._now = max(self._now, now)
        name = _checked(name)
        if self._is_closed or name in self._resolver:
            return
        if not self._links or self._resolver.is_full:
            self._give_up(name)
        else:
            self._resolver.ask(name, self._links, self._now)

    def publish(self, name: str, host: str, now: float) -> None:
        """Answer for a name of ours, see `random_name`, and announce it.

        Raises:
            InvalidArgument: it is not `label.local`, or published already, or the host is no numeric address.
        """
        self._now = max(self._now, now)
        name, canonical = _checked(name), canonical_host(host)
        if canonical is None:
            raise InvalidArgument(f"{host!r} is no numeric IP address")
        if name in self._responder:
            raise InvalidArgument(f"{name} is published already")
        if not self._is_closed:
            self._responder.publish(name, canonical, self._links.values())

    def withdraw(self, name: str, now: float) -> None:
        """Answer for the name no more, and say so to the link. One that is not published is no error."""
        self._now = max(self._now, now)
        if not self._is_closed and name in self._responder:
            self._responder.withdraw(name)

    def close(self, now: float) -> None:
        """Neither ask nor answer any more."""
        self._now = max(self._now, now)
        if not self._is_closed:
            self._is_closed = True
            self._events.append(Closed())

    def receive(self, batch: Burst, now: float) -> None:
        """Take datagrams; what is neither an answer to us nor a question about a name of ours is counted."""
        self._now = max(self._now, now)
        if self._is_closed:
            return
        link = self._links.get(batch.local)
        for datagram in batch.datagrams:
            if link is None or not self._take(datagram, link, batch.remote):
                self._ignored += 1

    def handle_timeout(self, now: float) -> None:
        """Ask again, or give up; answer what had to wait."""
        self._now = max(self._now, now)
        if not self._is_closed:
            for name in self._resolver.handle_timeout(self._links, self._now):
                self._give_up(name)
            self._responder.handle_timeout(self._now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """The questions and answers that are due."""
        self._now = max(self._now, now)
        bursts: list[Burst] = []
        if self._is_closed:
            return bursts
        while len(bursts) < limit and self._responder.is_due:
            bursts.append(self._responder.take_answer(self._now))
            self._answers_sent += 1
        while len(bursts) < limit and self._resolver.is_due:
            bursts.append(self._resolver.take_query())
            self._queries_sent += 1
        return bursts

    def take_events(self) -> list[Event]:
        """Drain the news."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float:
        """When `handle_timeout` is due."""
        if self._is_closed:
            return math.inf
        return min(self._resolver.next_timeout(), self._responder.next_timeout())

    def _take(self, datagram: bytes, link: Link, source: Address) -> bool:
        try:
            message = decode_message(datagram)
        except DecodeError:
            return False
        if message.is_response:
            return self._take_response(message, link, source)
        return link.hears_group and self._responder.hear(message, link, source, self._now)

    def _take_response(self, message: Message, link: Link, source: Address) -> bool:
        """Take addresses of names that were asked for, wherever they stand.

        RFC 6762 section 6: a response from another port than 5353 is none. Section 11: what the group hears is from the
        link; what comes by unicast is looked at, and repeats the id of our query (section 6.7).
        """
        if source[1] != PORT or not (link.hears_group or link.is_near(source[0])):
            return False
        found: dict[str, dict[str, None]] = {}
        for record in (*message.answers, *message.additionals):
            name = from_labels(record.name)
            if name is None or name not in self._resolver or not record.ttl:
                continue
            if not link.hears_group and not self._resolver.has_id(name, message.id):
                continue
            host = canonical_host(record.host)
            if host is not None and record.record_type in self._resolver.record_types and _is_accepted(host, link):
                found.setdefault(name, {})[host] = None
        for name, hosts in found.items():
            self._resolver.forget(name)
            self._resolved += 1
            self._events.append(NameResolved(name, tuple(hosts)[:MAX_HOSTS]))
        return bool(found)

    def _give_up(self, name: str) -> None:
        self._unresolved += 1
        self._events.append(NameUnresolved(name))


def _checked(name: str) -> str:
    canonical = canonical_name(name)
    if canonical is None:
        raise InvalidArgument(f"{name!r} is no name of the local link; it has one label of letters, digits and hyphens")
    return canonical


def _is_accepted(host: str, link: Link) -> bool:
    """Whether this can be a neighbour's address; loopback is one where there is no other network."""
    scopes = host_scopes(host)
    return all(scope in _ACCEPTED or (scope is Scope.LOOPBACK and link.is_loopback) for scope in scopes)
