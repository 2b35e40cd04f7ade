"""The client side of connectivity checks (RFC 8445 sections 6.1.4.2 and 7.2, RFC 7675).

Pacing (RFC 8445 section 14.2): the first check goes as soon as there is one to make ("a check is performed" before Ta
fires at all, section 6.1.4.2), and after a pause of at least Ta the next one goes at once too, since Ta only bounds how
soon one check follows another. A nominating check goes over a path that has just answered, where there is nothing left
to probe and no congestion to fear: it keeps the hard limit of that section (5 ms between any two transactions) and not
the 50 ms that it recommends. Both make the time to connect one round trip on a quiet path.
"""

from __future__ import annotations

import math
from typing import Final

from xp2p_trio.ice.candidates import peer_reflexive_priority
from xp2p_trio.ice.configuration import CONSENT_EXPIRY, MIN_PACING
from xp2p_trio.ice.local_candidates import learn_local_peer_reflexive
from xp2p_trio.ice.nomination import choose, complete
from xp2p_trio.ice.pair import Pair, PairState, Path
from xp2p_trio.ice.requests import Check, build_request, is_authentic_response
from xp2p_trio.ice.session import Session
from xp2p_trio.ice.state import Role
from xp2p_trio.ice.tcp import connect
from xp2p_trio.sansio import Address, canonical_address
from xp2p_trio.stun import (
    INITIAL_RTO,
    ErrorCode,
    Message,
    MessageClass,
    Transaction,
    XorMappedAddress,
)

STREAM_TIMEOUT: Final = 39.5
"""Seconds: Ti (RFC 8489 section 6.2.2), for checks over TCP, which are sent once."""

SPARE_TRANSACTIONS: Final = 8
"""Transactions beyond one for each pair: the nominating check, consent checks, and those that were cancelled."""


def next_check_time(session: Session) -> float:
    """When `start_check` has something to do, `math.inf` if nothing is to be checked."""
    if session.remote_credentials is None or session.is_over or session.configuration.lite:
        return math.inf
    if session.is_nomination_due:
        return session.shared.next_transaction_at
    if session.check_list.peek() is None:
        return math.inf
    return max(session.shared.next_check_at, session.shared.next_transaction_at)


def start_check(session: Session, now: float) -> None:
    """Make the check that Ta allows now, if any (RFC 8445 section 6.1.4.2)."""
    if now < next_check_time(session):
        return
    if session.is_nomination_due and session.nominee is not None:
        session.is_nomination_due = False
        session.nominations += 1
        _start(session, session.nominee, now, nomination=session.nominations)
        return
    pair = session.check_list.take()
    if pair is not None:
        session.shared.next_check_at = now + session.configuration.check_pacing
        if pair.is_connected:
            _start_ordinary(session, pair, now)
        else:
            connect(session.shared.streams, pair)  # and check it once it is connected


def fail_host(session: Session, base: Address | None, host: str, why: str) -> None:
    """Nothing gets from this base to this host."""
    for pair in list(session.check_list.pairs.values()):
        if pair.path[0] == base and pair.path[1][0] == host:
            cut_off(session, pair, why)


def cut_off(session: Session, pair: Pair, why: str) -> None:
    """Nothing goes over this pair any more. A selected one stays until another takes its place, or consent ends."""
    drop_checks(session, pair)
    if session.selected is pair:
        session.valid_paths.discard(pair.path)
        session.drop_selected(why)
        pair.nomination = 0
        repeat_checks(session)
        choose(session, session.now)
    elif pair.state is not PairState.FAILED:  # for another reason, before
        fail_pair(session, pair, why, session.now)


def drop_checks(session: Session, pair: Pair) -> None:
    """Forget what is on its way for a pair, consent checks included; no answer will count."""
    for transaction_id in [key for key, check in session.checks.items() if check.pair is pair]:
        del session.checks[transaction_id]


def expire(session: Session, now: float) -> None:
    """Nothing may leave over the selected pair any more; what was asked on it is forgotten (RFC 7675 section 5.1)."""
    pair = session.selected
    assert pair is not None
    session.consent.stop()
    drop_checks(session, pair)
    fail_pair(session, pair, "lost consent", now)


def _start_ordinary(session: Session, pair: Pair, now: float) -> None:
    aggressive = session.configuration.nomination == "aggressive" and session.role is Role.CONTROLLING
    _start(session, pair, now, nomination=int(aggressive))


def start_consent_check(session: Session, now: float) -> None:
    """Ask whether the peer still consents, each time in a transaction of its own, sent once (RFC 7675 section 5.1)."""
    if now < session.shared.next_transaction_at:
        session.consent.check.start(session.shared.next_transaction_at)
    elif session.selected is not None and session.selected.path not in session.valid_paths:  # its socket is gone
        session.consent.schedule(now, session.random_bytes)
    elif session.selected is not None:
        session.counters.consent_checks_sent += 1
        _start(session, session.selected, now, nomination=0, is_consent=True)
        session.consent.schedule(now, session.random_bytes)


