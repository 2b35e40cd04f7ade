"""Public keys that are none: small order, off the curve, compressed, at infinity, of a wrong length."""

from __future__ import annotations

import pytest

from tests.dtls.duo import seeded
from tests.dtls.machines import client_machine, feed, server_machine, take_flight
from xp2p_trio import dtls
from xp2p_trio.dtls.key_exchange import exchange, generate_key_share
from xp2p_trio.dtls.messages12 import encode_client_key_exchange
from xp2p_trio.dtls.parameters import HandshakeType

P25519 = 2**255 - 19
SMALL_ORDER = [  # RFC 7748 section 6.1 and the representations that are not reduced
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P25519 - 1,
    P25519,
    P25519 + 1,
]
X25519_KEYS = [number.to_bytes(32, "little") for number in SMALL_ORDER] + [
    b"",
    bytes(31),
    bytes(33),
    b"\x04" + bytes(64),
]
GOOD_POINT = generate_key_share(dtls.NamedGroup.SECP256R1, seeded("point")).public_key
P256_KEYS = [
    b"",
    b"\x00",
    b"\x04",
    bytes(65),
    b"\x04" + bytes(64),
    b"\x04" + b"\xff" * 64,
    GOOD_POINT[:-1],
    GOOD_POINT + b"\x00",
    GOOD_POINT[:-1] + bytes([GOOD_POINT[-1] ^ 1]),
    bytes([2 + (GOOD_POINT[-1] & 1)]) + GOOD_POINT[1:33],
    bytes([6 + (GOOD_POINT[-1] & 1)]) + GOOD_POINT[1:],
    bytes(32),
]
CASES = [(dtls.NamedGroup.X25519, key) for key in X25519_KEYS] + [(dtls.NamedGroup.SECP256R1, key) for key in P256_KEYS]


def test_a_good_point_is_one() -> None:
    share = generate_key_share(dtls.NamedGroup.SECP256R1, seeded("ours"))
    assert exchange(share, GOOD_POINT) is not None


@pytest.mark.parametrize(("group", "key"), CASES)
def test_exchange(group: dtls.NamedGroup, key: bytes) -> None:
    assert exchange(generate_key_share(group, seeded("ours")), key) is None


@pytest.mark.parametrize(("group", "key"), CASES)
def test_handshake_ends_with_illegal_parameter(group: dtls.NamedGroup, key: bytes) -> None:
    configuration = dtls.Configuration(groups=(group,))
    client, server = client_machine(configuration=configuration), server_machine(configuration=configuration)
    assert feed(server, take_flight(client)) is None
    assert feed(client, take_flight(server)) is None
    certificate, _, *_ = take_flight(client)
    forged = dtls.Message(HandshakeType.CLIENT_KEY_EXCHANGE, 2, encode_client_key_exchange(key))
    refusal = feed(server, [certificate, forged])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.ILLEGAL_PARAMETER
