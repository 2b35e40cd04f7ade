"""Background tasks behind an `async with`, that a user never sees: what goes wrong in the block comes out unchanged.

Trio's manual ("Designing for multiple errors") allows this where one exception at most can come out. Here background
tasks never raise for what the network does; if one raises, that is a bug and comes out as `InternalError`.

Each task is shielded from cancellation outside, so that a connection still works for a shielded clean-up in a block
that is being cancelled; it ends when the block has ended, however that came.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import final

import trio

from xp2p_trio.errors import InternalError


@final
class Background:
    """Starts tasks that live as long as the block."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._scopes: set[trio.CancelScope] = set()
        self._is_over = False

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a task in the background."""
        scope = trio.CancelScope(shield=True)
        if self._is_over:
            scope.cancel("the block was left before")
        self._scopes.add(scope)
        self._nursery.start_soon(self._run, scope, function, args)

    def cancel(self, reason: str) -> None:
        """End every task, and those that are started from now on."""
        self._is_over = True
        for scope in self._scopes:
            scope.cancel(reason)

    async def _run(
        self, scope: trio.CancelScope, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        try:
            with scope:
                await function(*args)
        finally:
            self._scopes.discard(scope)


@asynccontextmanager
@trio.lowlevel.enable_ki_protection
async def hidden_nursery(
    *, close: Callable[[], Awaitable[object]], abort: Callable[[], object]
) -> AsyncGenerator[Background, None]:
    """Open a nursery for background tasks.

    Args:
        close: awaited when the block ends normally; it may wait, in bounded time.
        abort: called when the block ends by an exception, or `close` is cancelled; it cannot wait.

    Raises:
        InternalError: a background task crashed.
    """
    error: BaseException | None = None
    crashed_first = False
    try:
        async with trio.open_nursery() as nursery:
            background = Background(nursery)
            try:
                yield background
                await close()
            except BaseException as exc:  # noqa: BLE001, ASYNC103 - raised again below, outside of the nursery
                error = exc
                crashed_first = nursery.cancel_scope.cancel_called
                abort()
            finally:  # also when `abort` meets the bug that has crashed a task
                background.cancel("the connection's block was left")
    except BaseExceptionGroup as group:
        crash = group.split(trio.Cancelled)[1]
        if crash is None:  # an outer cancellation, which comes in addition to what the block says
            error = error or group.exceptions[0]
        elif error is None or crashed_first:
            _raise_crash(crash)
        else:
            raise BaseExceptionGroup("the block and the background both failed", [error, crash]) from None
    if error is not None:
        raise error


def _raise_crash(crash: BaseExceptionGroup[BaseException]) -> None:
    fatal = crash.subgroup((KeyboardInterrupt, SystemExit))
    if fatal is not None:
        leaf: BaseException = fatal
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        raise leaf
    raise InternalError("a background task of xp2p_trio crashed; please report this with its cause") from crash
