"""AEAD with forward secrecy and nothing else is offered or taken."""

from __future__ import annotations

import attrs
import pytest

from tests.dtls.hello import message, our_hello
from tests.dtls.machines import feed, server_machine
from xp2p_trio import dtls
from xp2p_trio.errors import InvalidArgument

OFFERED = (0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC02C, 0xC030)
WEAK = {
    "RSA key transport": (0x002F, 0x0035, 0x009C, 0x009D),
    "CBC": (0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC027),
    "CCM_8": (0xC0AE, 0xC0AF, 0xC0A0),
    "static ECDH": (0xC02D, 0xC031),
    "anonymous": (0x0018, 0x001B, 0xC015, 0x00A6),
    "export": (0x0003, 0x0008, 0x0011),
    "NULL": (0x0000, 0x0001, 0xC006, 0xC010),
    "PSK": (0x008C, 0x00A8, 0xC035, 0xCCAB),
    "DTLS 1.3": (0x1301, 0x1302, 0x1303),
    "signalling only": (0x00FF, 0x5600),
}


def test_client_hello_offers_these_and_no_compression() -> None:
    hello = our_hello()
    assert hello.cipher_suites == OFFERED
    assert hello.compression_methods == (0,)
    assert hello.session_id == b""


@pytest.mark.parametrize("suites", WEAK.values(), ids=WEAK)
def test_server_refuses_a_client_with_nothing_better(suites: tuple[int, ...]) -> None:
    refusal = feed(server_machine(), [message(attrs.evolve(our_hello(), cipher_suites=suites))])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.HANDSHAKE_FAILURE


@pytest.mark.parametrize("methods", [(), (1,), (64,)])
def test_compression_only(methods: tuple[int, ...]) -> None:
    refusal = feed(server_machine(), [message(attrs.evolve(our_hello(), compression_methods=methods))])
    assert refusal is not None


@pytest.mark.parametrize("suites", WEAK.values(), ids=WEAK)
def test_they_cannot_be_configured(suites: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument):
        dtls.Configuration(cipher_suites=suites)  # type: ignore[arg-type]
