"""A random network with random commands, and what holds whatever happens.

Invariants 10 to 13 and 16 to 22 of the threat model: most are monitors of the simulation, the rest is checked at the
end of each run, when the network has healed.
"""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ice.simulation import World, after, random_network, snapshot
from xp2p_trio import stun
from xp2p_trio.errors import InvalidState
from xp2p_trio.ice import Configuration, Role, State
from xp2p_trio.sansio import Address, Burst, Failed

sides = st.sampled_from([0, 1])


class AgentsMachine(RuleBasedStateMachine):
    """The reference model is small: what was sent, and whether the path has been cut for long."""

    @initialize(
        seed=st.integers(0, 2**16),
        counts=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        roles=st.tuples(st.sampled_from(Role), st.sampled_from(Role)),
        aggressive=st.booleans(),
        loss=st.sampled_from([0.0, 0.1, 0.4]),
    )
    def start(
        self, seed: int, counts: tuple[int, int], roles: tuple[Role, Role], aggressive: bool, loss: float
    ) -> None:
        configuration = Configuration(nomination="aggressive" if aggressive else "regular", check_timeout=39.5)
        left: list[Address] = [(f"10.1.0.{n}", 1000) for n in range(1, counts[0] + 1)]
        right: list[Address] = [(f"10.2.0.{n}", 2000) for n in range(1, counts[1] + 1)]
        self.world = World(
            seed,
            left=left,
            right=right,
            roles=roles,
            configurations=(configuration, configuration),
            fate=random_network(random.Random(seed), loss),
        )
        self.world.gather()
        self.began = self.world.now
        self.credentials_told: set[int] = set()
        self.candidates_told: set[int] = set()
        self.payloads: tuple[list[bytes], list[bytes]] = ([], [])
        self.cut_for = 0.0

    @rule(side=sides)
    def tell_credentials(self, side: int) -> None:
        self.world.tell_credentials(self.world.ends[side])
        self.credentials_told.add(side)

    @rule(side=sides)
    def tell_candidates(self, side: int) -> None:
        self.world.tell_candidates(self.world.ends[side])
        self.candidates_told.add(side)

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.3, 1.0, 2.5]))
    def pass_time(self, seconds: float) -> None:
        if not self.world.is_connected:
            self.cut_for += seconds
        self.world.run_for(seconds)

    @rule(side=sides, count=st.integers(1, 3))
    def send(self, side: int, count: int) -> None:
        end = self.world.ends[side]
        items = [b"\x16%d %d" % (side, len(self.payloads[side]) + n) for n in range(count)]
        try:
            end.agent.send(items, self.world.now)
        except InvalidState:
            assert end.agent.selected_pair is None
        else:
            assert end.agent.selected_pair is not None
            self.payloads[side].extend(items)

    @precondition(lambda self: self.cut_for < 3)
    @rule()
    def cut_or_mend(self) -> None:
        self.world.is_connected = not self.world.is_connected

    @rule(side=sides, noise=st.binary(max_size=60), port=st.sampled_from([1000, 2000, 6666]))
    def noise(self, side: int, noise: bytes, port: int) -> None:
        self._inject(side, ("203.0.113.66", port), noise)

    @rule(
        side=sides,
        role=st.sampled_from([stun.IceControlling, stun.IceControlled]),
        tid=st.binary(min_size=12, max_size=12),
    )
    def forge(self, side: int, role: type[stun.IceControlled], tid: bytes) -> None:
        """An unauthenticated check changes nothing (13)."""
        end = self.world.ends[side]
        username = stun.Username(f"{end.agent.local_username_fragment}:xxxx")
        message = stun.Message(stun.MessageClass.REQUEST, 1, tid, (username, stun.UseCandidate(), role(2**64 - 1)))
        self.world.pull()
        before = snapshot(end.agent)
        self._inject(side, self.world.other(end).bases[0], stun.encode_message(message, key=b"wrong", fingerprint=True))
        for burst in end.agent.transmit(self.world.now, 9):
            assert stun.decode_message(burst.datagrams[0]).message_class is stun.MessageClass.ERROR_RESPONSE
        assert snapshot(end.agent) == before

    @rule(side=sides, which=st.integers(0, 30))
    def replay(self, side: int, which: int) -> None:
        """A datagram of the past, once more and from elsewhere: authentic, so it may only be answered or ignored."""
        end = self.world.ends[side]
        sent = self.world.other(end).sent
        if sent:
            _, source, destination, data = sent[-1 - which % len(sent)]
            if data[0] <= 3 and destination in end.bases:
                self.world.deliver(source, destination, data)

    @rule(side=sides)
    def handle_timeouts_early_and_on_time(self, side: int) -> None:
        """Handling a timeout makes progress (contract, rule 4)."""
        agent = self.world.ends[side].agent
        agent.handle_timeout(self.world.now)
        self.world.pull()
        due = agent.next_timeout()
        if due == float("inf") or (self.world.travelling and due > self.world.travelling[0][0]):
            return
        other = self.world.other(self.world.ends[side]).agent
        if due > other.next_timeout():
            return
        self.world.now = max(self.world.now, due)
        agent.handle_timeout(self.world.now)
        events = len(self.world.ends[side].events)
        moved = self.world.pull()
        assert agent.next_timeout() > due or moved or len(self.world.ends[side].events) > events

    def _inject(self, side: int, source: Address, data: bytes) -> None:
        end = self.world.ends[side]
        burst = Burst(end.bases[0], source, [data])
        end.watch_received(self.world.now, burst)
        end.agent.receive(burst, self.world.now)

    @invariant()
    def data_is_the_peers(self) -> None:
        if not hasattr(self, "world"):
            return
        for side, end in enumerate(self.world.ends):
            assert set(end.received) <= set(self.payloads[1 - side])
            assert end.agent.next_timeout() >= self.world.now - 1e-9

    def teardown(self) -> None:
        """The network heals: both connect over the same pair with complementary roles (19, 20), or were late."""
        if not hasattr(self, "world"):
            return
        world = self.world
        late = world.now - self.began > 30 or any(end.agent.state >= State.FAILED for end in world.ends)
        world.is_connected = True
        world.fate = after(0.01)
        for side, end in enumerate(world.ends):
            if side not in self.credentials_told:
                world.tell_credentials(end)
            world.tell_candidates(end)
        world.run_for(45)
        world.check_pacing()
        if late:
            return
        if any(isinstance(end.events[-1], Failed) for end in world.ends):
            raise AssertionError([end.events[-1] for end in world.ends])
        world.assert_agreed()


TestAgents = AgentsMachine.TestCase
