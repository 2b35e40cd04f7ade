"""Server URLs: what is read, what is refused and with which words, and that no password is ever shown."""

from __future__ import annotations

import traceback
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.peer import Configuration, IceServer, parse_ice_server, parse_ice_servers
from xp2p_trio.sansio import Transport
from xp2p_trio.turn import Credentials

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
ALICE: dict[str, Any] = {"username": "alice", "password": "pass word@:/?"}


async def renewed() -> Credentials:
    return Credentials("alice", "new")


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("stun:stun.example.org", IceServer("stun.example.org", 3478)),
        ("stun://stun.example.org:19302", IceServer("stun.example.org", 19302)),
        ("STUN:192.0.2.1:5000", IceServer("192.0.2.1", 5000)),
        ("stun.example.org", IceServer("stun.example.org", 3478)),
        ("stun.example.org:19302", IceServer("stun.example.org", 19302)),
        ("turnip:3479", IceServer("turnip", 3479)),
        ("localhost", IceServer("localhost")),
        ("stun.example.org.", IceServer("stun.example.org.")),
        ("stun:[2001:db8::1]:3479", IceServer("2001:db8::1", 3479)),
        ("stun:[2001:DB8:0::1]", IceServer("2001:db8::1", 3478)),
        ("[2001:db8::1]:3479", IceServer("2001:db8::1", 3479)),
        ("stun:host?transport=udp", IceServer("host")),
        ("turn:host", IceServer("host", 3478, scheme="turn")),
        ("turn:host:80?transport=tcp", IceServer("host", 80, scheme="turn", transport=TCP)),
        ("turn:host?transport=UDP", IceServer("host", scheme="turn")),
        ("turns:host", IceServer("host", 5349, scheme="turns")),
        ("turns:host:443?transport=tcp", IceServer("host", 443, scheme="turns", transport=TLS)),
        ("turn:alice:pass%20word%40%3A%2F%3F@host", IceServer("host", scheme="turn", **ALICE)),
        ("turn:alice:pass word@:/?@host", IceServer("host", scheme="turn", **ALICE)),
        ("turns://alice:pass%20word@:/?@[::1]", IceServer("::1", scheme="turns", **ALICE)),
        ("turn:a%3Ab:p:w@host", IceServer("host", scheme="turn", username="a:b", password="p:w")),
        ("turn:%C3%A9:%E2%82%AC@host", IceServer("host", scheme="turn", username="é", password="€")),
    ],
)
def test_every_form_of_url_is_read(url: str, server: IceServer) -> None:
    assert parse_ice_server(url) == server


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (IceServer("stun.example"), "stun:stun.example:3478"),
        (IceServer("2001:db8::1", 80), "stun:[2001:db8::1]:80"),
        (IceServer("turn.example", scheme="turn", **ALICE), "turn:turn.example:3478"),
        (IceServer("turn.example", scheme="turn", transport=TCP, **ALICE), "turn:turn.example:3478?transport=tcp"),
        (IceServer("turn.example", scheme="turns", **ALICE), "turns:turn.example:5349"),
    ],
)
def test_a_server_is_called_by_its_url_without_credentials(server: IceServer, url: str) -> None:
    assert server.url == str(server) == url
    assert "pass word" not in repr(server)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "the host is missing"),
        ("stun:", "the host is missing"),
        ("stun::3478", "the host is missing"),
        ("turn:alice:secret@", "the host is missing"),
        ("stun:a b", "host 'a b'"),
        ("stun: host", "host ' host'"),
        ("stun:a..b", "host 'a..b'"),
        ("stun:" + "a" * 64, "host 'aaa"),
        ("stun:" + "a." * 127, "host 'a.a."),
        ("stun:münchen.example", "xn--"),
        ("stun:host/path", "host 'host/path'"),
        ("stun:192.0.2.256", "host '192.0.2.256'"),
        ("stun:3478", "host '3478'"),
        ("stun:[192.0.2.1]", "only an IPv6 address has"),
        ("stun:[fe80::1%eth0]", "zone"),
        ("stun:[2001:db8::g]", "host '2001:db8::g'"),
        ("stun:[::1]x", "host '[::1]x'"),
        ("stun:2001:db8::1", "in brackets"),
        ("stun:[::1", "in brackets"),
        ("stun:host:", "the port is not a number"),
        ("stun:host:http", "the port is not a number"),
        ("stun:host:0", "port 0 is out of range"),
        ("stun:host:70000", "port 70000 is out of range"),
        ("stun:host:٣٤٧٨", "the port is not a number"),
        ("stuns:host", "STUN over TLS tells nothing about a UDP port; write stun:"),
        ("http://host", "scheme 'http'"),
        ("stun:host?transport=tcp", "leave out ?transport=tcp"),
        ("turns:host?transport=udp", "DTLS"),
        ("turn:host?transport=tls", "write turns:"),
        ("turns:host?transport=tls", "is TLS already"),
        ("turn:host?transport=sctp", "transport 'sctp'"),
        ("turn:host?", "what follows the ?"),
        ("turn:host?ttl=5", "what follows the ?"),
        ("turn:host?transport=tcp&ttl=5", "what follows the ?"),
        ("stun:alice:secret@host", "stun: takes no username"),
        ("stun:alice@host", "stun: takes no username"),
        ("turn:alice@host", "a username without a password"),
        ("turn:@host", "a username without a password"),
        ("turn::secret@host", "the username has 0 bytes"),
        (f"turn:{'a' * 509}:secret@host", "the username has 509 bytes"),
        ("turn:al%ice:secret@host", "the username has a %"),
        ("turn:alice:100%@host", "the password has a %"),
        ("turn:alice:%e9@host", "the password has percent-encoded bytes that are not UTF-8"),
        ("turn:alice:\ud800@host", "lone surrogate"),
    ],
)
def test_other_urls_are_refused_with_the_part_that_is_wrong(url: str, part: str) -> None:
    with pytest.raises(InvalidArgument) as info:
        parse_ice_server(url)
    assert part in str(info.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("stun:a b", "'stun:a b'"),
        ("turn:alice:secret@host:0", "'turn:***@host:0'"),
        ("turn:alice:sec@ret@host:0", "'turn:***@host:0'"),
        ("turn:alice:secret", "'turn:alice:***'"),
        ("turn:alice:123456", "'turn:alice:***'"),
        ("alice:secret@host", "'alice:***'"),
        ("turn:host?user=alice&password=secret", "'turn:host?***'"),
    ],
)
def test_what_may_be_a_password_is_masked_in_the_url_that_an_error_quotes(url: str, shown: str) -> None:
    with pytest.raises(InvalidArgument) as info:
        parse_ice_server(url)
    assert f"ICE server {shown}: " in str(info.value)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"host": "[::1]"}, "host '[::1]'"),
        ({"host": "stun:host"}, "host 'stun:host'"),
        ({"host": "host", "scheme": "stuns"}, "write stun:"),
        ({"host": "host", "scheme": "TURN"}, "scheme 'TURN'"),
        ({"host": "host", "port": -1}, "port -1"),
        ({"host": "host", "transport": TCP}, "leave out ?transport=tcp"),
        ({"host": "host", "scheme": "turn", "transport": TLS}, "write turns:"),
        ({"host": "host", "scheme": "turns", "transport": TCP}, "transport 'tcp' does not go with turns"),
        ({"host": "host", "scheme": "turn", "username": "alice"}, "without a password"),
        ({"host": "host", "scheme": "turn", "password": "secret"}, "without a username"),
        ({"host": "host", "username": "alice", "password": "secret"}, "stun: takes no username"),
        ({"host": "host", "renew": renewed}, "stun: takes no username"),
        ({"host": "host", "scheme": "turn", "renew": "secret"}, "renew is no function"),
    ],
)
def test_a_value_that_cannot_work_is_refused(arguments: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidArgument) as info:
        IceServer(**arguments)
    assert part in str(info.value)
    assert "secret" not in str(info.value)


