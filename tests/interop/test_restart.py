"""ICE restarts with foreign peers: begun by them, begun by us, and what becomes of ours where they know none."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.interop.foreign import Children, ForeignPeer, open_foreign_peer, require
from tests.interop.link import TEST_LIMIT, check_echo, check_transfer
from tests.interop.ours import OurChannel, OurPeer
from tests.interop.peer import Channel, ChannelSpec
from tests.interop.signaling import ForeignSignaling
from xp2p_trio import PeerConnection, connect, signaling_pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

COUNT = 500


@asynccontextmanager
async def connected(
    children: Children, foreign: str, offers: bool
) -> AsyncGenerator[tuple[PeerConnection, ForeignPeer, ForeignSignaling, OurChannel, Channel], None]:
    """Ours by `connect`, theirs, and the ends of a channel."""
    ours_end, theirs_end = signaling_pair()
    with trio.fail_after(TEST_LIMIT):
        async with (
            open_foreign_peer(children, foreign, {"consentInterval": 0.5} if foreign == "aiortc" else {}) as theirs,
            trio.open_nursery() as nursery,
        ):
            signaling = ForeignSignaling(theirs, theirs_end)
            near = None if offers else await theirs.create_channel(ChannelSpec())
            async with connect(ours_end, initiator=offers) as pc:
                nursery.start_soon(signaling.listen)
                nursery.start_soon(signaling.speak)
                if near is None:
                    ours = OurChannel(pc.create_data_channel("chat"))
                    far = await theirs.accept()
                else:
                    await signaling.offer()
                    far = near
                    ours = await OurPeer(pc).accept()
                await check_echo(ours, far, "connected")
                yield pc, theirs, signaling, ours, far
            nursery.cancel_scope.cancel("the test is over")


def credentials(sdp: str) -> list[str]:
    """User name fragment and password."""
    return sorted(set(re.findall(r"(?m)^a=ice-(?:ufrag|pwd):(\S+)", sdp)))


def described(pc: PeerConnection) -> tuple[list[str], list[str]]:
    """Both sides' credentials, as our connection has them."""
    assert pc.local_description is not None
    assert pc.remote_description is not None
    return credentials(pc.local_description.sdp), credentials(pc.remote_description.sdp)


@pytest.mark.parametrize("restarts", ["theirs", "ours"])
async def test_browser(children: Children, offers: bool, restarts: str) -> None:
    """Both sides have new credentials afterwards, and no message is lost or doubled."""
    require(children, "chromium")
    async with connected(children, "chromium", offers) as (pc, theirs, signaling, ours, far):
        before = described(pc)

        async def restart() -> None:
            if restarts == "ours":
                pc.restart_ice()
            else:
                await theirs.restart_ice()
                await signaling.offer()

        await check_transfer(ours, far, COUNT, restart)
        await pc.selected_pair.wait_value(lambda _: all(map(are_new, before, described(pc))))
        await check_echo(ours, far, "over the new path")


def are_new(before: list[str], after: list[str]) -> bool:
    """Whether both are there, and neither was."""
    return len(after) == 2 and not set(before) & set(after)


@pytest.mark.parametrize("foreign", ["aiortc", "node"])
async def test_peer_without_restarts(children: Children, foreign: str, offers: bool) -> None:
    """It answers with its old credentials, or not at all: the old path goes on, with nothing lost, and lasts."""
    require(children, foreign)
    async with connected(children, foreign, offers) as (pc, theirs, _, ours, far):
        assert not theirs.traits.restarts

        async def restart() -> None:
            pc.restart_ice()

        await check_transfer(ours, far, COUNT, restart)
        for second in range(4):  # longer than aiortc lives without answers to its checks, at this interval of theirs
            await trio.sleep(1)
            await check_echo(ours, far, f"still there {second}")
