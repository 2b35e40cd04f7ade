"""The state machines of the DTLS 1.2 handshake as tables (RFC 5246 section 7.3, RFC 6347 section 4.2.4).

Every cell of state and input is declared. Reassembly delivers messages in order and once, so that an input which does
not fit is a violation. Only change_cipher_spec has no number; one that comes early is held until it is due.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias, TypeVar


class Input(enum.IntEnum):
    """The handshake messages by their type, and change_cipher_spec."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CHANGE_CIPHER_SPEC = 256


class ClientState(enum.IntEnum):
    """What a client waits for."""

    WAIT_SERVER_HELLO = 0
    WAIT_CERTIFICATE = 1
    WAIT_SERVER_KEY_EXCHANGE = 2
    WAIT_CERTIFICATE_REQUEST = 3
    WAIT_SERVER_HELLO_DONE = 4
    WAIT_CHANGE_CIPHER_SPEC = 5
    WAIT_FINISHED = 6
    COMPLETED = 7


class ServerState(enum.IntEnum):
    """What a server waits for."""

    WAIT_CLIENT_HELLO = 0
    WAIT_CERTIFICATE = 1
    WAIT_CLIENT_KEY_EXCHANGE = 2
    WAIT_CERTIFICATE_VERIFY = 3
    WAIT_CHANGE_CIPHER_SPEC = 4
    WAIT_FINISHED = 5
    COMPLETED = 6


class Verdict(enum.Enum):
    """What a cell says when it is not a step."""

    REFUSE = "abort with unexpected_message"
    HOLD = "keep it until it is due"
    IGNORE = "forget it"


_State = TypeVar("_State", ClientState, ServerState)
ClientTable: TypeAlias = Mapping[tuple[ClientState, Input], ClientState | Verdict]
ServerTable: TypeAlias = Mapping[tuple[ServerState, Input], ServerState | Verdict]

_CLIENT_STEPS = {
    (ClientState.WAIT_SERVER_HELLO, Input.HELLO_VERIFY_REQUEST): ClientState.WAIT_SERVER_HELLO,
    (ClientState.WAIT_SERVER_HELLO, Input.SERVER_HELLO): ClientState.WAIT_CERTIFICATE,
    (ClientState.WAIT_CERTIFICATE, Input.CERTIFICATE): ClientState.WAIT_SERVER_KEY_EXCHANGE,
    (ClientState.WAIT_SERVER_KEY_EXCHANGE, Input.SERVER_KEY_EXCHANGE): ClientState.WAIT_CERTIFICATE_REQUEST,
    (ClientState.WAIT_CERTIFICATE_REQUEST, Input.CERTIFICATE_REQUEST): ClientState.WAIT_SERVER_HELLO_DONE,
    (ClientState.WAIT_SERVER_HELLO_DONE, Input.SERVER_HELLO_DONE): ClientState.WAIT_CHANGE_CIPHER_SPEC,
    (ClientState.WAIT_CHANGE_CIPHER_SPEC, Input.CHANGE_CIPHER_SPEC): ClientState.WAIT_FINISHED,
    (ClientState.WAIT_FINISHED, Input.FINISHED): ClientState.COMPLETED,
}

_SERVER_STEPS = {
    (ServerState.WAIT_CLIENT_HELLO, Input.CLIENT_HELLO): ServerState.WAIT_CERTIFICATE,
    (ServerState.WAIT_CERTIFICATE, Input.CERTIFICATE): ServerState.WAIT_CLIENT_KEY_EXCHANGE,
    (ServerState.WAIT_CLIENT_KEY_EXCHANGE, Input.CLIENT_KEY_EXCHANGE): ServerState.WAIT_CERTIFICATE_VERIFY,
    (ServerState.WAIT_CERTIFICATE_VERIFY, Input.CERTIFICATE_VERIFY): ServerState.WAIT_CHANGE_CIPHER_SPEC,
    (ServerState.WAIT_CHANGE_CIPHER_SPEC, Input.CHANGE_CIPHER_SPEC): ServerState.WAIT_FINISHED,
    (ServerState.WAIT_FINISHED, Input.FINISHED): ServerState.COMPLETED,
}


def _complete(
    states: type[_State], steps: Mapping[tuple[_State, Input], _State], last_before_keys: _State
) -> Mapping[tuple[_State, Input], _State | Verdict]:
    table: dict[tuple[_State, Input], _State | Verdict] = {}
    for state in states:
        for item in Input:
            verdict = Verdict.REFUSE
            if item is Input.CHANGE_CIPHER_SPEC:
                verdict = Verdict.HOLD if state < last_before_keys else Verdict.IGNORE
            table[state, item] = steps.get((state, item), verdict)
    return table


CLIENT_TABLE: ClientTable = {
    **_complete(ClientState, _CLIENT_STEPS, ClientState.WAIT_CHANGE_CIPHER_SPEC),
    # RFC 5246 section 7.4.1.1: a client that negotiates already ignores it; it is no part of the transcript.
    **{(state, Input.HELLO_REQUEST): Verdict.IGNORE for state in ClientState},
}
SERVER_TABLE: ServerTable = _complete(ServerState, _SERVER_STEPS, ServerState.WAIT_CHANGE_CIPHER_SPEC)