def repeat_checks(session: Session) -> None:
    """Check all that works once more, now that the selected pair is silent: consent checks are sent once, these go on.

    It recovers on the first answer; an answer of another pair moves the data there (see `nomination.choose`).
    """
    if session.configuration.lite:
        return
    for pair in session.check_list.pairs.values():
        if pair.state is PairState.SUCCEEDED:
            session.check_list.trigger(pair)


def cancel_checks(session: Session, pair: Pair) -> None:
    """Send no more for this pair, but take a late answer (RFC 8445 section 7.3.1.4). A nomination goes on."""
    for check in session.checks.values():
        if check.pair is pair and not check.is_consent and not (check.nomination and pair is session.nominee):
            check.is_cancelled = True
            check.transaction.cancel()


def take_requests(session: Session, now: float, limit: int) -> list[tuple[Path, bytes]]:
    """The requests that are to leave now."""
    taken: list[tuple[Path, bytes]] = []
    while session.due and len(taken) < limit:
        check = session.due.popleft()
        transaction = check.transaction
        if not transaction.is_due or transaction.transaction_id not in session.checks:
            continue
        check.pair.requests_sent += 1
        if not check.is_consent:  # which is sent once
            check.pair.is_overdue = transaction.requests_sent > 0
        session.counters.requests_sent += 1
        if check.is_consent and check.pair is session.selected:
            session.consent.note_request(now)
        taken.append((check.pair.path, transaction.take_request(now)))
    return taken


def handle_timeouts(session: Session, now: float) -> None:
    """Retransmit and give up as RFC 8489 section 6.2.1 says."""
    for transaction_id, check in list(session.checks.items()):
        transaction = check.transaction
        if now < transaction.deadline and not transaction.is_timed_out:
            continue
        transaction.handle_timeout(now)
        if transaction.is_due:
            session.due.append(check)
        elif transaction.is_timed_out:
            del session.checks[transaction_id]
            if check.is_cancelled:
                _forget_unchecked(session, check.pair)
            elif check.nomination and _was_swallowed(check):
                session.nominee, session.is_nomination_due = check.pair, True
            elif not check.is_consent:
                _fail(session, check, "timed out", now)


def _was_swallowed(check: Check) -> bool:
    """Whether a check was sent once, over a stream that is well: a driver whose buffer is full drops what comes."""
    return check.pair.local.transport.is_stream and check.pair.last_answer > check.transaction.first_sent


def receive_response(session: Session, message: Message, path: Path, now: float) -> bool:
    """Take an answer to a check. False if it is none that counts.

    It counts when transaction, both addresses and integrity match. RFC 8445 section 7.2.5.2.1 fails the pair when the
    addresses do not; here the answer is ignored and the check goes on, since whoever sees one answer could otherwise
    fail any pair by replaying it from elsewhere.
    """
    check = session.checks.get(message.transaction_id)
    remote = session.remote_credentials
    if check is None or remote is None or check.pair.path != path or not check.transaction.requests_sent:
        session.counters.stun_unmatched += 1
        return False
    if not is_authentic_response(message, remote):
        session.counters.stun_unauthenticated += 1
        return False
    if message.message_class is MessageClass.SUCCESS_RESPONSE:
        mapped = message.get(XorMappedAddress)
        address = None if mapped is None else canonical_address(mapped.address)
        if address is None:
            session.counters.stun_malformed += 1
            return False
        _end(session, check)
        _succeed(session, check, address, now)
        return True
    error = message.get(ErrorCode)
    if error is None:
        session.counters.stun_malformed += 1
        return False
    _end(session, check)
    if error.code == 487:
        _yield_role(session, check, now)
    elif not check.is_cancelled and not check.is_consent:
        _fail(session, check, f"answered error {error.code}", now)
    return True


def _start(session: Session, pair: Pair, now: float, *, nomination: int, is_consent: bool = False) -> None:
    assert session.remote_credentials is not None
    _make_room(session)
    transaction_id = session.draw_transaction_id()
    # What a peer-reflexive candidate found by this check would have (RFC 8445 section 7.1.1).
    priority = peer_reflexive_priority(pair.local)
    request = build_request(
        transaction_id,
        session.local_credentials,
        session.remote_credentials,
        session.role,
        session.shared.tie_breaker,
        priority,
        nomination=nomination,
        renominates=session.renominates,
    )
    if is_consent:
        transaction = Transaction(transaction_id, request, max_requests=1, last_wait=CONSENT_EXPIRY / INITIAL_RTO)
    elif pair.local.transport.is_stream:
        transaction = Transaction(transaction_id, request, max_requests=1, last_wait=STREAM_TIMEOUT / INITIAL_RTO)
    else:
        transaction = Transaction(transaction_id, request, rto=_compute_rto(session, pair))
    check = Check(
        transaction,
        pair,
        session.role,
        session.shared.tie_breaker,
        priority,
        nomination=nomination,
        is_consent=is_consent,
    )
    session.checks[transaction_id] = check
    session.due.append(check)
    session.shared.next_transaction_at = now + MIN_PACING


