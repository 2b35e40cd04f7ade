"""Relayed paths over time: kept up, lost and replaced, taken through restarts, and deleted in the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ice.relays import DATA, HOSTS, PORTS, SERVERS, SIDES, World, server
from xp2p_trio import ice, stun
from xp2p_trio.errors import Reason
from xp2p_trio.sansio import Closed, Failed, Transport
from xp2p_trio.testing import (
    BLACK_HOLE,
    PORT_RESTRICTED_CONE,
    UDP_BLOCKED,
    AllocationCreated,
    AllocationDeleted,
    Link,
)

TRANSPORTS = list(Transport)
STREAMS = [Transport.TCP, Transport.TLS]
URL = "turn:turn:3478?transport=udp"


def lonely(*servers: ice.TurnServer, **fields: object) -> World:
    """Alice has nothing but servers, and Bob none."""
    return World(*servers, bob=(), relay_only=("alice",), **fields)  # type: ignore[arg-type]


def gap(world: World, end: Callable[[], bool], patience: float = 40.0) -> float:
    """For how long no datagram of Alice gets through, one each 0.1 s, from now until `end` holds."""
    start = last = world.now
    worst = 0.0
    while world.now < start + patience and not end():
        world.alice.send([DATA], world.now)
        world.run(0.1)
        if world.bob.take_received():
            worst = max(worst, world.now - last)
            last = world.now
    assert end(), world.story()
    worst = max(worst, world.now - last)
    world.run(0.2)
    world.bob.take_received()
    return worst


def selected_host(world: World) -> str:
    pair = world.alice.selected_pair
    return "" if pair is None else pair.local.host


# --- kept up


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("pause", [1.0, 30.0])
def test_half_an_hour_of_a_relayed_path(pause: float, transport: Transport) -> None:
    """Busy or all but idle, permissions, channels and the allocation are kept, and nothing is lost."""
    world = lonely(server(transport=transport)).connect()
    count = 0
    while world.now < 1800.0:
        world.alice.send([DATA], world.now)
        world.bob.send([DATA], world.now)
        world.run(pause)
        count += 1
        assert world.bob.take_received() == world.alice.take_received() == [DATA]
    (allocation,) = world.servers["turn"].allocations
    assert allocation.may_relay("203.0.113.2", world.now)
    assert allocation.channel_of(("203.0.113.2", 49152), world.now) == 0x4000
    assert allocation.expires > world.now
    assert world.requests()["REFRESH"] in range(5, 8)
    assert world.requests()["CREATE_PERMISSION"] <= 16
    assert world.requests()["CHANNEL_BIND"] <= 8
    assert not world.of("alice", ice.PathLost)
    assert world.failures() == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_half_an_hour_in_silence(transport: Transport) -> None:
    world = lonely(server(transport=transport)).connect()
    world.run(1800.0)
    assert not world.of("alice", ice.PathLost)
    assert world.echoes()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nonces_that_go_stale_all_the_time(transport: Transport) -> None:
    world = lonely(server(transport=transport), choices={"turn": {"nonce_lifetime": 3.0}}).connect()
    for _ in range(700):
        assert world.echoes(patience=1.0)
    assert world.failures() == []


def test_a_nonce_that_is_stale_twice_in_a_row() -> None:
    """The refresh is tried again, later and not in a storm, while data goes on."""
    world = lonely(server()).connect()
    world.servers["turn"].faults.always_stale = True
    while world.now < 280.0:
        assert world.echoes(patience=10.0)
    world.servers["turn"].faults.always_stale = False
    while world.now < 1000.0:
        assert world.echoes(patience=10.0)
    assert world.failures() == []
    assert world.requests()["CREATE_PERMISSION"] < 40


def test_a_lossy_way_to_the_server() -> None:
    world = lonely(server()).connect()
    world.network.set_links("alice", "turn", Link(delay=0.02, loss=0.3))
    arrived = 0
    for _ in range(900):
        world.alice.send([DATA], world.now)
        world.run(2.0)
        arrived += len(world.bob.take_received())
    assert 500 < arrived < 760
    assert not world.of("alice", Failed)
    assert world.failures() == []


# --- lost, and replaced by another


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_that_is_gone_is_replaced_by_the_other_one(transport: Transport) -> None:
    world = lonely(server(transport=transport), server("other", transport)).connect()
    world.run(3.0)
    assert selected_host(world) == SERVERS["turn"][0]
    world.servers["turn"].faults.is_silent = True
    world.network.set_links("alice", "turn", BLACK_HOLE)
    silence = gap(world, lambda: selected_host(world) == SERVERS["other"][0])
    assert silence < 15.0  # a consent check, and its time to be answered
    world.run(1.0)
    assert world.echoes()
    assert world.of("alice", ice.PathRecovered)
    world.run(600.0)
    assert world.echoes()


@pytest.mark.parametrize("transport", STREAMS)
def test_a_stream_that_is_cut_is_replaced_by_the_other_server_at_once(transport: Transport) -> None:
    world = lonely(server(transport=transport), server("other", transport)).connect()
    world.run(3.0)
    stop_and_cut(world, transport)
    silence = gap(world, lambda: selected_host(world) == SERVERS["other"][0])
    assert silence < 1.0
    assert world.echoes()
    world.run(6.0)
    (failed,) = world.failures()  # it was asked once more
    assert "nobody listens there" in failed.detail


def stop_and_cut(world: World, transport: Transport) -> None:
    """The server goes down, and tells its clients' kernels so."""
    world.network.stop_listening("turn", (SERVERS["turn"][0], PORTS[transport]))
    cut(world)


