"""Descriptions, candidates and their JSON forms."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.errors import SdpError, SignalError
from xp2p_trio.peer import IceCandidate, SessionDescription, decode_signal, encode_signal
from xp2p_trio.peer.descriptions import MAX_SIGNAL_SIZE

LINE = "candidate:1 1 udp 2130706431 192.0.2.1 54321 typ host"

# What a browser's JSON.stringify({description: pc.localDescription}) and JSON.stringify({candidate}) write.
BROWSER_DESCRIPTION = '{"description":{"type":"offer","sdp":"v=0\\r\\n"}}'
BROWSER_CANDIDATE = (
    '{"candidate":{"candidate":"' + LINE + '","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"abcd"}}'
)


def test_signals_are_written_as_browsers_write_them():
    assert encode_signal(SessionDescription("offer", "v=0\r\n")) == BROWSER_DESCRIPTION
    assert encode_signal(IceCandidate(LINE, "0", 0, "abcd")) == BROWSER_CANDIDATE
    assert encode_signal(None) == '{"candidate":null}'


def test_signals_are_read_as_browsers_write_them():
    assert decode_signal(BROWSER_DESCRIPTION) == SessionDescription("offer", "v=0\r\n")
    assert decode_signal(BROWSER_CANDIDATE) == IceCandidate(LINE, "0", 0, "abcd")
    assert decode_signal('{"candidate":null}') is None


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ('{"type":"answer","sdp":"v=0"}', SessionDescription("answer", "v=0")),
        ('{"type":"rollback"}', SessionDescription("rollback", "")),
        (json.dumps({"candidate": LINE, "sdpMid": "data"}), IceCandidate(LINE, "data", None)),
        (json.dumps({"type": "candidate", "candidate": LINE, "id": "0", "label": 0}), IceCandidate(LINE, "0", None)),
    ],
    ids=["bare description", "rollback", "bare candidate", "aiortc"],
)
def test_other_forms_are_understood(text, signal):
    assert decode_signal(text) == signal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "{",
        '{"description":null}',
        '{"description":{"type":"offer","sdp":1}}',
        '{"description":{"type":"fruit","sdp":""}}',
        '{"candidate":7}',
        '{"candidate":{"candidate":null}}',
        '{"candidate":{"candidate":"","sdpMLineIndex":-1}}',
        '{"candidate":{"candidate":"","sdpMid":5}}',
        "[" * 100_000,
        '{"type":"bye"}',
        " " * (MAX_SIGNAL_SIZE + 1),
    ],
)
def test_nonsense_is_a_signal_error(text):
    with pytest.raises(SignalError):
        decode_signal(text)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_raises_anything_else(text):
    try:
        decode_signal(text)
    except SignalError:
        pass


@given(st.sampled_from(["offer", "answer", "pranswer", "rollback"]), st.text())
def test_descriptions_survive_the_way(kind, sdp):
    description = SessionDescription(kind, sdp)
    assert decode_signal(encode_signal(description)) == description
    assert str(description) == sdp


def test_a_candidate_shows_its_parts():
    candidate = IceCandidate("candidate:7 1 udp 1694498815 203.0.113.5 4000 typ srflx raddr 10.0.0.1 rport 9")
    assert (candidate.type, candidate.protocol, candidate.address, candidate.port) == (
        "srflx",
        "udp",
        "203.0.113.5",
        4000,
    )
    assert (candidate.priority, candidate.foundation) == (1694498815, "7")
    assert candidate.related_address == ("10.0.0.1", 9)
    assert str(candidate).startswith("candidate:7 ")
    with pytest.raises(SdpError):
        IceCandidate("candidate:nonsense").type
