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

_HIDE_ADDRESSES = "WebRtcHideLocalIpsWithMdns"

_TRIALS = ("ForceDtls13", "EnableDtlsPqc", "Sctp-Snap", "IceHandshakeDtls", "DataChannelMessageInterleaving")

CHROMIUM_FLAGS = {
    # Host candidates with addresses, as a page gets them that may use the microphone.
    "chromium": ["--disable-features=" + _HIDE_ADDRESSES],
    # Host candidates with mDNS names only, as every other page gets them.
    "chromium-mdns": ["--enable-features=" + _HIDE_ADDRESSES],
    # What is being tried out: DTLS 1.3 with ML-KEM (a ClientHello in two datagrams), SNAP (`a=sctp-init`), DTLS inside
    # of STUN (SPED) and I-DATA. Who knows none of it must not be disturbed by it.
    "chromium-next": [
        "--disable-features=" + _HIDE_ADDRESSES,
        "--force-fieldtrials=" + "".join(f"WebRTC-{trial}/Enabled/" for trial in _TRIALS),
    ],
}
"""The browser in several moods, each a peer of its own."""

_SCRIPTS = Path(__file__).parent / "peers"


class NotInstalledError(Exception):
    """A foreign peer is not here; the text says what is missing."""


def command(peer: str) -> list[str]:
    """The command line that starts a peer."""
    match peer:
        case "xp2p":
            return [sys.executable, str(_SCRIPTS / "xp2p_peer.py")]
        case "aiortc":
            return [_find_aiortc(), str(_SCRIPTS / "aiortc_peer.py")]
        case "node":
            return [_find("node"), str(_SCRIPTS / "node_peer.mjs"), _find_node_modules()]
        case "chromium" | "chromium-mdns" | "chromium-next":
            return [sys.executable, str(_SCRIPTS / "chromium.py"), _find_chromium(), *CHROMIUM_FLAGS[peer]]
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
