"""Which hosts may be sent to, and when their permissions are refreshed (RFC 8656 section 9)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, final

from xp2p_trio.turn.configuration import MAX_PERMISSIONS, PERMISSION_LIFETIME

REFRESH_AFTER: Final = 120.0
"""Seconds: even when the clock leaps by 60 twice, there is a minute left."""

COALESCE: Final = 30.0
"""Seconds: what is due within them is refreshed along."""

MAX_HOSTS: Final = 16
"""Of one CreatePermission request, which thus stays below 600 bytes."""

FIRST_RETRY: Final = 1.0
LAST_RETRY: Final = 32.0
"""Seconds until a failed refresh is repeated, doubled each time."""


@final
class Permission:
    """One host.

    Attributes:
        host: canonical.
        due: when it is to be requested, `math.inf` while a request is under way.
        expires: when the server forgets it, `-math.inf` before it was installed.
        retry: how long to wait after the next failure.
        is_alone: whether it is requested in a request of its own, since one with others was refused.
    """

    __slots__ = ("due", "expires", "host", "is_alone", "retry")

    def __init__(self, host: str, now: float) -> None:
        self.host = host
        self.due = now
        self.expires = -math.inf
        self.retry = FIRST_RETRY
        self.is_alone = False


@final
class Permissions:
    """The hosts that are wanted.

    Attributes:
        wanted: by host.
        active: those of them that are installed.
    """

    def __init__(self) -> None:
        self.wanted: dict[str, Permission] = {}
        self.active: dict[str, Permission] = {}
        self._next_timeout = math.inf

    @property
    def is_full(self) -> bool:
        """Whether no further host fits."""
        return len(self.wanted) >= MAX_PERMISSIONS

    @property
    def next_timeout(self) -> float:
        """When something is due or expires."""
        return self._next_timeout

    def want(self, host: str, now: float) -> None:
        """Ask for this one."""
        self.wanted[host] = Permission(host, now)
        self._reckon()

    def forget(self, host: str) -> None:
        """Never ask again."""
        self.wanted.pop(host, None)
        self.active.pop(host, None)
        self._reckon()

    def clear(self) -> None:
        """Forget all of them."""
        self.wanted.clear()
        self.active.clear()
        self._reckon()

    def take_due(self, now: float) -> list[tuple[str, ...]]:
        """The hosts to be requested now, request by request."""
        if all(permission.due > now for permission in self.wanted.values()):
            return []
        alone: list[tuple[str, ...]] = []
        together: list[str] = []
        for permission in self.wanted.values():
            if permission.due <= now or (permission.host in self.active and permission.due <= now + COALESCE):
                permission.due = math.inf
                if permission.is_alone:
                    alone.append((permission.host,))
                else:
                    together.append(permission.host)
        self._reckon()
        return alone + [tuple(together[start : start + MAX_HOSTS]) for start in range(0, len(together), MAX_HOSTS)]

    def installed(self, hosts: Iterable[str], sent_at: float) -> list[str]:
        """The server has them as of `sent_at` or later. Returns those that are new."""
        new = []
        for host in hosts:
            permission = self.wanted.get(host)
            if permission is None:
                continue
            if host not in self.active:
                new.append(host)
                self.active[host] = permission
            permission.expires = max(permission.expires, sent_at + PERMISSION_LIFETIME)
            permission.due = sent_at + REFRESH_AFTER
            permission.retry = FIRST_RETRY
            permission.is_alone = False
        self._reckon()
        return new

    def failed(self, hosts: Iterable[str], now: float, *, is_alone: bool = False) -> None:
        """Ask once more, after a while, or at once but each alone."""
        for host in hosts:
            permission = self.wanted.get(host)
            if permission is not None:
                permission.due = now if is_alone else now + permission.retry
                permission.is_alone = permission.is_alone or is_alone
                permission.retry = min(permission.retry * 2, LAST_RETRY)
        self._reckon()

    def expire(self, now: float) -> bool:
        """Take those that the server has forgotten out of the active ones. Returns whether there were any."""
        gone = [host for host, permission in self.active.items() if permission.expires <= now]
        for host in gone:
            del self.active[host]
        if gone:
            self._reckon()
        return bool(gone)

    def _reckon(self) -> None:
        soonest = min((p.due for p in self.wanted.values()), default=math.inf)
        self._next_timeout = min(soonest, min((p.expires for p in self.active.values()), default=math.inf))
