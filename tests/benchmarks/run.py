"""`python -m tests.benchmarks.run`: xp2p_trio and aiortc do the same work in turns, for a table and JSON.

Two processes over this machine's own addresses, signaling through a socket pair. The figures decide nothing: they
depend on the machine and on what else it does, which is why both implementations take turns in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import pstats
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tests.benchmarks.workload import Plan, percentile
from tests.interop.coturn import HOST, Coturn

ROOT = pathlib.Path(__file__).parent.parent.parent
OURS, THEIRS = "xp2p_trio", "aiortc"
PEERS = {OURS: "tests.benchmarks.peer_xp2p", THEIRS: "tests.benchmarks.peer_aiortc"}

Summary: TypeAlias = "list[tuple[Row, dict[str, list[float]]]]"
"""Each row with every implementation's figure of every round."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what is measured, with its unit.
        read: takes the figure from one round's report.
        more_is_better: which way the ratio is read.
        digits: decimals to print.
    """

    name: str
    read: Callable[[dict[str, Any]], float]
    more_is_better: bool
    digits: int = 1


def rows(plan: Plan) -> list[Row]:
    """The table's lines."""
    table = []
    for size in plan.sizes:
        key = f"bulk_{size}"
        if size < 1024:
            table.append(Row(f"{size}-byte messages a second", lambda r, k=key: r[k]["messages_per_second"], True, 0))
        else:
            table.append(Row(f"goodput, {size // 1024} KiB, MiB/s", lambda r, k=key: r[k]["mib_per_second"], True))
            table.append(Row(f"CPU s per GiB, {size // 1024} KiB", lambda r, k=key: r[k]["cpu_seconds_per_gib"], False))
    return [
        *table,
        Row("round trip p50, us", lambda r: percentile(r["round_trips"], 0.50) * 1e6, False, 0),
        Row("round trip p99, us", lambda r: percentile(r["round_trips"], 0.99) * 1e6, False, 0),
        Row("time to open, first, ms", lambda r: r["opens"][0] * 1e3, False),
        Row("time to open, later, ms", lambda r: statistics.median(r["opens"][1:] or r["opens"]) * 1e3, False),
    ]


def run_pair(
    name: str, interpreter: str, plan: Plan, profile: tuple[str, pathlib.Path] | None = None
) -> dict[str, Any]:
    """Run both sides of one implementation; returns what A reported.

    Raises:
        RuntimeError: a side failed.
    """
    text = json.dumps(dataclasses.asdict(plan))
    ends = socket.socketpair()
    processes: dict[str, subprocess.Popen[str]] = {}
    try:
        for role, end in zip("ab", ends, strict=True):
            command = [interpreter, "-m", PEERS[name], role, str(end.fileno()), text]
            if profile is not None and profile[0] == role:
                command.append(str(profile[1]))
            processes[role] = subprocess.Popen(
                command, cwd=ROOT, pass_fds=[end.fileno()], stdout=subprocess.PIPE if role == "a" else None, text=True
            )
            end.close()
        limit = 60 + 10 * len(plan.sizes) * plan.seconds
        output, _ = processes["a"].communicate(timeout=limit)
        codes = {role: process.wait(timeout=30) for role, process in processes.items()}
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name}: not done within {error.timeout:.0f} s") from None
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
    if any(codes.values()):
        raise RuntimeError(f"{name}: exit codes {codes}")
    figures: dict[str, Any] = json.loads(output)
    return figures


def summarize(table: list[Row], reports: dict[str, list[dict[str, Any]]]) -> Summary:
    """Read every row's figures from the rounds' reports."""
    return [(row, {name: [row.read(one) for one in found] for name, found in reports.items()}) for row in table]


