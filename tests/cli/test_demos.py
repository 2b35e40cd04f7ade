"""The demos over this machine's own sockets. Their output is part of the contract."""

from __future__ import annotations

import io
import re
import sys

import pytest
import trio
import trio.testing

from xp2p_trio.cli import main
from xp2p_trio.cli.ice_echo import ice_echo
from xp2p_trio.cli.options import build_parser
from xp2p_trio.cli.timeline import Timeline
from xp2p_trio.driver import ConnectionFailed

SILENT_SERVER = "203.0.113.9:3478"  # TEST-NET-3, RFC 5737: nothing answers there
CANDIDATE = re.compile(r"candidate: candidate:\S+ 1 udp \d+ \S+ \d+ typ host( ufrag \S+)?")


def of_peer(name: str, output: str) -> list[str]:
    return [line.removeprefix(f"[{name}] ") for line in output.splitlines() if line.startswith(f"[{name}] ")]


@pytest.mark.parametrize("flags", [["-s", ""], ["-6", "-s", ""], ["-s", SILENT_SERVER]], ids=str)
def test_pc_echo_prints_the_lines_of_xp2p(capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    # Gathering waits 5 s for a server: the demo must be over before.
    assert main(["pc-echo", "--timeout", "4.5", *flags]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name in ("PC-A", "PC-B"):
        assert of_peer(name, out) == [
            "State: 1",
            "State: 2",
            "DataChannel open: echo",
            "Received: Hello DataChannel!",
        ]
    assert out.splitlines()[-1] == "Echo successful!"
    assert len(out.splitlines()) == 9


@pytest.mark.parametrize("flags", [["-s", ""], ["-6", "-s", ""], ["-s", "", "-f", "host"]], ids=str)
def test_ice_echo_prints_the_lines_of_xp2p(capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    assert main(["ice-echo", "--timeout", "4.5", *flags]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert sum(CANDIDATE.fullmatch(line) is not None for line in lines) >= 2
    assert lines.count("gathering complete") == 2
    for state in (1, 2, 3):
        assert lines.count(f"ICE state: {state}") == 2
    assert [line for line in lines if line.startswith("received: ")][-2:] == ["received: Hello P2P!"] * 2
    known = re.compile(r"ICE state: [0-6]|gathering complete|received: Hello P2P!|candidate: .*")
    assert all(known.fullmatch(line) for line in lines)


def test_ice_echo_does_not_wait_for_a_silent_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ice-echo", "--timeout", "4.5", "-s", SILENT_SERVER]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "received: Hello P2P!"


def test_ice_echo_has_a_relay_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ice-echo", "--timeout", "4.5", "-s", "", "-f", "relay"]) == 0
    lines = capsys.readouterr().out.splitlines()
    candidates = [line for line in lines if line.startswith("candidate: ")]
    assert len(candidates) >= 2
    assert all(" typ relay raddr " in line for line in candidates)
    assert lines[-1] == "received: Hello P2P!"


async def test_ice_echo_without_a_candidate_finds_no_path(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    options = build_parser().parse_args(["ice-echo", "-s", "", "-f", "srflx"])
    with trio.fail_after(60), pytest.RaisesGroup(ConnectionFailed, allow_unwrapped=True, flatten_subgroups=True):
        await ice_echo(options)
    assert "candidate:" not in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["-6"], ["-s", SILENT_SERVER]], ids=str)
def test_demo_tells_every_layer_and_brings_every_byte_back(
    capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert main(["demo", "--size", "2", "-n", "20", *flags]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    expected = [
        r" +\d+ ms  alice  offer  -> bob +\d+ bytes, fingerprint sha-256 [0-9A-F:]+\.\.\.",
        r" +\d+ ms  bob    answer -> alice +\d+ bytes, fingerprint sha-256 [0-9A-F:]+\.\.\.",
        r" +\d+ ms  ICE    connected +\S+:\d+ <-> \S+:\d+ \w+/\w+, direct(, rtt \d+\.\d ms)?",
        r" +\d+ ms  DTLS   1\.\d established +ECDHE-\S+, fingerprints match",
        r" +\d+ ms  SCTP   established +\d+ streams, (zero checksum|CRC-32C)",
        r" +\d+ ms  DCEP   channel \d+ open +'demo'",
        r" +echo   20 messages, p50 \d+\.\d\d ms, p99 \d+\.\d\d ms",
        r" +bulk   2 MiB there and back in \d+\.\d\d s = [\d,]+ Mbit/s each way",
    ]
    positions = []
    lines = out.splitlines()
    for pattern in expected:
        (position,) = [index for index, line in enumerate(lines) if re.fullmatch(pattern, line)]
        positions.append(position)
    assert positions == sorted(positions)


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("has_rich", [True, False])
async def test_the_timeline_needs_no_rich(monkeypatch: pytest.MonkeyPatch, has_rich: bool) -> None:
    if has_rich:
        pytest.importorskip("rich")
    else:
        for module in ("rich", "rich.console", "rich.text"):
            monkeypatch.setitem(sys.modules, module, None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    timeline = Timeline()
    timeline.tell("ICE", "connected", "[fd00::2]:1 <-> 192.0.2.2:2")
    timeline.figure("echo", "20 messages")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert re.fullmatch(
        r" +\d+ ms  ICE    connected            \[fd00::2\]:1 <-> 192\.0\.2\.2:2\n         echo   20 messages\n", shown
    )
