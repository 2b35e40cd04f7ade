"""Two agents on a network in virtual time, watched by monitors that hold in every run.

The monitors are invariants 11, 12, 16, 17, 18 and 21 of the threat model; each breaks the run at the datagram at fault.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

from xp2p_trio.ice import (
    TRANSITIONS,
    Agent,
    CandidateFound,
    Configuration,
    Event,
    GatheringCompleted,
    PairState,
    PathLost,
    PathRecovered,
    Role,
    State,
    StateChanged,
)
from xp2p_trio.sansio import Address, Burst, Closed, Failed
from xp2p_trio.stun import Message, MessageClass, Username, decode_message

Fate = Callable[[int, Address, Address, bytes], Iterable[float]]
"""Number, source, destination and bytes of a datagram -> the delays after which copies of it arrive; none loses it."""

EDGES = {
    PairState.FROZEN: {PairState.WAITING, PairState.IN_PROGRESS},
    PairState.WAITING: {PairState.IN_PROGRESS, PairState.SUCCEEDED, PairState.FAILED},
    PairState.IN_PROGRESS: {PairState.SUCCEEDED, PairState.FAILED, PairState.WAITING},
    PairState.SUCCEEDED: {PairState.FAILED, PairState.WAITING, PairState.IN_PROGRESS},
    PairState.FAILED: {PairState.WAITING, PairState.IN_PROGRESS, PairState.SUCCEEDED},
}
"""RFC 8445 section 6.1.2.6, with the edges of sections 7.2.5.1 and 7.3.1.4 and a late answer after a failure. A
selected pair that waits to be checked once more fails with its socket. What happens within one call shows as a step."""


def after(delay: float) -> Fate:
    """A perfect network of this delay."""
    return lambda number, source, destination, data: (delay,)


class End:
    """An agent, its sockets, and the monitors of what it does."""

    def __init__(self, name: str, agent: Agent, bases: list[Address]) -> None:
        self.name = name
        self.agent = agent
        self.bases = bases
        self.events: list[Event] = []
        self.event_times: list[tuple[float, Event]] = []
        self.received: list[bytes] = []
        self.sent: list[tuple[float, Address, Address, bytes]] = []
        self.requests: dict[bytes, bytes] = {}
        self.request_times: dict[bytes, list[float]] = {}
        self.request_paths: dict[bytes, tuple[Address, Address]] = {}
        self.answered: dict[tuple[Address, Address], float] = {}
        self.answered_to: dict[tuple[Address, Address, str], float] = {}
        self.living: set[str] = set()
        self.may_jump = False
        self.is_lost = False
        self.request_ids_received: set[bytes] = set()
        self.start_times: list[float] = []
        self.probe_times: list[float] = []
        self.pair_states: dict[tuple[Address, Address], PairState] = {}

    def watch_sent(self, now: float, burst: Burst) -> None:
        for data in burst.datagrams:
            self.sent.append((now, burst.local, burst.remote, data))
            if data[0] > 3:
                answered = self.answered.get((burst.local, burst.remote))
                assert answered is not None, f"{self.name} sent data to {burst.remote}, which never answered"
                assert now < answered + 30.0, f"{self.name} sent data {now - answered} s after the last answer"
                consents = [self.answered_to.get((burst.local, burst.remote, name)) for name in self.living]
                assert any(at is not None and now < at + 30.0 for at in consents), "consent of a dead generation"
                continue
            message = decode_message(data)
            if message.message_class is MessageClass.REQUEST:
                self._watch_request(now, burst, message, data)
            else:
                assert message.transaction_id in self.request_ids_received, "an answer to no request"

    def _watch_request(self, now: float, burst: Burst, message: Message, data: bytes) -> None:
        tid = message.transaction_id
        if tid in self.requests:
            assert self.requests[tid] == data, "a retransmission differs"
            assert self.request_paths[tid] == (burst.local, burst.remote)
            times = self.request_times[tid]
            assert len(times) < 7, "more than Rc requests"
            expected = 0.5 * 2 ** (len(times) - 1)
            assert now - times[-1] >= expected - 1e-6, "RTO below 500 ms doubled"
            times.append(now)
            return
        self.requests[tid] = data
        self.request_times[tid] = [now]
        self.request_paths[tid] = (burst.local, burst.remote)
        if (burst.local, burst.remote) not in self.answered:
            self.probe_times.append(now)
        self.start_times.append(now)

    def watch_received(self, now: float, burst: Burst) -> None:
        for data in burst.datagrams:
            if not data or data[0] > 3:
                continue
            try:
                message = decode_message(data)
            except ValueError:
                continue
            path = (burst.local, burst.remote)
            if message.message_class is MessageClass.REQUEST:
                self.request_ids_received.add(message.transaction_id)
            elif (
                message.message_class is MessageClass.SUCCESS_RESPONSE
                and self.request_paths.get(message.transaction_id) == path
            ):
                self.answered[path] = now
                username = decode_message(self.requests[message.transaction_id]).get(Username)
                assert username is not None
                self.answered_to[*path, username.text.partition(":")[2]] = now

    def settle(self, now: float) -> None:
        for event in self.agent.take_events():
            assert not any(isinstance(e, Closed | Failed) for e in self.events), "an event after the last"
            self._watch_event(event)
            self.events.append(event)
            self.event_times.append((now, event))
        name = self.agent.local_username_fragment
        self.living = self.living | {name} if self.agent.is_restarting else {name}
        self.received += self.agent.take_received()
        self._watch_pairs()

    def restart(self, now: float) -> None:
        """Restart ICE, on the sockets that there are; the pair in use stays."""
        self.settle(now)
        selected = self.agent.selected_pair
        self.may_jump = True
        self.agent.restart(now)
        self.agent.end_of_local_addresses(now)
        self.settle(now)
        assert self.agent.selected_pair == selected

    def cancel_restart(self, now: float) -> None:
        """Take the last restart back."""
        self.settle(now)
        selected = self.agent.selected_pair
        self.may_jump = True
        self.living.discard(self.agent.local_username_fragment)
        self.agent.cancel_restart(now)
        self.settle(now)
        assert self.agent.selected_pair == selected

    def _watch_event(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            was = next((e.state for e in reversed(self.events) if isinstance(e, StateChanged)), State.NEW)
            assert event.state is not was, "no change"
            assert self.may_jump or event.state in TRANSITIONS[was].values(), f"{was!r} -> {event.state!r}"
            self.may_jump = False
        elif isinstance(event, PathLost | PathRecovered):
            assert self.is_lost is isinstance(event, PathRecovered), "lost or recovered twice"
            self.is_lost = not self.is_lost

    def _watch_pairs(self) -> None:
        report = self.agent.pair_report
        states = {}
        for pair in report:
            base = pair.local.related_address or pair.local.address
            path = (base, pair.remote.address)
            states[path] = pair.state
            was = self.pair_states.get(path)
            assert was is None or was is pair.state or pair.state in EDGES[was], f"{was!r} -> {pair.state!r}"
        self.pair_states = states
        selected = self.agent.selected_pair
        if selected is not None and not self.agent.is_restarting:
            matching = [p for p in report if p.is_valid and (p.local, p.remote) == (selected.local, selected.remote)]
            assert len(matching) == 1, "the selected pair is not one valid pair"

    def count(self, kind: type[Any]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def time_of(self, wanted: Callable[[Event], bool]) -> float:
        return next(at for at, event in self.event_times if wanted(event))


class World:
    """Two agents, `left` (as made: controlling) and `right`, and the datagrams between them."""

    def __init__(
        self,
        seed: int = 0,
        *,
        left: list[Address] | None = None,
        right: list[Address] | None = None,
        roles: tuple[Role, Role] = (Role.CONTROLLING, Role.CONTROLLED),
        configurations: tuple[Configuration, Configuration] | None = None,
        fate: Fate | None = None,
        start: float = 100.0,
        renomination: bool = False,
    ) -> None:
        self.renomination = renomination
        configurations = configurations or (Configuration(), Configuration())
        sources = [random.Random(f"{seed} {side}") for side in ("left", "right")]
        agents = [
            Agent(configuration, role=role, random_bytes=source.randbytes)
            for configuration, role, source in zip(configurations, roles, sources, strict=True)
        ]
        self.left = End("left", agents[0], left or [("192.0.2.1", 5001)])
        self.right = End("right", agents[1], right or [("192.0.2.2", 5002)])
        self.ends = (self.left, self.right)
        self.now = start
        self.fate = fate or after(0.01)
        self.numbers = itertools.count()
        self.travelling: list[tuple[float, int, Address, Address, bytes]] = []
        self.is_connected = True
        self.nat: dict[Address, Address] = {}

    def other(self, end: End) -> End:
        return self.right if end is self.left else self.left

    def gather(self) -> None:
        for end in self.ends:
            end.agent.gather(self.now)
            for base in end.bases:
                end.agent.add_local_address(base, self.now)
            end.agent.end_of_local_addresses(self.now)
            end.settle(self.now)

    def tell_credentials(self, to: End) -> None:
        other = self.other(to).agent
        to.agent.set_remote_credentials(
            other.local_username_fragment, other.local_password, self.now, renomination=self.renomination
        )

    def tell_candidates(self, to: End) -> None:
        for event in self.other(to).events:
            if isinstance(event, CandidateFound):
                to.agent.add_remote_candidate(event.candidate, self.now)
        if any(isinstance(event, GatheringCompleted) for event in self.other(to).events):
            to.agent.end_of_remote_candidates(self.now)

    def introduce(self) -> None:
        """Gather, and tell each side about the other."""
        self.gather()
        for end in self.ends:
            self.tell_credentials(end)
            self.tell_candidates(end)

    def restart(self, *ends: End) -> None:
        """Restart ICE on these sides, or on both; nobody is told."""
        for end in ends or self.ends:
            end.restart(self.now)

    def reintroduce(self) -> None:
        """Tell each side about the other's restart."""
        for end in self.ends:
            self.tell_credentials(end)
            self.tell_candidates(end)

    def pull(self) -> bool:
        moved = False
        for end in self.ends:
            for burst in end.agent.transmit(self.now, 64):
                moved = True
                end.watch_sent(self.now, burst)
                for data in burst.datagrams:
                    self._launch(burst, data)
            end.settle(self.now)
        return moved

    def _launch(self, burst: Burst, data: bytes) -> None:
        number = next(self.numbers)
        if not self.is_connected:
            return
        source = self.nat.get(burst.local, burst.local)
        for delay in self.fate(number, source, burst.remote, data):
            heapq.heappush(self.travelling, (self.now + delay, number, source, burst.remote, data))

    def deliver(self, source: Address, destination: Address, data: bytes) -> None:
        for end in self.ends:
            for base in end.bases:
                if self.nat.get(base, base) == destination:
                    burst = Burst(base, source, [data])
                    end.watch_received(self.now, burst)
                    end.agent.receive(burst, self.now)
                    end.settle(self.now)

    def next_event(self) -> float:
        timeouts = [end.agent.next_timeout() for end in self.ends]
        arrivals = [self.travelling[0][0]] if self.travelling else []
        return min(timeouts + arrivals)

    def run(self, until: float) -> None:
        """Run to this time."""
        for _ in range(200_000):
            while self.pull():
                pass
            following = self.next_event()
            if following > until:
                break
            assert following >= self.now
            self.now = following
            while self.travelling and self.travelling[0][0] <= self.now:
                _, _, source, destination, data = heapq.heappop(self.travelling)
                self.deliver(source, destination, data)
            for end in self.ends:
                end.agent.handle_timeout(self.now)
                end.settle(self.now)
        else:
            raise AssertionError("the run does not come to rest")
        self.now = until

    def run_for(self, seconds: float) -> None:
        """Run so long."""
        self.run(self.now + seconds)

    def check_pacing(self) -> None:
        """Checks at least Ta apart, transactions of all kinds 5 ms (RFC 8445 section 14.2).

        Of all kinds are also nominations and consent checks, which go over paths that have answered.
        """
        for end in self.ends:
            assert all(b - a >= 0.05 - 1e-9 for a, b in itertools.pairwise(end.probe_times))
            assert all(b - a >= 0.005 - 1e-9 for a, b in itertools.pairwise(end.start_times))

    def assert_agreed(self) -> None:
        """Both have completed, on the same path, with complementary roles."""
        left, right = self.left.agent, self.right.agent
        assert (left.state, right.state) == (State.COMPLETED, State.COMPLETED)
        assert {left.role, right.role} == {Role.CONTROLLING, Role.CONTROLLED}
        ours, theirs = left.selected_pair, right.selected_pair
        assert ours is not None
        assert theirs is not None
        assert ours.local.address == theirs.remote.address
        assert ours.remote.address == theirs.local.address


def snapshot(agent: Agent) -> tuple[Any, ...]:
    """All that can be seen of an agent but its counters."""
    return (
        agent.state,
        agent.role,
        agent.local_candidates,
        agent.remote_candidates,
        agent.selected_pair,
        agent.pair_report,
        agent.round_trip_time,
        agent.next_timeout(),
        tuple(agent.take_events()),
        tuple(agent.take_received()),
    )


def random_network(source: random.Random, loss: float, jitter: float = 0.2, duplicates: float = 0.1) -> Fate:
    """Loses, delays, reorders and duplicates at random."""

    def fate(number: int, sender: Address, destination: Address, data: bytes) -> list[float]:
        if source.random() < loss:
            return []
        copies = 2 if source.random() < duplicates else 1
        return [0.001 + source.random() * jitter for _ in range(copies)]

    return fate
