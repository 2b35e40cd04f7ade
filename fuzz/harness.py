"""How the fuzz targets run.

    nox -s fuzz -- 30                                       every target, 30 seconds each
    nox -s fuzz -- 600 sctp                                 the targets whose name contains "sctp"
    python -m fuzz.fuzz_stun -max_total_time=60 found/      one target, with libFuzzer's own arguments
    python -m fuzz.fuzz_stun crash-4f2a                     one input again

A target is a module `fuzz/fuzz_<door>.py` with a function `test_one_input(data: bytes) -> None` that returns for every
input and raises only for a bug of ours. It imports without atheris, because `tests/fuzz` runs the same function under
Hypothesis. At its bottom stands

    if __name__ == "__main__":
        from fuzz.harness import main

        main(test_one_input)

Seeds lie in `fuzz/corpus/<door>/`, one input a file; an input that once failed stays there as a regression.

Each input has to do with `RECURSION_LIMIT` frames above its caller and `CPU_LIMIT` seconds of processor time, so that
what recurses or loops on an attacker's numbers fails here; libFuzzer's `-timeout` and `-rss_limit_mb` bound hangs and
memory.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import pathlib
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeAlias

Target: TypeAlias = Callable[[bytes], None]

RECURSION_LIMIT = 80
CPU_LIMIT = 2.0

_DEFAULTS = {"-timeout": "10", "-rss_limit_mb": "1024", "-max_len": "4096"}


class TooSlow(AssertionError):
    """One input cost more than `CPU_LIMIT`."""


def limited(test_one_input: Target) -> Target:
    """The same target with the limits on recursion and processor time."""

    @functools.wraps(test_one_input)
    def run(data: bytes) -> None:
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(_depth() + RECURSION_LIMIT)
        started = time.process_time()
        try:
            test_one_input(data)
        finally:
            sys.setrecursionlimit(before)
        spent = time.process_time() - started
        if spent > CPU_LIMIT:
            raise TooSlow(f"{len(data)} bytes took {spent:.2f} s of processor time")

    return run


def main(test_one_input: Target) -> None:
    """Fuzz the target of the module that runs as `__main__`, guided by the coverage of xp2p_trio."""
    try:
        import atheris
    except ImportError:
        raise SystemExit(
            "atheris is not installed, so there is nothing to guide the fuzzer; `nox -s fuzz` brings it along, "
            "and `pytest tests/fuzz` runs the same targets under Hypothesis"
        ) from None
    given = {argument.partition("=")[0] for argument in sys.argv[1:]}
    arguments = [f"{name}={value}" for name, value in _DEFAULTS.items() if name not in given]
    path = test_one_input.__code__.co_filename
    with atheris.instrument_imports(include=["xp2p_trio"]):
        target = _load_again(path, test_one_input.__name__)
    atheris.Setup([sys.argv[0], *arguments, *sys.argv[1:]], limited(target))
    atheris.Fuzz()


def _load_again(path: str, name: str) -> Target:
    """Import the target once more, now with instrumentation: the package was loaded bare when `__main__` started."""
    for module in [module for module in sys.modules if module.partition(".")[0] == "xp2p_trio"]:
        del sys.modules[module]
    spec = importlib.util.spec_from_file_location(f"fuzz.{pathlib.Path(path).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    target: Target = getattr(module, name)
    return target


def _depth() -> int:
    frame: FrameType | None = inspect.currentframe()
    depth = 0
    while frame is not None:
        frame = frame.f_back
        depth += 1
    return depth