def test_credentials_are_there_once_there_is_a_username() -> None:
    assert IceServer("host").credentials is None
    assert IceServer("host", scheme="turn", renew=renewed).credentials is None
    assert IceServer("host", scheme="turn", **ALICE).credentials == Credentials("alice", "pass word@:/?")


# --- lists and dictionaries


def test_servers_in_the_browsers_form() -> None:
    entries = [
        {"urls": ["stun:a.example", "turn:b.example?transport=tcp"], "username": "alice", "credential": "secret"},
        {"url": "stun:c.example", "credentialType": "password", "username": None},
        {"urls": "turns:d.example", "renew": renewed},
        "stun:e.example",
        IceServer("f.example"),
    ]
    assert parse_ice_servers(entries) == (
        IceServer("a.example"),
        IceServer("b.example", scheme="turn", transport=TCP, username="alice", password="secret"),
        IceServer("c.example"),
        IceServer("d.example", scheme="turns", renew=renewed),
        IceServer("e.example"),
        IceServer("f.example"),
    )


def test_one_server_needs_no_list() -> None:
    one = IceServer("one.example")
    assert parse_ice_servers("stun:one.example") == parse_ice_servers({"urls": "one.example"}) == (one,)
    assert parse_ice_servers(one) == (one,)  # type: ignore[arg-type]


