"""One allocation on one TURN server over one transport (RFC 8656)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import final

from xp2p_trio.errors import DecodeError, InvalidArgument, InvalidState
from xp2p_trio.sansio import Address, Burst, RandomBytes, canonical_address, canonical_host, is_ipv6
from xp2p_trio.stun import MessageClass, Method, decode_message
from xp2p_trio.turn.addresses import refuse_host
from xp2p_trio.turn.configuration import MAX_CHANNELS, MAX_PERMISSIONS, AddressFamily, Configuration, Credentials
from xp2p_trio.turn.control import Control
from xp2p_trio.turn.events import ChannelDenied, Event, PermissionDenied
from xp2p_trio.turn.relay import Relay
from xp2p_trio.turn.state import State
from xp2p_trio.turn.statistics import Counters, Statistics


@final
class Allocation:
    """A carrier of datagrams to and from peers, by way of a server.

    Over a stream the datagrams of its bursts are the messages on that stream: `StreamFramer` cuts them out of what
    arrives, and what is transmitted is written one behind the other. A stream that breaks ends the allocation: `close`
    it, and make another one.

    Args:
        server: a numeric address of the server.
        local: our end of the transport.
        credentials: of the user.
        random_bytes: source of transaction ids.
        configuration: the choices.

    Raises:
        InvalidArgument: the server's address is not numeric.
    """

    def __init__(
        self,
        server: Address,
        local: Address,
        credentials: Credentials,
        *,
        random_bytes: RandomBytes,
        configuration: Configuration,
    ) -> None:
        if canonical_address(server) is None:
            raise InvalidArgument(f"the server {server!r} is no numeric address with a port; resolve it first")
        self._local = local
        self._configuration = configuration
        self._counters = Counters()
        self._control = Control(server, credentials, random_bytes, configuration, self._counters, self._on_permissions)
        self._relay = Relay(
            self._control.permissions,
            self._control.channels,
            random_bytes,
            self._counters,
            is_stream=configuration.transport.is_stream,
        )
        self._now = -math.inf

    def __repr__(self) -> str:
        server = self._control.server
        return f"<Allocation {self._control.state.name} server={server[0]}:{server[1]}>"

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._control.state

    @property
    def server(self) -> Address:
        """Where bursts go to; another one after `Redirected`."""
        return self._control.server

    @property
    def hosts(self) -> tuple[str, ...]:
        """Those that have a permission, or are to get one."""
        return tuple(self._control.permissions.wanted)

    @property
    def silence(self) -> str:
        """Why there is no allocation yet, for a person who has stopped waiting for it."""
        return self._control.silence

    @property
    def local(self) -> Address:
        """Our end of the transport."""
        return self._local

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return self._counters.snapshot(
            permissions=len(self._control.permissions.active), channels=len(self._control.channels.bound)
        )

    @property
    def datagrams_useless(self) -> int:
        """What came and changed nothing, forged responses included."""
        return self._counters.datagrams_ignored + self._counters.responses_unauthenticated

    def start(self, now: float) -> None:
        """Ask for the allocation.

        Raises:
            InvalidState: it was started or closed before.
        """
        if self._control.state is not State.NEW:
            raise InvalidState(f"the allocation is {self._control.state.name}; make another one")
        self._control.start(self._advance(now))

    def create_permissions(self, hosts: Iterable[str], now: float) -> None:
        """Let data go to and come from these hosts, and keep it so; `PermissionCreated` or `PermissionDenied` follows.

        Ignored once the allocation is closing.

        Raises:
            InvalidArgument: one of them is no IP address; nothing is done.
            InvalidState: there is no allocation yet; wait for `Allocated`.
        """
        canonical = [self._canonical_host(host) for host in hosts]
        now = self._advance(now)
        if not self._is_usable():
            return
        for host in dict.fromkeys(canonical):
            self._want(host, now)
        self._control.request_due(now)

    def remove_permissions(self, hosts: Iterable[str], now: float) -> None:
        """Send nothing more to these hosts and take nothing from them; the server forgets them in five minutes.

        Raises:
            InvalidArgument: one of them is no IP address; nothing is done.
        """
        canonical = [self._canonical_host(host) for host in hosts]
        now = self._advance(now)
        for host in canonical:
            self._control.forget_host(host, now)

    def bind_channel(self, peer: Address, now: float) -> None:
        """Make data to and from this peer cheap, and keep it so; `ChannelBound` or `ChannelDenied` follows.

        The permission comes along. Until the channel is bound, and when it is denied, data travels as indications.

        Raises:
            InvalidArgument: the peer's address is not numeric.
            InvalidState: there is no allocation yet; wait for `Allocated`.
        """
        canonical = canonical_address(peer)
        if canonical is None:
            raise InvalidArgument(f"the peer {peer!r} is no numeric address with a port")
        now = self._advance(now)
        channels = self._control.channels
        if not self._is_usable() or canonical in channels.wanted:
            return
        if self._want(canonical[0], now):
            if channels.is_full:
                reason = f"there are {MAX_CHANNELS} channels already"
                self._control.events.append(ChannelDenied(canonical, 0, reason))
            else:
                channels.want(canonical, now)
        self._control.request_due(now)

    def refresh(self, now: float) -> None:
        """Refresh the allocation ahead of its time, to learn whether it is still there. Ignored where there is none."""
        self._control.refresh(self._advance(now))

    def refresh_credentials(self, credentials: Credentials, now: float) -> None:
        """Use these from now on: the answer to `CredentialsRequested`, or ahead of it.

        A server that ties the allocation to its username (RFC 8656 section 5) refuses another one with 441.
        """
        self._advance(now)
        self._control.replace_credentials(credentials)

    def close(self, now: float) -> None:
        """Delete the allocation; `Closed` follows within a second, at once where there is nothing to delete."""
        self._control.close(self._advance(now))

    def send(self, items: Sequence[tuple[Address, bytes]], now: float) -> None:
        """Queue data for peers.

        What goes to a host whose permission is on its way waits for it, 16 datagrams at most. What goes to a host
        without one, or does not fit, is dropped and counted in `statistics.datagrams_unsent`.

        Raises:
            InvalidArgument: a datagram is longer than 65456 bytes; nothing is queued.
            InvalidState: there is no allocation yet; wait for `Allocated`.
        """
        now = self._advance(now)
        if self._is_usable():
            self._control.lapse(now)
            self._relay.send(items)
        else:
            self._counters.datagrams_unsent += len(items)

    def take_received(self) -> list[tuple[Address, bytes]]:
        """Drain the data of peers, oldest first."""
        return self._relay.take_received()

    def receive(self, batch: Burst, now: float) -> None:
        """Take what came from the server."""
        now = self._advance(now)
        control, relay = self._control, self._relay
        if control.has_ended or control.state is State.NEW:
            self._counters.datagrams_ignored += len(batch.datagrams)
            return
        control.lapse(now)
        datagrams = batch.datagrams
        position, end = 0, len(datagrams)
        while position < end:
            # Asked again after each message: it may redirect or end the allocation.
            if batch.remote != control.server or batch.local != self._local or control.has_ended:
                self._counters.datagrams_ignored += end - position
                return
            position = relay.receive_channel_data(datagrams, position)
            if position < end:
                self._receive_message(datagrams[position], now)
                position += 1

    def handle_timeout(self, now: float) -> None:
        """Act on the timers that are due."""
        now = self._advance(now)
        if not self._control.has_ended:
            self._control.handle_timeout(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """What is to leave for the server: requests first, but while closing the data that is still queued."""
        now = self._advance(now)
        control = self._control
        control.lapse(now)
        if control.has_ended or limit < 1:
            return []
        if control.state is State.CLOSING:
            messages = self._relay.transmit(limit)
            messages += control.transmit(now, limit - len(messages))
        else:
            messages = control.transmit(now, limit)
            if self._relay.is_sending:
                messages += self._relay.transmit(limit - len(messages))
        if not messages:
            return []
        return [Burst(self._local, control.server, messages, self._configuration.transport)]

    def take_events(self) -> list[Event]:
        """Drain the news."""
        events, self._control.events = self._control.events, []
        return events

    def next_timeout(self) -> float:
        """When `handle_timeout` is due."""
        return math.inf if self._control.has_ended else self._control.next_timeout(self._now)

    def _advance(self, now: float) -> float:
        if now > self._now:
            self._now = now
        return self._now

    def _is_usable(self) -> bool:
        if self._control.state < State.ALLOCATED:
            raise InvalidState(f"the allocation is {self._control.state.name}; wait for the event Allocated")
        return self._control.state is State.ALLOCATED

    def _canonical_host(self, host: str) -> str:
        canonical = canonical_host(host)
        if canonical is None:
            raise InvalidArgument(f"{host!r} is no IP address")
        return canonical

    def _want(self, host: str, now: float) -> bool:
        """Ask for a permission if that may be. Returns whether the host has one or may get it."""
        permissions, configuration = self._control.permissions, self._configuration
        if host in permissions.wanted:
            return True
        refusal = refuse_host(
            host, allow_loopback=configuration.allow_loopback, allow_link_local=configuration.allow_link_local
        )
        if refusal is None and is_ipv6(host) != (configuration.address_family is AddressFamily.IPV6):
            refusal = "it is of another address family than the relayed address"
        if refusal is None and permissions.is_full:
            refusal = f"there are {MAX_PERMISSIONS} permissions already"
        if refusal is not None:
            self._control.events.append(PermissionDenied(host, 0, refusal))
            return False
        permissions.want(host, now)
        return True

    def _receive_message(self, datagram: bytes, now: float) -> None:
        try:
            message = decode_message(datagram)
        except DecodeError:
            self._counters.datagrams_ignored += 1
            return
        match message.message_class:
            case MessageClass.SUCCESS_RESPONSE | MessageClass.ERROR_RESPONSE:
                self._control.receive(message, now)
            case MessageClass.INDICATION if message.method == Method.DATA:
                self._relay.receive_data_indication(message)
            case _:
                self._counters.datagrams_ignored += 1

    def _on_permissions(self) -> None:
        if self._control.has_ended:
            self._relay.clear()
        else:
            self._relay.unpark()
