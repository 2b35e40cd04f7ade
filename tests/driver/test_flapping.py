"""An interface that comes and goes a thousand times: nothing grows, and signaling is not flooded with restarts."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
import trio
import trio.testing

from tests.driver.test_moving import Containers
from xp2p_trio import PeerConnection, connect, signaling_pair
from xp2p_trio.driver.gathering import CHANGES_WINDOW, MAX_CHANGES
from xp2p_trio.testing import Host, Link, Network


async def flap(host: Host, pause: float, times: int, prefix: str) -> None:
    for number in range(times):
        address = f"{prefix}.{number // 250}.{number % 250 + 1}"
        host.add_ip_address(address)
        await trio.sleep(pause)
        host.remove_ip_address(address)
        await trio.sleep(pause)


async def echo(pc: PeerConnection) -> None:
    async for channel in pc.incoming_channels:
        async for message in channel:
            await channel.send(message)


class CountingChannel(trio.abc.Channel[str]):
    """Counts the offers that pass."""

    def __init__(self, channel: trio.abc.Channel[str]) -> None:
        self._channel = channel
        self.offers = 0

    async def send(self, value: str) -> None:
        self.offers += '"offer"' in value
        await self._channel.send(value)

    async def receive(self) -> str:
        return await self._channel.receive()

    async def aclose(self) -> None:
        await self._channel.aclose()


@pytest.mark.parametrize("prefix", ["198.51", "172.17"], ids=["real", "virtual"])
@pytest.mark.parametrize(("pause", "times"), [(0.001, 250), (0.1, 50)])
async def test_an_interface_that_flaps(
    autojump_clock: trio.testing.MockClock, pause: float, times: int, prefix: str
) -> None:
    network = Network(seed=1, link=Link(delay=0.01))
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    left, right = signaling_pair()
    signaling = CountingChannel(left)
    async with (
        connect(signaling, initiator=True, network=Containers(network.host("alice"))) as alice,
        connect(right, initiator=False, network=network.host("bob")) as bob,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(echo, bob)
        channel = alice.create_data_channel("talk")
        sizes, tasks = [], []
        tracemalloc.start()
        for _ in range(4):
            await flap(network.host("alice"), pause, times, prefix)
            await trio.sleep(60)
            with trio.fail_after(1):
                await channel.send("still here")
                assert await channel.receive() == "still here"
            assert not alice.ice_agent.is_restarting
            assert len(alice.ice_agent.local_candidates) == 1
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
            tasks.append(trio.lowlevel.current_statistics().tasks_living)
        tracemalloc.stop()
        assert len(set(tasks)) == 1
        assert sizes[3] - sizes[1] < 100_000  # the simulated network remembers addresses, and a feed its last events
        rounds = 4 * times * 2 * pause / CHANGES_WINDOW
        assert signaling.offers <= (1 if prefix == "172.17" else 1 + (rounds + 4) * MAX_CHANGES)
        nursery.cancel_scope.cancel()
