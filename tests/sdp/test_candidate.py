"""Candidate lines: RFC 8839 section 5.1 and what browsers make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sdp import strategies
from xp2p_trio.errors import InvalidArgument, SdpError
from xp2p_trio.sdp import Candidate, CandidateType, decode_candidate, encode_candidate

HOST = Candidate("1", 1, "udp", 2130706431, "192.0.2.1", 5000, CandidateType.HOST)


def test_example_of_the_rfc() -> None:
    line = "a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998"
    candidate = decode_candidate(line)
    assert candidate == Candidate(
        "2", 1, "udp", 1694498815, "192.0.2.3", 45664, CandidateType.SERVER_REFLEXIVE, ("203.0.113.141", 8998)
    )
    assert candidate.address == ("192.0.2.3", 45664)
    assert encode_candidate(candidate) == line.removeprefix("a=").replace("UDP", "udp")


def test_extensions_are_kept() -> None:
    line = "candidate:9 1 tcp 1518214911 ::1 9 typ host tcptype active generation 0 ufrag I+ow network-cost 50"
    candidate = decode_candidate(line)
    assert (candidate.tcp_type, candidate.username_fragment) == ("active", "I+ow")
    assert candidate.extensions == (("generation", "0"), ("network-cost", "50"))
    assert decode_candidate(encode_candidate(candidate)) == candidate


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::FFFF:192.0.2.1", "::ffff:192.0.2.1"),
        ("0123ABCD-9a7b-4444-8888-000000000000.local", "0123abcd-9a7b-4444-8888-000000000000.local"),
    ],
)
def test_hosts_have_one_spelling(text: str, host: str) -> None:
    import ipaddress

    if not host.endswith(".local"):
        host = str(ipaddress.ip_address(host))  # newer Pythons write mapped addresses in the mixed form
    assert decode_candidate(f"candidate:1 1 udp 1 {text} 1 typ host").host == host


def test_hidden_related_address_and_line_end() -> None:
    candidate = decode_candidate("candidate:1 1 udp 1 192.0.2.1 1 typ relay raddr 0.0.0.0 rport 0\r\n")
    assert candidate.related_address == ("0.0.0.0", 0)
    assert decode_candidate("candidate:1 1 udp 1 192.0.2.1 1 TYP Relay raddr ::").related_address == ("::", 0)
    assert decode_candidate("candidate:1 1 udp 1 192.0.2.1 1 typ host ").extensions == ()


def test_repeated_attributes_are_ignored() -> None:
    line = "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype so ufrag a tcptype active ufrag b rport 5"
    candidate = decode_candidate(line)
    assert (candidate.tcp_type, candidate.username_fragment, candidate.extensions) == ("so", "a", ())


@given(strategies.candidates)
def test_round_trip(candidate: Candidate) -> None:
    line = encode_candidate(candidate)
    assert decode_candidate(line) == candidate
    assert encode_candidate(decode_candidate(f"a={line}")) == line


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "starts with"),
        ("candidate 1 1 udp 1 192.0.2.1 1 typ host", "starts with"),
        ("a=mid:0", "starts with"),
        ("candidate:", "8 are needed"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ", "8 are needed"),
        ("candidate:" + "a" * 33 + " 1 udp 1 192.0.2.1 1 typ host", "foundation"),
        ("candidate:a-b 1 udp 1 192.0.2.1 1 typ host", "foundation"),
        ("candidate: 1 udp 1 192.0.2.1 1 typ host", "foundation"),
        ("candidate:1 0 udp 1 192.0.2.1 1 typ host", "component"),
        ("candidate:1 257 udp 1 192.0.2.1 1 typ host", "component"),
        ("candidate:1 1 u/p 1 192.0.2.1 1 typ host", "transport"),
        ("candidate:1 1 udp 0 192.0.2.1 1 typ host", "priority"),
        ("candidate:1 1 udp 2147483648 192.0.2.1 1 typ host", "priority"),
        ("candidate:1 1 udp 00000000001 192.0.2.1 1 typ host", "priority"),
        ("candidate:1 1 udp 1 example.com 1 typ host", "address"),
        ("candidate:1 1 udp 1 .local 1 typ host", "address"),
        ("candidate:1 1 udp 1 a.b.local 1 typ host", "address"),
        ("candidate:1 1 udp 1 \u212aelvin.local 1 typ host", "address"),
        ("candidate:1 1 udp 1 192.0.2.01 1 typ host", "address"),
        ("candidate:1 1 udp 1 fe80::1%eth0 1 typ host", "address"),
        ("candidate:1 1 udp 1 192.0.2.1 0 typ host", "port"),
        ("candidate:1 1 udp 1 192.0.2.1 65536 typ host", "port"),
        ("candidate:1 1 udp 1 192.0.2.1 +1 typ host", "port"),
        ("candidate:1 1 udp 1 192.0.2.1 1 type host", "typ"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ other", "type"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ srflx raddr example.com rport 1", "address"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ srflx raddr 192.0.2.1 rport x", "related port"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ host generation", "no value"),
        ("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype other", "tcptype"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ host ufrag a-b", "ufrag"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ host ufrag " + "a" * 257, "ufrag"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ host x \x0b", "grammar"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ host x\n y", "grammar"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ host x é", "grammar"),
        ("candidate:1 1 udp 1 192.0.2.1 1 typ host x " + "y" * 9000, "characters"),
    ],
)
def test_errors_name_the_line(line: str, reason: str) -> None:
    with pytest.raises(SdpError, match=reason) as caught:
        decode_candidate(line)
    assert caught.value.line == line


@given(st.text(max_size=60))
def test_anything_behind_the_name(text: str) -> None:
    try:
        candidate = decode_candidate(f"candidate:{text}")
    except SdpError:
        return
    assert decode_candidate(encode_candidate(candidate)) == candidate


@pytest.mark.parametrize(
    "changes",
    [
        {"foundation": "a b"},
        {"foundation": ""},
        {"component": 0},
        {"transport": "UDP"},
        {"transport": "u\ndp"},
        {"priority": 0},
        {"host": "example.com"},
        {"host": "2001:DB8::1"},
        {"host": "\r\n"},
        {"port": 0},
        {"related_address": ("x", 1)},
        {"related_address": ("192.0.2.1", -1)},
        {"tcp_type": "other"},
        {"username_fragment": "a\r\nb"},
        {"extensions": (("a b", "c"),)},
        {"extensions": (("a", "c\u2028"),)},
        {"extensions": (("ufrag", "c"),)},
    ],
)
def test_a_candidate_is_sound_or_not_at_all(changes: dict[str, object]) -> None:
    import attrs

    with pytest.raises(InvalidArgument):
        attrs.evolve(HOST, **changes)  # type: ignore[arg-type]


def test_a_zone_stays_at_home() -> None:
    import attrs

    candidate = attrs.evolve(HOST, host="fe80::1%eth0", related_address=("fe80::2%1", 5))
    line = encode_candidate(candidate)
    assert "%" not in line
    assert decode_candidate(line).host == "fe80::1"
