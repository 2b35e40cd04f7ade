"""The command line as its users meet it: exit codes, usage, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import trio

import xp2p_trio
from xp2p_trio.cli import main
from xp2p_trio.cli.outcome import DemoFailed, ExitCode, judge
from xp2p_trio.driver import ConnectionFailed
from xp2p_trio.errors import Failure, InvalidArgument, Reason

COMMANDS = ("demo", "doctor", "pc-echo", "ice-echo")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"xp2p-trio {xp2p_trio.__version__}\n"


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert command in shown
    assert "exit codes" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == 0
    assert "-s HOST:PORT" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["demo", "--unknown"],
        ["pc-echo", "-f", "host"],
        ["ice-echo", "-f", "prflx"],
        ["pc-echo", "-s", "turns:server.example"],
        ["ice-echo", "-s", "turn:server.example"],
        ["demo", "-s", "stun.example", "-s", "stuns:server.example"],
        ["pc-echo", "-s", "server.example:70000"],
        ["demo", "--size", "0"],
        ["demo", "-n", "x"],
        ["demo", "--timeout", "-1"],
    ],
)
def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: xp2p-trio")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["demo", "-n", "x"], "'x' is not a whole number of at least 1"),
        (["demo", "--size", "0"], "'0' is not a whole number of at least 1"),
        (["demo", "--timeout", "soon"], "'soon' is not a number of seconds above 0"),
        (["demo", "--timeout", "nan"], "'nan' is not a number of seconds above 0"),
    ],
)
def test_wrong_numbers_are_named(capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str) -> None:
    assert main(arguments) == 2
    assert reason in capsys.readouterr().err


NO_PATH = ConnectionFailed(Failure("ice", Reason.NO_PATH, "nothing answered"))
REFUSED = ConnectionFailed(Failure("dtls", Reason.HANDSHAKE_REFUSED, "refused"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NO_PATH, 3),
        (REFUSED, 1),
        (DemoFailed("other bytes"), 1),
        (trio.TooSlowError(), 1),
        (OSError("port taken"), 1),
        (InvalidArgument("no"), 2),
        (KeyboardInterrupt(), 130),
        (BaseExceptionGroup("both", [REFUSED, ExceptionGroup("inner", [NO_PATH])]), 1),
        (ExceptionGroup("both", [trio.TooSlowError(), NO_PATH]), 3),
        (BaseExceptionGroup("all", [NO_PATH, KeyboardInterrupt()]), 130),
    ],
)
def test_what_ends_a_command_decides_its_exit_code(error: BaseException, code: int) -> None:
    assert judge(error)[0] == code


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        judge(ZeroDivisionError())


def test_not_done_in_time_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pc-echo", "-s", "", "--timeout", "0.000001"]) == ExitCode.FAILED
    assert "not done in time" in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "xp2p_trio", "pc-echo", "-s", ""],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Echo successful!\n")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_control_c_is_130_without_a_traceback() -> None:
    command = [sys.executable, "-u", "-m", "xp2p_trio", "demo", "--size", "1000000", "-n", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "echo" in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert err == "xp2p-trio demo: interrupted\n"
