"""Server-reflexive and relayed candidates: each socket asks each server (RFC 8445 section 5.1.1.2)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias, final

import attrs

from xp2p_trio.errors import Reason
from xp2p_trio.ice.configuration import MIN_PACING
from xp2p_trio.ice.events import GatheringCompleted, ServerFailed
from xp2p_trio.ice.local_candidates import add_relayed_candidate, add_server_reflexive_candidate
from xp2p_trio.ice.pair import Path
from xp2p_trio.ice.relay import Relay, RelayEnded, RelayReady, TurnServer, server_name
from xp2p_trio.ice.session import Session
from xp2p_trio.ice.state import State
from xp2p_trio.sansio import Address, Burst, Failed, Scope, Transport, canonical_host, host_scopes, is_ipv6
from xp2p_trio.stun import (
    TRANSACTION_ID_SIZE,
    Client,
    MappedAddressFound,
    Message,
    MessageClass,
    Method,
    encode_message,
)
from xp2p_trio.turn import Credentials

MAX_SERVERS: Final = 8
"""STUN servers that are asked, and TURN servers; more add nothing but time."""

KEEPALIVE_INTERVAL: Final = 15.0
"""Seconds: Tr (RFC 8445 section 11)."""

_Start: TypeAlias = Callable[[float], None]
_Key: TypeAlias = tuple[str, Address, Transport]


@final
class Servers:
    """The servers of an agent, for all of its sessions.

    Attributes:
        stun: names of STUN servers by address.
        turn: TURN servers.
        failures: by name, why one is of no use; it lasts until that server is asked again.
    """

    def __init__(self) -> None:
        self.stun: dict[Address, str] = {}
        self.turn: list[TurnServer] = []
        self.failures: dict[str, ServerFailed] = {}

    def replace_credentials(self, name: str, credentials: Credentials) -> None:
        """Ask the server of this name with these from now on."""
        self.failures.pop(name, None)
        self.turn = [
            attrs.evolve(server, credentials=credentials) if server_name(server) == name else server
            for server in self.turn
        ]


@final
class Gathering:
    """The queries of one session. Checks go on meanwhile; a silent server delays only `GatheringCompleted`.

    Attributes:
        servers: what is known of them.
        mapped: our addresses as servers see them, by socket and server.
        refused: the STUN servers that answered with an error.
        is_ended: whether no more sockets and servers will be added.
    """

    def __init__(self, session: Session, servers: Servers, sockets: dict[Address, int]) -> None:
        self._session = session
        self.servers = servers
        self._sockets = sockets
        self._clients: dict[Path, Client] = {}
        self._relays: list[Relay] = []
        self._waiting: deque[_Start] = deque()
        self._lost: set[tuple[_Key, Address | None]] = set()

        self._kept: dict[Path, float] = {}  # when a NAT is to be reminded
        self._deadline = -math.inf
        self._next_query_at = -math.inf
        self.mapped: dict[tuple[Address, Address], Address] = {}
        self.refused: set[Address] = set()
        self.is_ended = False

    @property
    def answered(self) -> set[Address]:
        """The servers that have told an address."""
        return {server for _, server in self.mapped}

    def start(self) -> None:
        """Ask, from what is there already, what is known already; after a restart that may be all."""
        relays = self._session.shared.relays
        for relay in relays.ready:
            add_relayed_candidate(self._session, relay)
            self._keep(relay)
        relays.confirm(self._session.now)
        for relay in relays.pending:
            self._wait_for_relay(relay)
        for base in self._sockets:
            self._add_queries(base)
        for server in self.servers.turn:
            self._allocate_by_stream(server)

    def add_base(self, base: Address) -> None:
        """Let a new socket ask every server."""
        self._add_queries(base)

    def remove_base(self, base: Address) -> None:
        """Ask nothing more from a socket that is gone."""
        for path in [path for path in (*self._clients, *self._kept) if path[0] == base]:
            self._clients.pop(path, None)
            self._kept.pop(path, None)
        self.settle()

    def add_stun_server(self, address: Address, name: str) -> None:
        """Let every socket ask a new server."""
        if address in self.servers.stun or len(self.servers.stun) >= MAX_SERVERS:
            return
        self.servers.stun[address] = name or f"stun:{address[0]}:{address[1]}"
        for base in self._sockets:
            self._ask(base, address)

    def add_turn_server(self, server: TurnServer) -> None:
        """Allocate on a new server."""
        known = [one for one in self.servers.turn if _key(one) == _key(server)]
        if known == [server]:
            return
        if known:
            self.servers.replace_credentials(server_name(server), server.credentials)
            self._session.shared.relays.refresh_credentials(server_name(server), server.credentials, self._session.now)
        elif len(self.servers.turn) < MAX_SERVERS:
            self.servers.turn.append(server)
            for base in self._sockets:
                self._allocate(base, server)
            self._allocate_by_stream(server)

    def fail_server(self, failure: ServerFailed) -> None:
        """Note what became of a server."""
        self.servers.failures[failure.name] = failure
        self._session.events.append(failure)

    def end(self) -> None:
        """No more sockets and servers will come."""
        self.is_ended = True
        self.settle()

    def receive(self, path: Path, datagram: bytes, now: float) -> bool:
        """Offer a response. False if it is not from a server that was asked over this socket."""
        client = self._clients.get(path)
        if client is None or client.is_done:
            return path in self._kept
        client.receive(Burst(path[0], path[1], (datagram,)), now)
        self._harvest(client)
        self.settle()
        return client.is_done

    def relay_ready(self, news: RelayReady) -> None:
        """An allocation is there, and with it two candidates."""
        relay = news.relay
        self._forget(relay)
        self.servers.failures.pop(server_name(relay.server), None)
        if relay.base in self._sockets and not relay.server.transport.is_stream:
            self.mapped[relay.base, relay.server.address] = news.mapped_address
            self._reflexive(relay.base, news.mapped_address, relay.server.address)
        self._keep(relay)
        add_relayed_candidate(self._session, relay)

    def relay_ended(self, news: RelayEnded) -> None:
        """An allocation is gone, or will not be there."""
        relay, name = news.relay, server_name(news.relay.server)
        self._forget(relay)
        if relay.base is not None:
            self._kept.pop((relay.base, relay.server.address, relay.server.transport), None)
        if not news.detail:
            return
        if relay.address is not None:
            self._allocate_once_more(relay)
        # One of several tells nothing as long as another does what it is to do, or may yet.
        others = [*self._relays, *self._session.shared.relays.ready]
        if all(server_name(other.server) != name for other in others):
            self.fail_server(ServerFailed(name, news.code, news.realm, news.detail))

    def handle_timeout(self, now: float) -> None:
        """Repeat queries, and end those that have taken too long."""
        for client in list(self._clients.values()):
            client.handle_timeout(now)
            self._harvest(client)
        if now >= self._deadline and (self._clients or self._relays):
            wait = f"did not answer in {self._session.configuration.gathering_timeout:g} s"
            for client in list(self._clients.values()):
                del self._clients[client.local, client.server, Transport.UDP]
                self._unanswered(client.server, wait)
            for relay in self._relays:
                self._session.shared.relays.abandon(relay, wait, now)
            self._waiting.clear()
        self.settle()

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """The queries that are to leave, new ones paced by Ta (RFC 8445 section 14.1)."""
        shared = self._session.shared
        if self._waiting and now >= max(self._next_query_at, shared.next_transaction_at):
            self._waiting.popleft()(now)
            self._next_query_at = now + self._session.configuration.check_pacing
            shared.next_transaction_at = now + MIN_PACING
        bursts: list[Burst] = []
        for client in self._clients.values():
            if len(bursts) < limit:
                bursts += client.transmit(now, 1)
        if len(bursts) < limit and now >= self._next_keepalive():
            bursts.append(self._remind(now))
        return bursts

    def next_timeout(self) -> float:
        """The earliest of its timers."""
        keepalive = self._next_keepalive()
        if not self._clients and not self._waiting and not self._relays:
            return keepalive
        if any(client.is_request_due for client in self._clients.values()):
            return self._session.now
        earliest = min((client.next_timeout() for client in self._clients.values()), default=math.inf)
        if self._waiting:
            earliest = min(earliest, max(self._next_query_at, self._session.shared.next_transaction_at))
        return min(earliest, self._deadline, keepalive)

    def settle(self) -> None:
        """Tell the end of it, once it has come."""
        session = self._session
        is_asking = bool(self._clients or self._relays)
        if not is_asking:
            self._waiting.clear()  # for their turn, while the socket that they would have asked from has gone
        if self.is_ended and not is_asking and not session.is_gathering_complete and not session.is_over:
            session.is_gathering_complete = True
            session.schedule_failure()
            session.events.append(GatheringCompleted())

    def stop(self) -> None:
        """The session is over."""
        self._clients.clear()
        self._relays.clear()
        self._waiting.clear()
        self._kept.clear()

    def _add_queries(self, base: Address) -> None:
        for address in self.servers.stun:
            self._ask(base, address)
        for server in self.servers.turn:
            self._allocate(base, server)

    def _ask(self, base: Address, server: Address) -> None:
        if self._session.shared.relay_only or not _may_reach(base, server):
            return
        client = Client(server, base, self._session.random_bytes)
        self._clients[base, server, Transport.UDP] = client
        self._wait_for(client.start)

    def _allocate(self, base: Address, server: TurnServer) -> None:
        if not server.transport.is_stream and _may_reach(base, server.address):
            self._add_relay(server, base, self._sockets[base])

    def _allocate_by_stream(self, server: TurnServer) -> None:
        if server.transport.is_stream:
            self._add_relay(server, None, max(self._sockets.values(), default=65535))

    def _add_relay(self, server: TurnServer, base: Address | None, local_preference: int) -> None:
        relays = self._session.shared.relays
        relay = relays.add(server, base, local_preference)
        if relay is not None:
            self._wait_for_relay(relay)

    def _wait_for_relay(self, relay: Relay) -> None:
        self._relays.append(relay)
        self._wait_for(lambda now: self._session.shared.relays.start(relay, now))

    def _wait_for(self, start: _Start) -> None:
        self._waiting.append(start)
        self._deadline = self._session.now + self._session.configuration.gathering_timeout

    def _allocate_once_more(self, relay: Relay) -> None:
        """The server has lost an allocation, or is back after a pause. Once, so that it does not keep us busy."""
        base = None if relay.server.transport.is_stream else relay.base
        lost = (_key(relay.server), base)
        if lost not in self._lost and (base is None or base in self._sockets):
            self._lost.add(lost)
            self._add_relay(relay.server, base, relay.local_preference)

    # Until a path is nominated a NAT has to be reminded of the mappings that our candidates are (section 5.1.1.4). The
    # answers tell nothing new.

    def _keep(self, relay: Relay) -> None:
        if relay.base in self._sockets and not relay.server.transport.is_stream:
            path = relay.base, relay.server.address, Transport.UDP
            self._kept[path] = self._session.now + KEEPALIVE_INTERVAL

    def _next_keepalive(self) -> float:
        if not self._kept or self._session.state >= State.COMPLETED:
            return math.inf
        return max(min(self._kept.values()), self._session.shared.next_transaction_at)

    def _remind(self, now: float) -> Burst:
        path = min(self._kept, key=self._kept.__getitem__)
        self._kept[path] = now + KEEPALIVE_INTERVAL
        self._session.shared.next_transaction_at = now + MIN_PACING
        transaction_id = self._session.random_bytes(TRANSACTION_ID_SIZE)
        request = encode_message(Message(MessageClass.REQUEST, Method.BINDING, transaction_id))
        return Burst(path[0], path[1], (request,))

    def _mapped_of(self, base: Address) -> list[Address]:
        return [mapped for (local, _), mapped in self.mapped.items() if local == base]

    def _forget(self, relay: Relay) -> None:
        if relay in self._relays:
            self._relays.remove(relay)

    def _reflexive(self, base: Address, mapped: Address, server: Address) -> None:
        if not self._session.shared.relay_only:
            add_server_reflexive_candidate(self._session, base, mapped, server)

    def _harvest(self, client: Client) -> None:
        for event in client.take_events():
            match event:
                case MappedAddressFound(address):
                    if address not in (client.local, *self._mapped_of(client.local)):
                        path = client.local, client.server, Transport.UDP
                        self._kept[path] = self._session.now + KEEPALIVE_INTERVAL
                    self.mapped[client.local, client.server] = address
                    self.servers.failures.pop(self.servers.stun[client.server], None)
                    self._reflexive(client.local, address, client.server)
                case Failed(failure):
                    if failure.reason is Reason.PROTOCOL_VIOLATION:
                        self.refused.add(client.server)
                    self._clients.pop((client.local, client.server, Transport.UDP), None)
                    self._unanswered(client.server, failure.detail)
                case _:
                    pass
        if client.is_done:
            self._clients.pop((client.local, client.server, Transport.UDP), None)

    def _unanswered(self, server: Address, why: str) -> None:
        """One socket had no answer, which tells nothing as long as another may have one."""
        if server not in self.answered and all(client.server != server for client in self._clients.values()):
            self.fail_server(ServerFailed(self.servers.stun[server], 0, "", why))


def _key(server: TurnServer) -> _Key:
    """What makes it the same server, whatever its credentials are."""
    return server.name, server.address, server.transport


def _may_reach(base: Address, server: Address) -> bool:
    """Whether they are of one family. Nothing but this machine is reached from a loopback address."""
    if is_ipv6(canonical_host(base[0]) or base[0]) != is_ipv6(server[0]):
        return False
    return Scope.LOOPBACK not in host_scopes(base[0]) or Scope.LOOPBACK in host_scopes(server[0])
