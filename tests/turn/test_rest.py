"""Credentials of the REST API, as the server recomputes them."""

from __future__ import annotations

import math

import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.turn import Credentials, rest_credentials


@pytest.mark.parametrize(
    ("username", "secret", "credentials"),
    [  # printf %s USERNAME | openssl dgst -sha1 -hmac SECRET -binary | base64
        ("alice", "north wind", Credentials("2000000000:alice", "kFovxyi4fPi0R8jDdz2JYqhincA=")),
        ("", "clé", Credentials("2000000000", "AJMkptZrc8mgFjikpq810JGk9d4=")),
    ],
)
def test_the_password_is_the_hmac_of_the_username(username: str, secret: str, credentials: Credentials) -> None:
    assert rest_credentials(username, secret, 2_000_000_000.9) == credentials


@pytest.mark.parametrize(
    ("username", "secret", "expires_at", "part"),
    [
        ("alice", "north wind", 0.0, "expires_at is 0.0"),
        ("alice", "north wind", math.inf, "expires_at is inf"),
        ("alice", "north wind", math.nan, "expires_at is nan"),
        ("alice", "", 2e9, "the secret is empty"),
        ("alice", "north wind\ud800", 2e9, "lone surrogate"),
        ("\ud800", "north wind", 2e9, "lone surrogate"),
        ("a" * 498, "north wind", 2e9, "the username has 509 bytes"),
    ],
)
def test_what_no_server_takes_is_refused(username: str, secret: str, expires_at: float, part: str) -> None:
    with pytest.raises(InvalidArgument) as info:
        rest_credentials(username, secret, expires_at)
    assert part in str(info.value)
    assert "north wind" not in str(info.value)
