"""Cookies: authenticated, of limited life, bound to the hello; and up to 255 bytes of a peer's come back."""

from __future__ import annotations

import attrs
import pytest

from tests.dtls.duo import make_client, seeded
from tests.dtls.forgery import record
from tests.dtls.hello import browser_hello, our_hello
from xp2p_trio import dtls
from xp2p_trio.dtls.client12 import MAX_COOKIE_REQUESTS
from xp2p_trio.dtls.cookies import COOKIE_LIFETIME, SECRET_SIZE, is_valid_cookie, make_cookie
from xp2p_trio.dtls.handshake import encode_message
from xp2p_trio.dtls.handshaking import REFUSAL_GRACE
from xp2p_trio.dtls.messages12 import HelloVerifyRequest, decode_client_hello, encode_hello_verify_request
from xp2p_trio.dtls.parameters import HandshakeType

SECRET = seeded("secret")(SECRET_SIZE)
NOW = 1e6 + 0.7


def test_only_the_genuine_cookie_counts() -> None:
    hello = our_hello()
    cookie = make_cookie(SECRET, hello, NOW)
    assert is_valid_cookie(SECRET, attrs.evolve(hello, cookie=cookie), NOW)
    for bit in range(8 * len(cookie)):
        forged = bytearray(cookie)
        forged[bit // 8] ^= 1 << bit % 8
        assert not is_valid_cookie(SECRET, attrs.evolve(hello, cookie=bytes(forged)), NOW)
    for size in range(len(cookie)):
        assert not is_valid_cookie(SECRET, attrs.evolve(hello, cookie=cookie[:size]), NOW)
    assert not is_valid_cookie(SECRET, attrs.evolve(hello, cookie=cookie + b"x"), NOW)
    assert not is_valid_cookie(bytes(SECRET_SIZE), attrs.evolve(hello, cookie=cookie), NOW)


def test_life() -> None:
    hello = our_hello()
    answered = attrs.evolve(hello, cookie=make_cookie(SECRET, hello, NOW))
    assert is_valid_cookie(SECRET, answered, NOW + COOKIE_LIFETIME)
    assert not is_valid_cookie(SECRET, answered, NOW + COOKIE_LIFETIME + 1)
    assert not is_valid_cookie(SECRET, answered, NOW - 1)


@pytest.mark.parametrize(
    "changes",
    [{"random": bytes(32)}, {"session_id": b"x"}, {"cipher_suites": (0xC02B,)}, {"extensions": {}}],
)
def test_of_another_hello(changes: dict[str, object]) -> None:
    hello = our_hello()
    cookie = make_cookie(SECRET, hello, NOW)
    assert not is_valid_cookie(SECRET, attrs.evolve(hello, cookie=cookie, **changes), NOW)  # type: ignore[arg-type]
    assert is_valid_cookie(SECRET, attrs.evolve(browser_hello(), cookie=make_cookie(SECRET, browser_hello(), 5)), 5)


@pytest.mark.parametrize("size", [0, 1, 20, 32, 254, 255])
def test_client_returns_any_cookie(size: int) -> None:
    client = make_client()
    client.connect(0.0)
    [first] = client.transmit(0.0, 10)
    cookie = seeded(size)(size)
    body = encode_hello_verify_request(HelloVerifyRequest(0xFEFF, cookie))
    client.receive([record(22, encode_message(dtls.Message(HandshakeType.HELLO_VERIFY_REQUEST, 0, body)))], 0.0)
    [second] = client.transmit(0.0, 10)
    hellos = [decode_client_hello(datagram[25:]) for datagram in (first, second)]
    assert hellos[1] == attrs.evolve(hellos[0], cookie=cookie)
    assert second[17:19] == b"\x00\x01"


def test_client_does_not_go_on_for_ever() -> None:
    client = make_client()
    client.connect(0.0)
    for message_seq in range(MAX_COOKIE_REQUESTS + 1):
        assert client.state is dtls.State.CONNECTING
        body = encode_hello_verify_request(HelloVerifyRequest(0xFEFF, bytes(20)))
        message = dtls.Message(HandshakeType.HELLO_VERIFY_REQUEST, message_seq, body)
        client.receive([record(22, encode_message(message))], 0.0)
    client.transmit(0.0, 10)
    client.handle_timeout(REFUSAL_GRACE)
    assert client.state is dtls.State.FAILED
