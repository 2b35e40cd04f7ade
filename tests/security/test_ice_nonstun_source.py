"""ice_nonstun_source: data reaches the layer above only from the remote of a valid pair on the same socket."""

from __future__ import annotations

import random

import pytest

from tests.ice.simulation import World
from xp2p_trio.sansio import Address, Burst

ATTACKERS: list[Address] = [("203.0.113.66", port) for port in range(1, 40)]
KINDS = [b"\x16\xfe\xff attacker hello", b"\x15 attacker alert", b"\x17 attacker data", b"\x14", b"attacker noise", b""]


def attack(world: World, count: int, source: random.Random) -> None:
    for end in world.ends:
        for _ in range(count):
            # From elsewhere, from another socket's peer, and from the peer's host but another port.
            remote = source.choice([*ATTACKERS, ("192.0.2.1", 7), ("192.0.2.2", 7)])
            data = source.choice(KINDS)
            end.agent.receive(Burst(end.bases[0], remote, [data] * source.randrange(1, 4)), world.now)


@pytest.mark.parametrize("seed", range(3))
def test_a_stranger_neither_owns_nor_kills_the_session(seed: int) -> None:
    source = random.Random(seed)
    world = World(seed)
    world.gather()
    attack(world, 300, source)
    for end in world.ends:
        world.tell_credentials(end)
    attack(world, 300, source)
    world.run_for(0.005)
    for end in world.ends:
        world.tell_candidates(end)
    attack(world, 300, source)
    sent = 0
    for _ in range(200):
        world.run_for(0.005)
        attack(world, 5, source)
        if world.left.agent.selected_pair is not None and sent < 20:
            world.left.agent.send([b"\x16 the peer's %d" % sent], world.now)
            sent += 1
    world.assert_agreed()
    assert world.right.received == [b"\x16 the peer's %d" % n for n in range(20)]
    assert world.left.received == []
    strangers = [remote for end in world.ends for _, _, remote, _ in end.sent if remote in ATTACKERS or remote[1] == 7]
    assert strangers == []


def test_data_that_overtakes_the_check_is_parked_and_released_in_order() -> None:
    world = World()
    world.introduce()
    path = Burst(world.right.bases[0], world.left.bases[0], [b"\x16one", b"\x16two"])
    world.right.agent.receive(path, world.now)
    assert world.right.agent.take_received() == []
    world.run_for(0.1)
    assert world.right.received == [b"\x16one", b"\x16two"]


def test_at_most_sixteen_and_twenty_kibibytes_are_parked() -> None:
    for size, kept in ((10, 16), (2000, 10)):
        world = World()
        world.introduce()
        datagrams = [b"\x16" + bytes([n]) + bytes(size - 2) for n in range(100)]
        world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], datagrams), world.now)
        assert world.right.agent.statistics.datagrams_dropped == 100 - kept
        world.run_for(0.1)
        assert world.right.received == datagrams[:kept]


def test_strangers_do_not_keep_the_peer_out_of_the_parking() -> None:
    world = World()
    world.introduce()
    for remote in ATTACKERS:
        world.right.agent.receive(Burst(world.right.bases[0], remote, [b"\x16 stranger"]), world.now)
    world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], [b"\x16 peer"]), world.now)
    world.run_for(0.1)
    assert world.right.received == [b"\x16 peer"]


def test_another_socket_of_ours_is_another_path() -> None:
    world = World(right=[("192.0.2.2", 5002), ("192.0.2.3", 5003)])
    world.fate = lambda number, sender, destination, data: (
        () if ("192.0.2.3", 5003) in (sender, destination) else (0.01,)
    )
    world.introduce()
    world.run_for(3)
    world.assert_agreed()
    world.right.agent.receive(Burst(("192.0.2.3", 5003), world.left.bases[0], [b"\x16 wrong socket"]), world.now)
    world.right.agent.receive(Burst(("192.0.2.9", 5003), world.left.bases[0], [b"\x16 no socket"]), world.now)
    assert world.right.agent.take_received() == []