def cut(world: World) -> None:
    for allocation in world.servers["turn"].allocations:
        path = allocation.path
        world.network.close_stream("turn", path.server, path.client, world.now)
        world.servers["turn"].stream_closed(path.server, path.client, world.now, path.transport)


@pytest.mark.parametrize("transport", STREAMS)
def test_a_stream_that_is_cut_is_connected_anew(transport: Transport) -> None:
    """The peer hears of the new address by our checks, without signaling."""
    world = lonely(server(transport=transport)).connect()
    world.run(3.0)
    world.ignored_candidates = lambda candidate: True
    first = world.relayed("alice")[0].address
    cut(world)
    silence = gap(
        world,
        lambda: world.alice.selected_pair is not None and world.alice.selected_pair.local.address not in (first, None),
    )
    assert silence < 1.5
    assert world.echoes()
    assert world.of("alice", ice.PathRecovered)
    assert world.failures() == []
    (second,) = world.relayed("alice")
    assert second.address != first
    assert world.routes() == [f"via TURN/{transport.value}", "direct"]  # as far as the peer knows


@pytest.mark.parametrize("method", [stun.Method.REFRESH, stun.Method.CREATE_PERMISSION, stun.Method.CHANNEL_BIND])
def test_an_allocation_that_the_server_forgot_is_made_anew(method: stun.Method) -> None:
    """A server that was started anew knows nothing of us: 437 to whatever is asked first."""
    world = lonely(server()).connect()
    due = {stun.Method.REFRESH: 299.0, stun.Method.CREATE_PERMISSION: 119.0, stun.Method.CHANNEL_BIND: 299.0}[method]
    world.run(due - world.now)
    first = world.relayed("alice")[0].address
    world.servers["turn"].faults.forgets = True
    silence = gap(world, lambda: bool(world.relayed("alice")) and world.relayed("alice")[0].address != first)
    assert silence < 3.5
    world.run(3.0)
    assert world.echoes()
    assert world.failures() == []
    assert world.requests()["ALLOCATE"] == 4


def test_a_server_that_forgets_all_the_time_keeps_nobody_busy() -> None:
    world = lonely(server()).connect()
    for _ in range(100):
        world.servers["turn"].faults.forgets = True
        world.run(10.0)
        if world.of("alice", Failed):
            break
    assert world.requests()["ALLOCATE"] <= 6
    (failed,) = world.failures()
    assert failed.code == 437
    assert "it no longer exists" in world.last_words()


def test_an_allocation_that_has_expired_is_made_anew_once() -> None:
    world = lonely(server()).connect()
    world.servers["turn"].faults.error_codes[stun.Method.REFRESH] = 500
    first = world.relayed("alice")[0].address
    silence = gap(world, lambda: bool(world.relayed("alice")) and world.relayed("alice")[0].address != first, 700.0)
    assert world.now == pytest.approx(600.0, abs=1.0)
    assert silence < 1.0
    world.run(1.0)
    assert world.echoes()
    assert world.run(640.0, lambda: bool(world.of("alice", Failed)))
    (failed,) = world.failures()
    assert "the allocation on the TURN server 198.51.100.2 port 3478 over UDP has expired" in failed.detail
    assert failed.detail in world.last_words()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_without_another_way_the_end_comes_within_half_a_minute(transport: Transport) -> None:
    world = lonely(server(transport=transport)).connect()
    world.run(3.0)
    gone_at = world.now
    world.servers["turn"].faults.is_silent = True
    world.run(40.0)
    (failed,) = world.of("alice", Failed)
    assert failed.failure.reason is Reason.CONSENT_EXPIRED
    assert world.time_of("alice", Failed) - gone_at <= 31.0
    assert f"by way of turn:turn:{PORTS[transport]}?transport={transport.value}" in failed.failure.detail
    assert "the peer or the server is gone" in failed.failure.detail
    assert world.time_of("bob", Failed) - gone_at <= 30.1


