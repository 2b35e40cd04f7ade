"""The command line: what can be asked for, as a parser and as values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any, Final

from xp2p_trio import __version__
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.peer import Configuration, IceServer, parse_ice_servers

DEFAULT_STUN_SERVER: Final = "stun.l.google.com:19302"
"""The default of the xp2p demos. The library itself has none."""

_EPILOG = "exit codes: 0 every byte arrived, 1 failed or not done in time, 2 wrong usage, 3 no path between the peers"


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="xp2p-trio", description="WebRTC data channels for trio, on the command line.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"xp2p-trio {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = _add_command(commands, "demo", "two peers in this process connect, echo and move bulk data, with a timeline")
    demo.add_argument("-n", "--messages", type=_natural, default=1000, help="round trips to measure (default 1000)")
    demo.add_argument("--size", type=_natural, default=32, metavar="MIB", help="bulk data, there and back (default 32)")
    _add_ice_options(demo, stun_server="")

    pc_echo = _add_command(commands, "pc-echo", "two peer connections in this process echo a message")
    _add_ice_options(pc_echo, stun_server=DEFAULT_STUN_SERVER)

    ice_echo = _add_command(commands, "ice-echo", "two ICE agents in this process echo a datagram, without encryption")
    _add_ice_options(ice_echo, stun_server=DEFAULT_STUN_SERVER)
    ice_echo.add_argument(
        "-f",
        dest="candidate_type",
        choices=("host", "srflx", "relay"),
        help="exchange only candidates of this type; for relay, a TURN server runs in this process unless -s names one",
    )

    _add_doctor(commands)
    return parser


def configuration(options: argparse.Namespace) -> Configuration:
    """The configuration that the options ask for."""
    return Configuration(ice_servers=options.ice_servers, enable_ipv6=options.enable_ipv6)


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, description: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=description, description=description + ".", epilog=_EPILOG)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log to standard error; twice for more")
    parser.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="when to give up (default 60)"
    )
    return parser


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = _add_command(commands, "doctor", "what this network lets peers reach, why, and what to do about it")
    doctor.epilog = (
        "exit codes: 0 peers beyond this network are in reach, or no server was asked (verdict good, limited or "
        "relay-only), 1 not done in time, 2 wrong usage, 3 no way out was found (verdict offline)"
    )
    doctor.add_argument("--json", action="store_true", help="the report as JSON, its verdict in one word")
    _add_ice_options(doctor, stun_server=DEFAULT_STUN_SERVER, silence="takes 5 s")


def _add_ice_options(parser: argparse.ArgumentParser, *, stun_server: str, silence: str = "delays nothing") -> None:
    parser.add_argument(
        "-s",
        dest="ice_servers",
        action=_AddServers,
        type=_ice_servers,
        default=stun_server,
        metavar="HOST:PORT",
        help="STUN server, or the URL of a STUN or TURN server (turn:user:password@host?transport=tcp); again for "
        f'more, "" for none (default {stun_server or "none"}). One that does not answer {silence}',
    )
    parser.add_argument("-6", dest="enable_ipv6", action="store_true", help="use IPv6 addresses as well")


class _AddServers(argparse.Action):
    """The first takes the place of the default, each further one stands beside those before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, (() if before is self.default else before) + tuple(values or ()))


def _ice_servers(text: str) -> tuple[IceServer, ...]:
    try:
        return parse_ice_servers((text,) if text else ())
    except InvalidArgument as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _natural(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
