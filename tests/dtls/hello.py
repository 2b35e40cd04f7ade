"""ClientHellos as other implementations send them."""

from __future__ import annotations

import random

import attrs

from tests.dtls.forgery import record
from tests.dtls.machines import client_machine, take_flight
from xp2p_trio import dtls
from xp2p_trio.dtls.extensions import Extensions
from xp2p_trio.dtls.messages12 import ClientHello, decode_client_hello, encode_client_hello
from xp2p_trio.dtls.parameters import ExtensionType, HandshakeType
from xp2p_trio.dtls.reader import encode_integers, encode_vector

X25519MLKEM768 = 0x11EC
KEY_SHARE = 51
GREASE = tuple(0x0A0A + 0x1010 * index for index in range(16))
"""RFC 8701 section 2."""


def our_hello() -> ClientHello:
    [message] = take_flight(client_machine())
    assert message is not None
    return decode_client_hello(message.body)


def browser_hello(hello: ClientHello | None = None, seed: int = 0) -> ClientHello:
    """Our hello with what today's browsers put around it: DTLS 1.3, a post-quantum key share, GREASE, unknowns."""
    generator = random.Random(seed)
    hello = our_hello() if hello is None else hello
    grease = [generator.choice(GREASE) for _ in range(5)]
    groups = (grease[0], X25519MLKEM768, 29, 23, 24)
    shares = (
        grease[0].to_bytes(2, "big")
        + encode_vector(b"\x00", 2)
        + X25519MLKEM768.to_bytes(2, "big")
        + encode_vector(generator.randbytes(1216), 2)
        + (29).to_bytes(2, "big")
        + encode_vector(generator.randbytes(32), 2)
    )
    extensions: Extensions = {
        grease[1]: b"",
        **hello.extensions,
        ExtensionType.SUPPORTED_GROUPS: encode_integers(groups, 2, 2),
        ExtensionType.SUPPORTED_VERSIONS: encode_integers((grease[2], 0xFEFC, 0xFEFD), 1, 2),
        ExtensionType.SIGNATURE_ALGORITHMS: encode_integers((grease[3], 0x0403, 0x0804, 0x0401, 0x0503), 2, 2),
        KEY_SHARE: encode_vector(shares, 2),
        45: b"\x01\x01",
        35: b"",
        0xFE0D: generator.randbytes(100),
        (grease[1] + 0x1010) & 0xFFFF: b"\x00",
    }
    suites = (grease[4], 0x1301, 0x1302, 0x1303, *hello.cipher_suites, 0xC009, 0xC013, 0x009C, 0x002F)
    return attrs.evolve(hello, cipher_suites=suites, extensions=extensions)


def message(hello: ClientHello, message_seq: int = 0) -> dtls.Message:
    return dtls.Message(HandshakeType.CLIENT_HELLO, message_seq, encode_client_hello(hello))


def records(whole: dtls.Message, size: int) -> list[bytes]:
    """A message in fragments of that size, one a datagram."""
    return [
        record(
            22,
            dtls.encode_fragment(whole, offset, min(size, len(whole.body) - offset)),
            sequence_number=offset,
            version=0xFEFF,
        )
        for offset in range(0, len(whole.body), size)
    ]
