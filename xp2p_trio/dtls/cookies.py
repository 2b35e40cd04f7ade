"""Stateless cookies of HelloVerifyRequest (RFC 6347 section 4.2.1).

    +---------------------------+--------------------------------------------------+
    | time, 4 bytes, in seconds | HMAC-SHA-256 over the time and the ClientHello   |
    +---------------------------+--------------------------------------------------+

One connection serves one remote address, and its secret is its own, so that the secret stands for the address.
"""

from __future__ import annotations

import hmac

import attrs

from xp2p_trio.dtls.messages12 import ClientHello, encode_client_hello

COOKIE_LIFETIME = 60
"""Seconds."""

SECRET_SIZE = 32

_TIME_SIZE = 4


def make_cookie(secret: bytes, hello: ClientHello, now: float) -> bytes:
    """A cookie for a ClientHello, whatever cookie that carries."""
    return _authenticate(secret, hello, (int(now) & 0xFFFFFFFF).to_bytes(_TIME_SIZE, "big"))


def is_valid_cookie(secret: bytes, hello: ClientHello, now: float) -> bool:
    """Whether the cookie in a ClientHello was made here, for the same ClientHello, and not long ago."""
    time = hello.cookie[:_TIME_SIZE]
    if not hmac.compare_digest(_authenticate(secret, hello, time), hello.cookie):
        return False
    return int(now) - int.from_bytes(time, "big") & 0xFFFFFFFF <= COOKIE_LIFETIME


def _authenticate(secret: bytes, hello: ClientHello, time: bytes) -> bytes:
    # RFC 6347 section 4.2.1: the client repeats its parameters with the cookie added.
    body = encode_client_hello(attrs.evolve(hello, cookie=b""))
    return time + hmac.digest(secret, time + body, "sha256")
