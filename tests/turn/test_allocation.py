"""The life of an allocation against a simulated server."""

from __future__ import annotations

import math

import pytest

from tests.turn.world import (
    CLIENT,
    CREDENTIALS,
    OTHER_PEER,
    OTHER_SERVER,
    PEER,
    SERVER,
    World,
    allocation,
    server_configuration,
)
from xp2p_trio import stun, turn
from xp2p_trio.errors import InvalidArgument, InvalidState, Reason
from xp2p_trio.sansio import Burst, Closed, Failed
from xp2p_trio.testing.link import BLACK_HOLE, Link


def failure(world: World) -> Failed:
    """The end of the client."""
    (failed,) = world.of(Failed)
    assert isinstance(failed, Failed)
    assert world.events[-1] is failed
    assert world.client.state is turn.State.FAILED
    assert world.client.next_timeout() == math.inf
    return failed


def test_an_allocation() -> None:
    world = World()
    event = world.allocate()
    assert event.relayed_address[0] == SERVER[0]
    assert event.mapped_address == CLIENT
    assert event.lifetime == 600
    assert world.client.state is turn.State.ALLOCATED
    assert world.client.statistics.requests_sent == 2


@pytest.mark.parametrize("offers_sha256", [True, False])
@pytest.mark.parametrize("is_anonymous", [True, False])
def test_every_kind_of_authentication(offers_sha256: bool, is_anonymous: bool) -> None:
    if is_anonymous and not offers_sha256:
        with pytest.raises(InvalidArgument):
            World(offers_sha256=offers_sha256, is_anonymous=is_anonymous)
        return
    world = World(offers_sha256=offers_sha256, is_anonymous=is_anonymous)
    world.allocate()
    world.permit()
    world.bind()
    request = [stun.decode_message(d) for d in snoop(world, lambda: world.client.bind_channel(OTHER_PEER, world.now))][
        -1
    ]
    assert (request.get(stun.MessageIntegritySha256) is not None) == offers_sha256
    assert (request.get(stun.MessageIntegrity) is None) == offers_sha256
    assert (request.get(stun.UserHash) is not None) == is_anonymous
    algorithm = request.get(stun.PasswordAlgorithm)
    assert (None if algorithm is None else algorithm.algorithm) == (2 if offers_sha256 else None)


def snoop(world: World, action: object) -> list[bytes]:
    """What the client sends at once after an action."""
    assert callable(action)
    action()
    return [datagram for burst in world.client.transmit(world.now, 100) for datagram in burst.datagrams]


def test_a_server_that_asks_for_no_credentials() -> None:
    world = World(users=None)
    world.allocate()
    world.permit()
    assert world.client.statistics.requests_sent == 2
    world.client.close(world.now)
    world.run(0.1)
    assert world.events[-1] == Closed()
    assert world.server.allocations == []


def test_ipv6_is_asked_for_by_name() -> None:
    world = World(allocation(address_family=turn.AddressFamily.IPV6))
    assert world.allocate().relayed_address[0] == "2001:db8::7"
    world.client.create_permissions([PEER[0], "2001:db8::5"], world.now)
    world.run(1.0)
    (denied,) = world.of(turn.PermissionDenied)
    assert (denied.host, denied.code) == (PEER[0], 0)
    world.client.send([(("2001:db8::5", 6000), b"six")], world.now)
    world.run(0.1)
    assert [data for _, _, data in world.peer.received] == [b"six"]


def test_data_by_indications_then_by_a_channel() -> None:
    world = World()
    relayed = world.allocate().relayed_address
    world.permit()
    sizes = []
    for _ in range(2):
        world.peer.received.clear()
        datagrams = snoop(world, lambda: world.client.send([(PEER, b"x" * 1000)], world.now))
        sizes.append(len(datagrams[0]))
        world.server.receive(Burst(SERVER, CLIENT, datagrams), world.now)
        world.peer.say(PEER, relayed, b"y" * 10)
        world.run(0.1)
        assert world.peer.received == [(PEER, relayed, b"x" * 1000)]
        assert world.received == [(PEER, b"y" * 10)]
        world.received.clear()
        world.bind()
    assert sizes == [1036, 1004]


