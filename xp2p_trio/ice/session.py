"""The state of one ICE session: what the topics of this package share.

An ICE restart (RFC 8445 section 9) is another session. What outlives one is `Shared`.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from functools import partial
from typing import Final, TypeAlias, final

from xp2p_trio.errors import Failure, InvalidArgument, Reason
from xp2p_trio.ice.candidates import Foundations, LocalCandidate
from xp2p_trio.ice.check_list import CheckList
from xp2p_trio.ice.concealment import Concealment
from xp2p_trio.ice.configuration import Configuration
from xp2p_trio.ice.consent import Consent
from xp2p_trio.ice.events import Event, PairSelected, PathLost, PathRecovered, StateChanged
from xp2p_trio.ice.pair import Pair, PairState, Path
from xp2p_trio.ice.parking import EarlyCheck, Parking
from xp2p_trio.ice.relaying import Relays
from xp2p_trio.ice.requests import Check, Credentials
from xp2p_trio.ice.state import TRANSITIONS, Input, Role, State
from xp2p_trio.ice.statistics import Counters
from xp2p_trio.ice.streams import Streams
from xp2p_trio.ice.tcp import is_held_back
from xp2p_trio.sansio import Address, Closed, Failed, RandomBytes, Transport
from xp2p_trio.sdp import Candidate

Endpoint: TypeAlias = tuple[Address, Transport]
"""What makes two candidates of the peer the same."""

MAX_QUEUED_RESPONSES: Final = 64
"""Answers that wait to be pulled; a peer whose answer is dropped asks again."""


def draw_credentials(random_bytes: RandomBytes) -> tuple[str, str]:
    """A new username fragment and password, with at least 24 and 128 random bits (RFC 8445 section 5.3)."""
    fragment, password = (
        base64.b64encode(random_bytes(6)),
        base64.b64encode(random_bytes(18)),
    )  # exactly ICE's characters
    return fragment.decode("ascii"), password.decode("ascii")


@final
class Shared:
    """What all sessions of one agent have in common.

    Attributes:
        relay_only: whether nothing but TURN servers is used.
        events: not taken yet.
        counters: of the agent.
        streams: asked for and open.
        relays: allocations on TURN servers.
        concealment: of our candidates.
        received: data that came in over valid paths.
        parking: data of paths that are not valid yet.
        tie_breaker: RFC 8445 section 7.3.1.1.
        next_check_at: when Ta allows the next check.
        next_transaction_at: when the next transaction of any kind may start.
        error_second: the second in which unauthenticated requests are being answered with errors.
        errors_in_second: how many of them have been.
    """

    __slots__ = (
        "concealment",
        "configuration",
        "consent_interval",
        "counters",
        "error_second",
        "errors_in_second",
        "events",
        "next_check_at",
        "next_transaction_at",
        "parking",
        "random_bytes",
        "received",
        "relay_only",
        "relays",
        "streams",
        "tie_breaker",
    )

    def __init__(
        self,
        configuration: Configuration,
        random_bytes: RandomBytes,
        *,
        consent_interval: float,
        relay_only: bool,
        hide_hosts: bool,
    ) -> None:
        self.relay_only = relay_only
        self.configuration = configuration
        self.random_bytes = random_bytes
        self.consent_interval = consent_interval
        self.counters = Counters()
        self.events: list[Event] = []
        self.streams = Streams(self.events)
        self.relays = Relays(configuration, random_bytes, self.streams, self.events, self.counters)
        self.concealment = Concealment(random_bytes, self.events, hides=hide_hosts)
        self.received: list[bytes] = []
        self.parking = Parking()
        self.tie_breaker = int.from_bytes(random_bytes(8), "big")
        self.next_check_at = -math.inf
        self.next_transaction_at = -math.inf
        self.error_second = -math.inf
        self.errors_in_second = 0


@final
class Session:
    """Plain state with the few operations that every topic needs.

    Attributes:
        shared: what outlives this session.
        is_current: whether its state is the agent's; False once there was a restart.
        is_carrying: whether data goes by this session, rather than by the one before it.
        bases: where checks leave from, each with its candidate: sockets, and addresses on TURN servers.
        passive: TCP ports that listen, each with its candidate; `active` by host: where TCP is connected from.
        remote_candidates: the peer's candidates by address and transport.
        learned_remotes: those that only the peer's checks have told us (peer-reflexive), oldest first.
        late_remotes: those that were unknown when a pair was nominated.
        unresolved: candidates by the mDNS name that is being resolved.
        names_asked: how many mDNS names were asked for.
        early_candidates: those that came before the peer's credentials.
        early_checks: answered checks that came before them.
        checks: transactions by their id, cancelled ones included.
        due: checks whose request waits to be pulled.
        responses: answers that wait to be pulled.
        valid_paths: where data may come in from.
        nominee: the pair that a nominating check is on its way for, on the controlling side.
        is_nomination_due: whether that check has still to be started.
        nominations: how many nominations were made, by us or as the peer counts them.
        renominates: whether a nomination may be followed by another (draft-thatcher-ice-renomination).
        improves_until: when no better pair than the nominated one is looked for any more.
        reconnect_at: when the stream of the selected pair is connected anew; `reconnect_wait`: the pause before the
            next attempt.
        fail_at: when checking ends without a valid pair; -inf once that has come.
        last_word: the terminal event of the agent, once the session is over.
        now: the newest time seen.
    """

    def __init__(self, shared: Shared, role: Role, credentials: Credentials) -> None:
        self.shared = shared
        self.configuration = shared.configuration
        self.random_bytes = shared.random_bytes
        self.events = shared.events
        self.counters = shared.counters
        self.role = role
        self.local_credentials = credentials
        self.is_current = True
        self.is_carrying = True
        self.remote_credentials: Credentials | None = None
        self.is_remote_lite = False
        self.state = State.NEW

        self.foundations = Foundations()
        self.bases: dict[Address, LocalCandidate] = {}
        self.local_candidates: list[LocalCandidate] = []
        self.passive: dict[Address, LocalCandidate] = {}
        self.active: dict[str, LocalCandidate] = {}
        self.remote_candidates: dict[Endpoint, Candidate] = {}
        self.early_candidates: list[Candidate] = []
        self.early_checks: dict[Path, EarlyCheck] = {}
        self.late_remotes: set[Endpoint] = set()
        self.unresolved: dict[str, list[Candidate]] = {}
        self.names_asked = 0
        self.learned_remotes: dict[Endpoint, None] = {}
        self.is_gathering_complete = False
        self.is_remote_complete = False

        self.check_list = CheckList(self.configuration.max_pairs, partial(is_held_back, shared.streams))
        self.checks: dict[bytes, Check] = {}
        self.due: deque[Check] = deque()
        self.responses: deque[tuple[Path, bytes]] = deque()
        self.valid_paths: set[Path] = set()
        self.selected: Pair | None = None
        self.consent = Consent(
            None if self.configuration.lite else shared.consent_interval, self.configuration.disconnected_timeout
        )

        self.nominee: Pair | None = None
        self.is_nomination_due = False
        self.nominations = 0
        self.renominates = False
        self.first_valid_at = math.inf
        self.checking_since = math.inf
        self.improves_until = -math.inf
        self.reconnect_at = math.inf
        self.reconnect_wait = 0.0
        self.fail_at = math.inf
        self.last_word: Closed | Failed = Closed()
        self.now = -math.inf

    @property
    def is_over(self) -> bool:
        """Whether the terminal event has come."""
        return self.state >= State.FAILED

    def move(self, input_: Input) -> None:
        """Follow the table of states."""
        state = TRANSITIONS[self.state].get(input_, self.state)
        if state is not self.state:
            self.state = state
            if self.is_current:
                self.events.append(StateChanged(state))

    def add_remote(self, endpoint: Endpoint, candidate: Candidate) -> None:
        """Keep a candidate of the peer."""
        self.remote_candidates[endpoint] = candidate
        if self.check_list.is_completed:
            self.late_remotes.add(endpoint)

    def draw_transaction_id(self) -> bytes:
        """96 random bits that no check on its way has (RFC 8489 section 5)."""
        for _ in range(16):
            transaction_id = self.random_bytes(12)
            if transaction_id not in self.checks:
                return transaction_id
        raise InvalidArgument("random_bytes repeats itself: 16 transaction ids in a row are in use")

    def answer(self, path: Path, response: bytes) -> None:
        """Queue an answer."""
        if len(self.responses) < MAX_QUEUED_RESPONSES:
            self.responses.append((path, response))

    def switch_role(self, role: Role) -> None:
        """Take the other role, with all that depends on it (RFC 8445 sections 7.2.5.1 and 7.3.1.1)."""
        if role is self.role:
            return
        self.role = role
        self.check_list.compute_priorities(role)
        self.nominee = None
        self.is_nomination_due = False

    def start_checking(self) -> None:
        """The peer's credentials are known."""
        self.checking_since = self.now
        self.improves_until = self.now + self.configuration.patience
        self.move(Input.CREDENTIALS)
        self.schedule_failure()

    def schedule_failure(self) -> None:
        """Set how long to go on without a valid pair; called when something that this depends on has changed."""
        self.fail_at = self.checking_since + self.configuration.patience
        # Candidates of both sides are known: what has not worked by then will not (the seeds' 10 s).
        if self.is_gathering_complete and self.is_remote_complete:
            self.fail_at = min(self.fail_at, max(self.now, self.checking_since) + self.configuration.check_timeout)

    def admit(self, path: Path) -> None:
        """Let data in over this path, with what has been parked of it."""
        if path not in self.valid_paths:
            self.valid_paths.add(path)
            released = self.shared.parking.release(path)
            self.shared.received += released
            self.counters.datagrams_received += len(released)
            self.counters.bytes_received += sum(map(len, released))

    def select(self, pair: Pair, now: float) -> None:
        """Send data over this pair from now on."""
        was = self.selected
        if was is not pair:
            self.selected = self.check_list.pinned = pair
            self.consent.start(pair.last_answer, now, self.random_bytes)
            self.recover()
            self.shared.relays.bind_channel(pair.path, now)
        if self.is_carrying and (was is not pair or (pair.is_nominated and self.state is not State.COMPLETED)):
            self.events.append(PairSelected(pair.describe(), pair.is_nominated))
        self.move(Input.PAIR_NOMINATED if pair.is_nominated else Input.PAIR_VALID)

    def lose(self) -> None:
        """The selected pair is silent, or its socket is gone: any other will do, if a nomination can still say so."""
        if not self.consent.is_lost:
            self.consent.is_lost = True
            if self.renominates and self.check_list.is_completed:
                self.check_list.floor = 0
                self.improves_until = self.now + self.configuration.patience
            if self.is_carrying:
                self.events.append(PathLost())

    def drop_selected(self, why: str) -> None:
        """Nothing can go over the selected pair any more. It stays selected until another takes its place."""
        assert self.selected is not None
        self.selected.state = PairState.FAILED
        self.selected.failure = why
        self.selected.last_answer = -math.inf
        self.lose()

    def recover(self) -> None:
        """The selected pair answers again, or is another one."""
        if self.consent.is_lost:
            self.consent.is_lost = False
            if self.is_carrying:
                self.events.append(PathRecovered())

    def close(self) -> None:
        """End in an orderly way; the agent says so once nothing is left to do."""
        self.last_word = Closed()
        self._end(Input.CLOSE)

    def fail(self, reason: Reason, detail: str) -> None:
        """End because there is no path any more; the agent says so once nothing is left to do."""
        self.last_word = Failed(Failure("ice", reason, detail))
        self._end(Input.FAIL)

    def _end(self, input_: Input) -> None:
        self.move(input_)
        self.stop()

    def stop(self) -> None:
        """Send and take nothing any more."""
        # Credentials and consent must not be used any more (RFC 7675 section 5.1), and nothing may leave.
        self.checks.clear()
        self.due.clear()
        self.responses.clear()
        self.early_checks.clear()
        self.early_candidates.clear()
        self.valid_paths.clear()
        self.check_list.triggered.clear()
        self.nominee = None
        self.is_nomination_due = False
        self.consent.stop()
        self.reconnect_at = math.inf
        self.fail_at = math.inf
