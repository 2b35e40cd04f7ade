"""Two peers of ours behind real NATs: Linux routers in network namespaces, coturn on the segment between them.

Both peers signal by `connect`; the texts pass through this process, which is outside of all networks.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import trio

from tests.interop import locate, namespaces
from tests.interop.conftest import require_coturn
from tests.interop.coturn import Coturn, TlsIdentity, make_tls_identity
from tests.interop.foreign import Child, ForeignChannel, ForeignPeer, open_peer_of
from tests.interop.link import TEST_LIMIT, check_echo, check_transfer
from tests.interop.namespaces import SERVER, NatKind, Town, open_town
from tests.interop.peer import ChannelSpec
from xp2p_trio.sansio import Transport

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

Peers: TypeAlias = tuple[ForeignPeer, ForeignPeer]
COUNT = 2000
ALERT: dict[str, Any] = {"ice": {"disconnected_timeout": 2.0}}
"""A peer that notices soon when its path is gone, so that the tests are short."""


@pytest.fixture(scope="module", autouse=True)
def _allowed() -> None:
    """Skip with the reason where the machine has no such thing."""
    if why := namespaces.missing():
        pytest.skip(f"real NATs: {why}")


@pytest.fixture
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    """Two homes, by default with NATs that keep ports."""
    with open_town(*getattr(request, "param", ())) as town:
        yield town


@pytest.fixture(scope="module")
def server_identity(tmp_path_factory: pytest.TempPathFactory) -> TlsIdentity:
    """The certificate of the server between the homes."""
    return make_tls_identity(tmp_path_factory.mktemp("tls"), SERVER)


@pytest.fixture
def server(town: Town, tmp_path: pathlib.Path, server_identity: TlsIdentity) -> Iterator[Coturn]:
    """coturn between the homes."""
    require_coturn()
    server = Coturn(tmp_path, tls=server_identity, host=SERVER, ports=(3478, 5349), inside=town.public.command)
    yield server
    server.stop()


def behind(a: NatKind, b: NatKind) -> pytest.MarkDecorator:
    """Which NATs the homes have."""
    return pytest.mark.parametrize("town", [(a, b)], indirect=True, ids=[f"{a}-{b}"])


@asynccontextmanager
async def talking(
    town: Town, folder: pathlib.Path, a: dict[str, Any], b: dict[str, Any], *, b_at_home: bool = True
) -> AsyncGenerator[Peers, None]:
    """Both peers, with these configurations, and their signaling for as long as the block lasts."""
    places = [town.a.peer, town.b.peer if b_at_home else town.public]
    children = [
        Child("xp2p", [*place.command, *locate.command("xp2p")], folder / f"peer-{name}.log")
        for name, place in zip("ab", places, strict=True)
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
            assert stats["route"] == "direct"
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


@behind("random", "random")
async def test_a_relay_leads_from_symmetric_to_symmetric(town: Town, server: Coturn, tmp_path: pathlib.Path) -> None:
    """Both have TURN over UDP; the allocations are deleted at the end."""
    config = {"ice_servers": [server.url()]}
    async with talking(town, tmp_path, config, config) as peers:
        await open_channel(peers)
        assert "via TURN/udp" in [(await peer.stats())["route"] for peer in peers]
    await server.logged("lifetime=0", 2)


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS], ids=["tcp", "tls"])
async def test_a_firewall_without_udp_is_passed_by_streams(
    town: Town, server: Coturn, server_identity: TlsIdentity, tmp_path: pathlib.Path, transport: Transport
) -> None:
    """One home lets no UDP through: its peer's relay is reached over a stream."""
    town.a.configure("preserving", block_udp=True)
    config = {
        "ice_servers": [server.stun_url, server.url(), server.url(transport)],
        "trusted": str(server_identity.certificate),
    }
    async with talking(town, tmp_path, config, {"ice_servers": [server.stun_url]}) as peers:
        await open_channel(peers)
        assert (await peers[0].stats())["route"] == f"via TURN/{transport.name.lower()}"


async def test_a_rebinding_is_survived_where_the_other_side_is_public(town: Town, tmp_path: pathlib.Path) -> None:
    """The router forgets its mappings: the peer is found at its new port by its next check, without any signaling."""
    async with talking(town, tmp_path, ALERT, ALERT, b_at_home=False) as peers:
        near, far = await open_channel(peers)

        async def change() -> None:
            town.a.configure("random")
            town.a.forget_mappings()

        before = (await peers[1].stats())["remote"]
        await check_transfer(near, far, COUNT, change)
        assert (await peers[1].stats())["remote"] != before


@pytest.mark.parametrize("change", ["public", "private", "both"])
async def test_a_new_address_is_survived_by_a_restart(
    town: Town, server: Coturn, tmp_path: pathlib.Path, change: str
) -> None:
    """The router's address changes, the peer's own, or that of both peers: ICE restarts, and nothing is lost."""
    config = {"ice_servers": [server.stun_url], **ALERT}
    async with talking(town, tmp_path, config, config) as peers:
        near, far = await open_channel(peers)

        async def move() -> None:
            if change == "public":
                town.a.change_public_address("203.0.113.77")
            else:
                town.a.change_private_address(77)
            if change == "both":
                town.b.change_private_address(78)

        await check_transfer(near, far, COUNT, move)
        assert (await peers[0].stats())["local"][0] == town.a.public_address
