"""`main`: parse, run, judge."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import trio

from xp2p_trio.cli.demo import demo
from xp2p_trio.cli.doctor import doctor
from xp2p_trio.cli.ice_echo import ice_echo
from xp2p_trio.cli.options import build_parser
from xp2p_trio.cli.outcome import ExitCode, judge
from xp2p_trio.cli.pc_echo import pc_echo

Command: TypeAlias = Callable[[argparse.Namespace], Awaitable[ExitCode | None]]
"""Runs with the options; None is `ExitCode.OK`."""

COMMANDS: dict[str, Command] = {
    "demo": demo,
    "doctor": doctor,
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
        return trio.run(_run, COMMANDS[options.command], options)
    except BaseException as error:  # noqa: BLE001, ASYNC103 - judge raises what it does not know
        code, message = judge(error)
        print(f"xp2p-trio {options.command}: {message}", file=sys.stderr)
        return code  # noqa: ASYNC104 - the process ends here


async def _run(command: Command, options: argparse.Namespace) -> ExitCode:
    with trio.fail_after(options.timeout):
        return await command(options) or ExitCode.OK
