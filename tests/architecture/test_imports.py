"""What a program gets when it imports one layer: that layer, and no trio."""

from __future__ import annotations

import subprocess
import sys

import pytest

SANS_IO = ("errors", "sansio", "stun", "dtls", "sctp", "sdp", "mdns", "datachannel", "turn", "ice", "peer")

_LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
above = ("xp2p_trio.driver", "xp2p_trio.testing", "xp2p_trio.cli")
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"trio", "trio_util"}),
      *sorted(name for name in sys.modules if name.startswith(above)))
"""


def loaded_with(module: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, module], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("package", SANS_IO)
def test_sans_io_package_does_not_load_trio_or_a_driver(package: str) -> None:
    assert loaded_with(f"xp2p_trio.{package}") == []


def test_importing_the_root_alone_does_not_load_trio() -> None:
    assert loaded_with("xp2p_trio") == []


def test_the_probe_sees_trio_where_it_is() -> None:
    assert loaded_with("trio") == ["trio"]


@pytest.mark.parametrize("package", SANS_IO)
def test_each_package_can_be_imported_first(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import xp2p_trio.{package}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