def test_data_waits_for_its_permission_and_no_longer() -> None:
    world = World()
    world.allocate()
    world.client.create_permissions([PEER[0]], world.now)
    world.client.send([(PEER, bytes([number])) for number in range(20)], world.now)
    world.client.send([(OTHER_PEER, b"never asked for")], world.now)
    world.run(0.1)
    assert [data for _, _, data in world.peer.received] == [bytes([number]) for number in range(16)]
    assert world.client.statistics.datagrams_unsent == 5


def test_another_spelling_of_the_peer_is_the_peer() -> None:
    world = World()
    world.allocate()
    world.client.create_permissions(["::ffff:203.0.113.5"], world.now)
    world.run(0.1)
    assert world.of(turn.PermissionCreated) == [turn.PermissionCreated(PEER[0])]
    world.client.send([(("::ffff:203.0.113.5", 6000), b"hello")], world.now)
    world.run(0.1)
    assert [(remote[1] > 0, data) for _, remote, data in world.peer.received] == [(True, b"hello")]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (400, Reason.REFUSED),
        (403, Reason.REFUSED),
        (437, Reason.REFUSED),
        (440, Reason.REFUSED),
        (441, Reason.REFUSED),
        (442, Reason.REFUSED),
        (486, Reason.LIMIT_EXCEEDED),
        (500, Reason.REFUSED),
        (508, Reason.LIMIT_EXCEEDED),
    ],
)
def test_an_allocate_that_is_refused(code: int, reason: Reason) -> None:
    world = World()
    world.server.faults.error_codes[stun.Method.ALLOCATE] = code
    world.client.start(0.0)
    world.run(60.0)
    assert world.of(turn.AllocationRefused) == [turn.AllocationRefused(SERVER, "xp2p.test", code, "as configured")]
    failed = failure(world).failure
    assert (failed.layer, failed.reason) == ("turn", reason)
    for part in (SERVER[0], "3478", "UDP", str(code), "xp2p.test"):
        assert part in failed.detail
    assert world.client.statistics.requests_sent == 2


@pytest.mark.parametrize("credentials", [turn.Credentials("user", "wrong"), turn.Credentials("nobody", "password")])
def test_wrong_credentials(credentials: turn.Credentials) -> None:
    world = World(allocation(credentials=credentials))
    world.client.start(0.0)
    world.run(60.0)
    (refused,) = world.of(turn.AllocationRefused)
    assert (refused.code, refused.realm) == (401, "xp2p.test")
    assert "check the username and the password" in failure(world).failure.detail
    assert world.client.statistics.requests_sent == 2
    assert "wrong" not in repr(credentials)
    assert "wrong" not in failure(world).failure.detail


def test_a_dead_server_is_told_after_ten_seconds() -> None:
    world = World()
    world.server.faults.is_silent = True
    world.client.start(0.0)
    world.run(9.9)
    assert world.events == []
    world.run(0.2)
    assert failure(world).failure.reason is Reason.PEER_UNREACHABLE
    assert world.client.statistics.requests_sent == 5


def test_a_server_that_dies_later_is_told_when_the_allocation_has_expired() -> None:
    world = World()
    world.allocate()
    world.permit()
    world.server.faults.is_silent = True
    world.run(590.0)
    assert world.client.state is turn.State.ALLOCATED
    world.run(30.0)
    assert failure(world).failure.reason is Reason.PEER_UNREACHABLE
    assert world.client.statistics.requests_sent < 120


def test_a_server_that_comes_back_in_time_is_kept() -> None:
    world = World()
    world.allocate()
    world.permit()
    world.server.faults.is_silent = True
    world.run(550.0)
    world.server.faults.is_silent = False
    world.run(60.0)
    assert world.client.state is turn.State.ALLOCATED
    world.client.send([(PEER, b"back")], world.now)
    world.run(1.0)
    assert [data for _, _, data in world.peer.received] == [b"back"]


