"""Slow readers of every kind: whatever is closed, reset and reused meanwhile, all comes once it is read."""

from __future__ import annotations

import random

import pytest

from tests.simulation.world import GOOD, RECOVERY, SIDES, World, other_side
from xp2p_trio import sctp
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.peer import Configuration
from xp2p_trio.testing import Link, Peers


class SlowWorld(World):
    """Peers that hold little for programs that seldom read."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self.random = random.Random(seed)
        self.peers = Peers(seed=seed, link=GOOD, alice=self.configuration(), bob=self.configuration())
        self.peers.connect()

    def configuration(self) -> Configuration:
        window = self.random.choice([300_000, 1_048_576])
        return Configuration(
            receive_buffer=self.random.choice([1, 500, 5000, 100_000]), sctp=sctp.Configuration(receive_window=window)
        )

    def read(self, side: str) -> None:
        self.peers.run(timeout=0.0)  # reading lets more come up, and with it news
        super().read(side)

    def read_one(self, side: str, label: str) -> None:
        self.observe()
        channel = self.channels[label]
        if side in channel.ids and side not in channel.closers:
            message = self.connection(side).take_message(channel.ids[side])
            if message is not None:
                channel.directions[other_side(side)].received.append(message)

    def close_unread(self, side: str, label: str) -> None:
        channel = self.channels[label]
        if side in channel.ids and side not in channel.closers:
            channel.closers.append(side)
            self.connection(side).close_channel(channel.ids[side], self.peers.now)

    def step(self) -> None:
        draw = self.random
        side, what = draw.choice(SIDES), draw.random()
        label = draw.choice(sorted(self.channels)) if self.channels else None
        if label is None or (what < 0.2 and len(self.channels) < 25):
            self.open(side, ChannelParameters(ordered=draw.random() < 0.7))
        elif what < 0.5:
            for _ in range(draw.randint(1, 6)):
                self.send(side, label, draw.choice([1, 100, 1000, 20_000]), is_text=False)
        elif what < 0.62:
            self.close_unread(side, label)
        elif what < 0.72:
            self.read(side)
        elif what < 0.8:
            self.read_one(side, label)
        elif what < 0.9:
            link = Link(
                delay=draw.choice([0.0, 0.02, 0.1]), loss=draw.choice([0.0, 0.1]), reorder=draw.choice([0.0, 0.2])
            )
            self.peers.network.set_links("alice", "bob", link)
        else:
            self.run(draw.choice([0.0, 0.01, 0.05, 0.3, 2.0]))

    def check_alive(self) -> None:
        """Slow readers take more than one look for that."""


@pytest.mark.parametrize("seed", range(25))
def test_slow_readers(seed: int) -> None:
    world = SlowWorld(seed)
    for _ in range(60):
        world.step()
    world.peers.network.set_links("alice", "bob", GOOD)
    world.run(RECOVERY)
    for _ in range(60):
        world.run(0.5)
        world.read_all()
    world.settle()
    for label, channel in world.channels.items():
        for side, channel_id in channel.ids.items():
            assert (channel_id in world.closed[side]) == bool(channel.closers), f"{label} at {side}"
        assert channel.closers or len(channel.ids) == 2, f"{label} never arrived"
    world.close(SIDES[seed % 2])
