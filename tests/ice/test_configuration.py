"""What a configuration of ICE refuses, and how it keeps what it takes."""

import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import Agent, Configuration, Role


def test_public_addresses_are_kept_in_one_spelling():
    given = {"10.0.0.1": "203.0.113.1", "FD00:0::1": "2001:DB8::1"}
    kept = Configuration(public_addresses=given).public_addresses
    assert kept == {"10.0.0.1": "203.0.113.1", "fd00::1": "2001:db8::1"}
    given["10.0.0.2"] = "203.0.113.2"
    assert "10.0.0.2" not in kept


@pytest.mark.parametrize(
    ("addresses", "part"),
    [
        ({"eth0": "203.0.113.1"}, "'eth0'"),
        ({"10.0.0.1": "home.example"}, "'home.example'"),
        ({"10.0.0.1": "203.0.113.1", "10.0.0.2": "2001:db8::1"}, "'2001:db8::1' for '10.0.0.2'"),
    ],
)
def test_public_addresses_that_cannot_be_are_named(addresses, part):
    with pytest.raises(InvalidArgument) as info:
        Configuration(public_addresses=addresses)
    assert "public_addresses" in str(info.value)
    assert part in str(info.value)


def test_a_filter_is_a_filter():
    with pytest.raises(InvalidArgument, match="remote_filter"):
        Configuration(remote_filter=["10.0.0.0/8"])


def test_what_does_not_go_with_lite_is_told():
    with pytest.raises(InvalidArgument, match="tcp does not go"):
        Configuration(lite=True, tcp=True)
    for wish in ("relay_only", "hide_hosts"):
        with pytest.raises(InvalidArgument, match="lite"):
            Agent(Configuration(lite=True), role=Role.CONTROLLED, random_bytes=bytes, **{wish: True})
