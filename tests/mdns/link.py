"""Hosts on one link, each with an endpoint, on the simulated network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from xp2p_trio import mdns
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing import Link, Network, drive

GROUP: Address = (mdns.GROUP_IPV4, mdns.PORT)

ALICE, BOB, CAROL = "192.0.2.1", "192.0.2.2", "192.0.2.3"
NAME = "6f2a4c1e-1111-4222-8333-444455556666.local"
OTHER = "00000000-0000-4000-8000-000000000000.local"


class LocalLink:
    """Alice, Bob and Carol, all of whom hear the group."""

    def __init__(self, *, seed: int = 1, link: Link | None = None, enable_ipv6: bool = False) -> None:
        self.network = Network(seed=seed, link=link, keep_trace=True)
        self.now = 0.0
        self.events: dict[str, list[tuple[float, Any]]] = {}
        self.endpoints: dict[str, mdns.Endpoint] = {}
        for name, host in (("alice", ALICE), ("bob", BOB), ("carol", CAROL)):
            there = self.network.host(name, host)
            endpoint = mdns.Endpoint(self.network.random_bytes(name), enable_ipv6=enable_ipv6)
            endpoint.add_local_address(there.join_group(GROUP), self.now)
            self.endpoints[name] = endpoint
            self.events[name] = []

    @property
    def alice(self) -> mdns.Endpoint:
        """The one who asks."""
        return self.endpoints["alice"]

    @property
    def bob(self) -> mdns.Endpoint:
        """The one who answers."""
        return self.endpoints["bob"]

    def run(self, seconds: float, *, until: Callable[[], bool] | None = None) -> None:
        """Let time pass."""
        self.now = drive(self.network, self.endpoints, now=self.now, timeout=seconds, until=until, on_events=self._take)

    def sent(self, host: str) -> list[tuple[float, Address, mdns.Message]]:
        """What left from a host: when, where to, and what."""
        return [
            (entry.time, entry.destination, mdns.decode_message(entry.datagram))
            for entry in self.network.trace
            if type(entry).__name__ == "Sent" and entry.source[0] == host
        ]

    def _take(self, name: str, events: list[Any], now: float) -> None:
        self.events[name] += [(now, event) for event in events]


def record(name: str, host: str, *, ttl: int = 120) -> mdns.AddressRecord:
    """An address record."""
    return mdns.AddressRecord(tuple(name.encode().split(b".")), host, ttl, flush=True)


def response(
    *answers: mdns.AddressRecord, additionals: Iterable[mdns.AddressRecord] = (), message_id: int = 0
) -> bytes:
    """A datagram that answers."""
    return mdns.encode_message(mdns.Message(message_id, True, (), answers, tuple(additionals)))


def query(name: str, record_type: int = mdns.TYPE_A, *, unicast: bool = False, message_id: int = 0) -> bytes:
    """A datagram that asks."""
    question = mdns.Question(tuple(name.encode().split(b".")), record_type, unicast)
    return mdns.encode_message(mdns.Message(message_id, questions=(question,)))


def to_group(source: Address, host: str, *datagrams: bytes) -> Burst:
    """How a host hears what was said to the group."""
    return Burst((host, mdns.PORT), source, datagrams)
