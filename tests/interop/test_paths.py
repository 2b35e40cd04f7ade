"""Paths other than the usual one, and much data over it."""

from __future__ import annotations

import pytest
import trio

from tests.interop.foreign import Children, open_foreign_peer
from tests.interop.link import check_echo, connected
from tests.interop.ours import open_our_peer
from tests.interop.peer import Channel, ChannelSpec, negotiating
from tests.interop.peers.pattern import Digest, make_message
from xp2p_trio.driver import SystemNetwork

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]


def ipv6_address() -> str:
    """An address that the foreign peers use too; without one the test is skipped."""
    for interface in SystemNetwork().interfaces():
        if ":" in interface.address and not interface.is_loopback and not interface.address.startswith("fe80"):
            return interface.address
    pytest.skip("this machine has no IPv6 address beyond loopback")


async def test_ipv6(children: Children, foreign: str, offers: bool) -> None:
    """We have an IPv6 address only, they have both families."""
    address = ipv6_address()
    with trio.fail_after(30):
        async with (
            open_our_peer(enable_ipv6=True, bind_address=address) as ours,
            open_foreign_peer(children, foreign) as theirs,
        ):
            offerer, answerer = (ours, theirs) if offers else (theirs, ours)
            near = await offerer.create_channel(ChannelSpec())
            async with negotiating(offerer, answerer):
                await near.wait_open()
                await check_echo(near, await answerer.accept(), "six")
                pair = ours.pc.selected_pair.value
                assert pair is not None
                assert pair.local.host == address
                assert ":" in pair.remote.host


@pytest.mark.parametrize("sender", ["ours", "theirs", "both"])
async def test_bulk(children: Children, foreign: str, offers: bool, sender: str) -> None:
    """16 MiB in messages of 64 KiB, one way and both ways at once: nothing is lost, doubled or changed."""
    sizes, count = [65536], 256
    async with connected(children, ("ours", foreign), offers, opens=True) as (_, [(ours, theirs)]):

        async def transfer(source: Channel, sink: Channel, seed: int) -> None:
            expected = Digest(make_message(seed, index, sizes) for index in range(count)).hexdigest()
            await sink.collect(count)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: source.send_many(seed=seed, count=count, sizes=sizes))
                assert await sink.collected() == expected

        async with trio.open_nursery() as nursery:
            if sender != "theirs":
                nursery.start_soon(transfer, ours, theirs, 5)
            if sender != "ours":
                nursery.start_soon(transfer, theirs, ours, 6)
