"""Descriptions that are not only about one data section, and signaling by `connect`."""

from __future__ import annotations

import re

import pytest
import trio

from tests.interop.foreign import Children, ForeignError, open_foreign_peer
from tests.interop.link import Recorder, check_echo
from tests.interop.ours import OurChannel, OurPeer, open_our_peer
from tests.interop.peer import ChannelSpec, negotiating
from tests.interop.signaling import ForeignSignaling
from xp2p_trio import connect, signaling_pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]


@pytest.mark.parametrize("data_first", [True, False], ids=["data-first", "media-first"])
async def test_media_is_refused_and_data_works(children: Children, foreign: str, data_first: bool) -> None:
    """An offer of audio and video beside data: the media sections are answered with port 0 (RFC 9429 section 5.3.1)."""
    answer = Recorder()
    with trio.fail_after(30):
        async with open_our_peer() as ours, open_foreign_peer(children, foreign) as theirs:
            near = await theirs.create_channel(ChannelSpec()) if data_first else None
            await theirs.add_media("audio")
            await theirs.add_media("video")
            near = near or await theirs.create_channel(ChannelSpec())
            if not theirs.traits.lets_media_be_refused:
                with pytest.RaisesGroup(pytest.RaisesExc(ForeignError, match="ICE username fragment or password")):
                    async with negotiating(theirs, ours, seen_as={"answer": answer}):
                        pytest.fail("the trait is out of date")
                check_refusal(answer.sdp)
                return
            async with negotiating(theirs, ours, seen_as={"answer": answer}):
                check_refusal(answer.sdp)
                await near.wait_open()
                await check_echo(near, await ours.accept(), "without a camera")


def check_refusal(sdp: str) -> None:
    """The data section is the only one that the answer accepts."""
    sections = re.findall(r"(?m)^m=(\S+) (\d+) ", sdp)
    accepted = sorted((kind, port != "0") for kind, port in sections)
    assert accepted == [("application", True), ("audio", False), ("video", False)]


async def test_connect(children: Children, foreign: str, offers: bool) -> None:
    """`connect` speaks what a page with the few lines of the specification's example speaks."""
    ours_end, theirs_end = signaling_pair()
    with trio.fail_after(30):
        async with open_foreign_peer(children, foreign) as theirs, trio.open_nursery() as nursery:
            signaling = ForeignSignaling(theirs, theirs_end)
            near = None if offers else await theirs.create_channel(ChannelSpec(label="from them"))
            async with connect(ours_end, initiator=offers) as pc:
                nursery.start_soon(signaling.listen)
                nursery.start_soon(signaling.speak)
                ours = OurPeer(pc)
                if near is None:
                    channel = OurChannel(pc.create_data_channel("from us"))
                    await check_echo(channel, await theirs.accept(), "connected")
                else:
                    await signaling.offer()
                    await near.wait_open()
                    await check_echo(near, await ours.accept(), "connected")
            nursery.cancel_scope.cancel("the test is over")
