"""Browsers as users have them, and as they will be soon."""

from __future__ import annotations

import re

import pytest
import trio

from tests.interop.foreign import Children, open_foreign_peer, require
from tests.interop.link import TEST_LIMIT, Recorder, assigned, check_echo
from tests.interop.ours import open_our_peer
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


def without_candidates(sdp: str) -> str:
    """The description of a peer that can only be found by its own checks."""
    return re.sub(r"(?m)^a=(candidate:.*|end-of-candidates)\r\n", "", sdp)


@pytest.mark.parametrize("names", ["theirs", "ours"])
async def test_names_are_resolved(children: Children, offers: bool, names: str) -> None:
    """Each side finds the other behind its mDNS name; whose name it is does not reach back unless it was found."""
    name = "chromium-mdns"  # one that shows its own addresses does not ask for anybody's name either
    require(children, name)
    sdp = Recorder()
    with trio.fail_after(TEST_LIMIT):
        async with (
            open_our_peer(mdns="resolve" if names == "theirs" else "hide") as ours,
            open_foreign_peer(children, name) as theirs,
        ):
            offerer, answerer = (ours, theirs) if offers else (theirs, ours)
            hidden, seeker = (theirs, ours) if names == "theirs" else (ours, theirs)
            near = await offerer.create_channel(ChannelSpec())
            seen_as: dict[SdpType, Mangle] = {
                "offer" if hidden is offerer else "answer": sdp,
                "offer" if seeker is offerer else "answer": without_candidates,
            }
            async with negotiating(offerer, answerer, trickle=False, seen_as=seen_as):
                hosts = re.findall(r"(?m)^a=candidate:(?:\S+ ){4}(\S+) ", sdp.sdp)
                assert hosts
                assert all(host.endswith(".local") for host in hosts)
                await near.wait_open()
                await check_echo(near, await answerer.accept(), "found by name")


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
