"""The bodies of handshake messages: every decoder gives a value that encodes to the same bytes, or DecodeError.

The first byte chooses: which decoder, or which machine in which state takes the rest as a message.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

from xp2p_trio import dtls
from xp2p_trio.dtls import messages12
from xp2p_trio.dtls.client12 import ClientHandshake12
from xp2p_trio.dtls.extensions import decode_integer_list, decode_renegotiation_info, decode_use_srtp
from xp2p_trio.dtls.handshake12 import Party, Refusal
from xp2p_trio.dtls.server12 import ServerHandshake12
from xp2p_trio.errors import DecodeError

ROUND_TRIPS: list[tuple[Callable[[bytes], object], Callable[..., bytes]]] = [
    (messages12.decode_client_hello, messages12.encode_client_hello),
    (messages12.decode_server_hello, messages12.encode_server_hello),
    (messages12.decode_hello_verify_request, messages12.encode_hello_verify_request),
    (messages12.decode_certificate, messages12.encode_certificate),
    (messages12.decode_server_key_exchange, messages12.encode_server_key_exchange),
    (messages12.decode_client_key_exchange, messages12.encode_client_key_exchange),
    (messages12.decode_certificate_verify, messages12.encode_certificate_verify),
]
OTHERS: list[Callable[[bytes], object]] = [
    messages12.decode_certificate_request,
    decode_use_srtp,
    decode_renegotiation_info,
    functools.partial(decode_integer_list, length_size=2, element_size=2),
    functools.partial(decode_integer_list, length_size=1, element_size=1),
]
CLIENT, SERVER = (dtls.Certificate.generate(random.Random(name).randbytes) for name in ("client", "server"))


def _machines() -> tuple[ClientHandshake12, ServerHandshake12]:
    configuration = dtls.Configuration()
    return (
        ClientHandshake12(
            Party(configuration, dtls.Role.CLIENT, CLIENT, [SERVER.fingerprint()], random.Random(1).randbytes)
        ),
        ServerHandshake12(
            Party(configuration, dtls.Role.SERVER, SERVER, [CLIENT.fingerprint()], random.Random(2).randbytes)
        ),
    )


@functools.cache
def _script() -> tuple[list[dtls.Message | None], list[dtls.Message | None]]:
    """What the client and what the server receive in a handshake of those seeds."""
    client, server = _machines()
    to_client: list[dtls.Message | None] = []
    to_server: list[dtls.Message | None] = []
    for _ in range(3):
        for sender, receiver, sent in ((client, server, to_server), (server, client, to_client)):
            flight, sender.flight = sender.flight or (), None
            for item in flight:
                sent.append(item.message)
                _feed(receiver, item.message)
    assert client.session is not None
    assert server.session is not None
    return to_client, to_server


def _feed(machine: ClientHandshake12 | ServerHandshake12, message: dtls.Message | None) -> Refusal | None:
    if message is None:
        machine.receive_change_cipher_spec()
        return None
    return machine.receive_message(message, 0.0)


def _decode(choice: int, body: bytes) -> None:
    if choice < len(ROUND_TRIPS):
        decode, encode = ROUND_TRIPS[choice]
        try:
            value = decode(body)
        except DecodeError:
            return
        again = encode(value)
        # A hello may leave its list of extensions out, where ours is empty.
        assert again == body or again == body + b"\x00\x00"
    else:
        try:
            OTHERS[choice % len(OTHERS)](body)
        except DecodeError:
            return


def _drive(choice: int, body: bytes) -> None:
    client, server = _machines()
    is_server = choice % 2 == 1
    script = _script()[is_server]
    machine = server if is_server else client
    steps = choice // 2 % len(script)
    for message in script[:steps]:
        assert _feed(machine, message) is None
    genuine = script[steps]
    kind = body[0] if body else 0
    if genuine is not None and kind < 128:
        mutated = dtls.Message(genuine.handshake_type, genuine.message_seq, body[1:])
    else:
        mutated = dtls.Message(kind & 127, steps, body[1:])
    refusal = _feed(machine, mutated)
    if mutated != genuine:
        assert machine.session is None
        assert refusal is None or refusal.detail


def test_one_input(data: bytes) -> None:
    if not data:
        return
    choice, body = data[0], data[1:]
    if choice < 64:
        _decode(choice % (len(ROUND_TRIPS) + len(OTHERS)), body)
    else:
        _drive(choice, body)


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
