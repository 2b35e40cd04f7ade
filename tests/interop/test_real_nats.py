"""Two peers of ours behind real NATs: Linux routers in network namespaces, coturn on the segment between them.

Both peers signal by `connect`; the texts pass through this process, which is outside of all networks.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import trio

from tests.interop import locate, namespaces
from tests.interop.conftest import require_coturn
from tests.interop.coturn import Coturn, make_tls_identity
from tests.interop.foreign import Child, ForeignChannel, ForeignPeer, open_peer_of
from tests.interop.link import TEST_LIMIT, check_echo
from tests.interop.namespaces import SERVER, Home, NatKind, Town, open_town
from tests.interop.peer import ChannelSpec
from tests.interop.peers.pattern import Digest, make_message
from xp2p_trio.sansio import Transport

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

Peers: TypeAlias = tuple[ForeignPeer, ForeignPeer]
SIZES = [1000, 20_000]


@pytest.fixture(scope="module", autouse=True)
def _allowed() -> None:
    """Aloud: the reason is in the summary, and the session warns as well."""
    if why := namespaces.missing():
        pytest.skip(f"real NATs: {why}")


@pytest.fixture
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    """Two homes, by default with NATs that keep ports."""
    with open_town(*getattr(request, "param", ())) as town:
        yield town


@pytest.fixture
def server(town: Town, tmp_path: pathlib.Path) -> Iterator[Coturn]:
    """coturn between the homes."""
    require_coturn()
    tls = make_tls_identity(tmp_path, SERVER)
    server = Coturn(tmp_path, tls=tls, host=SERVER, ports=(3478, 5349), inside=town.public.command)
    yield server
    server.stop()


def behind(a: NatKind, b: NatKind) -> pytest.MarkDecorator:
    """Which NATs the homes have."""
    return pytest.mark.parametrize("town", [(a, b)], indirect=True, ids=[f"{a}-{b}"])


@asynccontextmanager
async def talking(town: Town, folder: pathlib.Path, a: dict[str, Any], b: dict[str, Any]) -> AsyncGenerator[Peers, None]:
    """Both peers, with these configurations, and their signaling for as long as the block lasts."""
    children = [
        Child("xp2p", [*home.peer.command, *locate.command("xp2p")], folder / f"peer-{name}.log")
        for name, home in (("a", town.a), ("b", town.b))
    ]
    try:
        with trio.fail_after(TEST_LIMIT):
            async with (
                open_peer_of(children[1], b) as answerer,
                open_peer_of(children[0], {"initiator": True, **a}) as offerer,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_pass_on, offerer, answerer)
                nursery.start_soon(_pass_on, answerer, offerer)
                yield offerer, answerer
                nursery.cancel_scope.cancel("the interop test is over")
    finally:
        for child in children:
            child.kill()


async def _pass_on(source: ForeignPeer, target: ForeignPeer) -> None:
    async for text in source.signals:
        await target.call("signal", text=text)


async def open_channel(peers: Peers) -> tuple[ForeignChannel, ForeignChannel]:
    """A channel that works: its ends."""
    near = await peers[0].create_channel(ChannelSpec())
    await near.wait_open()
    far = await peers[1].accept()
    await check_echo(near, far, "there and back")
    return near, far


@behind("preserving", "preserving")
async def test_stun_is_enough_where_ports_are_kept(town: Town, server: Coturn, tmp_path: pathlib.Path) -> None:
    """Both reach each other directly, at the addresses that STUN told."""
    config = {"ice_servers": [server.stun_url]}
    async with talking(town, tmp_path, config, config) as peers:
        await open_channel(peers)
        for peer, home, other in ((peers[0], town.a, town.b), (peers[1], town.b, town.a)):
            stats = await peer.stats()
            assert stats["path"] == "direct"
            assert stats["local"][0] == home.public_address
            assert stats["remote"][0] == other.public_address


@behind("random", "random")
async def test_stun_alone_does_not_reach_from_symmetric_to_symmetric(
    town: Town, server: Coturn, tmp_path: pathlib.Path
) -> None:
    """Neither port is the one that STUN told: there is no path, and the diagnosis asks for a relay."""
    config = {"ice_servers": [server.stun_url], "ice": {"check_timeout": 3.0}}
    async with talking(town, tmp_path, config, config) as peers:
        for peer in peers:
            diagnosis = await peer.wait_diagnosis()
            assert "no path worked" in diagnosis
            assert "server-reflexive" in diagnosis
            assert "TURN" in diagnosis
