"""sdp_numbers: a number is ASCII digits, few of them, in its range; what `int()` takes besides is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sdp.strategies import OFFERS
from xp2p_trio.errors import SdpError
from xp2p_trio.sdp import data_description, decode_candidate, decode_session

OFFER = OFFERS["chromium-offer"]
BAD = [
    "\uff11\uff12\uff13",
    "1_0",
    "\u00b2",
    "\u0663",
    "+1",
    "-1",
    " 1",
    "1 ",
    "",
    "0x1",
    "1.0",
    "1e1",
    "1" * 21,
    "\u200b1",
]
CANDIDATE = "candidate:1 1 udp 1 192.0.2.1 1 typ srflx raddr 192.0.2.1 rport 1 generation 0"
PLACES = [
    ("m=application 9 ", "m=application {} "),
    (" 7662173647320787534 ", " {} "),
    ("a=sctp-port:5000", "a=sctp-port:{}"),
    ("a=max-message-size:262144", "a=max-message-size:{}"),
]


@pytest.mark.parametrize("number", BAD)
@pytest.mark.parametrize(("old", "new"), PLACES)
def test_sessions(old: str, new: str, number: str) -> None:
    assert old in OFFER
    with pytest.raises(SdpError):
        data_description(decode_session(OFFER.replace(old, new.format(number))))


@pytest.mark.parametrize("number", BAD)
@pytest.mark.parametrize("place", [1, 3, 5, 11])
def test_candidates(number: str, place: int) -> None:
    fields = CANDIDATE.split(" ")
    fields[place] = number
    with pytest.raises(SdpError):
        decode_candidate(" ".join(fields))


@given(st.text(st.characters(categories=["Nd", "Nl", "No"]), min_size=1, max_size=6))
def test_only_ascii_digits_are_digits(number: str) -> None:
    line = f"candidate:1 1 udp {number} 192.0.2.1 1 typ host"
    if number.isascii() and int(number) > 0:
        assert decode_candidate(line).priority == int(number)
    else:
        with pytest.raises(SdpError):
            decode_candidate(line)
