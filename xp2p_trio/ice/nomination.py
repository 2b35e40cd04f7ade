"""Which valid pair carries data, and which one is nominated (RFC 8445 sections 8.1 and 12.1)."""

from __future__ import annotations

import math

from xp2p_trio.ice.configuration import CONSENT_EXPIRY
from xp2p_trio.ice.pair import Pair
from xp2p_trio.ice.session import Session
from xp2p_trio.ice.state import Role
from xp2p_trio.sdp import CandidateType

_DIRECT = (CandidateType.HOST, CandidateType.PEER_REFLEXIVE)


def choose(session: Session, now: float) -> None:
    """Select the best pair, and nominate it when it is time.

    Data may go over any valid pair until one is nominated (RFC 8445 section 12.1), so the best valid one is selected at
    once. Among several nominated pairs the one of the highest priority counts (section 8.1.1).
    """
    if session.is_over or session.remote_credentials is None or session.configuration.lite:  # that is the peer's to do
        return
    _doubt_lost_path(session)
    fresh = [pair for pair in session.check_list.pairs.values() if pair.is_valid and _is_fresh(pair, now)]
    if not fresh:
        return
    best = max(fresh, key=_by_priority)
    nominated = max((pair for pair in fresh if pair.is_nominated), key=_by_nomination, default=None)
    if nominated is None or (session.renominates and best.priority > nominated.priority):
        _nominate(session, best, now)
    session.select(nominated or best, now)


def nomination_time(session: Session) -> float:
    """When a nomination that waits for better pairs waits no more."""
    selected = session.selected
    if selected is None or not _is_fresh(selected, session.now):  # its socket is gone, say
        return math.inf
    waits = session.role is Role.CONTROLLING and session.nominee is None and not session.check_list.is_completed
    return session.first_valid_at + _patience(session, selected) if waits else math.inf


def complete(session: Session, pair: Pair, nomination: int) -> None:
    """The pair is nominated (RFC 8445 section 8.1.2); `nomination` is the number of that."""
    pair.nomination = max(pair.nomination, nomination)
    session.nominee = None
    session.is_nomination_due = False
    improves = session.renominates and session.now < session.improves_until
    session.check_list.complete(pair.priority if improves else None)
    # One that nominates once has no use for the rest. With a peer that nominates aggressively, or when we do, a better
    # pair may still be nominated (RFC 5245 section 8.1.2).
    nominates_once = session.role is Role.CONTROLLING and session.configuration.nomination == "regular" and not improves
    for check in session.checks.values():
        if not check.is_consent and (nominates_once or check.pair.priority < pair.priority):
            check.is_cancelled = True
            check.transaction.cancel()


def improvement_end(session: Session) -> float:
    """When the search for a better pair than the nominated one ends."""
    return math.inf if session.check_list.floor is None else session.improves_until


def settle(session: Session) -> None:
    """Be content with the nominated pair."""
    session.check_list.complete(None)
    for check in session.checks.values():
        if not check.is_consent and not check.pair.is_valid:
            check.is_cancelled = True
            check.transaction.cancel()


def _doubt_lost_path(session: Session) -> None:
    """Once the selected pair is silent and another has answered meanwhile, let those that have not count for nothing.

    RFC 8445 section 12.1 keeps data on the nominated pair. But a NAT that maps the peer anew, or a peer that has moved
    to another interface, leaves that pair dead beside one that works and has consented.
    """
    consent = session.consent
    if session.selected is None or not (consent.is_lost or consent.is_given_up):
        return
    pairs, silent_since = session.check_list.pairs.values(), consent.silent_since
    if any(pair.is_valid and pair.last_answer >= silent_since for pair in pairs):
        session.lose()
        for pair in pairs:
            if pair.last_answer < silent_since:  # what was left before is no better
                pair.last_answer = -math.inf


def _nominate(session: Session, best: Pair, now: float) -> None:
    """Repeat the check with USE-CANDIDATE once the stopping criterion is met (RFC 8445 section 8.1.1)."""
    completed = session.check_list.is_completed
    if session.role is not Role.CONTROLLING or (completed and not session.renominates) or session.nominee is best:
        return
    if session.nominee is not None and not completed:
        return
    if completed or now >= session.first_valid_at + _patience(session, best) or _is_best_possible(session, best):
        session.nominee = best
        session.is_nomination_due = True


def _patience(session: Session, pair: Pair) -> float:
    """How long a better pair than this one is awaited; longer before all data goes by way of a server, or over TCP."""
    configuration = session.configuration
    is_last_resort = pair.local.relay_transport is not None or pair.local.transport.is_stream
    return configuration.relay_wait if is_last_resort else configuration.nomination_wait


def _is_best_possible(session: Session, best: Pair) -> bool:
    if any(pair.is_open and pair.priority > best.priority for pair in session.check_list.pairs.values()):
        return False
    if session.is_gathering_complete and session.is_remote_complete and not session.unresolved:
        return True
    # Better candidates could still come, but nothing beats a path without NAT and relay by more than preference.
    pair = best.describe()
    return not best.local.transport.is_stream and pair.local.type is CandidateType.HOST and pair.remote.type in _DIRECT


def _is_fresh(pair: Pair, now: float) -> bool:
    return now < pair.last_answer + CONSENT_EXPIRY


def _by_nomination(pair: Pair) -> tuple[int, int]:
    return pair.nomination, pair.priority


def _by_priority(pair: Pair) -> int:
    return pair.priority
