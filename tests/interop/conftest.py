"""Fixtures of the interop tests: the foreign processes of the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.foreign import Children


@pytest.fixture(scope="session")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """The foreign processes; they end with the session at the latest."""
    children = Children(tmp_path_factory.mktemp("interop-logs"))
    try:
        yield children
    finally:
        children.kill_all()
