"""The signaling state machine (RFC 9429 section 3.2): one table, declared without a default."""

from __future__ import annotations

import enum
from typing import Final

from xp2p_trio.errors import InvalidState
from xp2p_trio.peer.descriptions import DescriptionType


class SignalingState(enum.IntEnum):
    """Where the offer/answer exchange stands; the values are libdatachannel's."""

    STABLE = 0
    HAVE_LOCAL_OFFER = 1
    HAVE_REMOTE_OFFER = 2
    HAVE_LOCAL_PRANSWER = 3
    HAVE_REMOTE_PRANSWER = 4
    CLOSED = 5


class Side(enum.Enum):
    """Whose description is applied."""

    LOCAL = "local"
    REMOTE = "remote"


_S = SignalingState
_L, _R = Side.LOCAL, Side.REMOTE

TRANSITIONS: Final[dict[tuple[SignalingState, Side, DescriptionType], SignalingState]] = {
    (_S.STABLE, _L, "offer"): _S.HAVE_LOCAL_OFFER,
    (_S.STABLE, _R, "offer"): _S.HAVE_REMOTE_OFFER,
    (_S.HAVE_LOCAL_OFFER, _L, "offer"): _S.HAVE_LOCAL_OFFER,
    (_S.HAVE_LOCAL_OFFER, _R, "answer"): _S.STABLE,
    (_S.HAVE_LOCAL_OFFER, _R, "pranswer"): _S.HAVE_REMOTE_PRANSWER,
    (_S.HAVE_LOCAL_OFFER, _L, "rollback"): _S.STABLE,
    (_S.HAVE_LOCAL_OFFER, _R, "rollback"): _S.STABLE,
    (_S.HAVE_REMOTE_OFFER, _R, "offer"): _S.HAVE_REMOTE_OFFER,
    (_S.HAVE_REMOTE_OFFER, _L, "answer"): _S.STABLE,
    (_S.HAVE_REMOTE_OFFER, _L, "pranswer"): _S.HAVE_LOCAL_PRANSWER,
    (_S.HAVE_REMOTE_OFFER, _L, "rollback"): _S.STABLE,
    (_S.HAVE_REMOTE_OFFER, _R, "rollback"): _S.STABLE,
    (_S.HAVE_LOCAL_PRANSWER, _L, "pranswer"): _S.HAVE_LOCAL_PRANSWER,
    (_S.HAVE_LOCAL_PRANSWER, _L, "answer"): _S.STABLE,
    (_S.HAVE_REMOTE_PRANSWER, _R, "pranswer"): _S.HAVE_REMOTE_PRANSWER,
    (_S.HAVE_REMOTE_PRANSWER, _R, "answer"): _S.STABLE,
}
"""Everything that is allowed; what is not here is refused, and `CLOSED` allows nothing.

An offer is rolled back from either side with the same effect (RFC 9429 section 5.7). A provisional answer is not: it
has started the transport, which cannot be undone, and browsers refuse it as well.
"""

_REMEDY: Final[dict[SignalingState, str]] = {
    _S.STABLE: "create an offer, or apply the peer's offer, first",
    _S.HAVE_LOCAL_OFFER: "apply the peer's answer, or roll the offer back",
    _S.HAVE_REMOTE_OFFER: "apply your own answer",
    _S.HAVE_LOCAL_PRANSWER: "apply your own final answer",
    _S.HAVE_REMOTE_PRANSWER: "apply the peer's final answer",
    _S.CLOSED: "open a new connection",
}


def next_state(state: SignalingState, side: Side, kind: DescriptionType) -> SignalingState:
    """The state after a description is applied.

    Raises:
        InvalidState: it does not fit the state; the text says which call does.
    """
    try:
        return TRANSITIONS[state, side, kind]
    except KeyError:
        raise InvalidState(
            f"a {side.value} {kind} cannot be applied while the signaling state is {state.name}: {_REMEDY[state]}"
        ) from None
