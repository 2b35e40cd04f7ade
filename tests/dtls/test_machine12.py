"""A message that is refused leaves a machine as it was: the genuine one can still take its place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dtls.duo import OTHER_CERTIFICATE
from tests.dtls.machines import Item, Machine, client_machine, run, script, server_machine, take_flight
from xp2p_trio import dtls
from xp2p_trio.dtls.messages12 import (
    CertificateVerify,
    decode_server_key_exchange,
    encode_certificate,
    encode_certificate_verify,
    encode_server_key_exchange,
)
from xp2p_trio.dtls.parameters import HandshakeType
from xp2p_trio.dtls.states12 import Input

OTHER_SCRIPT = run(client_machine(seed=77), server_machine(seed=78))


def refused(message_seq: int) -> Iterator[dtls.Message]:
    """What nobody may take at that number, whatever else is wrong with it."""
    for kind in [*Input, 99]:
        if kind < 256 and kind != Input.HELLO_REQUEST:
            yield dtls.Message(kind, message_seq, b"x" * 7)
    chain = encode_certificate((OTHER_CERTIFICATE.der,))
    yield dtls.Message(HandshakeType.CERTIFICATE, message_seq, chain)
    yield dtls.Message(HandshakeType.CERTIFICATE, message_seq, encode_certificate(()))
    proof = encode_certificate_verify(CertificateVerify(0x0403, b"\x30\x06\x02\x01\x01\x02\x01\x01"))
    yield dtls.Message(HandshakeType.CERTIFICATE_VERIFY, message_seq, proof)
    signed = OTHER_SCRIPT[0][2]
    assert signed is not None
    exchange = decode_server_key_exchange(signed.body)
    yield dtls.Message(HandshakeType.SERVER_KEY_EXCHANGE, message_seq, encode_server_key_exchange(exchange))
    yield dtls.Message(HandshakeType.FINISHED, message_seq, bytes(12))


@pytest.mark.parametrize("role", list(dtls.Role))
def test_refusals_in_every_state(role: dtls.Role) -> None:
    is_client = role is dtls.Role.CLIENT
    machine: Machine = client_machine() if is_client else server_machine()
    ours: list[Item] = []
    for item in script()[0 if is_client else 1]:
        ours += take_flight(machine)
        for message in refused(0 if item is None else item.message_seq):
            before = machine.state
            if item is not None and item.handshake_type == message.handshake_type and item.body == message.body:
                continue
            assert machine.receive_message(message, 0.0) is not None, (before, message)
            assert (machine.state, machine.flight, machine.session) == (before, None, None)
        if item is None:
            assert machine.receive_change_cipher_spec() is None
        else:
            assert machine.receive_message(item, 0.0) is None
    ours += take_flight(machine)
    assert machine.session is not None
    assert ours == list(script()[1 if is_client else 0])
