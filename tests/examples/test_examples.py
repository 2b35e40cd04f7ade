"""The programs of the documentation run, and the README shows the one that does."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"

PRINTED = {  # sorted, since two peers print in whichever order they come
    "echo.py": ["echoed: Hello DataChannel!"],
    "own_signaling.py": ["position, ordered=False: 52.5 N 13.4 E"],
    "chat.py": [
        "alice < hi, this is bob",
        "alice < how are you?",
        "bob * the other side has left",
        "bob < fine, but I have to go",
        "bob < hi, this is alice",
    ],
    "file_transfer.py": ["received photo.bin 3000000 bytes"],
    "port_forward.py": ["HELLO THROUGH TWO PEERS"],
    "asyncio_driver.py": [
        "alice ended: Closed(by_peer=False)",
        "bob ended: Closed(by_peer=True)",
        "echoed: hello from asyncio",
    ],
    "behind_nats.py": ["both port-restricted: hello", "both symmetric: no path"],
    "serve_peers.py": ["hello from alice", "hello from bob", "hello from carol"],
    "webrtc_direct.py": ["hello, stranger", "welcome back"],
    "blocking_loop.py": ["both ended", "echoed: hello from a loop"],
}


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_example_prints_what_it_should(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == PRINTED[name]


def test_embedding_examples_do_without_trio() -> None:
    for name in ("asyncio_driver.py", "blocking_loop.py"):
        text = (EXAMPLES / name).read_text()
        assert "import trio" not in text
        assert "xp2p_trio.driver" not in text


def test_readme_shows_the_echo_example_in_25_lines() -> None:
    program = (EXAMPLES / "echo.py").read_text()
    assert f"```python\n{program}```" in (ROOT / "README.md").read_text()
    assert len(program.splitlines()) <= 25


def test_ci_runs_the_commands_of_the_readme() -> None:
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    commands = [line for line in readme.splitlines() if line.startswith("python3 -m ")]
    assert len(commands) == 2
    for command in commands:
        assert command in ci
