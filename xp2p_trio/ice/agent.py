"""The ICE agent: the door of this package, which hands each thing to its topic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.errors import DecodeError, InvalidArgument, InvalidState, Reason
from xp2p_trio.ice import checks, nomination, pairing, responder
from xp2p_trio.ice.configuration import CONSENT_INTERVAL, Configuration, check_credentials
from xp2p_trio.ice.diagnosis import explain_no_path
from xp2p_trio.ice.events import AddressesRequested, Event, PathLost
from xp2p_trio.ice.gathering import Gathering
from xp2p_trio.ice.pair import CandidatePair, PairReport, Path
from xp2p_trio.ice.requests import Credentials
from xp2p_trio.ice.session import Session
from xp2p_trio.ice.state import Input, Role, State
from xp2p_trio.ice.statistics import Statistics
from xp2p_trio.sansio import Address, Burst, RandomBytes, canonical_address
from xp2p_trio.sdp import Candidate
from xp2p_trio.stun import MessageClass, decode_message

MAX_QUEUED_DATAGRAMS: Final = 4096
"""Data that waits to be pulled, in either direction."""

_MIN_CONSENT_INTERVAL: Final = 5.0  # RFC 7675 section 5.1: never less than 4 s apart, and 0.8 is the least factor
_MAX_CONSENT_INTERVAL: Final = 24.0  # with the factor 1.2 still before consent expires


@final
class Agent:
    """A full ICE agent (RFC 8445) for one data stream of one component over UDP.

    A `Carrier[Burst, Burst, Event, bytes, bytes]`: bursts of the sockets in and out, datagrams of the layer above.

    Args:
        configuration: limits, times and policies.
        role: controlling for who made the offer (RFC 8445 section 6.1.1); a conflict is repaired.
        random_bytes: source of credentials, tie-breaker and transaction ids.
        consent_interval: seconds between consent checks (RFC 7675), 5 to 24. The seeds' value is 15.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        role: Role,
        random_bytes: RandomBytes,
        consent_interval: float = CONSENT_INTERVAL,
    ) -> None:
        if not _MIN_CONSENT_INTERVAL <= consent_interval <= _MAX_CONSENT_INTERVAL:
            raise InvalidArgument(
                f"consent_interval {consent_interval} is not within {_MIN_CONSENT_INTERVAL:g} to "
                f"{_MAX_CONSENT_INTERVAL:g} s (RFC 7675 section 5.1)"
            )
        self._session = Session(configuration, role, random_bytes, consent_interval)
        self._gathering = Gathering(self._session)
        self._data_range = (20, 63) if configuration.carries == "dtls" else (4, 255)  # RFC 7983 section 7
        self._has_gathered = False
        self._outgoing: list[bytes] = []
        self._timeout: float | None = None

    # What there is to know.

    @property
    def state(self) -> State:
        """Where the agent stands."""
        return self._session.state

    @property
    def role(self) -> Role:
        """Our role, which a conflict may have changed."""
        return self._session.role

    @property
    def local_username_fragment(self) -> str:
        """For our description (`a=ice-ufrag`)."""
        return self._session.local_credentials.username_fragment

    @property
    def local_password(self) -> str:
        """For our description (`a=ice-pwd`)."""
        return self._session.local_credentials.password

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """Ours, with peer-reflexive ones."""
        return tuple(local.candidate for local in self._session.local_candidates)

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """The peer's that are in use, with peer-reflexive ones."""
        return tuple(self._session.remote_candidates.values())

    @property
    def selected_pair(self) -> CandidatePair | None:
        """What data goes over, if it can."""
        selected = self._session.selected
        return None if selected is None or self._session.is_over else selected.describe()

    @property
    def is_gathering_complete(self) -> bool:
        """Whether `GatheringCompleted` has come."""
        return self._session.is_gathering_complete

    @property
    def round_trip_time(self) -> float | None:
        """Seconds, as last measured on the selected pair."""
        selected = self._session.selected
        return None if selected is None else selected.round_trip_time

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return self._session.counters.snapshot()

    @property
    def pair_report(self) -> tuple[PairReport, ...]:
        """What became of each pair, best first."""
        pairs = sorted(self._session.check_list.pairs.values(), key=lambda pair: -pair.priority)
        return tuple(pair.report() for pair in pairs)

    # Commands.

    def gather(self, now: float) -> None:
        """Ask the driver for addresses, by the event `AddressesRequested`. Once."""
        session = self._advance(now)
        if self._has_gathered or session.is_over:
            return
        self._has_gathered = True
        session.move(Input.GATHER)
        session.events.append(AddressesRequested())

    def add_local_address(self, address: Address, now: float) -> None:
        """A socket is bound to this address: a host candidate. Better ones come first.

        Raises:
            InvalidState: before `gather` or after `end_of_local_addresses`.
            InvalidArgument: no peer could ever send to it.
        """
        session = self._advance(now)
        if session.is_over:
            return
        self._require_gathering("add_local_address")
        if address not in session.bases:
            pairing.add_host_candidate(session, address)
            if address in session.bases:
                self._gathering.add_base(address)

    def add_stun_server(self, address: Address, now: float) -> None:
        """Let every socket of the same family ask this server.

        Raises:
            InvalidState: before `gather` or after `end_of_local_addresses`.
            InvalidArgument: it is no IP address with a port.
        """
        session = self._advance(now)
        if session.is_over:
            return
        self._require_gathering("add_stun_server")
        server = canonical_address(address)
        if server is None:
            raise InvalidArgument(f"{address!r} is no IP address with a port from 1 to 65535; resolve it first")
        self._gathering.add_server(server)

    def end_of_local_addresses(self, now: float) -> None:
        """No more addresses and servers will come; `GatheringCompleted` follows when the queries have ended.

        Raises:
            InvalidState: before `gather`.
        """
        session = self._advance(now)
        if session.is_over or self._gathering.is_ended:
            return
        self._require_gathering("end_of_local_addresses")
        self._gathering.end()

    def set_role(self, role: Role, now: float) -> None:
        """Take a role, as the offer and answer say. Towards an ice-lite peer it is always controlling."""
        session = self._advance(now)
        if session.is_over:
            return
        session.switch_role(Role.CONTROLLING if session.is_remote_lite else role)
        nomination.choose(session, session.now)

    def set_remote_credentials(self, username_fragment: str, password: str, now: float, *, lite: bool = False) -> None:
        """What the peer's description says; checks start.

        Args:
            username_fragment: `a=ice-ufrag`.
            password: `a=ice-pwd`.
            now: the time.
            lite: whether the description has `a=ice-lite`.

        Raises:
            InvalidArgument: they are outside of RFC 8839 section 5.4.
            InvalidState: others have been set before.
        """
        check_credentials(username_fragment, password)
        session = self._advance(now)
        if session.is_over:
            return
        credentials = Credentials(username_fragment, password)
        if session.remote_credentials is not None:
            if session.remote_credentials != credentials:
                raise InvalidState("the peer's credentials are set already; others need another agent (ICE restart)")
            return
        session.remote_credentials = credentials
        if lite:
            session.is_remote_lite = True
            session.switch_role(Role.CONTROLLING)  # RFC 8445 section 6.1.1
        session.checking_since = session.now
        session.move(Input.CREDENTIALS)
        session.schedule_failure()
        candidates, session.early_candidates = session.early_candidates, []
        for candidate in candidates:
            pairing.add_remote_candidate(session, candidate)
        early, session.early_checks = session.early_checks, {}
        for check in early.values():
            if check.username_fragment == username_fragment:
                responder.take_check(session, check, session.now)
            else:
                session.counters.stun_unauthenticated += 1

    def add_remote_candidate(self, candidate: Candidate, now: float) -> None:
        """A candidate of the peer. One that cannot be used is counted and skipped."""
        session = self._advance(now)
        if not session.is_over:
            pairing.add_remote_candidate(session, candidate)

    def end_of_remote_candidates(self, now: float) -> None:
        """The peer has no more candidates."""
        session = self._advance(now)
        if session.is_over or session.is_remote_complete:
            return
        session.is_remote_complete = True
        session.schedule_failure()
        nomination.choose(session, session.now)

    def close(self, now: float) -> None:
        """End. Nothing leaves any more."""
        session = self._advance(now)
        if not session.is_over:
            session.close()
            self._stop()

    # The words of a carrier.

    def send(self, items: Sequence[bytes], now: float) -> None:
        """Queue datagrams for the selected pair.

        Raises:
            InvalidState: no pair is selected, or far more is queued than `transmit` takes.
        """
        session = self._session
        session.now = max(session.now, now)
        if session.selected is None or session.is_over:
            raise InvalidState(f"no pair is selected in state {session.state.name}; wait for PairSelected")
        if len(self._outgoing) + len(items) > MAX_QUEUED_DATAGRAMS:
            raise InvalidState(f"more than {MAX_QUEUED_DATAGRAMS} datagrams are queued; call transmit first")
        self._outgoing += items

    def take_received(self) -> list[bytes]:
        """Drain the datagrams that came in over valid pairs."""
        session = self._session
        received, session.received = session.received, []
        return received

    def receive(self, batch: Burst, now: float) -> None:
        """Take datagrams that came in over one path, told apart by their first byte (RFC 7983)."""
        session = self._session
        session.now = now = max(session.now, now)
        if session.is_over or self._has_lost_consent(now):
            return
        path: Path = (batch.local, batch.remote)
        is_valid = path in session.valid_paths
        if not is_valid:
            remote = canonical_address(batch.remote)
            if remote is None or batch.local not in session.bases:
                session.counters.datagrams_dropped += len(batch.datagrams)
                return
            path = (batch.local, remote)
            is_valid = path in session.valid_paths
        received = session.received
        lowest, highest = self._data_range
        count, size, dropped = 0, 0, 0
        for datagram in batch.datagrams:
            first = datagram[0] if datagram else 0xFF
            if lowest <= first <= highest:
                if not is_valid:
                    dropped += session.parking.park(path, datagram, session.check_list.pairs)
                elif len(received) < MAX_QUEUED_DATAGRAMS:
                    received.append(datagram)
                    count += 1
                    size += len(datagram)
                else:
                    dropped += 1
            elif first <= 3:  # STUN
                self._receive_stun(datagram, path, now)
                if self.state >= State.FAILED:
                    self._stop()
                    return
                is_valid = path in session.valid_paths
            else:
                dropped += 1
        counters = session.counters
        counters.datagrams_received += count
        counters.bytes_received += size
        counters.datagrams_dropped += dropped

    def handle_timeout(self, now: float) -> None:
        """Act on the timers that are due."""
        session = self._session
        session.now = now = max(session.now, now)
        if now < self.next_timeout() or session.is_over:
            return
        self._timeout = None
        if self._has_lost_consent(now):
            return
        checks.handle_timeouts(session, now)
        self._gathering.handle_timeout(now)
        if session.state is State.CHECKING and now >= session.fail_at:
            session.fail(Reason.NO_PATH, explain_no_path(session, self._gathering))
        if self.state >= State.FAILED:
            self._stop()
            return
        if now >= nomination.nomination_time(session):
            nomination.choose(session, now)
        consent = session.consent
        if now >= consent.lost_at:
            consent.is_lost = True
            session.events.append(PathLost())
            checks.repeat_checks(session)
        if consent.check.expire(now):
            checks.start_consent_check(session, now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """Answers first, then checks and queries, then data in one burst."""
        session = self._session
        session.now = now = max(session.now, now)
        if session.is_over or limit < 1:
            return []
        bursts: list[Burst] = []
        if session.responses or session.due or self.next_timeout() <= now:
            self._timeout = None
            while session.responses and len(bursts) < limit:
                (local, remote), response = session.responses.popleft()
                bursts.append(Burst(local, remote, (response,)))
            checks.start_check(session, now)
            for (local, remote), request in checks.take_requests(session, now, limit - len(bursts)):
                bursts.append(Burst(local, remote, (request,)))
            bursts += self._gathering.transmit(now, limit - len(bursts))
        if self._outgoing and len(bursts) < limit:
            self._transmit_data(bursts, now, limit - len(bursts))
        return bursts

    def take_events(self) -> list[Event]:
        """Drain the news."""
        session = self._session
        events, session.events = session.events, []
        return events

    def next_timeout(self) -> float:
        """When `handle_timeout` is due."""
        if self._timeout is None:
            self._timeout = self._compute_timeout()
        return self._timeout

    # Within.

    def _advance(self, now: float) -> Session:
        session = self._session
        session.now = max(session.now, now)
        self._timeout = None
        return session

    def _require_gathering(self, call: str) -> None:
        if not self._has_gathered:
            raise InvalidState(f"{call}() in state {self._session.state.name}; call gather() first")
        if self._gathering.is_ended:
            raise InvalidState(f"{call}() after end_of_local_addresses()")

    def _has_lost_consent(self, now: float) -> bool:
        # Also before an answer is looked at that nobody has taken in for long: lost consent does not come back
        # (RFC 7675 section 5.1).
        if now < self._session.consent.expires_at:
            return False
        self._session.fail(Reason.CONSENT_EXPIRED, self._explain_consent())
        self._stop()
        return True

    def _receive_stun(self, datagram: bytes, path: Path, now: float) -> None:
        session = self._session
        self._timeout = None
        try:
            message = decode_message(datagram)
        except DecodeError:
            session.counters.stun_malformed += 1
            return
        if message.message_class is MessageClass.REQUEST:
            responder.receive_request(session, message, path, now)
        elif message.message_class is MessageClass.INDICATION:
            session.counters.stun_unmatched += 1  # a keepalive asks for nothing (RFC 8445 section 11)
        elif message.transaction_id in session.checks or not self._gathering.receive(path, datagram, now):
            checks.receive_response(session, message, path, now)

    def _transmit_data(self, bursts: list[Burst], now: float, limit: int) -> None:
        session = self._session
        selected = session.selected
        counters = session.counters
        if selected is None or now >= session.consent.expires_at:
            counters.datagrams_unsent += len(self._outgoing)
            self._outgoing.clear()
            return
        if len(self._outgoing) <= limit:
            datagrams, self._outgoing = self._outgoing, []
        else:
            datagrams, self._outgoing = self._outgoing[:limit], self._outgoing[limit:]
        counters.datagrams_sent += len(datagrams)
        counters.bytes_sent += sum(map(len, datagrams))
        bursts.append(Burst(selected.path[0], selected.path[1], datagrams))

    def _compute_timeout(self) -> float:
        session = self._session
        if session.is_over:
            return math.inf
        if session.responses or session.due:
            return session.now
        earliest = min(
            checks.next_check_time(session),
            min((check.transaction.deadline for check in session.checks.values()), default=math.inf),
            self._gathering.next_timeout(),
            nomination.nomination_time(session),
            session.consent.next_timeout(),
            session.fail_at if session.state is State.CHECKING else math.inf,
        )
        return max(earliest, session.now)

    def _explain_consent(self) -> str:
        selected = self._session.selected
        host, port = ("the peer", 0) if selected is None else selected.remote.address
        return (
            f"{host} port {port} has not answered consent checks for 30 s; the peer is gone, or a network has changed. "
            "Start a new session"
        )

    def _stop(self) -> None:
        self._session.counters.datagrams_unsent += len(self._outgoing)
        self._outgoing.clear()
        self._gathering.stop()
        self._timeout = None
