"""Configurations refuse what cannot work when they are made."""

import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.peer import Configuration, InterfaceFilter


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
        ("bind_address", "0.0.0.0"),
        ("bind_address", "::"),
        ("ice_transport_policy", "none"),
        ("mdns", "on"),
        ("interfaces", "eth0"),
        ("port_range", (0, 5)),
        ("port_range", (6, 5)),
        ("port_range", (1, 65536)),
        ("port_range", (5000,)),
        ("port_range", "56"),
        ("port_range", 5000),
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


def test_the_relay_policy_needs_a_turn_server():
    with pytest.raises(InvalidArgument, match="no TURN server is among ice_servers"):
        Configuration(ice_transport_policy="relay", ice_servers=["stun:stun.example"])
    servers = ["stun:stun.example", "turn:alice:secret@turn.example"]
    assert Configuration(ice_transport_policy="relay", ice_servers=servers).ice_transport_policy == "relay"


def test_what_the_network_may_be_used_for_is_kept():
    wanted = InterfaceFilter(allow_names="eth*")
    configuration = Configuration(interfaces=wanted, port_range=[5000, 5000], mdns="off")
    assert configuration.interfaces is wanted
    assert configuration.port_range == (5000, 5000)
    assert hash(configuration) == hash(configuration)


def test_no_password_is_in_the_repr_of_a_configuration():
    servers = [{"urls": "turn:turn.example", "username": "alice", "credential": "secret"}]
    assert "secret" not in repr(Configuration(ice_servers=servers))
