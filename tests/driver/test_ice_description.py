"""Descriptions of a transport that is ICE alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.driver.ice_description import IceDescription, decode_ice_description, encode_ice_description
from xp2p_trio.errors import SdpError
from xp2p_trio.sdp import decode_candidate

HOST = decode_candidate("candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host")
REFLEXIVE = decode_candidate("candidate:2 1 udp 1694498815 203.0.113.1 50000 typ srflx raddr 192.0.2.1 rport 50000")

ice_text = st.text("ABCXYZabcxyz0189+/", max_size=40)


@given(
    username_fragment=ice_text.map(lambda text: "ufrg" + text),
    password=ice_text.map(lambda text: "p" * 22 + text),
    candidates=st.lists(st.sampled_from([HOST, REFLEXIVE]), unique=True),
    end_of_candidates=st.booleans(),
    ice_lite=st.booleans(),
    session_id=st.integers(0, 2**63 - 1),
)
def test_round_trip(
    username_fragment: str,
    password: str,
    candidates: list,
    end_of_candidates: bool,
    ice_lite: bool,
    session_id: int,
) -> None:
    description = IceDescription(username_fragment, password, tuple(candidates), end_of_candidates, ice_lite)
    text = encode_ice_description(description, session_id=session_id)
    assert decode_ice_description(text) == description
    assert f"o=- {session_id} " in text


def test_the_text_is_what_rfc_8839_describes() -> None:
    text = encode_ice_description(IceDescription("ufrag", "p" * 22, (HOST,), True), session_id=7)
    assert text.splitlines() == [
        "v=0",
        "o=- 7 0 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=application 9 udp octet-stream",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:ufrag",
        "a=ice-pwd:" + "p" * 22,
        "a=ice-options:trickle ice2 renomination",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host",
        "a=end-of-candidates",
    ]


def test_the_password_is_masked() -> None:
    assert "pppp" not in repr(IceDescription("ufrag", "p" * 22))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "v="),
        ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", "no media section"),
        ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 udp octet-stream\r\n", "ice-ufrag"),
    ],
)
def test_what_is_missing_is_named(text: str, reason: str) -> None:
    with pytest.raises(SdpError, match=reason):
        decode_ice_description(text)