@pytest.mark.parametrize("method", [stun.Method.REFRESH, stun.Method.CREATE_PERMISSION, stun.Method.CHANNEL_BIND])
def test_an_allocation_that_the_server_forgot(method: stun.Method) -> None:
    world = World()
    world.allocate()
    world.server.faults.forgets = True
    if method is stun.Method.CREATE_PERMISSION:
        world.client.create_permissions([PEER[0]], world.now)
    elif method is stun.Method.CHANNEL_BIND:
        world.client.create_permissions([PEER[0]], world.now)
        world.client.bind_channel(PEER, world.now)
    world.run(400.0)
    (refused,) = world.of(turn.AllocationRefused)
    assert refused.code == 437
    assert "no longer exists" in failure(world).failure.detail


def test_a_bad_host_is_found_among_good_ones() -> None:
    world = World(refuses_peer=lambda host: host.endswith(".13"))
    world.allocate()
    hosts = [f"203.0.113.{number}" for number in range(1, 31)]
    world.client.create_permissions(hosts, world.now)
    world.run(20.0)
    assert world.of(turn.PermissionDenied) == [turn.PermissionDenied("203.0.113.13", 403, "Forbidden")]
    assert {event.host for event in world.of(turn.PermissionCreated)} == set(hosts) - {"203.0.113.13"}
    assert world.client.statistics.permissions == 29


def test_a_denied_channel_leaves_the_indications() -> None:
    world = World()
    world.allocate()
    world.permit()
    world.server.faults.error_codes[stun.Method.CHANNEL_BIND] = 508
    world.client.bind_channel(PEER, world.now)
    world.run(1.0)
    assert world.of(turn.ChannelDenied) == [turn.ChannelDenied(PEER, 508, "as configured")]
    world.client.send([(PEER, b"still")], world.now)
    world.run(0.1)
    assert [data for _, _, data in world.peer.received] == [b"still"]


def test_64_permissions_and_64_channels() -> None:
    world = World()
    world.allocate()
    hosts = [f"198.51.100.{number}" for number in range(70)]
    world.client.create_permissions(hosts, world.now)
    world.run(5.0)
    assert world.client.statistics.permissions == 64
    assert [event.code for event in world.of(turn.PermissionDenied)] == [0] * 6
    for number in range(70):
        world.client.bind_channel((hosts[0], 1000 + number), world.now)
    world.run(5.0)
    assert world.client.statistics.channels == 64
    assert [event.code for event in world.of(turn.ChannelDenied)] == [0] * 6
    world.run(3000.0)
    assert (world.client.statistics.permissions, world.client.statistics.channels) == (64, 64)


def test_removed_hosts_get_nothing_and_make_room() -> None:
    world = World()
    relayed = world.allocate().relayed_address
    world.permit(PEER[0], OTHER_PEER[0])
    world.bind()
    world.client.remove_permissions([PEER[0]], world.now)
    world.client.send([(PEER, b"no"), (OTHER_PEER, b"yes")], world.now)
    world.peer.say(PEER, relayed, b"unwanted")
    world.run(1.0)
    assert [data for _, _, data in world.peer.received] == [b"yes"]
    assert world.received == []
    world.run(700.0)
    assert set(world.server.allocations[0].permissions) >= {OTHER_PEER[0]}
    assert not world.server.allocations[0].may_relay(PEER[0], world.now)
    world.events.clear()
    world.bind()
    assert len(world.server.allocations[0].channels) == 1


def test_credentials_that_run_out_are_asked_for() -> None:
    world = World()
    world.allocate()
    world.permit()
    world.server.set_password("user", "new one")
    world.run(400.0)
    (requested,) = world.of(turn.CredentialsRequested)
    assert (requested.realm, requested.reason) == ("xp2p.test", "Unauthenticated")
    refused = world.client.statistics.requests_refused
    world.run(100.0)
    assert world.client.statistics.requests_refused == refused
    world.client.refresh_credentials(turn.Credentials("user", "new one"), world.now)
    world.run(2000.0)
    assert world.client.state is turn.State.ALLOCATED
    assert world.client.statistics.permissions == 1
    assert len(world.of(turn.CredentialsRequested)) == 1


