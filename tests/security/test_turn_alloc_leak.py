"""turn_alloc_leak: closing deletes the allocation with Refresh(0), within a second, from wherever it stands."""

from __future__ import annotations

import pytest

from tests.ice import relays
from tests.turn.world import PEER, World
from xp2p_trio import stun, turn
from xp2p_trio.sansio import Closed, Transport
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.turn_allocations import AllocationDeleted


@pytest.mark.parametrize("step", range(60))
def test_closed_at_any_moment(step: int) -> None:
    world = World(link=Link(delay=0.02))
    world.client.start(0.0)
    for _ in range(step):
        world.run(0.005)
        if world.client.state is turn.State.ALLOCATED and not world.client.statistics.permissions:
            world.client.bind_channel(PEER, world.now)
    closed_at = world.now
    world.client.close(world.now)
    world.run(2.0)
    assert world.events[-1] == Closed()
    assert world.server.allocations == []
    assert max(world.sent_at["client"], default=0.0) <= closed_at + 1.0


@pytest.mark.parametrize("nonce_lifetime", [0.5, 3600.0])
def test_a_stale_nonce_does_not_save_it(nonce_lifetime: float) -> None:
    world = World(nonce_lifetime=nonce_lifetime)
    world.allocate()
    world.run(10.0)
    world.client.close(world.now)
    world.run(1.0)
    assert world.server.allocations == []
    assert [event.is_expired for event in world.server.take_events() if isinstance(event, AllocationDeleted)] == [False]


@pytest.mark.parametrize("loss", [0.3, 0.6])
@pytest.mark.parametrize("seed", range(10))
def test_over_a_lossy_link_it_is_bounded(loss: float, seed: int) -> None:
    world = World(seed=seed)
    world.allocate()
    world.network.set_links("client", "server", Link(delay=0.02, loss=loss))
    world.client.close(world.now)
    closed_at = world.now
    world.run(1.001)
    assert world.events[-1] == Closed()
    assert world.client.next_timeout() > closed_at
    assert world.server.requests_received.get(stun.Method.REFRESH, 0) <= 2


def test_waiting_for_credentials_does_not_keep_it_open() -> None:
    world = World()
    world.allocate()
    world.server.set_password("user", "changed")
    world.run(310.0)
    assert world.of(turn.CredentialsRequested)
    world.client.close(world.now)
    world.run(1.001)
    assert world.events[-1] == Closed()


# Through an agent; tests/driver/test_relays.py cancels one at every moment.


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("how", ["close", "lost consent", "restart", "refused address"])
def test_whatever_ends_an_agent_deletes_its_allocations(how: str, transport: Transport) -> None:
    choices = {"turn": {"relay_hosts": ["0.0.0.0"]}} if how == "refused address" else {}
    world = relays.World(relays.server(transport=transport), relay_only=("alice",), bob=(), choices=choices)
    world.start()
    world.run(2.0)
    if how == "close":
        world.alice.close(world.now)
    elif how == "lost consent":
        world.bob.close(world.now)
        world.run(40.0)
    elif how == "restart":
        world.restart()
        world.run(0.01)
        world.alice.close(world.now)
    world.run(1.0)
    assert world.servers["turn"].allocations == []
    events = world.server_events["turn"]
    assert [event.is_expired for event in events if isinstance(event, AllocationDeleted)] == [False]
