"""Fixtures of the interop tests: the foreign processes of the session."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.interop.foreign import Children, require
from tests.interop.locate import PEERS

PAIRS = [("ours", peer) for peer in PEERS]
if os.environ.get("XP2P_INTEROP_FOREIGN_PAIRS"):
    PAIRS += itertools.combinations(PEERS, 2)


@pytest.fixture(scope="session")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """The foreign processes; they end with the session at the latest."""
    children = Children(tmp_path_factory.mktemp("interop-logs"))
    try:
        yield children
    finally:
        children.kill_all()


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest, children: Children) -> tuple[str, str]:
    """The two implementations; ours first where it takes part."""
    names: tuple[str, str] = request.param
    require(children, *(name for name in names if name != "ours"))
    return names


@pytest.fixture(params=[True, False], ids=["offer", "answer"])
def offers(request: pytest.FixtureRequest) -> bool:
    """Whether the first of the pair offers."""
    return bool(request.param)


@pytest.fixture(params=[True, False], ids=["open", "accept"])
def opens(request: pytest.FixtureRequest) -> bool:
    """Whether the first of the pair opens the channel."""
    return bool(request.param)


@pytest.fixture(params=PEERS)
def foreign(request: pytest.FixtureRequest, children: Children) -> str:
    """Each foreign peer in turn."""
    name = str(request.param)
    require(children, name)
    return name
