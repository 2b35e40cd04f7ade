"""A network of which a test changes one thing."""

from typing import Any


class WrappedNetwork:
    """Everything is the host's, but what a subclass says otherwise."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)
