"""ICE restart (RFC 8445 section 9): new sessions beside the one that carries data, until one has a path of its own."""

from __future__ import annotations

import math
from typing import Final, final

from xp2p_trio.errors import Reason
from xp2p_trio.ice.checks import fail_host, repeat_checks
from xp2p_trio.ice.diagnosis import explain_consent, explain_no_path
from xp2p_trio.ice.events import PairSelected, PathLost, PathRecovered, ServerFailed, StateChanged
from xp2p_trio.ice.gathering import Gathering, Servers
from xp2p_trio.ice.local_candidates import add_host_candidate, add_tcp_candidates, remove_base
from xp2p_trio.ice.nomination import choose
from xp2p_trio.ice.pair import Pair, Path
from xp2p_trio.ice.relay import (
    UNAUTHORIZED,
    CredentialsRefused,
    News,
    PeerRefused,
    RelayEnded,
    RelayReady,
    server_name,
)
from xp2p_trio.ice.requests import Credentials
from xp2p_trio.ice.session import Session, Shared
from xp2p_trio.ice.state import Input, Role, State
from xp2p_trio.sansio import Address, Transport

RETIREMENT: Final = 3.0
"""Seconds that data is still taken over the paths of an old session: what the peer sent before it knew of the new."""

MAX_GENERATIONS: Final = 4
"""Sessions at a time: the peer may be ahead of us by some restarts, or behind."""


