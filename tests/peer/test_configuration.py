"""Configurations refuse what cannot work when they are made."""

import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.peer import Configuration, IceServer, parse_ice_server


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("stun:stun.example.org", IceServer("stun.example.org", 3478)),
        ("stun://stun.example.org:19302", IceServer("stun.example.org", 19302)),
        ("STUN:192.0.2.1:5000", IceServer("192.0.2.1", 5000)),
        ("stun.example.org", IceServer("stun.example.org", 3478)),
        ("stun.example.org:19302", IceServer("stun.example.org", 19302)),
        ("stun:[2001:db8::1]:3479", IceServer("2001:db8::1", 3479)),
        ("stun:[2001:db8::1]", IceServer("2001:db8::1", 3478)),
    ],
)
def test_server_urls(url, server):
    assert parse_ice_server(url) == server
    assert parse_ice_server(str(server)) == server


@pytest.mark.parametrize(
    "url", ["", "stun:", "turn:host", "stun:host:0", "stun:host:70000", "stun:a b", "stun:user@host", "http://host"]
)
def test_other_urls_are_refused_with_the_part_that_is_wrong(url):
    with pytest.raises(InvalidArgument) as info:
        Configuration(ice_servers=[url])
    assert repr(url) in str(info.value)


def test_servers_in_the_browsers_form():
    servers = [{"urls": ["stun:a.example", "stun:b.example:1"]}, {"url": "stun:c.example"}, "stun:d.example"]
    hosts = [server.host for server in Configuration(ice_servers=servers).ice_servers]
    assert hosts == ["a.example", "b.example", "c.example", "d.example"]
    assert Configuration(ice_servers="stun:one.example").ice_servers == (IceServer("one.example"),)
    with pytest.raises(InvalidArgument, match="urls"):
        Configuration(ice_servers=[{"username": "me"}])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sctp_port", 0),
        ("sctp_port", 65536),
        ("max_message_size", 0),
        ("send_buffer", -1),
        ("receive_buffer", 0),
        ("close_timeout", 0.0),
        ("close_timeout", float("nan")),
        ("consent_interval", -1.0),
        ("bind_address", "localhost"),
    ],
)
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(InvalidArgument) as info:
        Configuration(**{name: value})
    assert name in str(info.value)
    assert repr(value) in str(info.value)


def test_unknown_fields_are_a_type_error():
    with pytest.raises(TypeError, match="fruit"):
        Configuration(fruit=1)


def test_a_message_must_fit_into_the_receive_window():
    window = Configuration().sctp.receive_window
    assert Configuration(max_message_size=window).max_message_size == window
    with pytest.raises(InvalidArgument, match="receive_window"):
        Configuration(max_message_size=window + 1)
