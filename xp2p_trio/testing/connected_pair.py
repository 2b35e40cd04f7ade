"""Two peer connections of the trio driver over a simulated network, in one line."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from xp2p_trio.testing.link import Link
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.peers import network_of_two

if TYPE_CHECKING:
    from xp2p_trio.driver import PeerConnection
    from xp2p_trio.peer import Configuration


@asynccontextmanager
async def connected_pair(
    *,
    link: Link | None = None,
    back: Link | None = None,
    seed: int = 0,
    alice: Configuration | None = None,
    bob: Configuration | None = None,
    network: Network | None = None,
) -> AsyncGenerator[tuple[PeerConnection, PeerConnection], None]:
    """Two connected peers: `async with testing.connected_pair(link=Link(delay=0.05), seed=7) as (alice, bob):`.

    Run it under `trio.testing.MockClock(autojump_threshold=0)`, the `autojump_clock` of pytest-trio, and virtual time
    passes as fast as there is nothing to do. Leaving the block closes both.

    Args:
        link: from alice to bob.
        back: from bob to alice; None is like `link`.
        seed: of the network. The peers' keys come from the operating system.
        alice: configuration of the one that offers.
        bob: configuration of the one that answers.
        network: a network with the hosts "alice" and "bob", in place of `link`, `back` and `seed`.
    """
    from xp2p_trio.driver import connect, signaling_pair  # imports trio, which the rest of this package does without

    if network is None:
        network = network_of_two(seed=seed, link=link, back=back)
    to_bob, to_alice = signaling_pair()
    async with (
        connect(to_bob, initiator=True, config=alice, network=network.host("alice")) as one,
        connect(to_alice, initiator=False, config=bob, network=network.host("bob")) as other,
    ):
        await one.wait_connected()
        await other.wait_connected()
        yield one, other
