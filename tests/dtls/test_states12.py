"""Every cell of both tables is executed."""

from __future__ import annotations

import itertools

import pytest

from tests.dtls.machines import Machine, client_in, script, server_in
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake12 import Refusal
from xp2p_trio.dtls.states12 import CLIENT_TABLE, SERVER_TABLE, ClientState, Input, ServerState, Verdict

BODIES = {message.handshake_type: message.body for items in script() for message in items if message is not None}


def message_for(state: ClientState | ServerState, item: Input) -> dtls.Message:
    """The genuine message of that type; of Finished, which both sides send, the one that this side expects."""
    items = script()[0 if isinstance(state, ClientState) else 1]
    for message in items:
        if message is not None and message.handshake_type == item:
            return message
    return dtls.Message(item, 0, BODIES.get(item, b"\xfe\xff\x00"))


def check(machine: Machine, state: ClientState | ServerState, item: Input, expected: object) -> None:
    if item is Input.CHANGE_CIPHER_SPEC:
        verdict = machine.receive_change_cipher_spec()
        assert verdict is (expected if isinstance(expected, Verdict) else None)
    else:
        refusal = machine.receive_message(message_for(state, item), 0.0)
        if expected is Verdict.REFUSE:
            assert isinstance(refusal, Refusal)
            assert refusal.alert is dtls.AlertDescription.UNEXPECTED_MESSAGE
        else:
            assert refusal is None
    assert machine.state is (state if isinstance(expected, Verdict) else expected)


@pytest.mark.parametrize(("state", "item"), list(itertools.product(ClientState, Input)))
def test_client_cell(state: ClientState, item: Input) -> None:
    check(client_in(state), state, item, CLIENT_TABLE[state, item])


@pytest.mark.parametrize(("state", "item"), list(itertools.product(ServerState, Input)))
def test_server_cell(state: ServerState, item: Input) -> None:
    check(server_in(state), state, item, SERVER_TABLE[state, item])


@pytest.mark.parametrize("handshake_type", sorted(set(range(256)) - set(Input)))
def test_unknown_type_is_refused(handshake_type: int) -> None:
    for machine in (client_in(ClientState.WAIT_SERVER_HELLO), server_in(ServerState.WAIT_CLIENT_HELLO)):
        refusal = machine.receive_message(dtls.Message(handshake_type, 0, b""), 0.0)
        assert refusal is not None
        assert refusal.alert is dtls.AlertDescription.UNEXPECTED_MESSAGE


def test_both_tables_are_complete() -> None:
    assert set(CLIENT_TABLE) == set(itertools.product(ClientState, Input))
    assert set(SERVER_TABLE) == set(itertools.product(ServerState, Input))


def test_only_finished_leads_to_the_end() -> None:
    """No way around CertificateVerify and Finished: each state has one predecessor, on one input."""
    for table, last in ((CLIENT_TABLE, ClientState.COMPLETED), (SERVER_TABLE, ServerState.COMPLETED)):
        for state in range(1, last + 1):
            ways = [(before, item) for (before, item), after in table.items() if after == state and before != state]
            assert len(ways) == 1
            assert ways[0][0] == state - 1
    assert SERVER_TABLE[ServerState.WAIT_CERTIFICATE_VERIFY, Input.CERTIFICATE_VERIFY] is (
        ServerState.WAIT_CHANGE_CIPHER_SPEC
    )
