"""The server side of connectivity checks (RFC 8445 section 7.3)."""

from __future__ import annotations

import math
from typing import Final

import attrs

from xp2p_trio.ice import lite
from xp2p_trio.ice.checks import cancel_checks
from xp2p_trio.ice.configuration import CONSENT_EXPIRY
from xp2p_trio.ice.nomination import choose, complete
from xp2p_trio.ice.pair import Pair, PairState, Path
from xp2p_trio.ice.pairing import find_or_learn_remote, find_or_make_pair, may_be_checked
from xp2p_trio.ice.parking import MAX_EARLY_CHECKS, EarlyCheck
from xp2p_trio.ice.requests import (
    ROLE_CONFLICT,
    UNKNOWN_ATTRIBUTE,
    Rejection,
    authenticate_request,
    build_error,
    build_success,
    nomination_of,
    username_of_peer,
)
from xp2p_trio.ice.session import Session
from xp2p_trio.ice.state import Role
from xp2p_trio.stun import (
    ErrorCode,
    Fingerprint,
    IceControlled,
    IceControlling,
    Message,
    Method,
    Priority,
)

RETRY_INTERVAL: Final = 10.0
"""Seconds between two checks of a pair that the peer's checks come over, while another one is nominated."""

MAX_ERRORS_PER_SECOND: Final = 50
"""Error responses to requests that nobody has authenticated."""


def receive_request(session: Session, request: Message, path: Path, now: float) -> None:
    """Answer a check and let it trigger one of ours. Nothing changes before it is authenticated."""
    # FINGERPRINT is a must for ICE (RFC 8445 section 7.3); without it this may be any protocol's datagram.
    if request.method != Method.BINDING or request.get(Fingerprint) is None:
        session.counters.stun_unmatched += 1
        return
    if not may_be_checked(session, path[1][0]):
        # Its answer would let the peer nominate a path that we never send over.
        session.counters.candidates_refused += 1
        return
    algorithm = authenticate_request(request, session.local_credentials, session.remote_credentials)
    if isinstance(algorithm, ErrorCode):
        session.counters.stun_unauthenticated += 1
        _reject_unauthenticated(session, request, algorithm, path, now)
        return
    session.counters.requests_received += 1
    if request.unknown_required:
        session.counters.errors_sent += 1
        session.answer(path, build_error(request, UNKNOWN_ATTRIBUTE, session.local_credentials, algorithm))
        return
    if not _repair_role_conflict(session, request):
        session.counters.errors_sent += 1
        session.answer(path, build_error(request, ROLE_CONFLICT, session.local_credentials, algorithm))
        return
    session.counters.responses_sent += 1
    session.answer(path, build_success(request, path[1], session.local_credentials, algorithm))
    priority = request.get(Priority)
    check = EarlyCheck(
        path,
        username_of_peer(request),
        None if priority is None else priority.priority,
        nomination_of(request),
    )
    if session.remote_credentials is not None:
        take_check(session, check, now)
    else:
        _keep_early(session, check)


def _keep_early(session: Session, check: EarlyCheck) -> None:
    """One for each path; a nomination has been answered, so that the peer counts on it, and goes before the rest."""
    early = session.early_checks
    known = early.get(check.path)
    if known is not None:
        check = attrs.evolve(check, nomination=max(check.nomination, known.nomination))
    elif len(early) >= MAX_EARLY_CHECKS:
        other = next((path for path, other in early.items() if not other.nomination), None)
        if other is None or not check.nomination:
            return
        del early[other]
    early[check.path] = check


def take_check(session: Session, check: EarlyCheck, now: float) -> None:
    """What follows from an answered check once the peer's credentials are known (RFC 8445 sections 7.3.1.3 to 5)."""
    base, source, transport = check.path
    remote = find_or_learn_remote(session, source, transport, check.priority)
    pair = None if remote is None else find_or_make_pair(session, base, remote, transport)
    if pair is not None:
        if session.configuration.lite:
            pair.requests_received += 1
            lite.take_check(session, pair, check.nomination, now)
            return
        if pair is not session.selected and _is_news(session, pair, now):
            selected = session.selected  # the peer, or its NAT, may have moved
            session.consent.doubt(now, None if selected is None else selected.round_trip_time)
            if pair.state is PairState.SUCCEEDED:  # and back to where it was before
                session.check_list.trigger(pair)
        pair.requests_received += 1
        pair.last_request = now
        _trigger(session, pair, now, check.nomination if session.role is Role.CONTROLLED else 0)


def _is_news(session: Session, pair: Pair, now: float) -> bool:
    """Whether the peer checks a path that it does not, or not any more, check all the time."""
    if not pair.requests_received:
        return (pair.remote.address, pair.path[2]) in session.late_remotes
    return session.check_list.is_completed and now >= pair.last_request + RETRY_INTERVAL


def _trigger(session: Session, pair: Pair, now: float, nomination: int) -> None:
    """RFC 8445 sections 7.3.1.4 and 7.3.1.5."""
    if pair.state is PairState.SUCCEEDED:
        if nomination <= pair.nomination:
            if pair.is_nominated and pair.last_answer == -math.inf and now >= pair.retry_at:
                # It was given up for another one, and the peer, which has chosen it, stays with it.
                pair.retry_at = now + RETRY_INTERVAL
                session.check_list.trigger(pair)
            return
        if now < pair.last_answer + CONSENT_EXPIRY:
            complete(session, pair, nomination)
            choose(session, now)
            return
        # Consent for this pair has run out meanwhile, so it has to answer once more before it carries data.
    if session.check_list.is_completed and not nomination and not pair.is_valid:
        # Two NATs that map anew for each port would go on with this for ever, once data goes by another way.
        if pair.state is PairState.IN_PROGRESS or now < pair.retry_at:
            return
        pair.retry_at = now + RETRY_INTERVAL
    pair.nominate_on_success = max(pair.nominate_on_success, nomination)
    if pair.state is PairState.IN_PROGRESS:
        cancel_checks(session, pair)
    session.check_list.trigger(pair)


def _repair_role_conflict(session: Session, request: Message) -> bool:
    """RFC 8445 section 7.3.1.1. False if the request is to be answered by 487."""
    if session.is_remote_lite:  # we stay controlling (section 6.1.1)
        return True
    if session.configuration.lite:  # and controlled, whatever the tie-breakers say
        session.counters.role_conflicts += request.get(IceControlled) is not None
        return request.get(IceControlled) is None
    claim = request.get(IceControlling) if session.role is Role.CONTROLLING else request.get(IceControlled)
    if claim is None:
        return True
    session.counters.role_conflicts += 1
    ours_wins = session.shared.tie_breaker >= claim.tie_breaker
    # The larger tie-breaker is the controlling one: it refuses to yield, or takes the role.
    if ours_wins is (session.role is Role.CONTROLLING):
        return False
    session.switch_role(session.role.opposite)
    choose(session, session.now)
    return True


def _reject_unauthenticated(session: Session, request: Message, rejection: Rejection, path: Path, now: float) -> None:
    """At most one error response, no larger than the request, so that a forged source gains nothing by us."""
    shared = session.shared
    if not shared.error_second <= now < shared.error_second + 1:
        shared.error_second = now
        shared.errors_in_second = 0
    response = build_error(request, rejection, None)
    if shared.errors_in_second < MAX_ERRORS_PER_SECOND and len(response) <= len(request.raw):
        shared.errors_in_second += 1
        session.counters.errors_sent += 1
        session.answer(path, response)
