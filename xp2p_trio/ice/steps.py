"""What one session does at each word of the agent: time, output, the next timer."""

from __future__ import annotations

import math

from xp2p_trio.ice import checks, nomination
from xp2p_trio.ice.peer_streams import reconnect
from xp2p_trio.ice.session import Session
from xp2p_trio.ice.wiring import Wiring
from xp2p_trio.sansio import Burst


def handle_timeout(session: Session, now: float) -> None:
    """Repeat and give up checks, nominate, ask for consent."""
    checks.handle_timeouts(session, now)
    if now >= session.fail_at:
        session.fail_at = -math.inf
    if now >= nomination.nomination_time(session):
        nomination.choose(session, now)
    if now >= nomination.improvement_end(session):
        nomination.settle(session)
    if now >= session.reconnect_at:
        reconnect(session, now)
    consent = session.consent
    if now >= consent.give_up_at:
        consent.is_given_up = True
        nomination.choose(session, now)
    if now >= consent.expires_at > -math.inf:  # of a session that carries data its end has come before this
        checks.expire(session, now)
    if now >= consent.lost_at:
        session.lose()
        checks.repeat_checks(session)
    if consent.check.expire(now):
        checks.start_consent_check(session, now)


def transmit(session: Session, wiring: Wiring, bursts: list[Burst], now: float, limit: int) -> None:
    """Add the STUN messages that are to leave: answers first, then checks."""
    count = 0
    while session.responses and count < limit:
        path, response = session.responses.popleft()
        wiring.outgoing(bursts, path, (response,), now)
        count += 1
    checks.start_check(session, now)
    for path, request in checks.take_requests(session, now, limit - count):
        wiring.outgoing(bursts, path, (request,), now)


def next_timeout(session: Session) -> float:
    """The earliest of its timers."""
    if session.responses or session.due:
        return session.now
    return min(
        math.inf if session.selected is not None or session.fail_at == -math.inf else session.fail_at,
        checks.next_check_time(session),
        min((check.transaction.deadline for check in session.checks.values()), default=math.inf),
        nomination.nomination_time(session),
        nomination.improvement_end(session),
        session.reconnect_at,
        session.consent.next_timeout(),
    )