@pytest.mark.parametrize("transport", STREAMS)
def test_a_stream_that_is_cut_for_good_ends_with_words(transport: Transport) -> None:
    world = lonely(server(transport=transport)).connect()
    world.run(3.0)
    gone_at = world.now
    stop_and_cut(world, transport)
    world.run(40.0)
    assert world.time_of("alice", ice.PathLost) - gone_at < 0.2
    assert world.time_of("alice", Failed) - gone_at <= 31.0
    assert "nothing gets through" in world.last_words() or "that way is gone" in world.last_words()
    assert "its stream has ended" in world.last_words()
    assert len(world.failures()) == 1


def test_the_way_over_a_server_takes_over_when_the_direct_one_is_closed() -> None:
    """It was not even checked, as the direct one was chosen at once."""
    world = World(server(), relay_only=(), bob=()).connect()
    assert world.routes() == ["direct"] * 2
    world.run(5.0)
    world.network.set_links("alice", "bob", BLACK_HOLE)
    silence = gap(world, lambda: world.routes() == ["via TURN/udp", "via the peer's TURN"])
    assert silence < 15.0
    assert world.echoes()


# --- restarts


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_restart_goes_on_with_the_same_allocation(transport: Transport) -> None:
    world = World(server(transport=transport)).connect()
    before = [candidate.address for candidate in world.relayed("alice")]
    for _ in range(3):
        world.restart()
        assert world.echoes()
        world.run(2.0)
        assert world.echoes()
        assert not world.alice.is_restarting
    assert [candidate.address for candidate in world.relayed("alice")] == before
    assert world.requests()["ALLOCATE"] == 4  # two of each side
    assert world.servers["turn"].stream_count == 2 * transport.is_stream
    assert not world.of("alice", ice.PathLost)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("moment", [0.0, 0.01, 0.045, 0.06, 0.1, 0.2])
def test_a_restart_while_an_allocation_is_asked_for_neither_loses_nor_doubles_it(
    moment: float, transport: Transport
) -> None:
    world = lonely(server(transport=transport), server("other", transport))
    world.start()
    world.run(moment)
    world.restart()
    world.run(10.0)
    assert world.echoes()
    assert len(world.relayed("alice")) == 2
    assert world.failures() == []
    for name in ("turn", "other"):
        assert world.requests(name)["ALLOCATE"] == 2
    # Nothing comes behind the end of gathering.
    kinds = [type(event) for _, event in world.events["alice"]]
    last = len(kinds) - kinds[::-1].index(ice.GatheringCompleted)
    assert ice.CandidateFound not in kinds[last:]


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.06, 1.0])
def test_a_restart_that_is_taken_back_loses_no_allocation(moment: float) -> None:
    world = lonely(server(), server("other"))
    world.start()
    world.run(moment)
    world.alice.restart(world.now)
    world.run(0.02)
    world.alice.cancel_restart(world.now)
    world.run(10.0)
    assert world.echoes()
    assert len(world.relayed("alice")) == 2
    assert world.alice.is_gathering_complete


def test_a_restart_behind_a_nat_that_was_started_anew() -> None:
    """The server does not know us by our new address: the allocation is asked for, and then made anew."""
    world = World(server(), bob=(), relay_only=("alice",))
    nat = world.network.nat("home", "203.0.113.7", behaviour=PORT_RESTRICTED_CONE, inside=["alice"])
    world.connect()
    first = world.relayed("alice")[0].address
    nat.rebind()
    world.run(1.0)
    world.restart()
    world.run(5.0)
    assert world.echoes()
    assert world.relayed("alice")[0].address != first
    assert world.failures() == []


def test_an_interface_that_goes_kills_its_allocation_and_a_new_one_has_its_own() -> None:
    world = lonely(server(), server("other", Transport.TCP)).connect()
    world.run(2.0)
    host = world.network.host("alice")
    host.add_ip_address("192.0.2.99")
    host.remove_ip_address("192.0.2.1")
    world.answers["alice"].look(world.now)
    gap(world, lambda: len(world.relayed("alice")) == 2)
    world.run(2.0)
    assert world.echoes()
    assert {one.path.client[0] for name in ("turn", "other") for one in world.servers[name].allocations} >= {
        "192.0.2.99"
    }
    world.restart()
    world.run(3.0)
    assert world.echoes()
    assert len(world.relayed("alice")) == 2


