"""Relayed candidates: the allocations of an agent on TURN servers (RFC 8445 section 5.1.1.2, RFC 8656).

An allocation belongs to the agent, not to a session: an ICE restart goes on with it. To the rest of the package its
relayed address is a base like a socket, and what goes over it is wrapped here.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Final, final

import attrs

from xp2p_trio import turn
from xp2p_trio.errors import DecodeError
from xp2p_trio.ice.addresses import refuse_host
from xp2p_trio.ice.configuration import Configuration
from xp2p_trio.ice.events import Event, TurnCredentialsRequested
from xp2p_trio.ice.pair import Path
from xp2p_trio.ice.relay import CredentialsRefused, News, PeerRefused, Relay, RelayReady, TurnServer, server_name
from xp2p_trio.ice.statistics import Counters
from xp2p_trio.ice.streams import Streams
from xp2p_trio.sansio import Address, Burst, Closed, Failed, RandomBytes, Transport, is_ipv6

MAX_RELAYS: Final = 8
"""Allocations of one agent; each costs a server and the list of checks something."""

_PERMISSIVE: Final = Configuration()
"""Loopback and link-local relayed addresses are for tests and demos on one machine."""

_CHANNEL_DATA: Final = bytes([turn.FIRST_CHANNEL >> 8])


@final
class Relays:
    """All allocations of one agent.

    Attributes:
        news: for the agent, which takes them after each step.
        received: data that came over them, with its path.
        sockets: addresses that are ours already.
        is_sending: whether something may be there to be pulled.
        is_stirred: whether more than data has come or gone since the agent has looked.
    """

    def __init__(
        self,
        configuration: Configuration,
        random_bytes: RandomBytes,
        streams: Streams,
        events: list[Event],
        counters: Counters,
    ) -> None:
        self._configuration = configuration
        self._random_bytes = random_bytes
        self._streams = streams
        self._events = events
        self._counters = counters
        self._relays: list[Relay] = []
        self._by_address: dict[Address, Relay] = {}
        self._by_path: dict[Path, Relay] = {}
        self.news: list[News] = []
        self.received: list[tuple[Path, list[bytes]]] = []
        self.sockets: Container[Address] = ()
        self.is_sending = False
        self.is_stirred = False

    def __contains__(self, base: Address) -> bool:
        return base in self._by_address

    def __len__(self) -> int:
        return len(self._relays)

    @property
    def ready(self) -> list[Relay]:
        """Those that have a relayed address."""
        return list(self._by_address.values())

    @property
    def pending(self) -> list[Relay]:
        """Those that may still get one."""
        return [relay for relay in self._relays if relay.is_pending]

    def at(self, base: Address) -> Relay | None:
        """The one with this relayed address; None where the base is none, or none any more."""
        return self._by_address.get(base)

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
            # Who gathers gives up before, and has deleted what may have been made meanwhile.
            allocation_timeout=ice.gathering_timeout + 1.0,
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
            self._streams.request(relay, None, relay.target, server.transport, server.host)
        elif relay.base is not None:
            self._allocate(relay, relay.base, now)

    def abandon(self, relay: Relay, why: str, now: float) -> None:
        """Wait no longer for one that is not ready."""
        if relay not in self._relays or not relay.is_pending:
            return
        if relay.waits_for_credentials:
            why = "takes the credentials no longer, and others did not come in time"
        elif relay.allocation is not None:
            why = relay.allocation.silence
        self._dismiss(relay, why, now)

    def abandon_renewal(self, name: str, why: str, now: float) -> bool:
        """There will be no other credentials for the server of this name. Returns whether any were waited for."""
        waiting = [relay for relay in self.pending if relay.waits_for_credentials and server_name(relay.server) == name]
        for relay in waiting:
            self._end(relay, why, now)
        return bool(waiting)

    def refresh_credentials(self, name: str, credentials: turn.Credentials, now: float) -> None:
        """Use these for the server of this name."""
        self._stir()
        for relay in [relay for relay in self._relays if server_name(relay.server) == name and not relay.is_leaving]:
            relay.server = attrs.evolve(relay.server, credentials=credentials)
            if relay.allocation is not None:
                relay.waits_for_credentials = False
                relay.allocation.refresh_credentials(credentials, now)
            elif relay.waits_for_credentials and relay.base is not None:
                self._allocate(relay, relay.base, now)

    def confirm(self, now: float) -> None:
        """Ask the servers whether they still have what is allocated: a NAT may know us by another address now."""
        self._stir()
        for relay in self.ready:
            if relay.allocation is not None:
                relay.allocation.refresh(now)

    def keep_peers(self, kept: Container[tuple[Address, str]], now: float) -> None:
        """Let the permissions of all hosts lapse but of these, each given with its relayed address."""
        self._stir()
        for base, relay in self._by_address.items():
            if relay.allocation is not None:
                gone = [host for host in relay.allocation.hosts if (base, host) not in kept]
                relay.allocation.remove_permissions(gone, now)

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
            frames: list[bytes] = []
            problem = ""
            for chunk in burst.datagrams:
                try:
                    frames += relay.framer.decode_frames(chunk)
                except DecodeError as error:
                    problem = f"sent what is no TURN: {error}"
                    break
            self._give(relay, relay.allocation, attrs.evolve(burst, datagrams=frames), now)
            if problem:
                self._counters.datagrams_dropped += 1
                self._end(relay, problem, now)
        else:
            self._give(relay, relay.allocation, burst, now)
        return True

    def send(self, path: Path, datagrams: Sequence[bytes], now: float) -> Sequence[bytes]:
        """Queue datagrams for a peer by way of a relayed address. Returns those that TURN can carry."""
        allocation = self._by_address[path[0]].allocation
        if allocation is None or allocation.state is not turn.State.ALLOCATED:
            return ()
        if max(map(len, datagrams), default=0) > turn.MAX_DATA_SIZE:
            datagrams = [data for data in datagrams if len(data) <= turn.MAX_DATA_SIZE]
        peer = path[1]
        allocation.send([(peer, data) for data in datagrams], now)
        self.is_sending = True
        return datagrams

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """What is to leave for the servers."""
        bursts: list[Burst] = []
        for relay in self._relays:
            if limit < 1:
                return bursts
            if relay.allocation is not None:
                for burst in relay.allocation.transmit(now, limit):
                    bursts.append(burst)
                    limit -= len(burst.datagrams)
        self.is_sending = limit < 1
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
        if self._claim(relay, (base, relay.target, relay.server.transport), now):
            relay.allocate(base, now)
            self._stir()

    def _claim(self, relay: Relay, path: Path, now: float) -> bool:
        """Take what comes over this path for the relay's; False where it is another's, whom a redirect led there."""
        if self._by_path.setdefault(path, relay) is relay:
            return True
        self._end(relay, f"is {path[1][0]} port {path[1][1]}, where another server has sent us to already", now)
        return False

    def _give(self, relay: Relay, allocation: turn.Allocation, burst: Burst, now: float) -> None:
        before = allocation.datagrams_useless
        allocation.receive(burst, now)
        self._counters.datagrams_dropped += allocation.datagrams_useless - before
        self._collect(relay, allocation)
        # The least of them begins with the least first byte, and STUN comes before ChannelData (RFC 7983).
        if min(burst.datagrams, default=_CHANNEL_DATA) < _CHANNEL_DATA:
            self._harvest(relay, now)

    def _collect(self, relay: Relay, allocation: turn.Allocation) -> None:
        last: Address | None = None
        datagrams: list[bytes] = []
        for peer, data in allocation.take_received():
            if peer is not last:
                assert relay.address is not None  # nothing is taken before it is allocated
                last, datagrams = peer, []
                self.received.append(((relay.address, peer, Transport.UDP), datagrams))
            datagrams.append(data)

    def _stir(self) -> None:
        self.is_sending = self.is_stirred = True

    def _harvest(self, relay: Relay, now: float) -> None:
        self._stir()
        allocation = relay.allocation
        if allocation is None:
            return
        for event in allocation.take_events():
            match event:
                case turn.Allocated(relayed_address, mapped_address):
                    self._ready(relay, relayed_address, mapped_address, now)
                case turn.PermissionDenied(host, _, reason):
                    self.news.append(PeerRefused(relay, host, reason))
                case turn.AllocationRefused(_, realm, code):
                    relay.refuse(code, realm)
                case turn.CredentialsRequested(realm, reason):
                    relay.waits_for_credentials = True
                    if relay.server.is_renewable:
                        self._events.append(TurnCredentialsRequested(server_name(relay.server), realm))
                    else:
                        self.news.append(CredentialsRefused(relay, realm, f"takes the credentials no longer: {reason}"))
                case turn.Redirected(server, realm):
                    self._redirect(relay, server, realm, now)
                case Failed(failure):
                    if relay.may_renew:
                        relay.wait_for_credentials()
                        self._events.append(TurnCredentialsRequested(server_name(relay.server), relay.realm))
                    else:
                        self._end(relay, failure.detail, now)
                case Closed():
                    if relay.allocation is allocation:  # and not redirected
                        self._end(relay, "", now)
                case _:
                    pass

    def _ready(self, relay: Relay, relayed: Address, mapped: Address, now: float) -> None:
        refusal = refuse_host(relayed[0], _PERMISSIVE)
        if relayed in self._by_address or relayed in self.sockets:
            self._dismiss(relay, f"gave us {relayed[0]} port {relayed[1]}, an address that is ours already", now)
        elif refusal is not None:
            self._dismiss(relay, f"gave us {relayed[0]} as a relayed address: {refusal}", now)
        else:
            relay.address = relayed
            self._by_address[relayed] = relay
            self.news.append(RelayReady(relay, mapped))

    def _redirect(self, relay: Relay, server: Address, realm: str, now: float) -> None:
        assert relay.base is not None
        self._forget_path(relay)
        relay.redirect(server, realm)
        if relay.server.transport.is_stream:
            self._streams.request(relay, None, server, relay.server.transport, relay.server.host)
        else:
            self._claim(relay, (relay.base, server, relay.server.transport), now)

    def _dismiss(self, relay: Relay, detail: str, now: float) -> None:
        """Have nothing to do with it any more but to delete what may be on its server."""
        if relay.allocation is None:
            self._end(relay, detail, now)
            return
        self.news.append(relay.ended(detail))
        relay.is_leaving = True
        relay.allocation.close(now)
        self._harvest(relay, now)

    def _end(self, relay: Relay, detail: str, now: float) -> None:
        if relay not in self._relays:
            return
        self._stir()
        self._relays.remove(relay)
        if relay.address is not None:
            self._by_address.pop(relay.address, None)
        if relay.allocation is not None:
            relay.allocation.close(now)  # told to no one any more: its transport is gone, or the server has ended it
        self._streams.withdraw(relay)
        self._forget_path(relay)
        if not relay.is_leaving:
            self.news.append(relay.ended(detail))

    def _forget_path(self, relay: Relay) -> None:
        for path in [path for path, other in self._by_path.items() if other is relay]:
            del self._by_path[path]
            if path[2].is_stream:
                self._streams.release(path)
