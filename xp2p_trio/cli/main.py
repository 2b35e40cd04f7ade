"""`main`: parse, run, judge."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence

import trio

from xp2p_trio.cli.demo import demo
from xp2p_trio.cli.ice_echo import ice_echo
from xp2p_trio.cli.options import build_parser
from xp2p_trio.cli.outcome import ExitCode, judge
from xp2p_trio.cli.pc_echo import pc_echo

COMMANDS: dict[str, Callable[[argparse.Namespace], Awaitable[None]]] = {
    "demo": demo,
    "pc-echo": pc_echo,
    "ice-echo": ice_echo,
}

_LOG_LEVELS = (logging.ERROR, logging.INFO, logging.DEBUG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        argv: the arguments, those of the process by default.
    """
    try:
        options = build_parser().parse_args(argv)
    except SystemExit as leaving:  # argparse has said what is wrong, or has shown the help
        return int(leaving.code or 0)
    logging.basicConfig(
        level=_LOG_LEVELS[min(options.verbose, len(_LOG_LEVELS) - 1)],
        format="%(asctime)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        trio.run(_run, COMMANDS[options.command], options)
    except BaseException as error:  # noqa: BLE001, ASYNC103 - judge raises what it does not know
        code, message = judge(error)
        print(f"xp2p-trio {options.command}: {message}", file=sys.stderr)
        return code  # noqa: ASYNC104 - the process ends here
    return ExitCode.OK


async def _run(command: Callable[[argparse.Namespace], Awaitable[None]], options: argparse.Namespace) -> None:
    with trio.fail_after(options.timeout):
        await command(options)