def test_an_interface_that_goes_and_comes_back_later() -> None:
    world = lonely(server(), disconnected_timeout=5.0).connect()
    host = world.network.host("alice")
    host.remove_ip_address("192.0.2.1")
    world.answers["alice"].look(world.now)
    world.run(10.0)
    assert world.alice.local_candidates == ()
    assert world.of("alice", ice.PathLost)
    host.add_ip_address("192.0.2.77")
    world.answers["alice"].look(world.now)
    gap(world, lambda: bool(world.of("alice", ice.PathRecovered)), patience=15.0)
    assert world.echoes()


def test_hosts_of_sessions_that_are_long_gone_have_no_permission() -> None:
    """A peer on the move has a new address for each restart; there is room for 64."""
    world = lonely(server()).connect()
    host = world.network.host("bob")
    for number in range(40):
        old = host.ip_addresses
        for suffix in ("", "1"):
            host.add_ip_address(f"203.0.{114 + len(suffix)}.{number + 1}")
        for each in old:
            host.remove_ip_address(each)
        world.answers["bob"].look(world.now)
        world.restart()
        world.run(2.0)
        assert world.echoes(), number
    world.run(400.0)  # those that are not refreshed any more are over by then
    (allocation,) = world.servers["turn"].allocations
    assert len([host for host in allocation.permissions if allocation.may_relay(host, world.now)]) < 10
    assert world.echoes()


# --- the end


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_closing_deletes_the_allocations_before_it_says_so(transport: Transport) -> None:
    world = World(server(transport=transport), server("other", transport)).connect()
    closed_at = world.now
    world.alice.close(world.now)
    assert world.run(2.0, lambda: world.has_closed("alice"))
    assert world.now - closed_at == pytest.approx(0.04)
    world.run(0.1)
    for name in ("turn", "other"):
        assert world.requests(name)["REFRESH"] == 1
        assert len(world.servers[name].allocations) == 1  # Bob's
        assert world.servers[name].stream_count == transport.is_stream
    assert world.events["alice"][-1][1] == Closed()
    world.run(60.0)
    assert world.events["alice"][-1][1] == Closed()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_dead_server_delays_the_end_by_a_second(transport: Transport) -> None:
    world = World(server(transport=transport), server("other", transport)).connect()
    world.run(1.0)
    world.servers["turn"].faults.is_silent = True
    closed_at = world.now
    world.alice.close(world.now)
    assert world.run(5.0, lambda: world.has_closed("alice"))
    assert world.now - closed_at == pytest.approx(1.0)
    assert world.requests("other")["REFRESH"] == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("step", range(0, 40, 2))
def test_closed_at_any_moment_nothing_is_left_on_the_server(step: int, transport: Transport) -> None:
    world = World(server(transport=transport), bob=(), relay_only=("alice",))
    world.start()
    world.run(step * 0.01)
    closed_at = world.now
    world.alice.close(world.now)
    assert world.run(2.0, lambda: world.has_closed("alice"))
    assert world.now - closed_at <= 1.0
    world.run(1.0)
    assert world.servers["turn"].allocations == []
    assert world.servers["turn"].stream_count == 0
    events = world.server_events["turn"]
    created = sum(isinstance(event, AllocationCreated) for event in events)
    assert created == (step >= 4)
    assert [event.is_expired for event in events if isinstance(event, AllocationDeleted)] == [False] * created


def test_a_failure_deletes_the_allocations_as_well() -> None:
    world = World(server()).connect()
    world.network.set_links("bob", "turn", BLACK_HOLE)
    world.run(40.0)
    assert world.of("alice", Failed)
    assert [one.path.client[0] for one in world.servers["turn"].allocations] == [HOSTS["bob"][0]]


def test_an_agent_that_ends_while_it_waits_for_credentials() -> None:
    world = lonely(server(password="stale", is_renewable=True))
    world.start()
    world.run(1.0)
    assert world.of("alice", ice.TurnCredentialsRequested)
    world.alice.close(world.now)
    world.run(0.0)
    assert world.has_closed("alice")


@pytest.mark.parametrize("side", SIDES)
def test_two_relays_face_to_face(side: str) -> None:
    """Both sides use nothing but TURN: two allocations on one server, or on two."""
    world = World(server(), bob=[server("other" if side == "bob" else "turn")]).connect()
    assert world.echoes()
    assert world.routes() == ["via TURN/udp"] * 2
    world.network.host("third")
    assert UDP_BLOCKED is not None
