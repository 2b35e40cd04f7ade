"""The servers that a command is told to use."""

from __future__ import annotations

import pytest

from xp2p_trio.cli import main
from xp2p_trio.cli.options import DEFAULT_STUN_SERVER, build_parser, configuration
from xp2p_trio.peer import IceServer, parse_ice_server
from xp2p_trio.sansio import Transport

DEFAULT = (parse_ice_server(DEFAULT_STUN_SERVER),)
A, B = IceServer("a.example"), IceServer("b.example", 5000)
RELAY = IceServer("c.example", scheme="turn", transport=Transport.TCP, username="alice", password="pass@word")


@pytest.mark.parametrize(
    ("arguments", "servers"),
    [
        (["demo"], ()),
        (["demo", "-s", "a.example"], (A,)),
        (["pc-echo"], DEFAULT),
        (["ice-echo"], DEFAULT),
        (["pc-echo", "-s", ""], ()),
        (["pc-echo", "-s", "a.example", "-s", "stun:b.example:5000"], (A, B)),
        (["ice-echo", "-s", "", "-s", "a.example"], (A,)),
        (["ice-echo", "-s", "a.example", "-s", ""], (A,)),
        (["demo", "-s", "turn:alice:pass%40word@c.example?transport=tcp", "-s", "a.example"], (RELAY, A)),
        (["pc-echo", "-s", DEFAULT_STUN_SERVER], DEFAULT),
    ],
)
def test_the_servers_are_those_that_were_given_or_the_default(
    arguments: list[str], servers: tuple[IceServer, ...]
) -> None:
    options = build_parser().parse_args(arguments)
    assert options.ice_servers == servers
    assert configuration(options).ice_servers == servers


def test_one_parser_starts_anew_each_time() -> None:
    parser = build_parser()
    assert parser.parse_args(["pc-echo", "-s", "a.example"]).ice_servers == (A,)
    assert parser.parse_args(["pc-echo", "-s", "b.example:5000"]).ice_servers == (B,)
    assert parser.parse_args(["pc-echo"]).ice_servers == DEFAULT


def test_a_server_that_cannot_be_used_is_told_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pc-echo", "-s", "turns:alice:secret@c.example?transport=udp"]) == 2
    told = capsys.readouterr().err
    assert "argument -s: ICE server 'turns:***@c.example?transport=udp': " in told
    assert "secret" not in told


@pytest.mark.parametrize(("command", "default"), [("demo", "none"), ("pc-echo", DEFAULT_STUN_SERVER)])
def test_the_help_tells_the_default(capsys: pytest.CaptureFixture[str], command: str, default: str) -> None:
    assert main([command, "--help"]) == 0
    assert f"(default {default})" in " ".join(capsys.readouterr().out.split())
