"""Which interfaces a program lets take part."""

from __future__ import annotations

from typing import Any

import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.peer import EVERY_INTERFACE, InterfaceFilter
from xp2p_trio.sansio import AddressFilter


@pytest.mark.parametrize(
    ("wanted", "admitted"),
    [
        (EVERY_INTERFACE, ["eth0", "eth0:1", "eth1", "docker0", "Wi-Fi"]),
        (InterfaceFilter(allow_names="eth0"), ["eth0", "eth0:1"]),
        (InterfaceFilter(allow_names=["eth*", "Wi-Fi"]), ["eth0", "eth0:1", "eth1", "Wi-Fi"]),
        (InterfaceFilter(allow_names=["eth[1-9]"]), ["eth1"]),
        (InterfaceFilter(allow_names=["eth?:?"]), ["eth0:1"]),
        (InterfaceFilter(allow_names=["wi-fi"]), []),
        (InterfaceFilter(deny_names=["docker*"]), ["eth0", "eth0:1", "eth1", "Wi-Fi"]),
        (InterfaceFilter(deny_names=["eth0"]), ["eth1", "docker0", "Wi-Fi"]),
        (InterfaceFilter(allow_names=["eth*"], deny_names=["eth1"]), ["eth0", "eth0:1"]),
    ],
)
def test_names_are_matched_as_a_shell_matches_them(wanted: InterfaceFilter, admitted: list[str]) -> None:
    names = ["eth0", "eth0:1", "eth1", "docker0", "Wi-Fi"]
    assert [name for name in names if wanted.admits(name, "192.0.2.1")] == admitted


def test_an_admitted_interface_is_used_with_the_admitted_addresses_only() -> None:
    wanted = InterfaceFilter(allow_names=["eth0"], addresses=AddressFilter(deny=["192.0.2.0/24"]))
    assert wanted.admits("eth0", "198.51.100.1")
    assert not wanted.admits("eth0", "192.0.2.1")
    assert not wanted.admits("eth1", "198.51.100.1")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"allow_names": [""]}, "pattern ''"),
        ({"deny_names": ["eth0", "10.0.0.0/8"]}, "pattern '10.0.0.0/8'"),
        ({"addresses": "10.0.0.0/8"}, "AddressFilter"),
        ({"addresses": ["10.0.0.0/8"]}, "addresses is"),
    ],
)
def test_a_filter_that_cannot_work_is_refused_when_it_is_made(arguments: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidArgument) as info:
        InterfaceFilter(**arguments)
    assert part in str(info.value)
