"""A timer is plain data: a deadline, or none."""

from __future__ import annotations

import math
from typing import final


@final
class Timer:
    """A deadline that its owner asks about; nothing calls back.

    Attributes:
        deadline: absolute seconds, `math.inf` while stopped.
    """

    __slots__ = ("deadline",)

    def __init__(self) -> None:
        self.deadline = math.inf

    def start(self, deadline: float) -> None:
        """Run until `deadline`, whatever was set before."""
        self.deadline = deadline

    def stop(self) -> None:
        """Forget the deadline."""
        self.deadline = math.inf

    @property
    def is_running(self) -> bool:
        """Whether a deadline is set."""
        return self.deadline != math.inf

    def expire(self, now: float) -> bool:
        """Whether the deadline has come; if so the timer is stopped, so that each start expires once."""
        if now < self.deadline:
            return False
        self.deadline = math.inf
        return True