def test_without_new_credentials_the_allocation_expires() -> None:
    world = World()
    world.allocate()
    world.server.set_password("user", None)
    world.run(700.0)
    assert "credentials had run out" in failure(world).failure.detail


def test_another_username_is_refused_with_441() -> None:
    world = World(users={"user": "password", "other": "secret"})
    world.allocate()
    world.client.refresh_credentials(turn.Credentials("other", "secret"), world.now)
    world.run(400.0)
    (refused,) = world.of(turn.AllocationRefused)
    assert refused.code == 441
    assert "make a new allocation" in failure(world).failure.detail


def test_close_before_the_start_during_and_twice() -> None:
    fresh = allocation()
    fresh.close(0.0)
    assert fresh.take_events() == [Closed()]
    with pytest.raises(InvalidState):
        fresh.start(0.0)
    world = World()
    world.client.start(0.0)
    world.client.close(0.0)
    assert world.client.take_events() == [Closed()]
    world = World(link=Link(delay=0.1))
    world.client.start(0.0)
    world.run(0.25)  # challenged, and Allocate is on its way
    world.client.close(world.now)
    world.client.close(world.now)
    world.run(2.0)
    assert world.events == [Closed()]
    assert world.server.allocations == []


def test_close_lets_the_last_words_out() -> None:
    world = World()
    world.allocate()
    world.permit()
    world.client.send([(PEER, b"goodbye")], world.now)
    world.client.close(world.now)
    world.run(1.0)
    assert [data for _, _, data in world.peer.received] == [b"goodbye"]
    assert world.events[-1] == Closed()


def test_an_address_of_the_wrong_family_is_deleted() -> None:
    world = World(allocation(address_family=turn.AddressFamily.IPV6))
    world.server = world.layers["server"] = type(world.server)(
        server_configuration(), world.network.random_bytes("server")
    )
    confused = allocation()
    confused.start(0.0)
    (first,) = confused.transmit(0.0, 1)
    request = stun.decode_message(first.datagrams[0])
    attributes = (stun.XorRelayedAddress(("2001:db8::9", 9)), stun.XorMappedAddress(CLIENT), stun.Lifetime(600))
    answer = stun.Message(stun.MessageClass.SUCCESS_RESPONSE, stun.Method.ALLOCATE, request.transaction_id, attributes)
    confused.receive(Burst(CLIENT, SERVER, [stun.encode_message(answer)]), 0.1)
    (refresh,) = confused.transmit(0.1, 9)
    message = stun.decode_message(refresh.datagrams[0])
    assert message.method == stun.Method.REFRESH
    assert message.get(stun.Lifetime) == stun.Lifetime(0)
    confused.handle_timeout(1.2)
    (failed,) = confused.take_events()
    assert isinstance(failed, Failed)
    assert "another address family" in failed.failure.detail


@pytest.mark.parametrize("transport", [turn.Transport.TCP, turn.Transport.TLS])
def test_on_a_stream_nothing_is_repeated_and_channel_data_is_padded(transport: turn.Transport) -> None:
    world = World(allocation(transport=transport))
    relayed = world.allocate().relayed_address
    world.permit()
    world.bind()
    (message,) = snoop(world, lambda: world.client.send([(PEER, b"12345")], world.now))
    assert message[4:] == b"12345\0\0\0"
    world.peer.say(PEER, relayed, b"1")
    world.run(0.1)
    assert world.received == [(PEER, b"1")]
    world.server.faults.is_silent = True
    before = world.client.statistics.requests_sent
    world.client.create_permissions([OTHER_PEER[0]], world.now)
    world.run(39.0)
    assert world.client.statistics.requests_sent == before + 1


def test_a_stream_whose_answers_are_forged_ends_at_once() -> None:
    world = World(allocation(transport=turn.Transport.TLS))
    world.server.faults.wrong_integrity = True
    world.client.start(0.0)
    world.run(1.0)
    assert failure(world).failure.reason is Reason.PROTOCOL_VIOLATION


