"""The demo's lines: a time, who, and what. Coloured on a terminal where `rich` (the extra `cli`) is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO, TypeAlias, final

import trio

Write: TypeAlias = Callable[[str, str, str, str], None]
"""Prints a time, who, what and the details."""


@final
class Timeline:
    """Lines with the milliseconds since it was made."""

    def __init__(self) -> None:
        self._write = _writer(sys.stdout)
        self._start = trio.current_time()

    def tell(self, who: str, what: str, details: str = "") -> None:
        """Print what happened just now."""
        self._write(f"{(trio.current_time() - self._start) * 1000:4.0f} ms", who, what, details)

    def figure(self, name: str, text: str) -> None:
        """Print a figure, which has no time of its own."""
        self._write("", name, text, "")


def _writer(stream: TextIO) -> Write:
    if stream.isatty():
        try:
            from rich.console import Console
            from rich.text import Text
        except ImportError:
            pass
        else:
            console = Console(file=stream, highlight=False, soft_wrap=True)

            def write_coloured(time: str, who: str, what: str, details: str) -> None:
                first = (f"{time:>7}  ", "dim"), (f"{who:<6} ", "bold cyan")
                line = Text.assemble(*first, f"{what:<20} ", (details, "dim"))
                line.rstrip()
                console.print(line)

            return write_coloured

    def write_plain(time: str, who: str, what: str, details: str) -> None:
        print(f"{time:>7}  {who:<6} {what:<20} {details}".rstrip(), file=stream, flush=True)

    return write_plain
