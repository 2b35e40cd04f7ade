"""What an endpoint says."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio.sansio import Closed


@attrs.frozen
class NameResolved:
    """Somebody on the local link has answered for the name.

    Attributes:
        name: as it was asked for, in lower case.
        hosts: one or more numeric addresses.
    """

    name: str
    hosts: tuple[str, ...]


@attrs.frozen
class NameUnresolved:
    """Nobody has answered, there is nothing to ask by, or too many names are asked for already."""

    name: str


Event: TypeAlias = NameResolved | NameUnresolved | Closed
"""Everything that `Endpoint.take_events` gives."""
