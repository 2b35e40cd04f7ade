"""The limits, the loading, and what is said where atheris is missing."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys

import pytest

from fuzz import harness
from fuzz.harness import RECURSION_LIMIT, TooSlow, limited

ROOT = pathlib.Path(__file__).parents[2]

TARGET = """
import xp2p_trio.sansio
from xp2p_trio.errors import DecodeError

def test_one_input(data: bytes) -> None:
    try:
        xp2p_trio.sansio.walk_tlv(data, 0, length_counts_header=True)
    except DecodeError:
        pass
    {then}

if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
"""


def descend(depth: int) -> None:
    if depth:
        descend(depth - 1)


def test_recursion_is_bounded_and_the_limit_restored() -> None:
    before = sys.getrecursionlimit()
    limited(lambda data: descend(RECURSION_LIMIT // 2))(b"")
    with pytest.raises(RecursionError):
        limited(lambda data: descend(RECURSION_LIMIT * 2))(b"")
    assert sys.getrecursionlimit() == before


def test_processor_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "CPU_LIMIT", 0.001)
    with pytest.raises(TooSlow, match="3 bytes"):
        limited(descend_often)(b"abc")


def descend_often(data: bytes) -> None:
    for _ in range(200_000):
        descend(len(data))


def run(path: pathlib.Path, *arguments: str, without_atheris: bool = False) -> subprocess.CompletedProcess[str]:
    block = "import sys; sys.modules['atheris'] = None; " if without_atheris else "import sys; "
    code = f"{block}import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code, str(path), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_missing_atheris_is_said(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "fuzz_toy.py"
    path.write_text(TARGET.format(then="pass"))
    done = run(path, without_atheris=True)
    assert done.returncode == 1
    assert "atheris is not installed" in done.stderr
    assert "tests/fuzz" in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_libfuzzer_gets_its_arguments_and_finds_what_coverage_shows(tmp_path: pathlib.Path) -> None:
    good, bad = tmp_path / "fuzz_good.py", tmp_path / "fuzz_bad.py"
    good.write_text(TARGET.format(then="pass"))
    bad.write_text(TARGET.format(then="assert data[:1] != b'x'"))
    done = run(good, "-runs=2000", "-seed=1", f"-artifact_prefix={tmp_path}/")
    assert done.returncode == 0, done.stderr
    assert "Done 2000" in done.stderr
    done = run(bad, "-runs=200000", "-seed=1", f"-artifact_prefix={tmp_path}/")
    assert done.returncode != 0
    assert list(tmp_path.glob("crash-*"))
