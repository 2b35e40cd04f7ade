"""Channel bindings (RFC 8656 section 12)."""

from __future__ import annotations

import math
from typing import Final, final

from xp2p_trio.sansio import Address
from xp2p_trio.turn.channel_data import FIRST_CHANNEL, LAST_CHANNEL
from xp2p_trio.turn.configuration import CHANNEL_LIFETIME, MAX_CHANNELS
from xp2p_trio.turn.permissions import FIRST_RETRY, LAST_RETRY

REBIND_AFTER: Final = 300.0
"""Seconds."""

QUARANTINE: Final = CHANNEL_LIFETIME + 300.0
"""Seconds after the last request before a number or a peer may be bound otherwise (RFC 8656 section 12)."""


@final
class Channel:
    """One binding.

    Attributes:
        peer: canonical.
        number: 0x4000 to 0x4FFF.
        due: when it is to be requested, `math.inf` while a request is under way.
        expires: when the server forgets it, `-math.inf` before it was bound.
        retry: how long to wait after the next failure.
    """

    __slots__ = ("due", "expires", "number", "peer", "retry")

    def __init__(self, peer: Address, number: int, now: float) -> None:
        self.peer = peer
        self.number = number
        self.due = now
        self.expires = -math.inf
        self.retry = FIRST_RETRY


@final
class Channels:
    """The peers that are to have a channel.

    Attributes:
        wanted: by peer.
        bound: the number by peer, of those that the server has.
        peers: by number, of all that are wanted: data may come before the response (RFC 8656 section 12).
    """

    def __init__(self) -> None:
        self.wanted: dict[Address, Channel] = {}
        self.bound: dict[Address, int] = {}
        self.peers: dict[int, Address] = {}
        self._next_number = FIRST_CHANNEL
        self._retired: dict[Address, tuple[int, float]] = {}
        self._next_timeout = math.inf

    @property
    def is_full(self) -> bool:
        """Whether no further peer fits."""
        return len(self.wanted) >= MAX_CHANNELS or self._next_number > LAST_CHANNEL

    @property
    def next_timeout(self) -> float:
        """When something is due or expires."""
        return self._next_timeout

    def want(self, peer: Address, now: float) -> None:
        """Ask for this one. A number never goes to a second peer; a peer gets its old one back."""
        number, _ = self._retired.pop(peer, (0, 0.0))
        if not number:
            number = self._next_number
            self._next_number += 1
        self.wanted[peer] = Channel(peer, number, now)
        self.peers[number] = peer
        self._reckon()

    def forget(self, peer: Address, now: float) -> None:
        """Use it no more; the server lets it expire."""
        channel = self.wanted.pop(peer, None)
        if channel is not None:
            del self.peers[channel.number]
            self.bound.pop(peer, None)
            self._retired = {old: kept for old, kept in self._retired.items() if kept[1] > now}
            self._retired[peer] = channel.number, now + QUARANTINE
            self._reckon()

    def clear(self) -> None:
        """Forget all of them."""
        self.wanted.clear()
        self.bound.clear()
        self.peers.clear()
        self._reckon()

    def take_due(self, now: float) -> list[Channel]:
        """Those to be requested now."""
        due = [channel for channel in self.wanted.values() if channel.due <= now]
        for channel in due:
            channel.due = math.inf
        if due:
            self._reckon()
        return due

    def installed(self, peer: Address, sent_at: float) -> bool:
        """The server has it as of `sent_at` or later. Returns whether that is new."""
        channel = self.wanted.get(peer)
        if channel is None:
            return False
        is_new = peer not in self.bound
        self.bound[peer] = channel.number
        channel.expires = max(channel.expires, sent_at + CHANNEL_LIFETIME)
        channel.due = sent_at + REBIND_AFTER
        channel.retry = FIRST_RETRY
        self._reckon()
        return is_new

    def failed(self, peer: Address, now: float) -> None:
        """Ask once more after a while."""
        channel = self.wanted.get(peer)
        if channel is not None:
            channel.due = now + channel.retry
            channel.retry = min(channel.retry * 2, LAST_RETRY)
            self._reckon()

    def expire(self, now: float) -> None:
        """Take those that the server has forgotten out of the bound ones."""
        gone = [peer for peer in self.bound if self.wanted[peer].expires <= now]
        for peer in gone:
            del self.bound[peer]
        if gone:
            self._reckon()

    def _reckon(self) -> None:
        soonest = min((channel.due for channel in self.wanted.values()), default=math.inf)
        self._next_timeout = min(soonest, min((self.wanted[peer].expires for peer in self.bound), default=math.inf))
