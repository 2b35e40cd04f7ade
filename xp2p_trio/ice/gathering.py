"""Server-reflexive candidates: each socket asks each server (RFC 8445 section 5.1.1.2)."""

from __future__ import annotations

import ipaddress
import math
from collections import deque
from typing import Final, final

from xp2p_trio.ice.configuration import MIN_PACING
from xp2p_trio.ice.events import GatheringCompleted
from xp2p_trio.ice.pair import Path
from xp2p_trio.ice.pairing import add_server_reflexive_candidate
from xp2p_trio.ice.session import Session
from xp2p_trio.sansio import Address, Burst, Failed, canonical_host, is_ipv6
from xp2p_trio.stun import Client, MappedAddressFound

MAX_SERVERS: Final = 8
"""STUN servers that are asked; more add nothing but time."""


@final
class Gathering:
    """The queries of a session. Checks go on meanwhile; a silent server delays only `GatheringCompleted`.

    Attributes:
        servers: the servers asked, in order.
        failures: what servers said or did not say, for the diagnosis.
        is_ended: whether no more sockets and servers will be added.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._clients: dict[Path, Client] = {}
        self._waiting: deque[Client] = deque()
        self._deadline = -math.inf
        self._next_query_at = -math.inf
        self.servers: list[Address] = []
        self.failures: dict[Address, str] = {}
        self.answered: set[Address] = set()
        self.is_ended = False

    def add_base(self, base: Address) -> None:
        """Let a new socket ask every server."""
        for server in self.servers:
            self._ask(base, server)

    def add_server(self, server: Address) -> None:
        """Let every socket ask a new server."""
        if server in self.servers or len(self.servers) >= MAX_SERVERS:
            return
        self.servers.append(server)
        for base in self._session.bases:
            self._ask(base, server)

    def end(self) -> None:
        """No more sockets and servers will come."""
        self.is_ended = True
        self._settle()

    def receive(self, path: Path, datagram: bytes, now: float) -> bool:
        """Offer a response. False if it is not from a server that was asked over this socket."""
        client = self._clients.get(path)
        if client is None or client.is_done:
            return False
        client.receive(Burst(path[0], path[1], (datagram,)), now)
        self._harvest(client)
        self._settle()
        return client.is_done

    def handle_timeout(self, now: float) -> None:
        """Repeat queries, and end those that have taken too long."""
        for client in list(self._clients.values()):
            client.handle_timeout(now)
            self._harvest(client)
        if now >= self._deadline and self._clients:
            for client in self._clients.values():
                wait = self._session.configuration.gathering_timeout
                self.failures.setdefault(client.server, f"did not answer in {wait:g} s")
            self._clients.clear()
            self._waiting.clear()
        self._settle()

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """The queries that are to leave, new ones paced by Ta (RFC 8445 section 14.1)."""
        if not self._clients:
            return []
        session = self._session
        if self._waiting and now >= max(self._next_query_at, session.next_transaction_at):
            self._waiting.popleft().start(now)
            self._next_query_at = now + session.configuration.check_pacing
            session.next_transaction_at = now + MIN_PACING
        bursts: list[Burst] = []
        for client in self._clients.values():
            if len(bursts) < limit:
                bursts += client.transmit(now, 1)
        return bursts

    def next_timeout(self) -> float:
        """The earliest of its timers."""
        if not self._clients:
            return math.inf
        if any(client.is_request_due for client in self._clients.values()):
            return self._session.now
        earliest = min(client.next_timeout() for client in self._clients.values())
        if self._waiting:
            earliest = min(earliest, max(self._next_query_at, self._session.next_transaction_at))
        return min(earliest, self._deadline)

    def stop(self) -> None:
        """The session is over."""
        self._clients.clear()
        self._waiting.clear()

    def _ask(self, base: Address, server: Address) -> None:
        host = canonical_host(base[0])
        if host is None or is_ipv6(host) != is_ipv6(server[0]):
            return
        # Nothing but this machine is reached from a loopback address.
        if ipaddress.ip_address(host).is_loopback and not ipaddress.ip_address(server[0]).is_loopback:
            return
        client = Client(server, base, self._session.random_bytes)
        self._clients[base, server] = client
        self._waiting.append(client)
        self._deadline = self._session.now + self._session.configuration.gathering_timeout

    def _harvest(self, client: Client) -> None:
        for event in client.take_events():
            match event:
                case MappedAddressFound(address):
                    self.answered.add(client.server)
                    self.failures.pop(client.server, None)
                    add_server_reflexive_candidate(self._session, client.local, address, client.server)
                case Failed(failure):
                    if client.server not in self.answered:
                        self.failures[client.server] = failure.detail
                case _:
                    pass
        if client.is_done:
            self._clients.pop((client.local, client.server), None)

    def _settle(self) -> None:
        session = self._session
        if self.is_ended and not self._clients and not session.is_gathering_complete and not session.is_over:
            session.is_gathering_complete = True
            session.schedule_failure()
            session.events.append(GatheringCompleted())
