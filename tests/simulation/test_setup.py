"""The set-up of the whole stack completes whatever is lost."""

from __future__ import annotations

import itertools

import pytest

from tests.simulation.world import World
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.testing import Link

DELAY = 0.02
N = 12
"""Datagrams each way that are lost in turn; a clean set-up with one echo takes 9."""


def set_up(forth: frozenset[int], back: frozenset[int], *, seed: int = 1) -> World:
    """Connect, open a channel and echo a message, with these datagrams lost."""
    world = World(seed=seed, link=Link(delay=DELAY, drop=forth))
    world.peers.network.set_link("bob", "alice", Link(delay=DELAY, drop=back))
    label = world.open("alice", ChannelParameters())
    world.send("alice", label, 100, is_text=True)
    world.peers.connect(timeout=30.0)

    def echoed() -> bool:
        world.observe()
        if (
            world.connection("bob").statistics.channels.messages_received
            and not world.channels[label].directions["bob"].sent
        ):
            world.read("bob")
            world.send("bob", label, 100, is_text=False)
        return bool(world.connection("alice").statistics.channels.messages_received)

    world.peers.run(echoed, timeout=30.0)
    world.read_all()
    world.channels[label].check_complete()
    return world


def test_a_clean_set_up_is_short() -> None:
    world = set_up(frozenset(), frozenset())
    statistics = world.peers.network.statistics
    assert statistics.lost == 0
    assert statistics.sent <= 2 * N
    assert world.peers.now < 7 * 2 * DELAY  # check, nomination, two of DTLS, two of SCTP, the echo


@pytest.mark.parametrize("number", range(N))
@pytest.mark.parametrize("direction", ["forth", "back"])
def test_any_single_loss(direction: str, number: int) -> None:
    lost, nothing = frozenset({number}), frozenset[int]()
    world = set_up(lost, nothing) if direction == "forth" else set_up(nothing, lost)
    assert world.peers.network.statistics.lost == (number < 9)
    assert world.peers.now < 2.0


@pytest.mark.parametrize("number", range(N))
def test_any_double_loss(number: int) -> None:
    """With the datagram of this number lost on the one side, any other on either side."""
    for other in range(N):
        assert set_up(frozenset({number}), frozenset({other})).peers.now < 5.0
    for other in range(number + 1, N):
        both = frozenset({number, other})
        assert set_up(both, frozenset()).peers.now < 5.0
        assert set_up(frozenset(), both).peers.now < 5.0


@pytest.mark.slow
@pytest.mark.parametrize("first", range(N))
def test_any_triple_loss(first: int) -> None:
    everything = [(side, number) for side in range(2) for number in range(N)]
    for second, third in itertools.combinations(everything[first + 1 :], 2):
        lost = [(0, first), second, third]
        forth, back = (frozenset(number for side, number in lost if side == which) for which in range(2))
        set_up(forth, back)


@pytest.mark.parametrize("count", [4, 8, 12])
def test_either_side_may_be_silent_at_first(count: int) -> None:
    early = frozenset(range(count))
    assert set_up(early, frozenset()).peers.now < 10.0
    assert set_up(frozenset(), early).peers.now < 10.0
