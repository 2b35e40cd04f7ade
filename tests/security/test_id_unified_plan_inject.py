"""id_unified_plan_inject: lines end at CRLF or LF only, and no value that we write can begin a line of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sdp.strategies import OFFERS, description, descriptions
from xp2p_trio.errors import InvalidArgument, SdpError
from xp2p_trio.sdp import (
    Candidate,
    CandidateType,
    DataDescription,
    answer_session,
    data_description,
    decode_session,
    encode_session,
    offer_session,
)

BREAKS = ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\0"]


@pytest.mark.parametrize("line_break", BREAKS)
@pytest.mark.parametrize("field", ["mid", "username_fragment", "password", "tls_id", "ice_options"])
def test_our_own_values(field: str, line_break: str) -> None:
    value = "a" * 25 + line_break + "a=ice-lite"
    with pytest.raises(InvalidArgument):
        description(**{field: (value,) if field == "ice_options" else value})


@pytest.mark.parametrize("line_break", BREAKS)
def test_candidates(line_break: str) -> None:
    evil = f"x{line_break}a=ice-lite"
    for arguments in (
        (evil, 1, "udp", 1, "192.0.2.1", 1, CandidateType.HOST),
        ("1", 1, evil, 1, "192.0.2.1", 1, CandidateType.HOST),
        ("1", 1, "udp", 1, evil, 1, CandidateType.HOST),
        ("1", 1, "udp", 1, "192.0.2.1", 1, CandidateType.HOST, (evil, 1)),
        ("1", 1, "udp", 1, "192.0.2.1", 1, CandidateType.HOST, None, None, evil),
        ("1", 1, "udp", 1, "192.0.2.1", 1, CandidateType.HOST, None, None, None, ((evil, "x"),)),
        ("1", 1, "udp", 1, "192.0.2.1", 1, CandidateType.HOST, None, None, None, (("x", evil),)),
    ):
        with pytest.raises(InvalidArgument):
            Candidate(*arguments)  # type: ignore[arg-type]


@given(descriptions)
def test_as_many_lines_as_values(local: DataDescription) -> None:
    session = offer_session(local, session_id=1, session_version=1)
    text = encode_session(session)
    section = session.media[0]
    count = 5 + len(session.attributes) + len(section.fields) + len(section.attributes)
    assert len(text.splitlines()) == text.count("\r\n") == text.count("\n") == count
    assert data_description(decode_session(text)) == local


@given(st.sampled_from(sorted(OFFERS)), st.sampled_from(BREAKS[3:]), st.data())
def test_nothing_of_an_offer_breaks_the_lines_of_its_answer(name: str, line_break: str, data: st.DataObject) -> None:
    lines = OFFERS[name].split("\r\n")
    index = data.draw(st.integers(3, len(lines) - 2))
    position = data.draw(st.integers(2, len(lines[index])))
    lines[index] = f"{lines[index][:position]}{line_break}a=ice-lite{lines[index][position:]}"
    try:
        offer = decode_session("\r\n".join(lines))
        answer = encode_session(answer_session(offer, description(), session_id=1, session_version=1))
    except SdpError:
        return
    assert answer.splitlines() == answer.split("\r\n")[:-1]
    assert "ice-lite" not in answer
