"""The states and roles of an agent, and the one table of its transitions."""

from __future__ import annotations

import enum
from typing import Final


class State(enum.IntEnum):
    """The state of an agent. Losing the path for a while is no state but the events `PathLost` and `PathRecovered`."""

    NEW = 0
    GATHERING = 1
    CHECKING = 2
    CONNECTED = 3
    COMPLETED = 4
    FAILED = 5
    CLOSED = 6


class Role(enum.IntEnum):
    """RFC 8445 section 6.1.1."""

    CONTROLLING = 0
    CONTROLLED = 1

    @property
    def opposite(self) -> Role:
        """The role of the other side."""
        return Role(1 - self)


class Input(enum.Enum):
    """What moves an agent from state to state."""

    GATHER = "gather() is called"
    CREDENTIALS = "the peer's credentials are known"
    PAIR_VALID = "a pair has become valid"
    PAIR_NOMINATED = "the selected pair is nominated"
    FAIL = "no path, or consent expired"
    CLOSE = "close() is called"


_ENDS: Final = {Input.FAIL: State.FAILED, Input.CLOSE: State.CLOSED}

TRANSITIONS: Final[dict[State, dict[Input, State]]] = {
    State.NEW: {Input.GATHER: State.GATHERING, Input.CREDENTIALS: State.CHECKING, **_ENDS},
    State.GATHERING: {Input.CREDENTIALS: State.CHECKING, **_ENDS},
    State.CHECKING: {
        Input.GATHER: State.CHECKING,
        Input.PAIR_VALID: State.CONNECTED,
        Input.PAIR_NOMINATED: State.COMPLETED,
        **_ENDS,
    },
    State.CONNECTED: {Input.PAIR_VALID: State.CONNECTED, Input.PAIR_NOMINATED: State.COMPLETED, **_ENDS},
    State.COMPLETED: {Input.PAIR_VALID: State.COMPLETED, Input.PAIR_NOMINATED: State.COMPLETED, **_ENDS},
    State.FAILED: {},
    State.CLOSED: {},
}
"""`(state, input) -> state`; an input that is not listed leaves the state as it is."""
