"""Text to session and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sdp import strategies
from tests.sdp.strategies import OFFERS
from xp2p_trio.errors import InvalidArgument, SdpError
from xp2p_trio.sdp import Attribute, Field, MediaSection, Origin, Session, decode_session, encode_session

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n"


@pytest.mark.parametrize("name", OFFERS)
def test_real_offers_come_back_byte_for_byte(name: str) -> None:
    assert encode_session(decode_session(OFFERS[name])) == OFFERS[name]


@given(strategies.sessions)
def test_round_trip(session: Session) -> None:
    text = encode_session(session)
    decoded = decode_session(text)
    assert decoded == session
    assert encode_session(decoded) == text


def test_lines_may_end_with_lf_and_be_empty() -> None:
    text = HEAD + "t=0 0\r\na=x\r\n"
    assert decode_session("\n" + text.replace("\r\n", "\n") + "\r\n\n") == decode_session(text)


def test_other_line_breaks_are_none() -> None:
    session = decode_session(HEAD + "a=x:1\x0b2\x0c3\x1c4\x855\u20286\r\n")
    assert session.attributes == (Attribute("x", "1\x0b2\x0c3\x1c4\x855\u20286"),)


def test_unknown_lines_are_kept() -> None:
    text = HEAD + "q=?\r\nt=0 0\r\na=\r\na=:\r\na=x:\r\nm=x 1/2 p f\r\nw=!\r\na=y\r\n"
    session = decode_session(text)
    assert session.fields == (Field("q", "?"), Field("t", "0 0"))
    assert session.attributes == (Attribute(""), Attribute("", ""), Attribute("x", ""))
    assert session.media == (MediaSection("x", 1, "p", ("f",), (Field("w", "!"),), (Attribute("y"),), 2),)
    assert encode_session(session) == text


@pytest.mark.parametrize(
    ("text", "number", "reason"),
    [
        ("", None, "v="),
        ("\r\n", None, "v="),
        ("v=0", None, "o="),
        ("v=1\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-", 1, "version"),
        ("o=- 1 2 IN IP4 0.0.0.0", 1, "v="),
        ("v=0\r\ns=-", 2, "o="),
        ("v=0\r\no=- 1 2 IN IP4\r\ns=-", 2, "six"),
        ("v=0\r\no=- 1 2 IN IP4 a b\r\ns=-", 2, "six"),
        ("v=0\r\no=- x 2 IN IP4 a\r\ns=-", 2, "session id"),
        ("v=0\r\no=- 1 -2 IN IP4 a\r\ns=-", 2, "session version"),
        ("v=0\r\no=- 1 " + "2" * 21 + " IN IP4 a\r\ns=-", 2, "20 digits"),
        (HEAD + "hello", 4, "letter"),
        (HEAD + "A=x", 4, "letter"),
        (HEAD + " a=x", 4, "letter"),
        (HEAD + "\ufeffa=x", 4, "letter"),
        (HEAD + "v=0", 4, "second"),
        (HEAD + "t=0 0\r\ns=x", 5, "second"),
        (HEAD + "a=x\0y", 4, "NUL"),
        (HEAD + "a=x\ry", 4, "carriage return"),
        (HEAD + "m=application", 4, "media section"),
        (HEAD + "m=application 9 UDP/DTLS/SCTP", 4, "media section"),
        (HEAD + "m=application x UDP/DTLS/SCTP y", 4, "port"),
        (HEAD + "m=application 65536 UDP/DTLS/SCTP y", 4, "port"),
        (HEAD + "m=application 9/0 UDP/DTLS/SCTP y", 4, "number of ports"),
        (HEAD + "m=application 9 UDP//SCTP y", 4, "token"),
        (HEAD + "m=application 9 UDP  y", 4, "token"),
        (HEAD + "m=application 9 UDP y ", 4, "token"),
    ],
)
def test_errors_name_the_line(text: str, number: int | None, reason: str) -> None:
    with pytest.raises(SdpError, match=reason) as caught:
        decode_session(text)
    assert caught.value.line_number == number
    assert caught.value.line == (None if number is None else text.split("\r\n")[number - 1])


@given(st.sampled_from(sorted(OFFERS)), st.data())
def test_every_truncation_and_flip_gives_a_session_or_an_error(name: str, data: st.DataObject) -> None:
    text = OFFERS[name]
    position = data.draw(st.integers(0, len(text) - 1))
    flipped = text[:position] + chr(ord(text[position]) ^ (1 << data.draw(st.integers(0, 7)))) + text[position + 1 :]
    for changed in (text[:position], flipped):
        try:
            session = decode_session(changed)
        except SdpError:
            continue
        assert decode_session(encode_session(session)) == session


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Attribute, ("a:b", None)),
        (Attribute, ("a\r", None)),
        (Attribute, ("a", "b\nc")),
        (Attribute, ("a", "b\0")),
        (Field, ("a", "x")),
        (Field, ("m", "x")),
        (Field, ("cc", "x")),
        (Field, ("", "x")),
        (Field, ("c", "x\r\na=y")),
        (Origin, ("a b",)),
        (Origin, ("",)),
        (Origin, ("-", -1)),
        (MediaSection, ("a", 65536, "p", ("f",))),
        (MediaSection, ("a", 1, "p", ())),
        (MediaSection, ("a", 1, "p/", ("f",))),
        (MediaSection, ("a\n", 1, "p", ("f",))),
        (MediaSection, ("a", 1, "p", ("f g",))),
        (Session, (Origin(), "a\r\nb")),
    ],
)
def test_a_value_is_sound_or_not_at_all(make: type, text: tuple[object, ...]) -> None:
    with pytest.raises(InvalidArgument):
        make(*text)