@final
class Generations:
    """The sessions of one agent.

    Attributes:
        alive: newest first. The last one carries data; each of the others may be the one that the peer carries on with.
        gathering: of the current one.
    """

    def __init__(self, shared: Shared, role: Role, credentials: Credentials) -> None:
        self._shared = shared
        self._servers = Servers()
        self._sockets: dict[Address, int] = {}
        self._ports: dict[Address, int] = {}
        self._next_preferences = dict.fromkeys(Transport, 65535)
        self.alive: tuple[Session, ...] = (Session(shared, role, credentials),)
        self.gathering = Gathering(self.current, self._servers, self._sockets)
        shared.relays.sockets = self._sockets
        self._retired_paths: frozenset[Path] = frozenset()
        self._retired_until = -math.inf

    @property
    def current(self) -> Session:
        """The newest session, whose state is the agent's."""
        return self.alive[0]

    @property
    def carrier(self) -> Session:
        """The session that data goes by."""
        return self.alive[-1]

    @property
    def is_restarting(self) -> bool:
        """Whether a restart has not yet found a path of its own."""
        return len(self.alive) > 1

    # Restarts.

    def restart(self, credentials: Credentials) -> None:
        """Begin a session, which gathers anew; roles stay (RFC 8445 section 6.1.1).

        One that the peer has not agreed to is replaced. Those that it has agreed to go on: it may be done with them.
        """
        old, kept = self.current, self.alive
        old.is_current = False
        self._shared.relays.keep_peers(
            {(path[0], path[1][0]) for each in self.alive for path in each.check_list.pairs}, old.now
        )
        self.gathering.stop()
        if self.is_restarting and old.remote_credentials is None:
            old.stop()
            kept = kept[1:]
        elif len(kept) == MAX_GENERATIONS:
            kept[-2].stop()
            kept = (*kept[:-2], kept[-1])
        session = Session(self._shared, old.role, credentials)
        self.alive = (session, *kept)
        session.now = old.now
        session.is_carrying = False
        if old.state is State.GATHERING:
            session.state = State.GATHERING  # which is no change
        else:
            session.move(Input.GATHER)
        for address in self._sockets:
            self._add_candidates(session, address, Transport.UDP)
        for address in self._ports:
            self._add_candidates(session, address, Transport.TCP)
        self.gathering = Gathering(session, self._servers, self._sockets)
        self.gathering.start()

    def cancel(self) -> None:
        """Go back to the session before the last restart."""
        state = self.current.state
        self.current.stop()
        self.alive = self.alive[1:]
        current = self.current
        current.is_current = True
        if current.state is not state:
            self._shared.events.append(StateChanged(current.state))
        is_answered = self.gathering.is_ended
        self.gathering.stop()
        self.gathering = Gathering(current, self._servers, self._sockets)
        if not current.is_gathering_complete:
            self.gathering.start()
        if is_answered:  # else the driver has still to say its end
            self.gathering.end()

    def settle(self, now: float) -> None:
        """Let a newer session carry data once it has chosen a path, or the older ones are at their end; or fail."""
        carrier = self.carrier
        if not self.is_restarting and carrier.selected is not None and now < carrier.consent.expires_at:
            return
        for session in self.alive[:-1]:
            if self._takes_over(session, now):
                self._hand_over(session, now)
                break
        while not self.current.is_over and self._is_hopeless(self.carrier, now):
            newer = [session for session in self.alive[:-1] if session.remote_credentials is not None]
            if all(self._is_hopeless(session, now) for session in newer):
                self._fail(self.carrier)
            else:
                self._hand_over(self.alive[-2], now)

    def _takes_over(self, session: Session, now: float) -> bool:
        if session.selected is None or now >= session.consent.expires_at:
            return False
        carrier = self.carrier
        return session.state is State.COMPLETED or carrier.selected is None or carrier.consent.is_lost

    def _is_hopeless(self, session: Session, now: float) -> bool:
        """Whether a session has no path any more, or will not find one."""
        if session.is_over:
            return False
        if session.selected is not None:
            return now >= session.consent.expires_at  # RFC 7675 section 5.1
        if session.remote_credentials is None:  # and a newer one has agreed ones
            return any(other.remote_credentials is not None for other in self.alive)
        return session.state >= State.CONNECTED or session.fail_at == -math.inf

    def _hand_over(self, session: Session, now: float) -> None:
        before, events = self.carrier, self._shared.events
        had_path, was_lost = before.first_valid_at < math.inf, before.consent.is_lost
        index = self.alive.index(session)
        dropped, self.alive = self.alive[index + 1 :], self.alive[: index + 1]
        self._retired_paths = frozenset(path for other in dropped for path in other.valid_paths)
        self._retired_until = now + RETIREMENT
        for other in dropped:
            other.stop()
        session.is_carrying = True
        if session.selected is not None:
            events.append(PairSelected(session.selected.describe(), session.selected.is_nominated))
        elif had_path:
            session.consent.is_lost = True
        if session.consent.is_lost and not was_lost:
            events.append(PathLost())
        elif was_lost and not session.consent.is_lost:
            events.append(PathRecovered())

    def _fail(self, session: Session) -> None:
        if session.selected is not None:
            reason, detail = Reason.CONSENT_EXPIRED, explain_consent(session)
        elif session.state >= State.CONNECTED:  # the checklist fails with the nominating check (section 7.2.5.3.4)
            reason = Reason.NO_PATH
            detail = "the peer refused the only path that worked; start a new session"
        else:
            reason, detail = Reason.NO_PATH, explain_no_path(session, self.gathering)
        self._drop_older()
        self.current.fail(reason, detail)

    def close(self) -> None:
        """End in an orderly way."""
        self._drop_older()
        self.current.close()

    def _drop_older(self) -> None:
        for session in self.alive[1:]:
            session.stop()
        self.alive = self.alive[:1]
        self._retired_until = -math.inf

    # Sockets, TCP ports and addresses on TURN servers.

    def has_socket(self, address: Address) -> bool:
        """Whether this is a UDP socket of ours."""
        return address in self._sockets

    def add_base(self, address: Address, transport: Transport) -> None:
        """A socket or a TCP port of ours is there."""
        known = self._sockets if transport is Transport.UDP else self._ports
        if address in known:
            return
        # Addresses come in the driver's order of preference; each has its own value (RFC 8445 section 5.1.2.1).
        known[address] = self._next_preferences[transport]
        self._next_preferences[transport] = max(0, known[address] - 1)
        for session in self.alive:
            self._add_candidates(session, address, transport)
        if transport is Transport.UDP:
            self.gathering.add_base(address)

    def remove_base(self, address: Address, transport: Transport, why: str) -> None:
        """A socket, a TCP port or an address on a TURN server is gone."""
        known = self._sockets if transport is Transport.UDP else self._ports
        if known.pop(address, None) is not None and transport is Transport.UDP:
            self._shared.relays.forget_base(address, self.current.now)
            self.gathering.remove_base(address)
        for session in self.alive:
            remove_base(session, address, transport, why)
            repeat_checks(session)
            choose(session, session.now)

    def take_news(self, news: News) -> None:
        """What became of an allocation."""
        match news:
            case RelayReady():
                self.gathering.relay_ready(news)
            case RelayEnded(relay, detail=detail):
                self.gathering.relay_ended(news)
                if relay.address is not None:
                    self.remove_base(relay.address, Transport.UDP, f"{server_name(relay.server)} is lost, {detail}")
            case CredentialsRefused(relay, realm, detail):
                self.gathering.fail_server(ServerFailed(server_name(relay.server), UNAUTHORIZED, realm, detail))
            case PeerRefused(relay, host, reason):
                for session in self.alive:
                    fail_host(session, relay.address, host, f"the TURN server refused the peer: {reason}")
        self.gathering.settle()

    def _add_candidates(self, session: Session, address: Address, transport: Transport) -> None:
        if transport is Transport.UDP:
            add_host_candidate(session, address, self._sockets[address])
        else:
            add_tcp_candidates(session, address, self._ports[address])

    # Whose is what.

    def advance(self, now: float) -> None:
        """Tell all of the time."""
        for session in self.alive:
            session.now = now

    def by_username(self, username_fragment: str) -> Session:
        """The session that a request with this username fragment of ours is for; the current one for any other."""
        for session in self.alive[1:]:
            if session.local_credentials.username_fragment == username_fragment:
                return session
        return self.current

    def by_remote_username(self, username_fragment: str | None) -> Session:
        """The session that a candidate with this fragment of the peer's is of; the current one for any other."""
        for session in self.alive[1:]:
            credentials = session.remote_credentials
            if credentials is not None and credentials.username_fragment == username_fragment:
                return session
        return self.current

    def by_transaction(self, transaction_id: bytes) -> Session | None:
        """The session with this check on its way."""
        return next((session for session in self.alive if transaction_id in session.checks), None)

    def by_pair(self, pair: Pair) -> Session | None:
        """The session that has this pair on its check list."""
        return next((session for session in self.alive if session.check_list.pairs.get(pair.path) is pair), None)

    def is_valid(self, path: Path, now: float) -> bool:
        """Whether data may come in over this path."""
        for session in self.alive:
            if path in session.valid_paths:
                return True
        return self.is_retired(path, now)

    def is_retired(self, path: Path, now: float) -> bool:
        """Whether it is one of an old session that data may still come over."""
        return path in self._retired_paths and now < self._retired_until

    def __contains__(self, path: object) -> bool:
        """Whether the path is on a check list."""
        return any(path in session.check_list.pairs for session in self.alive)
