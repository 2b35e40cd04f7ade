"""Relayed candidates: the allocations of an agent on TURN servers (RFC 8445 section 5.1.1.2, RFC 8656).

An allocation belongs to the agent, not to a session: an ICE restart goes on with it. To the rest of the package its
relayed address is a base like a socket, and what goes over it is wrapped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

import attrs

from xp2p_trio import turn
from xp2p_trio.errors import DecodeError
from xp2p_trio.ice.configuration import Configuration
from xp2p_trio.ice.events import Event, TurnCredentialsRequested
from xp2p_trio.ice.pair import Path
from xp2p_trio.ice.relay import News, PeerRefused, Relay, RelayReady, TurnServer, server_name
from xp2p_trio.ice.streams import Streams
from xp2p_trio.sansio import Address, Burst, Closed, Failed, RandomBytes, Transport, is_ipv6

MAX_RELAYS: Final = 8
"""Allocations of one agent; each costs a server and the list of checks something."""


@final
class Relays:
    """All allocations of one agent.

    Attributes:
        news: for the agent, which takes them after each step.
        received: data that came over them, with its path.
    """

    def __init__(
        self, configuration: Configuration, random_bytes: RandomBytes, streams: Streams, events: list[Event]
    ) -> None:
        self._configuration = configuration
        self._random_bytes = random_bytes
        self._streams = streams
        self._events = events
        self._relays: list[Relay] = []
        self._by_address: dict[Address, Relay] = {}
        self._by_path: dict[Path, Relay] = {}
        self.news: list[News] = []
        self.received: list[tuple[Path, list[bytes]]] = []

    def __contains__(self, base: Address) -> bool:
        return base in self._by_address

    def __len__(self) -> int:
        return len(self._relays)

    @property
    def pending(self) -> list[Relay]:
        """Those that have none yet."""
        return [relay for relay in self._relays if relay.address is None]

    @property
    def ready(self) -> list[Relay]:
        """Those that have a relayed address."""
        return list(self._by_address.values())

    # What the agent asks for.

    def add(self, server: TurnServer, base: Address | None, local_preference: int) -> Relay | None:
        """Make one that waits for `start`; None when there is one from here to there, or no room.

        Args:
            server: where.
            base: the socket to ask from; None for a server that is reached by a stream.
            local_preference: of the base.
        """
        if len(self._relays) >= MAX_RELAYS or any(
            (relay.server.name, relay.server.address, relay.server.transport)
            == (server.name, server.address, server.transport)
            and (base is None or relay.base == base)
            for relay in self._relays
        ):
            return None
        ice = self._configuration
        configuration = turn.Configuration(
            transport=server.transport,
            address_family=turn.AddressFamily.IPV6 if is_ipv6(server.address[0]) else turn.AddressFamily.IPV4,
            allocation_timeout=max(ice.gathering_timeout, 1.0),
            allow_loopback=ice.allow_loopback,
            allow_link_local=ice.allow_link_local,
        )
        relay = Relay(server, base, local_preference, configuration, self._random_bytes)
        self._relays.append(relay)
        return relay

    def start(self, relay: Relay, now: float) -> None:
        """Ask for the allocation, or first for a stream to its server, unless that was done or is not wanted."""
        server = relay.server
        if relay.is_started or relay not in self._relays:
            return
        relay.is_started = True
        if server.transport.is_stream:
            self._streams.request(relay, None, server.address, server.transport, server.host)
        elif relay.base is not None:
            self._allocate(relay, relay.base, now)

    def abandon(self, relay: Relay, why: str, now: float) -> None:
        """Wait no longer for one that is not ready."""
        if relay in self._relays and relay.address is None:
            self._end(relay, why, now)

    def refresh_credentials(self, name: str, credentials: turn.Credentials, now: float) -> None:
        """Use these for the server of this name."""
        for relay in self._relays:
            if server_name(relay.server) == name:
                relay.replace_credentials(credentials, now)

    def permit(self, base: Address, host: str, now: float) -> None:
        """Let data go to and come from this host by way of a relayed address, if it is one."""
        relay = self._by_address.get(base)
        if relay is not None and relay.allocation is not None:
            relay.allocation.create_permissions([host], now)
            self._harvest(relay, now)

    def bind_channel(self, path: Path, now: float) -> None:
        """Make data over this path cheap, if it is a relayed one."""
        relay = self._by_address.get(path[0])
        if relay is not None and relay.allocation is not None:
            relay.allocation.bind_channel(path[1], now)
            self._harvest(relay, now)

    def forget_base(self, base: Address, now: float) -> None:
        """A socket is gone, and so is what was asked over it."""
        for relay in [relay for relay in self._relays if relay.base == base and not relay.server.transport.is_stream]:
            self._end(relay, "the interface that it was reached by is gone", now)

    def close(self, now: float) -> None:
        """Delete all allocations, within a second."""
        for relay in list(self._relays):
            if relay.allocation is None:
                self._end(relay, "", now)
            else:
                relay.allocation.close(now)
                self._harvest(relay, now)

    # Streams.

    def stream_opened(self, relay: Relay, path: Path, now: float) -> None:
        """A server is connected."""
        self._allocate(relay, path[0], now)

    def stream_failed(self, relay: Relay, detail: str, now: float) -> None:
        """A server cannot be connected, or its stream has ended."""
        self._end(relay, detail, now)

    # Bytes.

    def receive(self, burst: Burst, now: float) -> bool:
        """Take what came from a server. False if it did not."""
        path: Path = (burst.local, burst.remote, burst.transport)
        relay = self._by_path.get(path)
        if relay is None or relay.allocation is None:
            return False
        if burst.transport.is_stream:
            for chunk in burst.datagrams:
                try:
                    frames = relay.framer.decode_frames(chunk)
                except DecodeError as error:
                    self._end(relay, f"sent what is no TURN: {error}", now)
                    return True
                if frames:
                    relay.allocation.receive(attrs.evolve(burst, datagrams=frames), now)
        else:
            relay.allocation.receive(burst, now)
        self._harvest(relay, now)
        return True

    def send(self, path: Path, datagrams: Sequence[bytes], now: float) -> None:
        """Queue datagrams for a peer by way of a relayed address."""
        relay = self._by_address[path[0]]
        if relay.allocation is not None and relay.allocation.state is turn.State.ALLOCATED:
            peer = path[1]
            relay.allocation.send([(peer, data) for data in datagrams if len(data) <= turn.MAX_DATA_SIZE], now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """What is to leave for the servers."""
        bursts: list[Burst] = []
        for relay in list(self._relays):
            if limit < 1 or relay.allocation is None:
                continue
            for burst in relay.allocation.transmit(now, limit):
                bursts.append(burst)
                limit -= len(burst.datagrams)
            self._harvest(relay, now)
        return bursts

    def handle_timeout(self, now: float) -> None:
        """Refresh, repeat, give up."""
        for relay in list(self._relays):
            if relay.allocation is not None:
                relay.allocation.handle_timeout(now)
                self._harvest(relay, now)

    def next_timeout(self) -> float:
        """The earliest of their timers."""
        return min(
            (relay.allocation.next_timeout() for relay in self._relays if relay.allocation is not None),
            default=math.inf,
        )

    # Within.

    def _allocate(self, relay: Relay, base: Address, now: float) -> None:
        relay.allocate(base, now)
        self._by_path[base, relay.server.address, relay.server.transport] = relay

    def _harvest(self, relay: Relay, now: float) -> None:
        allocation = relay.allocation
        if allocation is None:
            return
        assert relay.base is not None
        for peer, data in allocation.take_received():
            assert relay.address is not None  # nothing is taken before it is allocated
            self._take(relay.address, peer, data)
        for event in allocation.take_events():
            match event:
                case turn.Allocated(relayed_address, mapped_address):
                    self._ready(relay, relayed_address, mapped_address, now)
                case turn.PermissionDenied(host, _, reason):
                    self.news.append(PeerRefused(relay, host, reason))
                case turn.AllocationRefused(_, realm, code):
                    relay.refuse(code, realm)
                case turn.CredentialsRequested(realm):
                    self._events.append(TurnCredentialsRequested(server_name(relay.server), realm))
                case turn.Redirected(server):
                    self._redirect(relay, server)
                case Failed(failure):
                    if relay.may_renew:
                        relay.allocation = None
                        self._events.append(TurnCredentialsRequested(server_name(relay.server), relay.realm))
                    else:
                        self._end(relay, failure.detail, now)
                case Closed():
                    if relay.allocation is allocation:  # and not redirected
                        self._end(relay, "", now)
                case _:
                    pass

    def _take(self, relayed: Address, peer: Address, data: bytes) -> None:
        path: Path = (relayed, peer, Transport.UDP)
        if self.received and self.received[-1][0] == path:
            self.received[-1][1].append(data)
        else:
            self.received.append((path, [data]))

    def _ready(self, relay: Relay, relayed: Address, mapped: Address, now: float) -> None:
        if relayed in self._by_address or any(path[0] == relayed for path in self._by_path):
            self._end(relay, "gave us an address that we have already", now)
            return
        relay.address = relayed
        self._by_address[relayed] = relay
        # A redirect has moved it.
        assert relay.base is not None
        assert relay.allocation is not None
        self._by_path[relay.base, relay.allocation.server, relay.server.transport] = relay
        self.news.append(RelayReady(relay, mapped))

    def _redirect(self, relay: Relay, server: Address) -> None:
        assert relay.base is not None
        self._forget_path(relay)
        if not relay.server.transport.is_stream:
            self._by_path[relay.base, server, relay.server.transport] = relay
            return
        relay.redirect(server)
        self._streams.request(relay, None, server, relay.server.transport, relay.server.host)

    def _end(self, relay: Relay, detail: str, now: float) -> None:
        if relay not in self._relays:
            return
        self._relays.remove(relay)
        if relay.address is not None:
            self._by_address.pop(relay.address, None)
        if relay.allocation is not None:
            relay.allocation.close(now)  # told to no one any more: its transport is gone, or the server has ended it
        self._streams.withdraw(relay)
        self._forget_path(relay)
        self.news.append(relay.ended(detail))

    def _forget_path(self, relay: Relay) -> None:
        for path in [path for path, other in self._by_path.items() if other is relay]:
            del self._by_path[path]
            if path[2].is_stream:
                self._streams.release(path)
