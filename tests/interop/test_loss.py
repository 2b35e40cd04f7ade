"""Loss between us and the foreign peers: their retransmission against ours, and partial reliability as it is meant."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.interop.foreign import Children, open_foreign_peer
from tests.interop.link import TEST_LIMIT
from tests.interop.lossy import LossyNetwork
from tests.interop.ours import open_our_peer
from tests.interop.peer import Channel, ChannelSpec, negotiating
from tests.interop.peers.pattern import Digest, make_message

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

LOSS = 0.03
COUNT = 300
END = "that was all"


@asynccontextmanager
async def connected_by_lossy_path(
    children: Children, foreign: str, offers: bool, *specs: ChannelSpec, loss_at_start: float = LOSS
) -> AsyncGenerator[tuple[LossyNetwork, list[tuple[Channel, Channel]]], None]:
    """Both ends of channels, ours first."""
    network = LossyNetwork(loss=loss_at_start)
    with trio.fail_after(TEST_LIMIT):
        async with open_our_peer(network) as ours, open_foreign_peer(children, foreign) as theirs:
            offerer, answerer = (ours, theirs) if offers else (theirs, ours)
            near = [await offerer.create_channel(spec) for spec in specs]
            async with negotiating(offerer, answerer):
                for channel in near:
                    await channel.wait_open()
                far = {each.info.label: each for each in [await answerer.accept() for _ in specs]}
                pairs: list[tuple[Channel, Channel]] = [(channel, far[channel.info.label]) for channel in near]
                yield network, pairs if offers else [pair[::-1] for pair in pairs]


async def test_everything_arrives(children: Children, foreign: str, offers: bool) -> None:
    """Some of all datagrams are lost, those of the handshakes too: all messages arrive, in order."""
    sizes = [100, 0, 1150, 3000]
    async with connected_by_lossy_path(children, foreign, offers, ChannelSpec()) as (network, [(ours, theirs)]):
        await theirs.collect(COUNT)
        await ours.collect(COUNT)

        async def check_collected(channel: Channel, seed: int) -> None:
            expected = Digest(make_message(seed, index, sizes) for index in range(COUNT)).hexdigest()
            assert await channel.collected() == expected

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ours.send_many(seed=1, count=COUNT, sizes=sizes))
            nursery.start_soon(lambda: theirs.send_many(seed=2, count=COUNT, sizes=sizes))
            nursery.start_soon(check_collected, theirs, 1)
            nursery.start_soon(check_collected, ours, 2)
        assert network.lost > 10


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
@pytest.mark.parametrize("limit", ["retransmissions", "life-time"])
@pytest.mark.parametrize("sender", ["ours", "theirs"])
async def test_unreliable_messages(
    children: Children, foreign: str, offers: bool, ordered: bool, limit: str, sender: str
) -> None:
    """Messages may be missing, none is damaged or doubled, and the channel goes on.

    That it goes on is the point: the receiver has to understand the sender's FORWARD TSN (RFC 3758 section 3.6).
    """
    spec = ChannelSpec(
        label="unreliable",
        ordered=ordered,
        max_retransmits=0 if limit == "retransmissions" else None,
        max_packet_life_time=100 if limit == "life-time" else None,
    )
    sizes = [200, 1000]
    numbers = {make_message(3, index, sizes): index for index in range(COUNT)}
    async with connected_by_lossy_path(
        children, foreign, offers, spec, ChannelSpec(label="reliable"), loss_at_start=0
    ) as (network, [unreliable, reliable]):
        source, sink = unreliable if sender == "ours" else unreliable[::-1]
        control, told = reliable if sender == "ours" else reliable[::-1]
        network.loss = LOSS
        await source.send_many(seed=3, count=COUNT, sizes=sizes)
        await control.send("sent")
        assert await told.receive() == "sent"
        network.loss = 0
        received: list[str | bytes] = []
        with trio.fail_after(20):
            while END not in received:
                await source.send(END)  # its life may end before it has left
                with trio.move_on_after(0.5):
                    while (message := await sink.receive()) != END:
                        received.append(message)
                    received.append(END)
        arrived = [numbers[message] for message in received if message != END]
        assert len(set(arrived)) == len(arrived)
        # How much a life of 0.1 s leaves to arrive depends on how busy the machine is.
        assert len(arrived) > (COUNT // 2 if limit == "retransmissions" else 0)
        if ordered:
            assert arrived == sorted(arrived)
