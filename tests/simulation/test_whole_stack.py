"""The whole stack against a reference model, under whatever a network can do short of killing the path."""

from __future__ import annotations

import attrs
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.simulation.world import GOOD, LONGEST_SILENCE, RECOVERY, SIDES, World
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.testing import BurstLoss, Link

LINKS = st.builds(
    Link,
    delay=st.sampled_from([0.0, 0.001, 0.02, 0.1]),
    jitter=st.sampled_from([0.0, 0.01]),
    loss=st.sampled_from([0.0, 0.02, 0.05]),
    burst_loss=st.sampled_from([None, BurstLoss.with_mean(loss=0.03, length=3.0)]),
    reorder=st.sampled_from([0.0, 0.1]),
    duplicate=st.sampled_from([0.0, 0.1]),
    corrupt=st.sampled_from([0.0, 0.02]),
    truncate=st.sampled_from([0.0, 0.01]),
)
PARAMETERS = st.one_of(
    st.builds(ChannelParameters, ordered=st.booleans()),
    st.builds(ChannelParameters, ordered=st.booleans(), max_retransmits=st.integers(0, 2)),
    st.builds(ChannelParameters, ordered=st.booleans(), max_packet_life_time=st.sampled_from([0.0, 0.05, 1.0])),
)
SIZES = st.sampled_from([1, 20, 1000, 1200, 5000, 70_000])
SIDE = st.sampled_from(SIDES)


class WholeStack(RuleBasedStateMachine):
    """Channels of every kind come, talk and go while the network misbehaves."""

    world: World
    closer: str

    @initialize(seed=st.integers(0, 2**32), link=LINKS, closer=SIDE)
    def connect(self, seed: int, link: Link, closer: str) -> None:
        self.closer = closer
        # Before the keys are there nothing tells a flipped bit from a forged certificate, which ends the handshake.
        link = attrs.evolve(link, corrupt=0.0, truncate=0.0)
        note(f"Peers(seed={seed}, link={link})")
        self.world = World(seed=seed, link=link)
        self.world.peers.connect()
        self.world.observe()

    def label(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.world.channels)), label="channel")

    @precondition(lambda self: len(self.world.channels) < 12)
    @rule(side=SIDE, parameters=PARAMETERS)
    def open(self, side: str, parameters: ChannelParameters) -> None:
        self.world.open(side, parameters)

    @precondition(lambda self: not any(label.startswith("negotiated") for label in self.world.channels))
    @rule(stream_id=st.integers(100, 200))
    def open_negotiated(self, stream_id: int) -> None:
        self.world.open_negotiated(stream_id)

    @precondition(lambda self: self.world.channels)
    @rule(data=st.data(), side=SIDE, sizes=st.lists(SIZES, min_size=1, max_size=5), is_text=st.booleans())
    def send(self, data: st.DataObject, side: str, sizes: list[int], is_text: bool) -> None:
        label = self.label(data)
        for size in sizes:
            self.world.send(side, label, size, is_text=is_text)

    @precondition(lambda self: self.world.channels)
    @rule(data=st.data(), side=SIDE)
    def close_channel(self, data: st.DataObject, side: str) -> None:
        self.world.close_channel(side, self.label(data))

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.05, 0.3, 2.0]))
    def run_on(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(side=SIDE)
    def read(self, side: str) -> None:
        self.world.read(side)

    @rule(link=LINKS, back=LINKS)
    def change_links(self, link: Link, back: Link) -> None:
        self.world.peers.network.set_link("alice", "bob", link)
        self.world.peers.network.set_link("bob", "alice", back)

    @rule(seconds=st.floats(0.1, LONGEST_SILENCE))
    def black_hole(self, seconds: float) -> None:
        self.world.heal()
        self.world.black_hole(seconds)

    @rule(seconds=st.floats(0.1, LONGEST_SILENCE))
    def sleep(self, seconds: float) -> None:
        """The machine of both is suspended: every timer is late."""
        self.world.heal()
        self.world.peers.now += seconds
        self.world.heal()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            self.world.close(self.closer)


WholeStack.TestCase.settings = settings(settings.default, max_examples=40, stateful_step_count=30)
TestWholeStack = WholeStack.TestCase


def test_the_same_seed_gives_the_same_run() -> None:
    def trace() -> str:
        world = World(seed=5, link=Link(delay=0.03, jitter=0.01, loss=0.1, reorder=0.1, duplicate=0.1, corrupt=0.05))
        world.peers.connect()
        label = world.open("alice", ChannelParameters(ordered=False))
        world.send("alice", label, 70_000, is_text=True)
        world.run(RECOVERY)
        world.peers.network.set_links("alice", "bob", GOOD)
        world.settle()
        world.close("bob")
        return world.peers.network.trace_hash

    assert trace() == trace()
