"""Stream pairs: who may use an id, who holds it, and when it is free again (RFC 8832 section 6, RFC 8831 section 6.7).

An id is held by a channel, or by a reset that is under way, or by both. It is free only after both directions were
reset, so that no side takes a message of an old channel for one of a new channel.
"""

from __future__ import annotations

import enum
from typing import Final, final

from xp2p_trio.datachannel.channel import ChannelRecord
from xp2p_trio.datachannel.parameters import MAX_STREAM_ID

MAX_RESETS: Final = 2048
"""Resets under way beyond which streams without a channel get none: twice the channels that may be open by default."""

_OUTGOING: Final = 1
_INCOMING: Final = 2


class ResetProgress(enum.Enum):
    """What the reset of one direction means for the stream pair."""

    REQUESTED = "the peer began; our direction is to be reset as well"
    PENDING = "the other direction is not reset yet, or nothing was under way"
    COMPLETED = "both directions are reset"


@final
class StreamTable:
    """All stream pairs of an association that are in use.

    Attributes:
        owners: the channel of each id that has one.
        limit: ids are below it.
        is_associated: whether the association is up.
    """

    __slots__ = ("_parity", "_resets", "is_associated", "limit", "owners")

    def __init__(self) -> None:
        self.owners: dict[int, ChannelRecord] = {}
        self.limit = MAX_STREAM_ID + 1
        self.is_associated = False
        self._parity = 0
        self._resets: dict[int, int] = {}  # the directions whose reset is awaited

    def associate(self, *, is_dtls_client: bool, outbound_streams: int) -> None:
        """The association is up: from now on parity and number of the streams are known."""
        self.is_associated = True
        self._parity = 0 if is_dtls_client else 1
        self.limit = min(outbound_streams, MAX_STREAM_ID + 1)

    def assign(self) -> int | None:
        """The lowest free id of our parity: even for the DTLS client, odd for the server."""
        ids = range(self._parity, self.limit, 2)
        return next((stream_id for stream_id in ids if self.is_free(stream_id)), None)

    def is_free(self, stream_id: int) -> bool:
        """Whether nobody holds the id."""
        return stream_id not in self.owners and stream_id not in self._resets

    def is_of_peer(self, stream_id: int) -> bool:
        """Whether the peer may open a channel with this id, by its parity and its size."""
        return stream_id & 1 != self._parity and stream_id < self.limit

    def is_resetting(self, stream_id: int) -> bool:
        """Whether a reset of the pair is under way."""
        return stream_id in self._resets

    def awaits_only_ours(self, stream_id: int) -> bool:
        """Whether the peer's direction is reset and only the confirmation of ours is missing."""
        return self._resets.get(stream_id) == _OUTGOING

    def begin_reset(self, stream_id: int) -> bool:
        """Await both directions; False if that would exceed the limit for streams without a channel."""
        return self._await(stream_id, _OUTGOING | _INCOMING)

    def incoming_reset(self, stream_id: int) -> ResetProgress:
        """The peer has reset its direction."""
        awaited = self._resets.get(stream_id)
        if awaited is None:
            return ResetProgress.REQUESTED if self._await(stream_id, _OUTGOING) else ResetProgress.PENDING
        return self._arrive(stream_id, awaited & ~_INCOMING)

    def outgoing_reset(self, stream_id: int) -> ResetProgress:
        """Our direction is reset."""
        awaited = self._resets.get(stream_id)
        return ResetProgress.PENDING if awaited is None else self._arrive(stream_id, awaited & ~_OUTGOING)

    def outgoing_denied(self, stream_id: int) -> bool:
        """Our direction will not be reset: the pair is kept until the peer resets its own; whether a reset was due."""
        if stream_id not in self._resets:
            return False
        self._resets[stream_id] = _INCOMING
        return True

    def _await(self, stream_id: int, directions: int) -> bool:
        if stream_id >= self.limit:
            return False
        if stream_id not in self.owners and len(self._resets) >= MAX_RESETS:
            return False
        self._resets[stream_id] = directions
        return True

    def _arrive(self, stream_id: int, awaited: int) -> ResetProgress:
        if awaited:
            self._resets[stream_id] = awaited
            return ResetProgress.PENDING
        del self._resets[stream_id]
        return ResetProgress.COMPLETED