def _compute_rto(session: Session, pair: Pair) -> float:
    if pair.is_valid:  # over a path that works, as a nomination, nothing waits for the rest of the list
        return INITIAL_RTO
    # RFC 8445 section 14.3 permits other formulas of at least 500 ms. Its own, with N and both counts multiplied, makes
    # RTOs of minutes; one round of the paced list is what it means to wait for.
    pairs = session.check_list.pairs.values()
    busy = sum(1 for pair in pairs if pair.state in (PairState.WAITING, PairState.IN_PROGRESS))
    return max(INITIAL_RTO, session.configuration.check_pacing * busy)


def _make_room(session: Session) -> None:
    if len(session.checks) < session.configuration.max_pairs + SPARE_TRANSACTIONS:
        return
    oldest = next((key for key, check in session.checks.items() if check.is_cancelled or check.is_consent), None)
    if oldest is not None:
        del session.checks[oldest]


def _end(session: Session, check: Check) -> None:
    del session.checks[check.transaction.transaction_id]
    check.pair.responses_received += 1
    session.counters.responses_received += 1


def _succeed(session: Session, check: Check, mapped: Address, now: float) -> None:
    pair = check.pair
    listed = session.check_list.pairs.get(pair.path)
    if listed is None and not session.check_list.add(pair):
        return
    pair = listed or pair
    pair.last_answer = now
    if check.transaction.requests_sent == 1:  # Karn: the answer to a repeated request measures nothing
        pair.round_trip_time = now - check.transaction.first_sent
    if pair is session.selected:
        session.consent.note_answer(now)
        session.recover()
    if check.is_consent:
        _tell_lite_peer(session, pair, mapped)
        return
    pair.valid_local = learn_local_peer_reflexive(session, pair, mapped, check.priority)
    pair.failure = ""
    pair.compute_priority(session.role)
    session.check_list.succeed(pair)
    cancel_checks(session, pair)
    session.first_valid_at = min(session.first_valid_at, now)
    session.admit(pair.path)
    # RFC 8445 section 7.2.5.3.4. Whoever answers a check with USE-CANDIDATE has accepted the nomination, whatever our
    # role has become since.
    nomination = check.nomination or (pair.nominate_on_success if session.role is Role.CONTROLLED else 0)
    pair.nominate_on_success = 0
    if nomination:
        complete(session, pair, nomination)
    elif check.role is not session.role:
        # The peer has agreed to a role that we have no more. Without another check both might stay controlled.
        session.check_list.trigger(pair)
    choose(session, now)


def _tell_lite_peer(session: Session, pair: Pair, mapped: Address) -> None:
    """Nominate once more when a NAT has mapped us anew: a lite peer makes no check of its own that would tell it."""
    if session.is_remote_lite and pair.valid_local is not None and pair.valid_local.address != mapped:
        session.nominee, session.is_nomination_due = pair, True


def _forget_unchecked(session: Session, pair: Pair) -> None:
    """Drop a pair that was given up for a nominated one and has not answered to the end (RFC 8445 section 8.1.2)."""
    is_idle = not any(check.pair is pair for check in session.checks.values())
    if session.check_list.is_completed and pair.state is PairState.IN_PROGRESS and is_idle:
        session.check_list.pairs.pop(pair.path, None)


def _fail(session: Session, check: Check, why: str, now: float) -> None:
    pair = check.pair
    if pair.state is PairState.SUCCEEDED and not check.nomination:
        return
    fail_pair(session, pair, f"{why} after {pair.requests_sent} requests", now)


def fail_pair(session: Session, pair: Pair, why: str, now: float) -> None:
    """The pair leads nowhere."""
    session.check_list.fail(pair, why)
    session.valid_paths.discard(pair.path)
    if session.nominee is pair:
        session.nominee = None
        session.is_nomination_due = False
    if session.selected is pair:
        session.selected = None
    choose(session, now)


def _yield_role(session: Session, check: Check, now: float) -> None:
    """RFC 8445 section 7.2.5.1."""
    session.counters.role_conflicts += 1
    if session.is_remote_lite:
        # A lite agent is always controlled (RFC 8445 section 6.1.1), so this one is wrong about us.
        if not check.is_cancelled and not check.is_consent:
            _fail(session, check, "answered error 487", now)
        return
    pair = check.pair
    # By what the request said, so that an answer to a check from before the last switch does not switch back.
    switches = (session.role, session.shared.tie_breaker) == (check.role, check.tie_breaker)
    if switches:
        session.switch_role(check.role.opposite)
        session.shared.tie_breaker = int.from_bytes(session.random_bytes(8), "big")
    if pair.path in session.check_list.pairs and (switches or not check.is_cancelled):
        cancel_checks(session, pair)
        session.check_list.trigger(pair)
    choose(session, now)