@contextlib.contextmanager
def stun_servers() -> Iterator[dict[str, tuple[str, ...]]]:
    """Lists of servers to open a connection with: coturn, and a socket that nobody reads before it.

    aiortc asks the first server of a list alone, and waits for it before it says anything.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        dead = f"stun:{HOST}:{silent.getsockname()[1]}"
        server = Coturn(pathlib.Path(folder))
        try:
            yield {"STUN": (server.stun_url,), "one dead": (dead, server.stun_url)}
        finally:
            server.stop()


def print_table(summary: Summary) -> None:
    """Medians over the rounds, the spread in brackets; a ratio above 1 means that xp2p_trio is ahead."""
    names = list(summary[0][1])
    print(f"{'':28}" + "".join(f"{name:>26}" for name in names) + (f"{'ahead by':>12}" if len(names) > 1 else ""))
    for row, figures in summary:
        line = f"{row.name:28}"
        for name in names:
            values = figures[name]
            spread = f"[{min(values):,.{row.digits}f} .. {max(values):,.{row.digits}f}]" if len(values) > 1 else ""
            line += f"{statistics.median(values):>10,.{row.digits}f} {spread:>15}"
        if len(names) > 1:
            ours, theirs = (statistics.median(figures[name]) for name in (OURS, THEIRS))
            line += f"{(ours / theirs if row.more_is_better else theirs / ours):>11.1f}x"
        print(line)


def print_profile(path: pathlib.Path, count: int) -> None:
    """The functions that cost most by themselves."""
    pstats.Stats(str(path)).strip_dirs().sort_stats("tottime").print_stats(count)


def main(argv: list[str] | None = None) -> int:
    """Measure; returns the exit code, which tells whether every byte arrived, never how fast."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each implementation is measured (default 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each bulk measurement (default 3)")
    parser.add_argument("--pings", type=int, default=2000, help="round trips to measure (default 2000)")
    parser.add_argument("--opens", type=int, default=10, help="connections to open (default 10)")
    parser.add_argument("--stun", action="store_true", help="measure the time to open with STUN servers; needs coturn")
    parser.add_argument("--only", choices=PEERS, help="measure one implementation alone")
    parser.add_argument("--aiortc-python", default=sys.executable, help="the interpreter that has aiortc")
    parser.add_argument("--json", type=pathlib.Path, help="where to write every figure of every round")
    parser.add_argument("--profile", choices="ab", help="profile the bulk path of one side: a sends, b receives")
    parser.add_argument("--profile-size", type=int, default=16 * 1024, help="message size of --profile")
    parser.add_argument("--top", type=int, default=30, help="how many functions --profile prints (default 30)")
    arguments = parser.parse_args(argv)
    interpreters = {OURS: sys.executable, THEIRS: arguments.aiortc_python}
    names = [arguments.only] if arguments.only else list(PEERS)
    if arguments.profile:
        plan = Plan(arguments.seconds, pings=1, opens=1, sizes=(arguments.profile_size,))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "profile")
            name = arguments.only or OURS
            figures = run_pair(name, interpreters[name], plan, (arguments.profile, path))
            print(f"{name}, side {arguments.profile}, under the profiler: {figures[f'bulk_{arguments.profile_size}']}")
            print_profile(path, arguments.top)
        return 0
    plan = Plan(arguments.seconds, arguments.pings, arguments.opens)

    def measure(title: str, plan: Plan) -> dict[str, list[dict[str, Any]]]:
        reports: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for number in range(arguments.rounds):
            for name in names:
                print(f"{title}, round {number + 1} of {arguments.rounds}: {name}", file=sys.stderr, flush=True)
                reports[name].append(run_pair(name, interpreters[name], plan))
        return reports

    summary = summarize(rows(plan), measure("data", plan))
    if arguments.stun:
        with stun_servers() as lists:
            for title, urls in lists.items():
                row = Row(f"time to open, {title}, ms", lambda r: statistics.median(r["opens"]) * 1e3, False)
                summary += summarize([row], measure(title, Plan(pings=0, opens=3, sizes=(), ice_servers=urls)))
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} processors")
    print_table(summary)
    if arguments.json:
        figures_by_row = {row.name: figures for row, figures in summary}
        arguments.json.write_text(json.dumps({"plan": dataclasses.asdict(plan), "figures": figures_by_row}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
