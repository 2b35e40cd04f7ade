"""The states of an allocation, and the one table of its transitions."""

from __future__ import annotations

import enum
from typing import Final


class State(enum.IntEnum):
    """The state of an allocation."""

    NEW = 0
    ALLOCATING = 1
    ALLOCATED = 2
    CLOSING = 3
    CLOSED = 4
    FAILED = 5


class Input(enum.Enum):
    """What moves an allocation from state to state."""

    START = "start() is called"
    REDIRECTED = "300 (Try Alternate) leads to another server"
    ALLOCATED = "Allocate succeeded"
    DELETE = "an allocation that may exist is to be deleted"
    DELETED = "the server has deleted it, or does not answer"
    CLOSE = "close() is called and there is nothing to delete"
    FAIL = "refused, unanswered or expired"


TRANSITIONS: Final[dict[State, dict[Input, State]]] = {
    State.NEW: {Input.START: State.ALLOCATING, Input.CLOSE: State.CLOSED},
    State.ALLOCATING: {
        Input.REDIRECTED: State.ALLOCATING,
        Input.ALLOCATED: State.ALLOCATED,
        Input.DELETE: State.CLOSING,
        Input.CLOSE: State.CLOSED,
        Input.FAIL: State.FAILED,
    },
    State.ALLOCATED: {Input.DELETE: State.CLOSING, Input.CLOSE: State.CLOSED, Input.FAIL: State.FAILED},
    State.CLOSING: {Input.DELETED: State.CLOSED, Input.FAIL: State.FAILED},
    State.CLOSED: {},
    State.FAILED: {},
}
"""`(state, input) -> state`; an input that is not listed leaves the state as it is."""
