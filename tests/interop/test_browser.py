"""Browsers as users have them, and as they will be soon."""

from __future__ import annotations

import pytest

from tests.interop.foreign import Children, require
from tests.interop.link import Recorder, assigned, check_echo
from tests.interop.peer import ChannelSpec, Mangle, SdpType, negotiating
from tests.interop.peers.pattern import make_bytes

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]


async def test_hidden_addresses(children: Children, offers: bool) -> None:
    """A browser as it comes hides its addresses behind mDNS names: it reaches us, and so we learn where it is."""
    require(children, "chromium-mdns")
    theirs = Recorder()
    async with assigned(children, ("ours", "chromium-mdns"), offers) as roles:
        near = await roles.offerer.create_channel(ChannelSpec())
        seen_as: dict[SdpType, Mangle] = {"answer" if offers else "offer": theirs}
        async with negotiating(roles.offerer, roles.answerer, trickle=False, seen_as=seen_as):
            assert ".local " in theirs.sdp
            await near.wait_open()
            await check_echo(near, await roles.answerer.accept(), "hidden")


async def test_extensions_on_trial(children: Children, offers: bool) -> None:
    """A browser that offers what we do not speak: a larger hello, new SDP lines, DTLS inside of STUN, new chunks."""
    require(children, "chromium-next")
    offer = Recorder()
    async with assigned(children, ("ours", "chromium-next"), offers) as roles:
        near = await roles.offerer.create_channel(ChannelSpec())
        async with negotiating(roles.offerer, roles.answerer, seen_as={"offer": offer}):
            assert ("a=sctp-init:" in offer.sdp) is (roles.offerer.name != "ours")
            await near.wait_open()
            far = await roles.answerer.accept()
            await check_echo(near, far, "extended")
            await check_echo(near, far, make_bytes(4, 0, 100_000))
