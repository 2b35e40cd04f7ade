"""How a command ends: exit codes, and which of them an exception means."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import trio

from xp2p_trio.driver import ConnectionFailed
from xp2p_trio.errors import LocalError


class ExitCode(enum.IntEnum):
    """What `main` returns."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_PATH = 3
    INTERRUPTED = 130  # 128 + SIGINT, as shells count


class DemoFailed(Exception):
    """What came back is not what was sent."""


def judge(error: BaseException) -> tuple[ExitCode, str]:
    """The exit code for what ended a command, and what to tell the user.

    Raises:
        BaseException: `error` itself, if it is nothing that a command expects: a bug, with its traceback.
    """
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, KeyboardInterrupt):
            return ExitCode.INTERRUPTED, "interrupted"
    for leaf in leaves:
        if isinstance(leaf, ConnectionFailed):
            return ExitCode.NO_PATH if leaf.layer == "ice" else ExitCode.FAILED, str(leaf)
    for leaf in leaves:
        if isinstance(leaf, LocalError):
            return ExitCode.USAGE, str(leaf)
        if isinstance(leaf, trio.TooSlowError):
            return ExitCode.FAILED, "not done in time; --timeout gives it longer, --verbose tells where it stands"
        if isinstance(leaf, DemoFailed | OSError | trio.BrokenResourceError):
            return ExitCode.FAILED, str(leaf)
    raise error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
