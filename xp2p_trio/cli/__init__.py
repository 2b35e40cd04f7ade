"""The command `xp2p-trio`."""

from xp2p_trio.cli.main import main

__all__ = ["main"]
