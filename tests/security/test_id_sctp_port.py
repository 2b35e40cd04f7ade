"""id_sctp_port: absent is invalid, 0 is closed, and the value is used (the part of the description)."""

from __future__ import annotations

import pytest

from tests.sdp.strategies import OFFERS, description
from xp2p_trio.errors import SdpError
from xp2p_trio.sdp import answer_session, data_description, decode_session, encode_session

OFFER = OFFERS["chromium-offer"]
LINE = "a=sctp-port:5000\r\n"


@pytest.mark.parametrize("port", [1, 5000, 5001, 65535])
def test_the_value_is_used(port: int) -> None:
    offer = decode_session(OFFER.replace(LINE, f"a=sctp-port:{port}\r\n"))
    assert data_description(offer).sctp_port == port
    answer = answer_session(offer, description(sctp_port=6000), session_id=1, session_version=1)
    assert "a=sctp-port:6000\r\n" in encode_session(answer)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "sctp-port is missing"),
        ("a=sctp-port:0\r\n", "closes"),
        ("a=sctp-port\r\n", "leading zeros"),
        ("a=sctp-port:\r\n", "leading zeros"),
        ("a=sctp-port:05000\r\n", "leading zeros"),
        ("a=sctp-port:65536\r\n", "65535"),
        ("a=sctp-port:5000 \r\n", "leading zeros"),
        ("a=sctp-port:5000/2\r\n", "leading zeros"),
    ],
)
def test_no_association_without_a_port(line: str, reason: str) -> None:
    offer = decode_session(OFFER.replace(LINE, line))
    with pytest.raises(SdpError, match=reason):
        data_description(offer)
    with pytest.raises(SdpError, match=reason):
        answer_session(offer, description(), session_id=1, session_version=1)


def test_a_closed_section_gives_way_to_an_open_one() -> None:
    head, section = OFFER[: OFFER.index("m=")], OFFER[OFFER.index("m=") :]
    offer = decode_session(head + section.replace(LINE, "a=sctp-port:0\r\n").replace("mid:0", "mid:1") + section)
    assert data_description(offer).mid == "0"
    answer = answer_session(offer, description(), session_id=1, session_version=1)
    assert [section.port for section in answer.media] == [0, 9]