def test_a_redirect_is_followed_with_the_same_credentials() -> None:
    world = World(alternate_server=OTHER_SERVER)
    world.client.start(0.0)
    world.run(1.0)
    assert world.of(turn.Redirected) == [turn.Redirected(OTHER_SERVER, "xp2p.test")]
    (event,) = world.of(turn.Allocated)
    assert event.relayed_address[0] == OTHER_SERVER[0]
    assert world.client.server == OTHER_SERVER
    world.permit()
    world.client.send([(PEER, b"by the other one")], world.now)
    world.run(0.1)
    assert [data for _, _, data in world.peer.received] == [b"by the other one"]
    world.client.close(world.now)
    world.run(0.1)
    assert world.events[-1] == Closed()
    assert world.other.allocations == []


def test_on_a_stream_a_redirect_is_the_drivers() -> None:
    world = World(allocation(transport=turn.Transport.TCP), alternate_server=OTHER_SERVER)
    world.client.start(0.0)
    world.run(1.0)
    assert world.events == [turn.Redirected(OTHER_SERVER, "xp2p.test"), Closed()]


@pytest.mark.parametrize("loss", [0.1, 0.3])
def test_over_a_bad_link(loss: float) -> None:
    world = World(link=Link(delay=0.02, jitter=0.02, loss=loss, duplicate=0.1, reorder=0.2), seed=7)
    world.client.start(0.0)
    world.run(10.0)
    world.client.bind_channel(PEER, world.now)
    world.run(2000.0)
    assert world.client.state is turn.State.ALLOCATED
    assert (world.client.statistics.permissions, world.client.statistics.channels) == (1, 1)


def test_a_lost_deletion_ends_in_a_second() -> None:
    world = World()
    world.allocate()
    world.network.set_links("client", "server", BLACK_HOLE)
    world.client.close(world.now)
    closed_at = world.now
    world.run(5.0)
    assert world.events[-1] == Closed()
    assert max(world.sent_at["client"]) <= closed_at + 1.0


def test_misuse_is_told_and_changes_nothing() -> None:
    client = allocation()
    for call in (
        lambda: client.create_permissions([PEER[0]], 0.0),
        lambda: client.bind_channel(PEER, 0.0),
        lambda: client.send([(PEER, b"")], 0.0),
    ):
        with pytest.raises(InvalidState):
            call()
    with pytest.raises(InvalidArgument):
        turn.Allocation(
            ("turn.example.org", 3478),
            CLIENT,
            CREDENTIALS,
            random_bytes=bytes,
            configuration=turn.Configuration(),
        )
    world = World()
    world.allocate()
    with pytest.raises(InvalidArgument):
        world.client.create_permissions([PEER[0], "example.org"], world.now)
    with pytest.raises(InvalidArgument):
        world.client.bind_channel(("example.org", 5), world.now)
    with pytest.raises(InvalidArgument):
        world.client.bind_channel((PEER[0], 0), world.now)
    with pytest.raises(InvalidArgument):
        world.client.send([(PEER, b"small"), (PEER, bytes(turn.MAX_DATA_SIZE + 1))], world.now)
    with pytest.raises(InvalidState):
        world.client.start(world.now)
    assert world.client.transmit(world.now, 100) == []
    assert world.client.statistics.datagrams_unsent == 0


@pytest.mark.parametrize(
    "choices",
    [
        {"lifetime": 0},
        {"lifetime": 3601},
        {"allocation_timeout": 0.0},
        {"rto": -1.0},
        {"rto": math.nan},
        {"software": "x" * 129},
    ],
)
def test_configurations_that_cannot_work(choices: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        turn.Configuration(**choices)  # type: ignore[arg-type]


@pytest.mark.parametrize("username", ["", "x" * 509, "\ud800"])
def test_usernames_that_cannot_work(username: str) -> None:
    with pytest.raises(InvalidArgument):
        turn.Credentials(username, "secret")


def test_a_chosen_lifetime_is_asked_for() -> None:
    world = World(allocation(lifetime=1200))
    assert world.allocate().lifetime == 1200
    world.run(700.0)
    assert world.server.requests_received[stun.Method.REFRESH] == 1