def test_a_renewing_function_goes_with_the_credentials_of_the_url() -> None:
    (server,) = parse_ice_servers({"urls": "turn:alice:old@host", "renew": renewed})
    assert server == IceServer("host", scheme="turn", username="alice", password="old", renew=renewed)


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ({}, "'urls'"),
        ({"urls": []}, "'urls'"),
        ({"urls": 5}, "'urls'"),
        ({"urls": [5]}, "'urls'"),
        ({"username": "alice", "credential": "secret"}, "'username', 'credential'"),
        ({"urls": "turn:alice:secret@host", "credentialType": "oauth"}, "credentialType"),
        ({"urls": "turn:host", "username": "alice"}, "a username without a password"),
        ({"urls": "turn:host", "credential": "secret"}, "a password without a username"),
        ({"urls": "turn:host", "username": "alice", "credential": {"accessToken": "secret"}}, "password is no text"),
        ({"urls": "turn:host", "username": 5, "credential": "secret"}, "username is no text"),
        ({"urls": "turn:bob:secret@host", "username": "alice", "credential": "secret"}, "a username in the URL"),
        ({"urls": "turn:host", "username": "", "credential": "secret"}, "the username has 0 bytes"),
        ({"urls": "turn:host:0", "username": "alice", "credential": "secret"}, "port 0"),
        ("turn:host", "TURN needs a username and a password"),
        ({"urls": ["stun:host", "turns:host"]}, "'turns:host:5349': TURN needs a username and a password"),
        (IceServer("host", scheme="turn"), "TURN needs a username and a password"),
        (5, "not int"),
        (None, "not NoneType"),
    ],
)
def test_a_configuration_refuses_what_cannot_work_when_it_is_made(entry: Any, part: str) -> None:
    with pytest.raises(InvalidArgument) as info:
        Configuration(ice_servers=[entry])
    assert part in str(info.value)
    assert "secret" not in str(info.value)


# --- properties

LABELS = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
NAMES = st.lists(LABELS, max_size=3).map(lambda labels: ".".join([*labels, "example"]))
HOSTS = NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
KINDS = st.sampled_from([("stun", UDP), ("turn", UDP), ("turn", TCP), ("turns", TLS)])
SERVERS = st.builds(
    lambda host, port, kind: IceServer(host, port, scheme=kind[0], transport=kind[1]),
    HOSTS,
    st.integers(1, 65535),
    KINDS,
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)
PIECES = ["stun", "turns", ":", "//", "@", "[", "]", "::1", "?transport=", "udp", "tcp", "%", "%41", ".", "9", "a"]
BROKEN = st.lists(st.sampled_from([*PIECES, " ", "\n"]), max_size=12).map("".join)


@given(st.text() | BROKEN)
def test_any_text_is_a_server_or_an_invalid_argument(url: str) -> None:
    try:
        server = parse_ice_server(url)
    except InvalidArgument:
        return
    assert parse_ice_server(server.url).url == server.url


@given(SERVERS)
def test_a_url_is_read_back_as_the_same_server(server: IceServer) -> None:
    assert parse_ice_server(server.url) == server


@given(SERVERS, WORDS, WORDS)
def test_percent_encoding_carries_any_credentials(server: IceServer, username: str, password: str) -> None:
    if server.is_turn:
        scheme, _, rest = server.url.partition(":")
        url = f"{scheme}:{quote(username, safe='')}:{quote(password, safe='')}@{rest}"
        assert parse_ice_server(url) == attrs.evolve(server, username=username, password=password)


@given(
    st.sampled_from(["stun", "turn", "turns", "stuns", "http", "turn:/", ""]),
    st.sampled_from(["alice:", "", "%zz:", "a b:", "a" * 509 + ":"]),
    st.text().map("S3cr3t".__add__) | WORDS.map(lambda word: "S3cr3t" + quote(word)),
    st.sampled_from(["@host", "@ho st", "@", "@host:0", "@host:http", "@host?transport=tls", "@[::1", "@[::g]"]),
)
def test_no_password_is_ever_shown(scheme: str, username: str, password: str, rest: str) -> None:
    url = f"{scheme}:{username}{password}{rest}"
    shown: list[str] = []
    for attempt in (
        lambda: parse_ice_server(url),
        lambda: Configuration(ice_servers=[url]),
        lambda: Configuration(ice_servers=[{"urls": url, "username": username, "credential": password}]),
        lambda: Configuration(
            ice_servers=[{"urls": f"turn:{rest[1:]}", "username": username.rstrip(":"), "credential": password}]
        ),
        lambda: IceServer(rest[1:], scheme=scheme, username=username, password=password),  # type: ignore[arg-type]
    ):
        try:
            made = attempt()
            shown += [str(made), repr(made)]
        except InvalidArgument as error:
            shown += [str(error), repr(error), *traceback.format_exception(error)]
    assert "S3cr3t" not in "".join(shown)
