"""The states of an association, and which chunk means something in which (RFC 9260 sections 4, 5.2, 8.4, 8.5 and 9).

The table is complete: a property test looks up every state with every chunk type.
"""

from __future__ import annotations

import enum
from typing import Final

from xp2p_trio.sctp.wire import ChunkType


class State(enum.IntEnum):
    """RFC 9260 section 4."""

    CLOSED = 0
    COOKIE_WAIT = 1
    COOKIE_ECHOED = 2
    ESTABLISHED = 3
    SHUTDOWN_PENDING = 4
    SHUTDOWN_SENT = 5
    SHUTDOWN_RECEIVED = 6
    SHUTDOWN_ACK_SENT = 7


class Disposition(enum.Enum):
    """What becomes of a chunk that has a correct tag and length."""

    ACCEPT = "its handler sees it"
    DISCARD = "it is counted and forgotten"
    REFLECT = "SHUTDOWN COMPLETE with the T bit answers it (RFC 9260 section 8.4, rule 5)"


_ALWAYS: Final = {ChunkType.INIT, ChunkType.COOKIE_ECHO}
_WITH_PEER: Final = {ChunkType.ABORT, ChunkType.ERROR}
_DATA: Final = {ChunkType.DATA, ChunkType.FORWARD_TSN}
_FEEDBACK: Final = {ChunkType.SACK, ChunkType.RE_CONFIG, ChunkType.HEARTBEAT, ChunkType.HEARTBEAT_ACK}
_CONNECTED: Final = _ALWAYS | _WITH_PEER | _DATA | _FEEDBACK | {ChunkType.SHUTDOWN}

_ACCEPTED: Final[dict[State, set[ChunkType]]] = {
    State.CLOSED: _ALWAYS,
    State.COOKIE_WAIT: _ALWAYS | {ChunkType.ABORT, ChunkType.INIT_ACK},
    # HEARTBEAT is answered from COOKIE-ECHOED on (section 8.3).
    State.COOKIE_ECHOED: _ALWAYS | _WITH_PEER | {ChunkType.COOKIE_ACK, ChunkType.HEARTBEAT},
    State.ESTABLISHED: _CONNECTED,
    State.SHUTDOWN_PENDING: _CONNECTED,
    State.SHUTDOWN_SENT: _CONNECTED | {ChunkType.SHUTDOWN_ACK},
    State.SHUTDOWN_RECEIVED: _CONNECTED - _DATA,  # The peer had all its data acknowledged (section 6).
    State.SHUTDOWN_ACK_SENT: _ALWAYS
    | _WITH_PEER
    | {ChunkType.SHUTDOWN, ChunkType.SHUTDOWN_ACK, ChunkType.SHUTDOWN_COMPLETE},
}

RECEIVING: Final = frozenset(state for state, chunk_types in _ACCEPTED.items() if ChunkType.DATA in chunk_types)
"""States in which data arrives."""

SENDING: Final = frozenset({State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_RECEIVED})
"""States in which data leaves, and is acknowledged."""


def _disposition(state: State, chunk_type: ChunkType) -> Disposition:
    if chunk_type in _ACCEPTED[state]:
        return Disposition.ACCEPT
    if chunk_type == ChunkType.SHUTDOWN_ACK and state <= State.COOKIE_ECHOED:
        return Disposition.REFLECT
    return Disposition.DISCARD


DISPOSITIONS: Final = {
    (state, chunk_type): _disposition(state, chunk_type) for state in State for chunk_type in ChunkType
}
"""Every state with every chunk type."""
