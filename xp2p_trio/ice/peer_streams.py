"""The TCP streams to peers: which are taken, what they bring, when they are let go of, and made again (RFC 6544)."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final, final

from xp2p_trio.ice.checks import cut_off, drop_checks, fail_pair
from xp2p_trio.ice.generations import Generations
from xp2p_trio.ice.pair import Pair, PairState, Path
from xp2p_trio.ice.pairing import may_be_checked
from xp2p_trio.ice.session import Session, Shared
from xp2p_trio.ice.tcp import PeerStream
from xp2p_trio.sansio import Burst, Transport, canonical_address
from xp2p_trio.sdp import CandidateType

MAX_STRANGERS: Final = 16
"""Accepted streams over which no check of the peer has come; more are at the cost of the host that has most of them."""

ACCEPTED_PATIENCE: Final = 30.0
"""Seconds that an accepted stream may be of no use. Who connects does it in order to check, and may know before we do
that the stream in use is dead."""

FIRST_RECONNECT: Final = 1.0
"""Seconds between an attempt to connect the selected pair anew that has failed and the next one; it doubles."""

_NOTHING: Final[list[bytes]] = []


@final
class PeerStreams:
    """All streams to peers of one agent. They end with what they were for (section 11.1)."""

    def __init__(self, shared: Shared, generations: Generations) -> None:
        self._shared = shared
        self._streams = shared.streams
        self._generations = generations
        self._accepted: dict[Path, float] = {}  # when
        self._strangers: dict[Path, None] = {}  # an ordered set

    def opened(self, stream: PeerStream, path: Path, now: float) -> None:
        """The stream of a pair is connected: the pair is checked when Ta allows it (section 7.1)."""
        session = self._session_of(stream)
        if session is None or stream.pair is None or path in session.check_list.pairs:
            self._streams.release(path)
        else:
            session.check_list.rename(stream.pair, path)
            session.check_list.trigger(stream.pair)

    def failed(self, stream: PeerStream, detail: str, now: float) -> None:
        """The stream of a pair cannot be connected, and so its check has failed (section 7.1)."""
        session = self._session_of(stream)
        if session is None or stream.pair is None:
            return
        fail_pair(session, stream.pair, f"had no TCP connection ({detail})", now)
        if _is_cut(session):
            session.reconnect_at = now + session.reconnect_wait
            session.reconnect_wait *= 2

    def accept(self, path: Path, now: float) -> None:
        """Somebody has connected to a port of ours."""
        if self._streams.ended(path) is not None:  # the same two addresses: the one before is gone, and nobody knew
            self.ended(path, "it was connected anew", now)
        self._streams.accepted(PeerStream(), path)
        if not self._may_be_peer(path):
            self._streams.release(path)
            return
        self._accepted[path] = now
        self._strangers[path] = None
        self.sweep(now)
        if len(self._strangers) > MAX_STRANGERS:
            counts = Counter(remote[0] for _, remote, _ in self._strangers)
            most = max(counts.values())
            excess = next(other for other in self._strangers if counts[other[1][0]] == most)
            self._streams.release(excess)
            self.ended(excess, "", now)

    def take(self, burst: Burst, now: float) -> list[bytes]:
        """The datagrams in what a stream has brought; none and its end where that is not what a peer sends."""
        path: Path = (burst.local, burst.remote, burst.transport)
        stream = self._streams.owner(path)
        if not isinstance(stream, PeerStream):
            self._shared.counters.datagrams_dropped += len(burst.datagrams)
            return _NOTHING
        datagrams: list[bytes] = []
        for chunk in burst.datagrams:
            taken = stream.take(chunk)
            if taken is None:
                self._refuse(stream, path, now)
                break
            datagrams += taken
        return datagrams

    def ended(self, path: Path, why: str, now: float) -> None:
        """A stream is gone."""
        self._strangers.pop(path, None)
        self._accepted.pop(path, None)
        for session in self._generations.alive:
            session.early_checks.pop(path, None)
            pair = session.check_list.pairs.get(path)
            if pair is not None:
                _cut(session, pair, why, now)

    def sweep(self, now: float) -> None:
        """Let go of what leads nowhere any more (sections 8 and 11.1)."""
        if not self._shared.configuration.tcp:
            return
        for stream in self._streams.requested(PeerStream):
            session = self._session_of(stream)
            if session is None or stream.pair is None or not _may_be_used(session, stream.pair):
                self._streams.withdraw(stream)
                if session is not None and stream.pair is not None:
                    session.check_list.remove(stream.pair)
        for path in self._streams.opened_by(PeerStream):
            if not self._is_wanted(path, now):
                self._streams.release(path)
                self.ended(path, "was needed no more", now)
        for session in self._generations.alive:
            if session.check_list.is_completed:
                for pair in list(session.check_list.pairs.values()):
                    if pair is not session.selected and self._has_lost_stream(pair):
                        _forget(session, pair)

    def _has_lost_stream(self, pair: Pair) -> bool:
        return pair.local.transport.is_stream and pair.is_connected and self._streams.owner(pair.path) is None

    def _session_of(self, stream: PeerStream) -> Session | None:
        """The session that waits for this stream."""
        pair = stream.pair
        if pair is None or pair.is_connected or pair.state is not PairState.IN_PROGRESS:
            return None
        return self._generations.by_pair(pair)

    def _may_be_peer(self, path: Path) -> bool:
        current = self._generations.current
        is_ours = any(path[0] in session.passive for session in self._generations.alive)
        is_canonical = canonical_address(path[1]) == path[1]
        return not current.is_over and is_ours and is_canonical and may_be_checked(current, path[1][0])

    def _refuse(self, stream: PeerStream, path: Path, now: float) -> None:
        """What is there is no peer, and so all pairs that lead there fail (section 7.1)."""
        why = "sent something else than STUN"
        self._streams.release(path)
        self.ended(path, why, now)
        if stream.pair is None:
            return
        for session in self._generations.alive:
            for pair in list(session.check_list.pairs.values()):
                if pair.path[1:] == path[1:] and pair.is_open:
                    drop_checks(session, pair)
                    fail_pair(session, pair, why, now)

    def _is_wanted(self, path: Path, now: float) -> bool:
        if self._generations.is_retired(path, now):
            return True
        for session in self._generations.alive:
            pair = session.check_list.pairs.get(path)
            if path in session.early_checks or (pair is not None and _may_be_used(session, pair)):
                self._strangers.pop(path, None)  # the peer's check has come
                return True
        return now < self._accepted.get(path, -math.inf) + ACCEPTED_PATIENCE


def reconnect(session: Session, now: float) -> None:
    """Connect the selected pair anew, if that is our side's to do (section 11.1).

    It is another pair of the same candidates, so that nothing leaves over its stream before that is checked.
    """
    session.reconnect_at = math.inf
    dead = session.selected
    if dead is None or not _is_cut(session) or dead.local not in session.active.values():
        return
    path: Path = (dead.local.base, dead.remote.address, Transport.TCP)
    pair = session.check_list.pairs.get(path)
    if pair is None:
        pair = Pair(dead.local, dead.remote, session.role)
        if not session.check_list.add(pair, is_checked_by_peer=True):
            return
    session.check_list.trigger(pair)


def _cut(session: Session, pair: Pair, why: str, now: float) -> None:
    """The stream of a pair is gone."""
    is_selected = session.selected is pair
    cut_off(session, pair, why)
    if is_selected:
        session.reconnect_wait = FIRST_RECONNECT
        reconnect(session, now)


def _forget(session: Session, pair: Pair) -> None:
    """A pair whose stream is gone is no pair any more, and what was learned by it is of no use."""
    session.check_list.remove(pair)
    endpoint = (pair.remote.address, Transport.TCP)
    if endpoint in session.learned_remotes:
        del session.learned_remotes[endpoint]
        session.late_remotes.discard(endpoint)
        del session.remote_candidates[endpoint]
    if pair.valid_local is not None and pair.valid_local.type is CandidateType.PEER_REFLEXIVE:
        session.local_candidates = [local for local in session.local_candidates if local.candidate != pair.valid_local]


def _is_cut(session: Session) -> bool:
    """Whether the selected pair is one whose stream is gone."""
    selected = session.selected
    return selected is not None and selected.local.transport.is_stream and selected.path not in session.valid_paths


def _may_be_used(session: Session, pair: Pair) -> bool:
    """Whether a pair has a use for its stream: it is the selected one, or may yet be."""
    check_list = session.check_list
    if pair is session.selected:
        return pair.path in session.valid_paths
    if pair is session.nominee:
        return True
    if pair.state is PairState.FAILED:
        return False
    if not check_list.is_completed or check_list.is_above_floor(pair) or pair in check_list.triggered:
        return True
    if _is_cut(session) and not pair.is_connected:
        return True
    return any(check.pair is pair and not check.is_cancelled for check in session.checks.values())
