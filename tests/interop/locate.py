"""Where the foreign peers are. The nox session `interop` installs them and passes their places by the environment.

| peer | place | without the variable |
|---|---|---|
| aiortc | `XP2P_AIORTC_PYTHON`, an interpreter that has aiortc | this interpreter |
| node-datachannel | `XP2P_NODE_MODULES`, the folder of that name | none |
| Chromium | `XP2P_CHROMIUM`, a command | `chromium` on the path |

By hand: `pip install aiortc websockets`, `npm install --prefix FOLDER node-datachannel` (its native binary is a
platform package of the registry: nothing is compiled, no install script is needed) and `apt-get install chromium`; then
`pytest -m interop tests/interop`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

PEERS = ("aiortc", "node", "chromium")

HIDE_ADDRESSES = "WebRtcHideLocalIpsWithMdns"
"""Chromium's feature of announcing host candidates by mDNS names only; on in a browser as it comes."""

_SCRIPTS = Path(__file__).parent / "peers"


class NotInstalledError(Exception):
    """A foreign peer is not here; the text says what is missing."""


def command(peer: str) -> list[str]:
    """The command line that starts a peer."""
    match peer:
        case "aiortc":
            return [_find_aiortc(), str(_SCRIPTS / "aiortc_peer.py")]
        case "node":
            return [_find("node"), str(_SCRIPTS / "node_peer.mjs"), _find_node_modules()]
        case "chromium":
            return [
                sys.executable,
                str(_SCRIPTS / "chromium.py"),
                _find_chromium(),
                "--disable-features=" + HIDE_ADDRESSES,
            ]
        case "chromium-mdns":
            return [
                sys.executable,
                str(_SCRIPTS / "chromium.py"),
                _find_chromium(),
                "--enable-features=" + HIDE_ADDRESSES,
            ]
    raise ValueError(peer)


def _find_aiortc() -> str:
    if python := os.environ.get("XP2P_AIORTC_PYTHON"):
        return python
    if importlib.util.find_spec("aiortc") is None:
        raise NotInstalledError("aiortc is not installed and XP2P_AIORTC_PYTHON is not set")
    return sys.executable


def _find_node_modules() -> str:
    folder = os.environ.get("XP2P_NODE_MODULES")
    if folder is None:
        raise NotInstalledError("XP2P_NODE_MODULES is not set")
    if not Path(folder, "node-datachannel").is_dir():
        raise NotInstalledError(f"no node-datachannel in {folder}")
    return folder


def _find_chromium() -> str:
    if importlib.util.find_spec("websockets") is None:
        raise NotInstalledError("websockets is not installed, without which Chromium cannot be driven")
    return os.environ.get("XP2P_CHROMIUM") or _find("chromium", "chromium-browser", "google-chrome")


def _find(*names: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise NotInstalledError(f"{names[0]} is not on the path")
