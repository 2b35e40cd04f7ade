"""The two terminal events that every layer shares. Whichever comes is the last event of its layer."""

from __future__ import annotations

import attrs

from xp2p_trio.errors import Failure


@attrs.frozen
class Closed:
    """The layer has ended in an orderly way.

    Attributes:
        by_peer: whether the other side asked for the end.
    """

    by_peer: bool = False


@attrs.frozen
class Failed:
    """The layer has ended because the peer or the path broke."""

    failure: Failure
