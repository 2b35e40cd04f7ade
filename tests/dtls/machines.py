"""The handshake machines alone, fed message by message, so that a test can be an evil peer."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

from tests.dtls.duo import CLIENT_CERTIFICATE, SERVER_CERTIFICATE, seeded
from xp2p_trio import dtls
from xp2p_trio.dtls.client12 import ClientHandshake12
from xp2p_trio.dtls.flights import Flight
from xp2p_trio.dtls.handshake12 import Party, Refusal
from xp2p_trio.dtls.server12 import ServerHandshake12
from xp2p_trio.dtls.states12 import ClientState, ServerState

Machine: TypeAlias = ClientHandshake12 | ServerHandshake12
Item: TypeAlias = dtls.Message | None
"""A handshake message, or None for a change_cipher_spec."""


def client_machine(
    *,
    certificate: dtls.Certificate = CLIENT_CERTIFICATE,
    remote: dtls.Certificate = SERVER_CERTIFICATE,
    configuration: dtls.Configuration | None = None,
    seed: int = 1,
) -> ClientHandshake12:
    party = Party(
        configuration or dtls.Configuration(), dtls.Role.CLIENT, certificate, [remote.fingerprint()], seeded(seed)
    )
    return ClientHandshake12(party)


def server_machine(
    *,
    certificate: dtls.Certificate = SERVER_CERTIFICATE,
    remote: dtls.Certificate = CLIENT_CERTIFICATE,
    configuration: dtls.Configuration | None = None,
    seed: int = 2,
) -> ServerHandshake12:
    party = Party(
        configuration or dtls.Configuration(), dtls.Role.SERVER, certificate, [remote.fingerprint()], seeded(seed)
    )
    return ServerHandshake12(party)


def take_flight(machine: Machine) -> list[Item]:
    flight: Flight = machine.flight or ()
    machine.flight = None
    return [item.message for item in flight]


def feed(machine: Machine, items: Sequence[Item]) -> Refusal | None:
    """Give a machine what its peer sends; the first refusal ends it."""
    for item in items:
        if item is None:
            machine.receive_change_cipher_spec()
        elif (refusal := machine.receive_message(item, 0.0)) is not None:
            return refusal
    return None


def run(client: ClientHandshake12, server: ServerHandshake12) -> tuple[list[Item], list[Item]]:
    """A whole handshake; returns what went to the client and what to the server."""
    to_client: list[Item] = []
    to_server: list[Item] = []
    while True:
        upwards = take_flight(client)
        assert feed(server, upwards) is None
        downwards = take_flight(server)
        assert feed(client, downwards) is None
        to_server += upwards
        to_client += downwards
        if not upwards and not downwards:
            return to_client, to_server


@functools.cache
def script() -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """What goes to the client and to the server when both use their default seeds; it is always the same."""
    to_client, to_server = run(client_machine(), server_machine())
    return tuple(to_client), tuple(to_server)


def client_in(state: ClientState) -> ClientHandshake12:
    client = client_machine()
    for item in script()[0]:
        if client.state is state:
            break
        assert feed(client, [item]) is None
    assert client.state is state
    client.flight = None
    return client


def server_in(state: ServerState) -> ServerHandshake12:
    server = server_machine()
    for item in script()[1]:
        if server.state is state:
            break
        assert feed(server, [item]) is None
    assert server.state is state
    server.flight = None
    return server
