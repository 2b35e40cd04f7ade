"""Restarts at any moment, told early, late, partly or never, on a network that cuts, maps anew and takes sockets away.

Invariants 10, 13, 16 to 19 and 21 to 23 of the threat model: most are monitors of the simulation, the rest is checked
at the end of each run, when the network has healed and both sides restart together.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ice.simulation import End, World, after, random_network
from xp2p_trio.errors import InvalidState
from xp2p_trio.ice import Configuration, Role, State
from xp2p_trio.sansio import Address, Failed

sides = st.sampled_from([0, 1])


class RestartsMachine(RuleBasedStateMachine):
    """The model: a name for each session of a side, which of the other side it belongs to, and who was told of it."""

    @initialize(
        seed=st.integers(0, 2**16),
        counts=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        roles=st.tuples(st.sampled_from(Role), st.sampled_from(Role)),
        renomination=st.booleans(),
        loss=st.sampled_from([0.0, 0.1, 0.3]),
        is_connected=st.booleans(),
    )
    def start(
        self,
        seed: int,
        counts: tuple[int, int],
        roles: tuple[Role, Role],
        renomination: bool,
        loss: float,
        is_connected: bool,
    ) -> None:
        configuration = Configuration(check_timeout=39.5)
        left: list[Address] = [(f"10.1.0.{n}", 1000) for n in range(1, counts[0] + 1)]
        right: list[Address] = [(f"10.2.0.{n}", 2000) for n in range(1, counts[1] + 1)]
        self.world = World(
            seed,
            left=left,
            right=right,
            roles=roles,
            configurations=(configuration, configuration),
            fate=after(0.01) if is_connected else random_network(random.Random(seed), loss),
            renomination=renomination,
        )
        self.world.gather()
        self.began = self.world.now
        self.numbers = iter(range(1, 1 << 16))
        self.names: tuple[list[int], list[int]] = ([next(self.numbers)], [next(self.numbers)])
        self.partners: dict[int, int] = {}
        self.told: set[int] = set()
        self.candidates_told: set[int] = set()
        self.was_told_in_time = False
        self.payloads: tuple[list[bytes], list[bytes]] = ([], [])
        self.cut_for = 0.0
        self.is_spoilt = False
        if is_connected:
            self.tell_all()
            self.world.run_for(1)
            self.world.assert_agreed()
            self.world.fate = random_network(random.Random(seed), loss)

    # Signaling.

    @rule(side=sides)
    def restart(self, side: int) -> None:
        if self.world.ends[side].agent.state < State.FAILED:
            self.world.restart(self.world.ends[side])
            names = self.names[side]
            if len(names) > 1 and names[-1] not in self.told:  # it is replaced
                names.pop()
            names.append(next(self.numbers))

    @rule(side=sides)
    def cancel_restart(self, side: int) -> None:
        """One that somebody was told of is not taken back, or the two would be out of step for good."""
        end, names = self.world.ends[side], self.names[side]
        if len(names) > 1 and names[-1] not in self.partners and end.agent.state < State.FAILED:
            end.cancel_restart(self.world.now)
            names.pop()

    @rule(side=sides)
    def tell_credentials(self, side: int) -> None:
        """An offer or answer belongs to one of the other side."""
        left, right = self.names[0][-1], self.names[1][-1]
        if self.partners.setdefault(left, right) == right and self.partners.setdefault(right, left) == left:
            self.world.tell_credentials(self.world.ends[side])
            self.told.add(self.names[side][-1])
        elif self.partners[left] == right:
            del self.partners[left]

    @rule(side=sides)
    def tell_candidates(self, side: int) -> None:
        self.world.tell_candidates(self.world.ends[side])
        self.candidates_told.add(side)
        if {1, 2} <= self.told and {0, 1} == self.candidates_told and self.world.now - self.began < 15:
            self.was_told_in_time = True

    @rule()
    def tell_all(self) -> None:
        for side in (0, 1):
            self.tell_credentials(side)
        for side in (0, 1):
            self.tell_candidates(side)

    # The network, and time.

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.3, 1.0, 2.5, 7.0]))
    def pass_time(self, seconds: float) -> None:
        if not self.world.is_connected:
            self.cut_for += seconds
        self.world.run_for(seconds)

    @rule()
    def cut_or_mend(self) -> None:
        self.world.is_connected = not self.world.is_connected

    @rule(which=st.integers(0, 2))
    def map_anew(self, which: int) -> None:
        """On one side only: nobody tells of server-reflexive candidates here."""
        bases = self.world.left.bases
        self.world.nat[bases[which % len(bases)]] = ("203.0.113.1", next(self.numbers))

    @rule(side=sides)
    def add_local_address(self, side: int) -> None:
        end = self.world.ends[side]
        if len(end.bases) < 4:
            base = (f"10.{side + 1}.1.{len(end.bases)}", 1000 * (side + 1) + next(self.numbers))
            end.bases.append(base)
            end.agent.add_local_address(base, self.world.now)

    @rule(side=sides, which=st.integers(0, 2))
    def remove_local_address(self, side: int, which: int) -> None:
        end = self.world.ends[side]
        if len(end.bases) > 1:
            self.is_spoilt = True
            end.agent.remove_local_address(end.bases.pop(which % len(end.bases)), self.world.now)

    # Data, and what an attacker can do.

    @rule(side=sides, count=st.integers(1, 3))
    def send(self, side: int, count: int) -> None:
        end = self.world.ends[side]
        items = [b"\x16%d %d" % (side, len(self.payloads[side]) + n) for n in range(count)]
        had_path = end.agent.selected_pair is not None
        try:
            end.agent.send(items, self.world.now)
        except InvalidState:
            assert not had_path
        else:
            self.payloads[side].extend(items)

    @rule(side=sides, which=st.integers(0, 60), elsewhere=st.booleans())
    def replay(self, side: int, which: int, elsewhere: bool) -> None:
        """A datagram of the past, of any session, once more, and perhaps from elsewhere."""
        end = self.world.ends[side]
        sent = self.world.other(end).sent
        if sent:
            _, source, destination, data = sent[-1 - which % len(sent)]
            if data[0] <= 3:
                self.world.deliver(("203.0.113.66", 6666) if elsewhere else source, destination, data)

    @precondition(lambda self: next(self.numbers) % 8 == 0)
    @rule(side=sides)
    def close(self, side: int) -> None:
        end = self.world.ends[side]
        end.agent.close(self.world.now)
        self.world.pull()
        assert end.agent.state >= State.FAILED
        assert end.agent.transmit(self.world.now, 9) == []
        assert end.agent.next_timeout() == float("inf")

    @invariant()
    def all_is_well(self) -> None:
        if not hasattr(self, "world"):
            return
        for side, end in enumerate(self.world.ends):
            assert set(end.received) <= set(self.payloads[1 - side])
            assert end.agent.next_timeout() >= self.world.now - 1e-9
            assert len(end.agent.pair_report) <= 128
            assert len(end.agent.remote_candidates) <= 132

    # The end.

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.is_connected = True
        world.fate = after(0.01)
        was_harmed = self.is_spoilt or self.cut_for > 3 or world.nat
        if any(end.agent.state >= State.FAILED for end in world.ends):
            failed = [end.events[-1] for end in world.ends if isinstance(end.events[-1], Failed)]
            is_expected = was_harmed or not self.was_told_in_time or self._has_closed()
            assert is_expected or not failed, failed
            return
        if not was_harmed and self.was_told_in_time:
            world.run_for(20)
            self._assert_echo()  # whatever was told or not told meanwhile
        for side in (0, 1):
            self.restart(side)
        self.tell_all()
        world.run_for(8)
        world.check_pacing()
        for end in world.ends:
            assert end.agent.state is State.COMPLETED, (end.name, end.agent.state, end.events[-1])
            assert not end.agent.is_restarting
        self._assert_echo()
        self._assert_one_pair()
        assert {world.left.agent.role, world.right.agent.role} == {Role.CONTROLLING, Role.CONTROLLED}

    def _has_closed(self) -> bool:
        return any(end.agent.state is State.CLOSED for end in self.world.ends)

    def _assert_echo(self) -> None:
        for end in self.world.ends:
            end.received.clear()
            end.agent.send([b"\x16 echo"], self.world.now)
        self.world.run_for(0.1)
        for end in self.world.ends:
            assert end.received == [b"\x16 echo"], f"nothing came to {end.name}"

    def _assert_one_pair(self) -> None:
        def path(end: End) -> tuple[Any, Any]:
            base, remote = next((local, remote) for _, local, remote, data in reversed(end.sent) if data[0] > 3)
            return self.world.nat.get(base, base), remote

        assert path(self.world.left) == path(self.world.right)[::-1]


TestRestarts = RestartsMachine.TestCase
