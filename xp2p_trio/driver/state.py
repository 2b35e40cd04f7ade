"""States that can be awaited: `trio_util.AsyncValue`, typed, and not for users to assign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    class StateValue(Generic[T]):
        """A value that changes, and that a task can wait for. It is a level: fast changes may be seen as one."""

        def __init__(self, value: T) -> None: ...

        @property
        def value(self) -> T:
            """The value now."""

        async def wait_value(self, value_or_predicate: T | Callable[[T], bool], *, held_for: float = 0) -> T:
            """Wait until the value is this one, or satisfies the predicate, for so many seconds."""

        async def wait_transition(self) -> tuple[T, T]:
            """Wait for the next change; returns the new and the old value."""

        def eventual_values(self) -> AsyncIterator[T]:
            """Iterate over the value and its changes; values between two looks are skipped."""

        def transitions(self) -> AsyncIterator[tuple[T, T]]:
            """Iterate over the changes as (new, old); changes between two looks are skipped."""

        def publish(self, value: T) -> None:
            """Set the value; for the driver alone."""

else:
    import trio_util

    class StateValue(trio_util.AsyncValue):
        """See above. A genuine `AsyncValue`, since `trio_util.compose_values` insists on one."""

        @property
        def value(self):
            """The value now."""
            return self._value

        async def wait_value(self, value_or_predicate, *, held_for=0.0):
            """Wait until the value is this one, or satisfies the predicate, for so many seconds."""
            if not callable(value_or_predicate):
                return await super().wait_value(value_or_predicate, held_for=held_for)
            guarded = _Guarded(value_or_predicate)
            value = await super().wait_value(guarded, held_for=held_for)
            if guarded.error is not None:
                raise guarded.error
            return value

        def publish(self, value):
            """Set the value; for the driver alone."""
            trio_util.AsyncValue.value.fset(self, value)

    class _Guarded:
        """A user's predicate. `AsyncValue` calls it in the task that sets the value, where its errors do not belong."""

        def __init__(self, predicate):
            self.predicate = predicate
            self.error = None

        def __call__(self, value):
            try:
                return self.error is not None or self.predicate(value)
            except Exception as error:  # noqa: BLE001 - raised again in the task that waits
                self.error = error
                return True
