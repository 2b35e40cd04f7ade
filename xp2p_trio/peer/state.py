"""The state of the whole connection (seeds' `xPeerConnectionState`): one table, declared without a default."""

from __future__ import annotations

import enum
from typing import Final


class ConnectionState(enum.IntEnum):
    """The values are those of xp2p and libdatachannel. Connected means that data channels work."""

    NEW = 0
    CONNECTING = 1
    CONNECTED = 2
    DISCONNECTED = 3
    FAILED = 4
    CLOSED = 5


class GatheringState(enum.IntEnum):
    """How far the search for local candidates is; the values are libdatachannel's."""

    NEW = 0
    IN_PROGRESS = 1
    COMPLETE = 2


class Input(enum.Enum):
    """What moves the state of the whole connection."""

    STARTED = "both descriptions are known"
    ESTABLISHED = "the SCTP association is up"
    PATH_LOST = "the peer stopped answering consent checks"
    PATH_RECOVERED = "the peer answers again"
    FAILED = "a layer failed"
    CLOSED = "one side ended it"


_S = ConnectionState
_I = Input

TRANSITIONS: Final[dict[tuple[ConnectionState, Input], ConnectionState]] = {
    (_S.NEW, _I.STARTED): _S.CONNECTING,
    (_S.NEW, _I.ESTABLISHED): _S.NEW,
    (_S.NEW, _I.PATH_LOST): _S.NEW,
    (_S.NEW, _I.PATH_RECOVERED): _S.NEW,
    (_S.NEW, _I.FAILED): _S.FAILED,
    (_S.NEW, _I.CLOSED): _S.CLOSED,
    (_S.CONNECTING, _I.STARTED): _S.CONNECTING,
    (_S.CONNECTING, _I.ESTABLISHED): _S.CONNECTED,
    (_S.CONNECTING, _I.PATH_LOST): _S.CONNECTING,
    (_S.CONNECTING, _I.PATH_RECOVERED): _S.CONNECTING,
    (_S.CONNECTING, _I.FAILED): _S.FAILED,
    (_S.CONNECTING, _I.CLOSED): _S.CLOSED,
    (_S.CONNECTED, _I.STARTED): _S.CONNECTED,
    (_S.CONNECTED, _I.ESTABLISHED): _S.CONNECTED,
    (_S.CONNECTED, _I.PATH_LOST): _S.DISCONNECTED,
    (_S.CONNECTED, _I.PATH_RECOVERED): _S.CONNECTED,
    (_S.CONNECTED, _I.FAILED): _S.FAILED,
    (_S.CONNECTED, _I.CLOSED): _S.CLOSED,
    (_S.DISCONNECTED, _I.STARTED): _S.DISCONNECTED,
    (_S.DISCONNECTED, _I.ESTABLISHED): _S.DISCONNECTED,
    (_S.DISCONNECTED, _I.PATH_LOST): _S.DISCONNECTED,
    (_S.DISCONNECTED, _I.PATH_RECOVERED): _S.CONNECTED,
    (_S.DISCONNECTED, _I.FAILED): _S.FAILED,
    (_S.DISCONNECTED, _I.CLOSED): _S.CLOSED,
    **{(_S.FAILED, step): _S.FAILED for step in Input},
    **{(_S.CLOSED, step): _S.CLOSED for step in Input},
}
"""Every state against every input; the terminal states absorb."""
