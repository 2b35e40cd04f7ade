"""ICE restart (RFC 8445 section 9): a new session beside the one that carries data, until it has a path of its own."""

from __future__ import annotations

import math
from typing import Final, final

from xp2p_trio.errors import Reason
from xp2p_trio.ice.checks import fail_host, repeat_checks
from xp2p_trio.ice.events import PairSelected, StateChanged
from xp2p_trio.ice.gathering import Gathering, Servers
from xp2p_trio.ice.local_candidates import add_host_candidate, add_tcp_candidates, remove_base
from xp2p_trio.ice.nomination import choose
from xp2p_trio.ice.pair import Pair, Path
from xp2p_trio.ice.relay import News, PeerRefused, RelayEnded, RelayReady
from xp2p_trio.ice.requests import Credentials
from xp2p_trio.ice.session import Session, Shared
from xp2p_trio.ice.state import Input, Role, State
from xp2p_trio.sansio import Address, Transport

RETIREMENT: Final = 3.0
"""Seconds that data is still taken over the paths of the old session: what the peer sent before it knew of the new."""


@final
class Generations:
    """The sessions of one agent: the current one, and while that has no path the one before it.

    Attributes:
        current: the newest, whose state is the agent's.
        previous: the one that carries data meanwhile, or None.
        gathering: of the current one.
    """

    def __init__(self, shared: Shared, role: Role, credentials: Credentials) -> None:
        self._shared = shared
        self._servers = Servers()
        self._sockets: dict[Address, int] = {}
        self._ports: dict[Address, int] = {}
        self._next_preferences = dict.fromkeys(Transport, 65535)
        self.current = Session(shared, role, credentials)
        self.previous: Session | None = None
        self.gathering = Gathering(self.current, self._servers, self._sockets)
        self._retired_paths: frozenset[Path] = frozenset()
        self._retired_until = -math.inf

    @property
    def carrier(self) -> Session:
        """The session that data goes by."""
        return self.previous or self.current

    @property
    def alive(self) -> tuple[Session, ...]:
        """All of them."""
        return (self.current,) if self.previous is None else (self.current, self.previous)

    def restart(self, credentials: Credentials) -> None:
        """Begin a session, which gathers anew; roles stay (section 6.1.1). One that has no path yet is replaced."""
        old = self.current
        old.is_current = False
        self.gathering.stop()
        if self.previous is None:
            self.previous = old
        else:
            old.stop()
        session = self.current = Session(self._shared, old.role, credentials)
        session.now = old.now
        session.is_carrying = False
        session.move(Input.GATHER)
        self.gathering = Gathering(session, self._servers, self._sockets)
        for address in self._sockets:
            self._add_candidates(session, address, Transport.UDP)
        for address in self._ports:
            self._add_candidates(session, address, Transport.TCP)
        self.gathering.start()

    def cancel(self) -> None:
        """Go back to the session before the restart, unless that is too late."""
        if self.previous is None:
            return
        state = self.current.state
        self.current.stop()
        self.current, self.previous = self.previous, None
        self.current.is_current = True
        if self.current.state is not state:
            self._shared.events.append(StateChanged(self.current.state))
        self.gathering.stop()
        self.gathering = Gathering(self.current, self._servers, self._sockets)
        self.gathering.end()

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
        self._next_preferences[transport] -= 1
        for session in self.alive:
            self._add_candidates(session, address, transport)
        if transport is Transport.UDP:
            self.gathering.add_base(address)

    def remove_base(self, address: Address, transport: Transport, why: str) -> None:
        """A socket, a TCP port or an address on a TURN server is gone."""
        known = self._sockets if transport is Transport.UDP else self._ports
        if known.pop(address, None) is not None and transport is Transport.UDP:
            self._shared.relays.forget_base(address, self.current.now)
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
                    self.remove_base(relay.address, Transport.UDP, detail)
            case PeerRefused(relay, host, reason):
                for session in self.alive:
                    fail_host(session, relay.address, host, f"the TURN server refused the peer: {reason}")
        self.gathering.settle()

    def advance(self, now: float) -> None:
        """Tell all of the time."""
        for session in self.alive:
            session.now = now

    def adopt(self, now: float) -> None:
        """Let the new session carry data once it has chosen a path, or has any while the old one has none."""
        previous, current = self.previous, self.current
        if previous is None:
            return
        if previous.is_over:  # it has failed; the new one goes on alone
            self._succeed_without_path()
            return
        if current.selected is None:
            return
        if current.state is not State.COMPLETED and previous.selected is not None and not previous.consent.is_lost:
            return
        was_lost = previous.consent.is_lost
        self._retired_paths, self._retired_until = frozenset(previous.valid_paths), now + RETIREMENT
        self._drop_previous()
        current.is_carrying = True
        self._shared.events.append(PairSelected(current.selected.describe(), current.selected.is_nominated))
        if was_lost:
            current.consent.is_lost = True
            current.recover()

    def expire(self, now: float) -> bool:
        """End what has lost consent (RFC 7675 section 5.1). Returns whether the agent goes on."""
        if now < self.carrier.consent.expires_at:
            return True
        if self.previous is None or self.current.remote_credentials is None:
            return False
        self._succeed_without_path()  # it has its own patience
        return True

    def by_username(self, username_fragment: str) -> Session:
        """The session that a request with this local username fragment is for; the current one for any other."""
        previous = self.previous
        if previous is not None and previous.local_credentials.username_fragment == username_fragment:
            return previous
        return self.current

    def by_transaction(self, transaction_id: bytes) -> Session | None:
        """The session with this check on its way."""
        return next((session for session in self.alive if transaction_id in session.checks), None)

    def by_pair(self, pair: Pair) -> Session | None:
        """The session that has this pair on its check list."""
        return next((session for session in self.alive if session.check_list.pairs.get(pair.path) is pair), None)

    def is_valid(self, path: Path, now: float) -> bool:
        """Whether data may come in over this path."""
        if any(path in session.valid_paths for session in self.alive):
            return True
        return self.is_retired(path, now)

    def is_retired(self, path: Path, now: float) -> bool:
        """Whether it is one of the old session that data may still come over."""
        return path in self._retired_paths and now < self._retired_until

    def __contains__(self, path: object) -> bool:
        """Whether the path is on a check list."""
        return any(path in session.check_list.pairs for session in self.alive)

    def fail(self, reason: Reason, detail: str) -> None:
        """End because there is no path any more."""
        if self.previous is not None:
            self._drop_previous()
        self.current.fail(reason, detail)

    def close(self) -> None:
        """End in an orderly way."""
        if self.previous is not None:
            self._drop_previous()
        self.current.close()
        self._retired_until = -math.inf

    def _add_candidates(self, session: Session, address: Address, transport: Transport) -> None:
        if transport is Transport.UDP:
            add_host_candidate(session, address, self._sockets[address])
        else:
            add_tcp_candidates(session, address, self._ports[address])

    def _succeed_without_path(self) -> None:
        self._drop_previous()
        self.current.is_carrying = True
        selected = self.current.selected
        if selected is not None:
            self._shared.events.append(PairSelected(selected.describe(), selected.is_nominated))
        else:
            self.current.consent.is_lost = True

    def _drop_previous(self) -> None:
        assert self.previous is not None
        self.previous.stop()
        self.previous = None
