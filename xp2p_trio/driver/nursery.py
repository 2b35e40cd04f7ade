"""A nursery behind an `async with`, that a user never sees: what goes wrong in the block comes out unchanged.

Trio's manual ("Designing for multiple errors") allows this where one exception at most can come out. Here the tasks in
the nursery never raise for what the network does; if one raises, that is a bug and comes out as `InternalError`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from xp2p_trio.errors import InternalError


@asynccontextmanager
@trio.lowlevel.enable_ki_protection
async def hidden_nursery(
    *, close: Callable[[], Awaitable[object]], abort: Callable[[], object]
) -> AsyncGenerator[trio.Nursery, None]:
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
            try:
                yield nursery
                await close()
            except BaseException as exc:  # noqa: BLE001, ASYNC103 - raised again below, outside of the nursery
                error = exc
                crashed_first = nursery.cancel_scope.cancel_called
                abort()
            nursery.cancel_scope.cancel("the connection's block was left")
    except BaseExceptionGroup as group:
        crash = group.split(trio.Cancelled)[1]
        if crash is None:  # an outer cancellation, which reaches the background as well
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
