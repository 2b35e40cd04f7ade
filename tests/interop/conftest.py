"""Fixtures of the interop tests: the foreign processes of the session."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Callable, Iterator

import pytest

from tests.interop.coturn import (
    HOST,
    RELAYED_PORTS,
    Coturn,
    NotInstalledError,
    TlsIdentity,
    find_turnserver,
    make_tls_identity,
)
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


@pytest.fixture(scope="session")
def tls_identity(tmp_path_factory: pytest.TempPathFactory) -> TlsIdentity:
    """The certificate of every coturn on loopback."""
    return make_tls_identity(tmp_path_factory.mktemp("tls"), HOST)


@pytest.fixture
def coturn(tmp_path: pathlib.Path, tls_identity: TlsIdentity) -> Iterator[Callable[..., Coturn]]:
    """Starts a server with the options given."""
    require_coturn()
    started: list[Coturn] = []

    def start(*options: str, rest: bool = False) -> Coturn:
        first_port = RELAYED_PORTS.stop + len(RELAYED_PORTS) * len(started)  # the session's own server has the first
        relayed_ports = range(first_port, first_port + len(RELAYED_PORTS))
        started.append(Coturn(tmp_path, *options, tls=tls_identity, rest=rest, relayed_ports=relayed_ports))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory, tls_identity: TlsIdentity) -> Iterator[Coturn]:
    """A server with the usual options, one for all."""
    require_coturn()
    server = Coturn(tmp_path_factory.mktemp("coturn"), tls=tls_identity)
    yield server
    server.stop()


def require_coturn() -> None:
    """Skip the test, with the reason, where there is no coturn."""
    try:
        find_turnserver()
    except NotInstalledError as exc:
        pytest.skip(str(exc))
