"""A configuration is right from the moment it is made."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from xp2p_trio import dtls
from xp2p_trio.errors import InvalidArgument

BAD: list[dict[str, Any]] = [
    {"cipher_suites": ()},
    {"cipher_suites": (0xC02B, 0xC02B)},
    {"cipher_suites": (0x002F,)},
    {"groups": ()},
    {"groups": (24,)},
    {"srtp_profiles": ()},
    {"max_datagram_size": 255},
    {"max_datagram_size": 1 << 15},
    {"initial_retransmit_timeout": 0},
    {"initial_retransmit_timeout": 61},
    {"initial_retransmit_timeout": float("nan")},
    {"maximum_retransmissions": -1},
    {"handshake_timeout": 0},
    {"handshake_timeout": float("inf")},
    {"record_limit": 0},
    {"record_limit": 1 << 48},
    {"forgery_limit": 0},
]


@pytest.mark.parametrize("values", BAD, ids=str)
def test_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(values))):
        dtls.Configuration(**values)


def test_defaults_and_frozen() -> None:
    configuration = dtls.Configuration()
    assert (configuration.max_datagram_size, configuration.initial_retransmit_timeout) == (1200, 0.05)
    assert not configuration.require_cookie
    assert not configuration.key_log
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        configuration.key_log = True  # type: ignore[misc]
