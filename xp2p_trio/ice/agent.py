"""The ICE agent: the door of this package, which hands each thing to its topic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

import attrs

from xp2p_trio import turn
from xp2p_trio.errors import InvalidArgument, InvalidState
from xp2p_trio.ice import local_candidates, nomination, pairing, responder, steps
from xp2p_trio.ice.configuration import CONSENT_INTERVAL, Configuration, check_credentials
from xp2p_trio.ice.events import AddressesRequested, Event, ServerFailed
from xp2p_trio.ice.generations import Generations
from xp2p_trio.ice.pair import CandidatePair, PairReport, Path
from xp2p_trio.ice.peer_streams import PeerStreams
from xp2p_trio.ice.reception import MAX_QUEUED_DATAGRAMS, Reception
from xp2p_trio.ice.relay import Relay, TurnServer
from xp2p_trio.ice.requests import Credentials
from xp2p_trio.ice.session import Session, Shared, draw_credentials
from xp2p_trio.ice.state import Input, Role, State
from xp2p_trio.ice.statistics import Statistics
from xp2p_trio.ice.tcp import PeerStream
from xp2p_trio.ice.wiring import Wiring
from xp2p_trio.sansio import Address, Burst, RandomBytes, Transport, canonical_address
from xp2p_trio.sdp import Candidate

_UDP: Final = Transport.UDP  # an attribute of an enumeration costs as much as a look-up in a dictionary
_MIN_CONSENT_INTERVAL: Final = 5.0  # RFC 7675 section 5.1: never less than 4 s apart, and 0.8 is the least factor
_MAX_CONSENT_INTERVAL: Final = 24.0  # with the factor 1.2 still before consent expires


@final
class Agent:
    """An ICE agent (RFC 8445) for one data stream of one component.

    A `Carrier[Burst, Burst, Event, bytes, bytes]`: bursts of the sockets in and out, datagrams of the layer above.

    Args:
        configuration: limits, times and policies.
        role: controlling for who made the offer (RFC 8445 section 6.1.1); a conflict is repaired.
        random_bytes: source of credentials, tie-breaker and transaction ids.
        consent_interval: seconds between consent checks (RFC 7675), 5 to 24. The seeds' value is 15.
        relay_only: use nothing but TURN servers, so that the peer never learns an address of ours.
        hide_hosts: tell host candidates by mDNS names in place of addresses.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        role: Role,
        random_bytes: RandomBytes,
        consent_interval: float = CONSENT_INTERVAL,
        relay_only: bool = False,
        hide_hosts: bool = False,
    ) -> None:
        if not _MIN_CONSENT_INTERVAL <= consent_interval <= _MAX_CONSENT_INTERVAL:
            raise InvalidArgument(
                f"consent_interval {consent_interval} is not within {_MIN_CONSENT_INTERVAL:g} to "
                f"{_MAX_CONSENT_INTERVAL:g} s (RFC 7675 section 5.1)"
            )
        if configuration.lite and (relay_only or hide_hosts):
            raise InvalidArgument("lite tells host candidates as they are; relay_only and hide_hosts do not go with it")
        self._configuration = configuration
        self._shared = Shared(
            configuration,
            random_bytes,
            consent_interval=consent_interval,
            relay_only=relay_only,
            hide_hosts=hide_hosts,
        )
        if configuration.username_fragment is not None and configuration.password is not None:
            credentials = Credentials(configuration.username_fragment, configuration.password)
        else:
            credentials = Credentials(*draw_credentials(random_bytes))
        # A lite agent is always controlled (RFC 8445 section 6.1.1).
        self._generations = Generations(self._shared, Role.CONTROLLED if configuration.lite else role, credentials)
        self._peer_streams = PeerStreams(self._shared, self._generations)
        self._wiring = Wiring(self._shared, self._generations, self._peer_streams)
        self._reception = Reception(self._shared, self._generations)
        self._has_gathered = False
        self._has_had_path = False
        self._is_ending = False
        self._has_ended = False
        self._outgoing: list[bytes] = []
        self._timeout: float | None = None
        self._now = -math.inf

    # What there is to know.

    @property
    def state(self) -> State:
        """Where the agent stands; after a restart, where its new session stands."""
        return self._generations.current.state

    @property
    def role(self) -> Role:
        """Our role, which a conflict may have changed."""
        return self._generations.current.role

    @property
    def local_username_fragment(self) -> str:
        """For our description (`a=ice-ufrag`)."""
        return self._generations.current.local_credentials.username_fragment

    @property
    def local_password(self) -> str:
        """For our description (`a=ice-pwd`)."""
        return self._generations.current.local_credentials.password

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """Ours, as the peer is told of them, and peer-reflexive ones."""
        conceal = self._shared.concealment.conceal
        return tuple(conceal(local.candidate) for local in self._generations.current.local_candidates)

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """The peer's that are in use, with peer-reflexive ones."""
        return tuple(self._generations.current.remote_candidates.values())

    @property
    def selected_pair(self) -> CandidatePair | None:
        """What data goes over, if it can."""
        session = self._generations.carrier
        return None if session.selected is None or session.is_over else session.selected.describe()

    @property
    def is_restarting(self) -> bool:
        """Whether a restart has not yet found a path of its own."""
        return self._generations.is_restarting

    @property
    def has_ended(self) -> bool:
        """Whether the terminal event has come."""
        return self._has_ended

    @property
    def is_gathering_complete(self) -> bool:
        """Whether `GatheringCompleted` has come."""
        return self._generations.current.is_gathering_complete

    @property
    def round_trip_time(self) -> float | None:
        """Seconds, as last measured on the selected pair."""
        selected = self._generations.carrier.selected
        return None if selected is None else selected.round_trip_time

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return self._shared.counters.snapshot()

    @property
    def pair_report(self) -> tuple[PairReport, ...]:
        """What became of each pair, best first."""
        pairs = sorted(self._generations.current.check_list.pairs.values(), key=lambda pair: -pair.priority)
        return tuple(pair.report() for pair in pairs)

    # Commands: our addresses and servers.

    def gather(self, now: float) -> None:
        """Ask the driver for addresses, by the event `AddressesRequested`. Once, and again for each restart."""
        session = self._advance(now)
        if self._has_gathered or session.is_over:
            return
        self._has_gathered = True
        session.move(Input.GATHER)
        session.events.append(AddressesRequested())

    def add_local_address(self, address: Address, now: float, transport: Transport = Transport.UDP) -> None:
        """A socket is bound to this address: a host candidate. Better ones come first.

        It may come at any time, also when an interface comes up in the middle of the connection.

        Args:
            address: of the socket.
            now: the time.
            transport: TCP for a port that listens (RFC 6544); it is of use with `Configuration.tcp` only.

        Raises:
            InvalidState: before `gather`.
            InvalidArgument: no peer could ever send to it.
        """
        session = self._advance(now)
        if session.is_over:
            return
        self._require_gathering("add_local_address")
        local_candidates.check_own_address(address)
        if transport is Transport.UDP or self._configuration.tcp:
            self._generations.add_base(address, transport)
            self._digest(session.now)

    def remove_local_address(self, address: Address, now: float, transport: Transport = Transport.UDP) -> None:
        """The socket is gone. What it carried goes over another path, if there is one; else it is lost for a while."""
        session = self._advance(now)
        if not session.is_over:
            self._generations.remove_base(address, transport, "its interface is gone")
            self._digest(session.now)

    def add_stun_server(self, address: Address, now: float, name: str = "") -> None:
        """Let every socket of the same family ask this server, unless we are lite.

        Args:
            address: numeric.
            now: the time.
            name: what events and diagnoses call it.

        Raises:
            InvalidState: before `gather` or after `end_of_local_addresses`.
            InvalidArgument: it is no IP address with a port.
        """
        session = self._advance(now)
        if session.is_over or self._configuration.lite:
            return
        self._require_gathering("add_stun_server")
        self._require_open_gathering("add_stun_server")
        self._generations.gathering.add_stun_server(_resolved(address), name)

    def add_turn_server(self, server: TurnServer, now: float) -> None:
        """Let every socket of the same family, or a stream of its own, ask this server for a relayed address.

        A lite agent asks none.

        Raises:
            InvalidState: before `gather` or after `end_of_local_addresses`.
            InvalidArgument: its address is no IP address with a port.
        """
        session = self._advance(now)
        if session.is_over or self._configuration.lite:
            return
        self._require_gathering("add_turn_server")
        self._require_open_gathering("add_turn_server")
        self._generations.gathering.add_turn_server(attrs.evolve(server, address=_resolved(server.address)))

    def refresh_turn_credentials(self, name: str, credentials: turn.Credentials, now: float) -> None:
        """Use these for the server of this name: the answer to `TurnCredentialsRequested`, or ahead of it."""
        session = self._advance(now)
        if not session.is_over:
            self._generations.gathering.servers.replace_credentials(name, credentials)
            self._shared.relays.refresh_credentials(name, credentials, session.now)
            self._digest(session.now)

    def server_failed(self, name: str, detail: str, now: float) -> None:
        """A server cannot even be asked, as when its name does not resolve; `ServerFailed` says so.

        Also the answer to `TurnCredentialsRequested` where there are none.
        """
        session = self._advance(now)
        if session.is_over:
            return
        if not self._shared.relays.abandon_renewal(name, detail, session.now):
            known = self._generations.gathering.servers.failures.get(name)  # what it said itself still counts
            code, realm = (0, "") if known is None else (known.code, known.realm)
            self._generations.gathering.fail_server(ServerFailed(name, code, realm, detail))
        self._digest(session.now)

    def end_of_local_addresses(self, now: float) -> None:
        """No more servers will come; `GatheringCompleted` follows when the queries have ended.

        Raises:
            InvalidState: before `gather`.
        """
        session = self._advance(now)
        if session.is_over or self._generations.gathering.is_ended:
            return
        self._require_gathering("end_of_local_addresses")
        self._generations.gathering.end()

    # Commands: answers to what only the driver can do.

    def stream_opened(self, number: int, local: Address, now: float) -> None:
        """A stream is connected, from this address: the answer to `StreamRequested` of this number."""
        session = self._advance(now)
        opened = self._shared.streams.opened(number, local)
        if opened is None:
            return
        owner, path = opened
        match owner:
            case Relay():
                self._shared.relays.stream_opened(owner, path, session.now)
            case PeerStream():
                self._peer_streams.opened(owner, path, session.now)
            case _:
                pass
        self._digest(session.now)

    def stream_failed(self, number: int, detail: str, now: float) -> None:
        """A stream cannot be connected: the answer to `StreamRequested` of this number."""
        session = self._advance(now)
        match self._shared.streams.failed(number):
            case Relay() as relay:
                self._shared.relays.stream_failed(relay, detail, session.now)
            case PeerStream() as stream:
                self._peer_streams.failed(stream, detail, session.now)
            case _:
                pass
        self._digest(session.now)

    def stream_closed(self, local: Address, remote: Address, now: float, transport: Transport = Transport.TCP) -> None:
        """A stream has ended, whoever ended it."""
        session = self._advance(now)
        path: Path = (local, remote, transport)
        match self._shared.streams.ended(path):
            case Relay() as relay:
                self._shared.relays.stream_failed(relay, "its stream has ended", session.now)
            case PeerStream():
                self._peer_streams.ended(path, "its stream has ended", session.now)
            case _:
                pass
        self._digest(session.now)

    def stream_accepted(
        self, local: Address, remote: Address, now: float, transport: Transport = Transport.TCP
    ) -> None:
        """A peer has connected to a TCP port of ours."""
        session = self._advance(now)
        if not self._has_ended:
            self._peer_streams.accept((local, remote, transport), session.now)
            self._digest(session.now)

    def name_resolved(self, name: str, hosts: Sequence[str], now: float) -> None:
        """The addresses behind an mDNS name: the answer to `NameRequested`; none when nobody answers to it."""
        if self._advance(now).is_over:
            return
        for session in self._generations.alive:
            pairing.take_name(session, name, hosts)
            nomination.choose(session, session.now)
        self._digest(self._now)

    # Commands: the peer.

    def set_role(self, role: Role, now: float) -> None:
        """Take a role, as the offer and answer say. Towards an ice-lite peer it is always controlling."""
        session = self._advance(now)
        if session.is_over or self._configuration.lite:
            return
        session.switch_role(Role.CONTROLLING if session.is_remote_lite else role)
        nomination.choose(session, session.now)
        self._digest(session.now)

    def set_remote_credentials(
        self, username_fragment: str, password: str, now: float, *, lite: bool = False, renomination: bool = False
    ) -> None:
        """What the peer's description says; checks start.

        Args:
            username_fragment: `a=ice-ufrag`.
            password: `a=ice-pwd`.
            now: the time.
            lite: whether the description has `a=ice-lite`.
            renomination: whether its `a=ice-options` has that (draft-thatcher-ice-renomination).

        Raises:
            InvalidArgument: they are outside of RFC 8839 section 5.4.
            InvalidState: others have been set before; `restart` first.
        """
        check_credentials(username_fragment, password)
        session = self._advance(now)
        if session.is_over:
            return
        credentials = Credentials(username_fragment, password)
        if session.remote_credentials is not None:
            if session.remote_credentials != credentials:
                raise InvalidState("the peer's credentials are set already; others take a restart on both sides")
            return
        session.remote_credentials = credentials
        session.renominates = renomination
        session.is_remote_lite = lite
        if lite and not self._configuration.lite:
            session.switch_role(Role.CONTROLLING)  # RFC 8445 section 6.1.1
        session.start_checking()
        if lite and self._configuration.lite:
            session.fail_at = -math.inf  # nobody would make a check
        candidates, session.early_candidates = session.early_candidates, []
        for candidate in candidates:
            pairing.add_remote_candidate(session, candidate)
        early, session.early_checks = session.early_checks, {}
        for check in early.values():
            if check.username_fragment == username_fragment:
                responder.take_check(session, check, session.now)
            else:
                session.counters.stun_unauthenticated += 1
        self._digest(session.now)

    def add_remote_candidate(self, candidate: Candidate, now: float) -> None:
        """A candidate of the peer, of the session of its username fragment. One of no use is counted and skipped."""
        if not self._advance(now).is_over:
            session = self._generations.by_remote_username(candidate.username_fragment)
            pairing.add_remote_candidate(session, candidate)
            self._digest(session.now)

    def end_of_remote_candidates(self, now: float, username_fragment: str | None = None) -> None:
        """The peer has no more candidates, of the session of this username fragment of its own."""
        if self._advance(now).is_over:
            return
        session = self._generations.by_remote_username(username_fragment)
        if session.is_remote_complete:
            return
        session.is_remote_complete = True
        session.schedule_failure()
        nomination.choose(session, session.now)
        self._digest(session.now)

    def restart(self, now: float, credentials: tuple[str, str] | None = None) -> None:
        """Begin a new session with new credentials (RFC 8445 section 9), which gathers anew.

        The old one carries data until the new one has chosen a path. Roles, sockets and allocations stay.

        Args:
            now: the time.
            credentials: our new username fragment and password; None draws them.

        Raises:
            InvalidArgument: they are outside of RFC 8839 section 5.4.
        """
        if credentials is not None:
            check_credentials(*credentials)
        if self._advance(now).is_over:
            return
        drawn = Credentials(*(credentials or draw_credentials(self._shared.random_bytes)))
        self._has_gathered = True
        self._generations.restart(drawn)
        if AddressesRequested() not in self._shared.events:  # which one answer is enough for
            self._shared.events.append(AddressesRequested())

    def cancel_restart(self, now: float) -> None:
        """Go back to the session before, as when the offer that announced the restart is rolled back.

        Nothing happens once the new session carries data.
        """
        session = self._advance(now)
        if not session.is_over and self._generations.is_restarting:
            if AddressesRequested() in self._shared.events:
                self._shared.events.remove(AddressesRequested())
            self._generations.cancel()
            self._digest(session.now)

    def close(self, now: float) -> None:
        """End. Nothing leaves any more but the deletion of allocations, which takes a second at most; then `Closed`."""
        session = self._advance(now)
        if not session.is_over:
            self._generations.close()
            self._digest(session.now)

    # The words of a carrier.

    def send(self, items: Sequence[bytes], now: float) -> None:
        """Queue datagrams for the selected pair.

        Raises:
            InvalidState: no pair was selected yet, or far more is queued than `transmit` takes.
        """
        self._now = max(self._now, now)
        if not self._has_had_path or self._generations.current.is_over:
            raise InvalidState(f"no pair is selected in state {self.state.name}; wait for PairSelected")
        if len(self._outgoing) + len(items) > MAX_QUEUED_DATAGRAMS:
            raise InvalidState(f"more than {MAX_QUEUED_DATAGRAMS} datagrams are queued; call transmit first")
        self._outgoing += items

    def take_received(self) -> list[bytes]:
        """Drain the datagrams that came in over valid pairs."""
        shared = self._shared
        received, shared.received = shared.received, []
        return received

    def receive(self, batch: Burst, now: float) -> None:
        """Take datagrams that came in over one path, told apart by their first byte (RFC 7983)."""
        self._now = now = max(self._now, now)
        generations = self._generations
        generations.advance(now)
        if generations.current.is_over:
            self._shared.relays.receive(batch, now)  # they are being deleted
            self._digest(now)
            return
        # Before an answer is looked at that nobody has taken in for long: lost consent does not come back (RFC 7675
        # section 5.1).
        generations.settle(now)
        if self.state >= State.FAILED:
            self._digest(now)
            return
        path: Path = (batch.local, batch.remote, batch.transport)
        if batch.transport is _UDP and path in generations.carrier.valid_paths:
            is_stirred = self._reception.take(path, batch.datagrams, now)
        else:
            is_stirred = batch.transport.is_stream  # which may have brought its own end
            for other, datagrams in self._wiring.incoming(batch, now):
                is_stirred |= self._reception.take(other, datagrams, now)
            is_stirred |= self._shared.relays.is_stirred
        if is_stirred:
            self._digest(now)

    def handle_timeout(self, now: float) -> None:
        """Act on the timers that are due."""
        self._now = now = max(self._now, now)
        generations = self._generations
        generations.advance(now)
        if now < self.next_timeout() or self._has_ended:
            return
        self._timeout = None
        self._shared.relays.handle_timeout(now)
        generations.settle(now)
        if not generations.current.is_over:
            for session in generations.alive:
                steps.handle_timeout(session, now)
            generations.gathering.handle_timeout(now)
        self._digest(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """Answers first, then checks and queries, then data in one burst."""
        self._now = now = max(self._now, now)
        generations = self._generations
        generations.advance(now)
        if self._has_ended or limit < 1:
            return []
        bursts: list[Burst] = []
        relays = self._shared.relays
        if not generations.current.is_over:
            if self.next_timeout() <= now:
                self._timeout = None
                for session in generations.alive:
                    steps.transmit(session, self._wiring, bursts, now, limit - len(bursts))
                bursts += generations.gathering.transmit(now, limit - len(bursts))
            if self._outgoing and len(bursts) < limit:
                self._transmit_data(bursts, now, limit - len(bursts))
        if relays.is_sending:
            bursts += relays.transmit(now, limit - sum(len(burst.datagrams) for burst in bursts))
        if relays.is_stirred:
            relays.is_stirred = False
            self._digest(now)
        return bursts

    def take_events(self) -> list[Event]:
        """Drain the news."""
        events = self._shared.events[:]
        self._shared.events.clear()
        return events

    def next_timeout(self) -> float:
        """When `handle_timeout` is due."""
        if self._timeout is None:
            self._timeout = self._compute_timeout()
        return self._timeout

    # Within.

    def _advance(self, now: float) -> Session:
        self._now = max(self._now, now)
        self._generations.advance(self._now)
        self._timeout = None
        return self._generations.current

    def _require_gathering(self, call: str) -> None:
        if not self._has_gathered:
            raise InvalidState(f"{call}() in state {self.state.name}; call gather() first")

    def _require_open_gathering(self, call: str) -> None:
        if self._generations.gathering.is_ended:
            raise InvalidState(f"{call}() after end_of_local_addresses()")

    def _transmit_data(self, bursts: list[Burst], now: float, limit: int) -> None:
        carrier, counters = self._generations.carrier, self._shared.counters
        selected = carrier.selected
        if selected is None or now >= carrier.consent.expires_at or selected.path not in carrier.valid_paths:
            counters.datagrams_unsent += len(self._outgoing)
            self._outgoing.clear()
            return
        if len(self._outgoing) <= limit:
            datagrams, self._outgoing = self._outgoing, []
        else:
            datagrams, self._outgoing = self._outgoing[:limit], self._outgoing[limit:]
        sent = self._wiring.outgoing(bursts, selected.path, datagrams, now)
        counters.datagrams_sent += len(sent)
        counters.bytes_sent += sum(map(len, sent))
        counters.datagrams_unsent += len(datagrams) - len(sent)

    def _digest(self, now: float) -> None:
        """Draw the conclusions of what has just happened."""
        self._timeout = None
        relays, generations = self._shared.relays, self._generations
        while relays.news:
            news, relays.news = relays.news, []
            for each in news:
                generations.take_news(each)
        generations.settle(now)
        self._peer_streams.sweep(now)
        self._has_had_path = self._has_had_path or generations.carrier.selected is not None
        if generations.current.is_over and not self._has_ended:
            self._end(now)

    def _end(self, now: float) -> None:
        """Let nothing leave any more, and give the last word once the allocations are gone."""
        shared, generations = self._shared, self._generations
        if not self._is_ending:
            self._is_ending = True
            shared.counters.datagrams_unsent += len(self._outgoing)
            self._outgoing.clear()
            shared.counters.datagrams_dropped += shared.parking.clear()
            generations.gathering.stop()
            shared.relays.close(now)
            shared.streams.release_all(PeerStream)
        shared.relays.news.clear()
        shared.relays.received.clear()
        if not len(shared.relays):
            self._has_ended = True
            shared.events.append(generations.current.last_word)

    def _compute_timeout(self) -> float:
        if self._has_ended:
            return math.inf
        generations, relays = self._generations, self._shared.relays
        earliest = relays.next_timeout() if len(relays) else math.inf
        if not generations.current.is_over:
            earliest = min(earliest, generations.gathering.next_timeout(), *map(steps.next_timeout, generations.alive))
        return max(earliest, self._now)


def _resolved(address: Address) -> Address:
    canonical = canonical_address(address)
    if canonical is None:
        raise InvalidArgument(f"{address!r} is no IP address with a port from 1 to 65535; resolve it first")
    return canonical
