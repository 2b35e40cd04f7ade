"""Two agents connect, on whatever network lets any pair through."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.ice.simulation import World, after, random_network
from xp2p_trio.ice import (
    Agent,
    Candidate,
    CandidateType,
    Configuration,
    GatheringCompleted,
    PairSelected,
    PathLost,
    Role,
    State,
    StateChanged,
)
from xp2p_trio.sansio import Address, Failed


def hosts(prefix: str, count: int, port: int) -> list[Address]:
    return [(f"{prefix}.{n}", port + n) for n in range(1, count + 1)]


def test_a_quiet_network_connects_in_one_round_trip_after_both_credentials() -> None:
    world = World(fate=after(0.01))
    world.gather()
    world.tell_credentials(world.right)
    world.tell_candidates(world.right)
    world.run_for(0.3)
    known = world.now
    world.tell_credentials(world.left)
    world.tell_candidates(world.left)
    world.run_for(1)
    connected = world.left.time_of(lambda event: event == StateChanged(State.CONNECTED))
    assert connected - known == pytest.approx(0.02)
    completed = world.left.time_of(lambda event: event == StateChanged(State.COMPLETED))
    assert completed - known == pytest.approx(0.04)
    world.assert_agreed()
    world.check_pacing()


def test_simultaneous_start_connects_in_one_round_trip() -> None:
    world = World(fate=after(0.01))
    world.introduce()
    known = world.now
    world.run_for(1)
    for end in world.ends:
        assert end.time_of(lambda event: event == StateChanged(State.CONNECTED)) - known == pytest.approx(0.02)
    world.assert_agreed()


def test_events_come_in_their_order() -> None:
    world = World()
    world.introduce()
    world.run_for(1)
    kinds = [type(event).__name__ for event in world.left.events]
    assert kinds == [
        "StateChanged",
        "AddressesRequested",
        "CandidateFound",
        "GatheringCompleted",
        "StateChanged",
        "PairSelected",
        "StateChanged",
        "PairSelected",
        "StateChanged",
    ]
    selections = [event.nominated for event in world.left.events if isinstance(event, PairSelected)]
    assert selections == [False, True]


@pytest.mark.parametrize("nomination", ["regular", "aggressive"])
@pytest.mark.parametrize("counts", [(1, 1), (3, 1), (2, 4), (5, 5)])
def test_many_addresses_agree_on_one_pair(nomination: str, counts: tuple[int, int]) -> None:
    configuration = Configuration(nomination="aggressive" if nomination == "aggressive" else "regular")
    for seed in range(10):
        source = random.Random(seed)
        left, right = hosts("10.1.0", counts[0], 1000), hosts("10.2.0", counts[1], 2000)
        open_paths = [path for path in itertools.product(left, right) if source.random() < 0.5]
        open_paths.append((source.choice(left), source.choice(right)))

        def fate(
            number: int,
            sender: Address,
            destination: Address,
            data: bytes,
            paths: list[tuple[Address, Address]] = open_paths,
        ) -> tuple[float, ...]:
            return (0.02,) if (sender, destination) in paths or (destination, sender) in paths else ()

        world = World(seed, left=left, right=right, configurations=(configuration, configuration), fate=fate)
        world.introduce()
        world.run_for(8)
        world.assert_agreed()
        world.check_pacing()


def test_one_way_paths_are_not_used() -> None:
    left, right = hosts("10.1.0", 2, 1000), hosts("10.2.0", 1, 2000)

    def fate(number: int, sender: Address, destination: Address, data: bytes) -> tuple[float, ...]:
        # The better path of the two lets only our requests out.
        return () if sender == right[0] and destination == left[0] else (0.01,)

    world = World(left=left, right=right, fate=fate)
    world.introduce()
    world.run_for(5)
    world.assert_agreed()
    selected = world.left.agent.selected_pair
    assert selected is not None
    assert selected.local.address == left[1]


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5])
def test_random_loss_still_connects(loss: float) -> None:
    for seed in range(25):
        source = random.Random(f"{seed} {loss}")
        world = World(seed, left=hosts("10.1.0", 2, 1000), right=hosts("10.2.0", 2, 2000))
        world.fate = random_network(source, loss)
        world.introduce()
        world.run_for(9)
        world.fate = after(0.01)
        world.run_for(16)
        world.assert_agreed()
        world.check_pacing()


@pytest.mark.parametrize("trickle", [False, True])
def test_every_single_and_double_loss_of_the_first_datagrams_connects(trickle: bool) -> None:
    for lost in itertools.chain(((n,) for n in range(14)), itertools.combinations(range(14), 2)):

        def fate(
            number: int, sender: Address, destination: Address, data: bytes, lost: tuple[int, ...] = lost
        ) -> tuple[float, ...]:
            return () if number in lost else (0.01,)

        world = World(fate=fate)
        if trickle:
            world.gather()
            world.tell_credentials(world.right)
            world.run_for(0.1)
            world.tell_credentials(world.left)
            world.tell_candidates(world.left)
            world.run_for(0.1)
            world.tell_candidates(world.right)
        else:
            world.introduce()
        world.run_for(4)
        world.assert_agreed()


def test_late_candidates_and_a_late_answer_connect() -> None:
    world = World()
    world.gather()
    world.tell_credentials(world.left)
    world.run_for(30)  # patience: no candidates yet
    world.tell_credentials(world.right)
    world.tell_candidates(world.left)
    world.run_for(2)
    world.assert_agreed()


def test_a_peer_behind_a_nat_is_found_by_its_checks() -> None:
    world = World(left=[("192.168.1.2", 4000)], right=[("203.0.113.9", 5000)])
    world.nat = {("192.168.1.2", 4000): ("198.51.100.1", 61000)}
    world.introduce()
    world.run_for(3)
    left, right = world.left.agent.selected_pair, world.right.agent.selected_pair
    assert left is not None
    assert right is not None
    assert (left.local.type, left.local.address) == ("prflx", ("198.51.100.1", 61000))
    assert left.local.related_address == ("192.168.1.2", 4000)
    assert (right.remote.type, right.remote.address) == ("prflx", ("198.51.100.1", 61000))
    assert world.left.agent.state is world.right.agent.state is State.COMPLETED


def test_two_peers_behind_nats_meet_at_their_mapped_addresses() -> None:
    left, right = ("192.168.1.2", 4000), ("192.168.1.2", 4100)
    mapped: dict[Address, Address] = {left: ("198.51.100.1", 61000), right: ("203.0.113.1", 62000)}
    opened: set[tuple[Address, Address]] = set()

    def fate(number: int, sender: Address, destination: Address, data: bytes) -> tuple[float, ...]:
        # Address- and port-dependent filtering: in comes only what has been sent to.
        opened.add((sender, destination))
        return (0.02,) if (destination, sender) in opened else ()

    world = World(left=[left], right=[right], fate=fate)
    world.nat = mapped
    world.gather()
    for end, other in ((world.left, right), (world.right, left)):
        world.tell_credentials(end)
        host, port = mapped[other]
        reflexive = Candidate("9", 1, "udp", 1677729535, host, port, CandidateType.SERVER_REFLEXIVE, other)
        end.agent.add_remote_candidate(reflexive, world.now)
        world.tell_candidates(end)
    world.run_for(6)
    ours, theirs = world.left.agent.selected_pair, world.right.agent.selected_pair
    assert ours is not None
    assert theirs is not None
    assert (ours.local.address, ours.remote.address) == (mapped[left], mapped[right])
    assert (theirs.local.address, theirs.remote.address) == (mapped[right], mapped[left])
    assert world.left.agent.state is world.right.agent.state is State.COMPLETED
    world.check_pacing()


def test_data_flows_both_ways_from_the_first_valid_pair_on() -> None:
    world = World()
    world.introduce()
    sent = False
    for _ in range(100):
        world.run_for(0.005)
        if not sent and world.left.agent.state >= State.CONNECTED:
            world.left.agent.send([b"\x16one", b"\x17two"], world.now)
            sent = True
    world.right.agent.send([b"\x16back"], world.now)
    world.run_for(0.1)
    assert world.right.received == [b"\x16one", b"\x17two"]
    assert world.left.received == [b"\x16back"]


@pytest.mark.parametrize("roles", [(Role.CONTROLLING, Role.CONTROLLING), (Role.CONTROLLED, Role.CONTROLLED)])
def test_role_conflicts_are_repaired(roles: tuple[Role, Role]) -> None:
    for seed in range(500):
        world = World(seed, roles=roles, fate=random_network(random.Random(seed), 0.05, jitter=0.03))
        world.introduce()
        world.run_for(4)
        world.assert_agreed()


def test_equal_tie_breakers_are_repaired() -> None:
    for seed, role in itertools.product(range(100), Role):
        world = World(seed, roles=(role, role), fate=random_network(random.Random(seed), 0.0, jitter=0.04))
        for end in world.ends:
            source = random.Random(f"{seed} {end.name}")
            draws = itertools.count()

            def draw(size: int, source: random.Random = source, draws: itertools.count[int] = draws) -> bytes:
                return b"\x55" * 8 if size == 8 and next(draws) == 0 else source.randbytes(size)

            end.agent = Agent(Configuration(), role=role, random_bytes=draw)
        world.introduce()
        world.run_for(4)
        world.assert_agreed()


def test_nothing_in_common_fails_with_a_diagnosis_after_ten_seconds() -> None:
    world = World(fate=lambda number, sender, destination, data: ())
    world.introduce()
    began = world.now
    world.run_for(60)
    for end in world.ends:
        last = end.events[-1]
        assert isinstance(last, Failed)
        assert last.failure.layer == "ice"
        assert last.failure.reason == "no path"
        assert "no path worked: 1 pair tried" in last.failure.detail
        assert "We offered 1 host candidate (no STUN server was configured); they offered 1 host candidate" in (
            last.failure.detail
        )
        assert end.time_of(lambda event: isinstance(event, Failed)) - began == pytest.approx(10.0)
        assert end.agent.state is State.FAILED


def test_without_the_end_of_candidates_patience_is_longer() -> None:
    world = World()
    world.gather()
    began = world.now
    for end in world.ends:
        world.tell_credentials(end)
    world.run_for(60)
    assert world.left.time_of(lambda event: isinstance(event, Failed)) - began == pytest.approx(39.5)


def test_the_same_seed_gives_the_same_bytes() -> None:
    def run() -> list[tuple[float, Address, Address, bytes]]:
        world = World(7, left=hosts("10.1.0", 3, 1000), right=hosts("10.2.0", 3, 2000))
        world.fate = random_network(random.Random(7), 0.2)
        world.introduce()
        world.run_for(30)
        return world.left.sent + world.right.sent

    assert run() == run()


def test_ice_lite_keeps_us_controlling() -> None:
    world = World(roles=(Role.CONTROLLED, Role.CONTROLLED))
    world.gather()
    right = world.right.agent
    world.left.agent.set_remote_credentials(right.local_username_fragment, right.local_password, world.now, lite=True)
    assert world.left.agent.role is Role.CONTROLLING
    world.left.agent.set_role(Role.CONTROLLED, world.now)
    assert world.left.agent.role is Role.CONTROLLING
    world.tell_candidates(world.left)
    world.run_for(2)
    assert world.left.agent.state is State.COMPLETED


def test_many_pairs_stay_below_the_limit_and_are_paced() -> None:
    world = World(left=hosts("10.1.0", 20, 1000), right=hosts("10.2.0", 20, 2000), fate=lambda *_: ())
    world.introduce()
    world.run_for(50)
    assert world.left.count(GatheringCompleted) == 1
    assert world.left.count(PathLost) == 0
    paths = set(world.left.request_paths.values())
    assert len(paths) <= 128
    assert len(paths) == len(world.left.requests)  # each pair was checked once
    assert sum(map(len, world.left.requests.values())) < 128 * 110
    world.check_pacing()


def test_a_nomination_that_comes_before_the_answer_is_remembered_among_many_checks() -> None:
    ours, theirs = hosts("10.1.0", 5, 1000), hosts("10.2.0", 5, 2000)
    world = World(left=ours, right=theirs, configurations=(Configuration(nomination_wait=1.2), Configuration()))
    best = {ours[0], theirs[0]}  # dead, so that `left` waits for it while it checks the rest
    world.fate = lambda number, source, destination, data: () if {source, destination} == best else (0.01,)
    world.gather()
    world.tell_credentials(world.left)
    world.tell_candidates(world.left)
    world.run_for(2)  # `left` has checked 25 pairs and nominated one; the answer is still on its way to `right`
    assert world.left.agent.state is State.COMPLETED
    world.tell_credentials(world.right)
    world.tell_candidates(world.right)
    world.run_for(3)
    world.assert_agreed()


def test_a_full_check_list_has_room_for_the_path_that_the_peer_nominates() -> None:
    world = World(configurations=(Configuration(), Configuration(max_pairs=4)))
    world.gather()
    for end in world.ends:
        world.tell_credentials(end)
    for n in range(10):  # better than the only candidate that works, and dead
        dead = Candidate(str(n), 1, "udp", 2**31 - 1 - n, f"203.0.113.{n + 1}", 9, CandidateType.HOST)
        world.right.agent.add_remote_candidate(dead, world.now)
    world.tell_candidates(world.left)
    world.run_for(3)
    world.assert_agreed()
