"""Offers, answers, and what a peer says of its data channels."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given

from tests.sdp import strategies
from tests.sdp.strategies import OFFERS, description
from xp2p_trio.errors import InvalidArgument, SdpError
from xp2p_trio.sdp import (
    DataDescription,
    FingerprintAttribute,
    Session,
    Setup,
    answer_session,
    bundle_groups,
    data_description,
    decode_session,
    encode_session,
    mid,
    offer_session,
)

FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(f"{number:02X}" for number in range(32))
TRANSPORT = f"a=ice-ufrag:abcd\r\na=ice-pwd:{'p' * 22}\r\n{FINGERPRINT}\r\na=setup:actpass\r\n"
DATA = (
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
    f"{TRANSPORT}a=mid:d\r\na=sctp-port:5000\r\n"
)
AUDIO = f"m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\n{TRANSPORT}a=mid:a\r\na=rtpmap:111 opus/48000/2\r\n"


def session_of(*parts: str, attributes: str = "") -> Session:
    return decode_session(f"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{attributes}{''.join(parts)}")


def answer_to(offer: Session, **changes: object) -> str:
    return encode_session(answer_session(offer, description(**changes), session_id=7, session_version=1))


@pytest.mark.parametrize(
    ("name", "size", "candidates", "options", "algorithms"),
    [
        ("aiortc-offer", 262144, 2, (), ("sha-256", "sha-384", "sha-512")),
        ("chromium-offer", 262144, 8, ("trickle",), ("sha-256",)),
        ("datachannel-offer", 262144, 2, ("ice2", "trickle"), ("sha-256",)),
        ("firefox-offer", 1073741823, 4, ("trickle",), ("sha-256",)),
        ("werift-offer", 65536, 2, ("trickle",), ("sha-256",)),
        ("wrtc-offer", 262144, 8, ("trickle",), ("sha-256",)),
    ],
)
def test_real_offers(
    name: str, size: int, candidates: int, options: tuple[str, ...], algorithms: tuple[str, ...]
) -> None:
    offer = decode_session(OFFERS[name])
    remote = data_description(offer)
    assert (remote.mid, remote.setup, remote.sctp_port) == ("0", Setup.ACTPASS, 5000)
    assert (remote.max_message_size, len(remote.candidates), remote.ignored_candidates) == (size, candidates, 0)
    assert remote.ice_options == options
    assert tuple(fingerprint.algorithm for fingerprint in remote.fingerprints) == algorithms
    assert remote.end_of_candidates is (name in {"aiortc-offer", "werift-offer"})
    answer = decode_session(answer_to(offer))
    assert data_description(answer) == description(mid="0")
    assert bundle_groups(answer) == (("0",),)


def test_offer() -> None:
    local = description(setup=Setup.ACTPASS, tls_id="t" * 20, end_of_candidates=True)
    assert encode_session(offer_session(local, session_id=5, session_version=3)).split("\r\n") == [
        "v=0",
        "o=- 5 3 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:ufrag",
        f"a=ice-pwd:{local.password}",
        "a=ice-options:trickle ice2",
        FINGERPRINT,
        "a=setup:actpass",
        f"a=tls-id:{'t' * 20}",
        "a=mid:0",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        "a=end-of-candidates",
        "",
    ]


@given(strategies.descriptions)
def test_a_description_survives_the_offer(local: DataDescription) -> None:
    offer = offer_session(local, session_id=1, session_version=1)
    assert data_description(decode_session(encode_session(offer))) == local


@given(strategies.descriptions, strategies.descriptions)
def test_an_answer_matches_its_offer(theirs: DataDescription, ours: DataDescription) -> None:
    offer = decode_session(encode_session(offer_session(theirs, session_id=1, session_version=1)))
    answer = decode_session(encode_session(answer_session(offer, ours, session_id=2, session_version=1)))
    assert [(section.kind, section.protocol, mid(section)) for section in answer.media] == [
        (section.kind, section.protocol, mid(section)) for section in offer.media
    ]
    assert data_description(answer) == attrs.evolve(ours, mid=theirs.mid)


def test_everything_else_is_rejected() -> None:
    second = DATA.replace("a=mid:d", "a=mid:e")
    offer = session_of(
        AUDIO, DATA, second, attributes="a=group:BUNDLE a d e\r\na=sctp-init:x\r\na=extmap-allow-mixed\r\n"
    )
    lines = answer_to(offer).split("\r\n")
    assert lines[4] == "a=group:BUNDLE d"
    start = lines.index("m=audio 0 UDP/TLS/RTP/SAVPF 111 0")
    assert lines[start : start + 5] == [
        "m=audio 0 UDP/TLS/RTP/SAVPF 111 0",
        "c=IN IP4 0.0.0.0",
        "a=mid:a",
        "a=inactive",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    ]
    assert lines[-4:] == ["m=application 0 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:e", ""]
    assert not any("sctp-init" in line or "extmap" in line or "rtpmap" in line for line in lines)


def test_no_group_where_none_was_offered() -> None:
    assert "BUNDLE" not in answer_to(session_of(DATA))
    assert "BUNDLE" not in answer_to(session_of(DATA, attributes="a=group:BUNDLE other\r\n"))
    assert "a=mid" not in answer_to(session_of(DATA.replace("a=mid:d\r\n", "")))


def test_legacy_form() -> None:
    legacy = DATA.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5001").replace(
        "a=sctp-port:5000", "a=sctpmap:5001 webrtc-datachannel 1024"
    )
    offer = session_of(legacy)
    remote = data_description(offer)
    assert (remote.sctp_port, remote.max_message_size) == (5001, 65536)
    text = answer_to(offer)
    assert "m=application 9 DTLS/SCTP 5000\r\n" in text
    assert "a=sctpmap:5000 webrtc-datachannel 65535\r\n" in text
    assert "a=sctp-port" not in text
    assert data_description(decode_session(text)).sctp_port == 5000
    with pytest.raises(SdpError, match="no media section"):
        data_description(session_of(legacy.replace("a=sctpmap", "a=other")))
    with pytest.raises(SdpError, match="SCTP port"):
        data_description(session_of(legacy.replace("DTLS/SCTP 5001", "DTLS/SCTP x")))


def test_protocol_form_is_kept() -> None:
    assert "m=application 9 TCP/DTLS/SCTP webrtc" in answer_to(session_of(DATA.replace("UDP", "TCP")))


def test_levels() -> None:
    bare = DATA.replace(TRANSPORT, "")
    at_session = data_description(session_of(bare, attributes=TRANSPORT + "a=ice-options:ice2\r\na=ice-lite\r\n"))
    assert (at_session.username_fragment, at_session.ice_options, at_session.ice_lite) == ("abcd", ("ice2",), True)
    both = data_description(
        session_of(DATA + "a=ice-options:trickle ice2\r\n", attributes=TRANSPORT.replace("abcd", "efgh"))
    )
    assert (both.username_fragment, both.ice_options) == ("abcd", ("trickle", "ice2"))
    ended = data_description(session_of(DATA, attributes="a=end-of-candidates\r\n"))
    assert ended.end_of_candidates
    with pytest.raises(SdpError, match="ice-ufrag is missing"):
        data_description(session_of(bare))


def test_a_bundled_section_may_leave_its_transport_to_the_first() -> None:
    bare = DATA.replace(TRANSPORT, "").replace("application 9", "application 0") + "a=bundle-only\r\n"
    candidate = "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n"
    remote = data_description(session_of(AUDIO + candidate, bare, attributes="a=group:BUNDLE a d\r\n"))
    assert (remote.username_fragment, remote.mid, len(remote.candidates)) == ("abcd", "d", 1)
    with pytest.raises(SdpError, match="ice-ufrag is missing"):
        data_description(session_of(AUDIO, bare))


def test_candidates_that_are_of_no_use_are_counted() -> None:
    lines = (
        "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n"
        "a=candidate:1 1 udp 1 example.com 1 typ host\r\n"
        "a=candidate:1 1 udp 1 192.0.2.1 1 typ novel\r\n"
        "a=candidate\r\n"
        "a=candidate:1 1 udp 1 00000000-0000-4000-8000-000000000000.local 1 typ host\r\n"
    )
    remote = data_description(session_of(DATA + lines))
    assert (len(remote.candidates), remote.ignored_candidates) == (2, 3)


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("m=application", "m=audio", None, "no media section"),
        ("webrtc-datachannel", "other", None, "no media section"),
        ("application 9", "application 0", "m=", "port is 0"),
        ("a=ice-ufrag:abcd\r\n", "", "m=", "ice-ufrag is missing"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:abc", "a=ice-ufrag:abc", "4 to 256"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:ab-cd", "a=ice-ufrag:ab-cd", "4 to 256"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag", "a=ice-ufrag", "4 to 256"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:" + "a" * 257, "a=ice-ufrag:a", "4 to 256"),
        (f"a=ice-pwd:{'p' * 22}\r\n", "", "m=", "ice-pwd is missing"),
        ("p" * 22, "p" * 21, "a=ice-pwd:***", "22 to 256"),
        (FINGERPRINT + "\r\n", "", "m=", "fingerprint is missing"),
        (FINGERPRINT, FINGERPRINT[:-3], "a=fingerprint", "31 bytes, where 32"),
        (FINGERPRINT, FINGERPRINT[:-1], "a=fingerprint", "in hex"),
        ("sha-256 00", "sha-256 0G", "a=fingerprint", "in hex"),
        ("sha-256 ", "sha-256", "a=fingerprint", "in hex"),
        ("a=setup:actpass\r\n", "", "m=", "setup is missing"),
        ("a=setup:actpass", "a=setup:both", "a=setup:both", "none of"),
        ("a=mid:d", "a=mid:d d", "a=mid:d d", "token"),
        ("a=mid:d", "a=mid", "a=mid", "token"),
        ("a=mid:d", "a=mid:d\r\na=tls-id:short", "a=tls-id:short", "tls-id"),
        ("a=mid:d", "a=mid:d\r\na=max-message-size:-1", "a=max-message-size:-1", "leading zeros"),
        ("a=mid:d", "a=mid:d\r\na=max-message-size:" + "9" * 21, "a=max", "20 digits"),
    ],
)
def test_what_is_missing_or_malformed(old: str, new: str, line: str | None, reason: str) -> None:
    with pytest.raises(SdpError, match=reason) as caught:
        data_description(session_of(DATA.replace(old, new)))
    if line is None:
        assert caught.value.line is None
    else:
        assert caught.value.line is not None
        assert caught.value.line.startswith(line)
        assert caught.value.line_number is not None


def test_max_message_size() -> None:
    for value, size in (("0", 0), ("1073741823", 1073741823), ("18446744073709551615", 2**64 - 1)):
        assert data_description(session_of(DATA + f"a=max-message-size:{value}\r\n")).max_message_size == size
    assert data_description(session_of(DATA)).max_message_size == 65536


def test_answer_needs_a_section_for_data() -> None:
    with pytest.raises(SdpError, match="no media section"):
        answer_to(session_of(AUDIO))


@pytest.mark.parametrize(
    "changes",
    [
        {"mid": "a b"},
        {"username_fragment": "abc"},
        {"password": "p" * 21},
        {"ice_options": ("a b",)},
        {"fingerprints": ()},
        {"tls_id": "short"},
        {"sctp_port": 0},
        {"sctp_port": 65536},
        {"max_message_size": -1},
    ],
)
def test_a_description_is_sound_or_not_at_all(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        description(**changes)


@pytest.mark.parametrize(
    ("algorithm", "size"), [("sha-256", 31), ("sha-256", 0), ("SHA-256", 32), ("a b", 3), ("x", 0)]
)
def test_a_fingerprint_is_sound_or_not_at_all(algorithm: str, size: int) -> None:
    with pytest.raises(InvalidArgument):
        FingerprintAttribute(algorithm, bytes(size))
