"""The lite side of ICE (RFC 8445 sections 2.5, 7.3.2 and 8.2): it answers checks and makes none.

No answer tells it anything, so that its path and its consent rest on the peer's authenticated checks: data goes where
the peer has nominated, for as long as checks come from there. RFC 7675 leaves consent to full agents; here it is what
they ask for every few seconds, and 30 seconds without that are the end.

A forged source or a replayed check can therefore do what it cannot do to a full agent: send our data elsewhere. So a
pair gives way only to one that is nominated later by the peer's count, or is better by both sides' count, or when
nothing has come over it for a while.
"""

from __future__ import annotations

from xp2p_trio.ice.pair import Pair
from xp2p_trio.ice.session import Session


def take_check(session: Session, pair: Pair, nomination: int, now: float) -> None:
    """What follows from an answered check of the peer; `nomination` is the number of the one that it makes, or 0."""
    selected = session.selected
    is_silent = selected is not None and now >= selected.last_answer + session.configuration.disconnected_timeout
    pair.last_answer = now
    if selected is not None and is_silent and pair is not selected:
        # The peer has moved, or its NAT maps it anew, and it may not know that it has to nominate once more.
        nomination = max(nomination, selected.nomination)
    if nomination:
        pair.nomination = max(pair.nomination, nomination)
        _admit(session, pair)
        if selected is None or is_silent or _rank(pair) > _rank(selected):
            session.select(pair, now)
    if pair is selected:
        _admit(session, pair)  # its socket may have been gone for a while
        session.consent.note_answer(now)
        session.recover()


def _admit(session: Session, pair: Pair) -> None:
    """The pair is in the valid list (section 7.3.2)."""
    pair.valid_local = pair.local.candidate
    session.check_list.succeed(pair)
    session.first_valid_at = min(session.first_valid_at, session.now)
    session.admit(pair.path)


def _rank(pair: Pair) -> tuple[int, int]:
    """Of several nominations the last counts, or the best of an aggressive peer (RFC 5245 section 8.1.1.2)."""
    return pair.nomination, pair.priority
