"""What goes wrong with TURN servers: an event with its reason at once, words in the end, and never a storm."""

from __future__ import annotations

import attrs
import pytest

from tests.ice.relays import DATA, SERVERS, World, server
from xp2p_trio import ice, stun, turn
from xp2p_trio.sansio import Burst, Failed, Transport
from xp2p_trio.testing import BLACK_HOLE, UDP_BLOCKED, Delivered, Link

TRANSPORTS = list(Transport)
URL = "turn:turn:3478?transport=udp"
OTHER_URL = "turn:other:3478?transport=udp"


def lonely(*servers: ice.TurnServer, **fields: object) -> World:
    """Alice has nothing but servers, and Bob none."""
    return World(*servers, bob=(), relay_only=("alice",), **fields)  # type: ignore[arg-type]


def to_the_end(world: World) -> str:
    """Alice's last words."""
    world.start()
    assert world.run(60.0, lambda: bool(world.of("alice", Failed)))
    return world.last_words()


# --- refusals


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("wrong", [{"password": "sesame"}, {"username": "nobody"}])
def test_wrong_credentials(wrong: dict[str, str], transport: Transport) -> None:
    asked = server(transport=transport, **wrong)
    world = lonely(asked)
    words = to_the_end(world)
    (failed,) = world.failures()
    assert (failed.name, failed.code, failed.realm) == (asked.name, 401, "xp2p.test")
    assert "check the username and the password" in failed.detail
    assert world.time_of("alice", ice.ServerFailed) < 0.3
    assert f"Wrong TURN credentials for the realm 'xp2p.test' at {asked.name} (401)" in words
    assert world.requests() == {"ALLOCATE": 2}
    assert "sesame" not in words + failed.detail


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (400, "use another server"),
        (403, "ask whoever runs it"),
        (437, "try again from another local port"),
        (440, "ask for the other address family"),
        (442, "the server does not relay UDP"),
        (486, "wait a minute, or raise the quota"),
        (500, "use another server"),
        (508, "wait a minute, or use another server"),
    ],
)
def test_an_allocate_that_is_refused(code: int, remedy: str) -> None:
    world = lonely(server())
    world.servers["turn"].faults.error_codes[stun.Method.ALLOCATE] = code
    words = to_the_end(world)
    (failed,) = world.failures()
    assert (failed.name, failed.code, failed.realm) == (URL, code, "xp2p.test")
    assert "as configured" in failed.detail
    assert f"{URL} answered {code}: " in words
    assert remedy in words
    assert world.requests() == {"ALLOCATE": 2}


def test_a_quota_that_is_used_up() -> None:
    """For real: the third allocation of a user is one too many."""
    world = lonely(server(), server(transport=Transport.TCP), choices={"turn": {"user_quota": 1}})
    world.start()
    world.run(1.0)
    (failed,) = world.failures()
    assert (failed.name, failed.code) == ("turn:turn:3478?transport=tcp", 486)
    assert len(world.relayed("alice")) == 1


def test_two_stale_nonces_in_a_row() -> None:
    world = lonely(server())
    world.servers["turn"].faults.always_stale = True
    words = to_the_end(world)
    (failed,) = world.failures()
    assert (failed.name, failed.code) == (URL, 438)
    assert f"{URL} answered 438" in words
    assert world.requests() == {"ALLOCATE": 3}


def test_an_answer_without_integrity() -> None:
    world = lonely(server())
    world.servers["turn"].faults.no_integrity = True
    words = to_the_end(world)
    (failed,) = world.failures()
    assert "without valid integrity" in failed.detail
    assert URL in words
    assert world.alice.local_candidates == ()


# --- redirects


def redirected(transport: Transport, **other: object) -> World:
    """To "other", over each transport at the port of "turn"."""
    port = 5349 if transport is Transport.TLS else 3478
    choices = {"turn": {"alternate_server": (SERVERS["other"][0], port)}, "other": other}
    return lonely(server(transport=transport), choices=choices)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_redirect_is_followed(transport: Transport) -> None:
    world = redirected(transport).connect()
    assert world.echoes()
    assert world.failures() == []
    (candidate,) = world.alice.local_candidates
    assert candidate.host == SERVERS["other"][0]
    assert world.servers["turn"].stream_count == 0
    assert world.requests("turn") == {"ALLOCATE": 2}
    assert world.requests("other")["ALLOCATE"] == 2
    world.restart()
    world.run(2.0)
    assert world.echoes()
    assert world.requests("turn") == {"ALLOCATE": 2}
    assert world.requests("other")["ALLOCATE"] == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_redirects_are_not(transport: Transport) -> None:
    port = 5349 if transport is Transport.TLS else 3478
    world = redirected(transport, alternate_server=(SERVERS["turn"][0], port))
    words = to_the_end(world)
    (failed,) = world.failures()
    assert failed.code == 300
    assert "one redirect is followed, and no more" in failed.detail
    assert "answered 300" in words
    assert world.requests("turn") + world.requests("other") == {"ALLOCATE": 4}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_redirect_to_itself_is_not(transport: Transport) -> None:
    asked = server(transport=transport)
    world = lonely(asked, choices={"turn": {"alternate_server": asked.address}})
    to_the_end(world)
    (failed,) = world.failures()
    assert "it names the same server again" in failed.detail
    assert world.requests() == {"ALLOCATE": 2}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_credentials_stay_in_their_realm(transport: Transport) -> None:
    world = redirected(transport, realm="evil.test")
    to_the_end(world)
    (failed,) = world.failures()
    assert "another realm" in failed.detail
    assert world.requests("other") == {"ALLOCATE": 1}  # nothing that was made with the password


@pytest.mark.parametrize("first", ["turn", "other"])
def test_a_redirect_to_a_server_that_is_asked_anyway(first: str) -> None:
    """Over UDP one socket has one allocation on a server, whoever sent it there."""
    servers = [server(), server("other")]
    world = redirected(Transport.UDP)
    world.turn_servers["alice"] = servers if first == "turn" else servers[::-1]
    world.connect()
    assert len(world.relayed("alice")) == 1
    (failed,) = world.failures()
    assert "where another server has sent us to already" in failed.detail
    assert world.echoes()
    world.run(700.0)
    assert world.echoes()


# --- peers that are refused


def test_a_host_that_the_server_refuses_fails_its_pairs_at_once() -> None:
    world = lonely(server(), choices={"turn": {"refuses_peer": lambda host: host == "203.0.113.66"}})
    world.network.host("bob").add_ip_address("203.0.113.66")
    world.connect()
    assert world.now < 2.0
    assert world.echoes()
    (refused,) = [pair for pair in world.alice.pair_report if pair.state is ice.PairState.FAILED]
    assert refused.remote.host == "203.0.113.66"
    assert refused.detail == "the TURN server refused the peer: Forbidden"
    assert world.failures() == []  # it works


def test_when_every_host_is_refused_the_end_says_so() -> None:
    world = lonely(server())
    world.servers["turn"].faults.error_codes[stun.Method.CREATE_PERMISSION] = 403
    words = to_the_end(world)
    assert "1 the TURN server refused the peer: as configured" in words
    assert world.requests()["CREATE_PERMISSION"] == 1


def test_a_peer_that_is_refused_later_is_reached_another_way() -> None:
    """A refresh of the permission is answered 403: nothing goes there any more, and the other relay takes over."""
    refused: set[str] = set()
    choices = {"turn": {"refuses_peer": lambda host: host in refused}}
    world = World(server(), server("other"), bob=(), relay_only=("alice",), choices=choices).connect()
    world.run(1.0)
    selected = world.alice.selected_pair
    assert selected is not None
    assert selected.local.host == SERVERS["turn"][0]
    refused.add("203.0.113.2")
    gaps = 0
    for _ in range(150):
        gaps += not world.echoes(patience=1.0)
    assert gaps <= 1
    selected = world.alice.selected_pair
    assert selected is not None
    assert selected.local.host == SERVERS["other"][0]


def test_a_peer_that_is_refused_later_and_has_no_other_way() -> None:
    refused: set[str] = set()
    world = lonely(server(), choices={"turn": {"refuses_peer": lambda host: host in refused}}).connect()
    refused.add("203.0.113.2")
    assert world.run(160.0, lambda: bool(world.of("alice", Failed)))
    assert "the TURN server refused the peer: Forbidden" in world.last_words()
    assert world.now - world.time_of("alice", ice.PathLost) < 31.1
    assert world.requests()["CREATE_PERMISSION"] < 5


# --- silence


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_silent_server_delays_nothing_but_the_end_of_gathering(transport: Transport) -> None:
    world = World(server(transport=transport), relay_only=(), bob=())
    world.servers["turn"].faults.is_silent = True
    world.connect()
    assert world.now < 1.0
    assert world.failures() == []
    world.run(8.0)
    assert world.time_of("alice", ice.GatheringCompleted) == pytest.approx(5.0)
    (failed,) = world.failures()
    assert failed.code == 0
    assert f"did not answer; check its address, and whether {transport.name} gets out" in failed.detail
    assert world.servers["turn"].stream_count == 0


def test_a_silent_server_is_told_of_in_the_end() -> None:
    world = lonely(server())
    world.servers["turn"].faults.is_silent = True
    words = to_the_end(world)
    assert f"{URL} did not answer" in words
    assert world.requests() == {}


def test_a_server_that_falls_silent_after_its_challenge_keeps_no_allocation() -> None:
    """The answer to the second Allocate is lost on the way: what was made is deleted."""
    world = lonely(server())
    world.start()
    world.run(0.045)  # the challenge is here, and the second Allocate on its way
    world.network.set_link("turn", "alice", BLACK_HOLE)
    world.run(4.0)
    assert len(world.servers["turn"].allocations) == 1
    world.run(3.0)
    assert world.failures()
    assert world.servers["turn"].allocations == []


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_a_stream_that_is_refused(transport: Transport) -> None:
    asked = attrs.evolve(server(transport=transport), address=(SERVERS["turn"][0], 9))
    world = lonely(asked)
    words = to_the_end(world)
    (failed,) = world.failures()
    assert "nobody listens there" in failed.detail
    assert f"{asked.name} cannot be reached over {transport.name}: " in words
    assert world.time_of("alice", ice.ServerFailed) < 0.2


def test_a_stream_that_never_comes_about() -> None:
    """The driver says nothing for long: the request is withdrawn."""
    world = lonely(server(transport=Transport.TLS))
    world.answers["alice"].answer = lambda event, now: None  # type: ignore[method-assign]
    world.start()
    world.run(6.0)
    (requested,) = world.of("alice", ice.StreamRequested)
    assert requested.server_name == "turn"
    assert world.of("alice", ice.StreamRequestWithdrawn) == [ice.StreamRequestWithdrawn(requested.number)]
    (failed,) = world.failures()
    assert failed.detail == "did not answer in 5 s"
    world.alice.stream_opened(requested.number, ("192.0.2.1", 5), world.now)  # too late
    world.run(1.0)
    assert world.requests() == {}


def test_a_certificate_that_is_not_trusted() -> None:
    world = lonely(server(transport=Transport.TLS))
    why = "the certificate of turn is not trusted: self-signed certificate"

    def refuse(event: object, now: float) -> None:
        if isinstance(event, ice.StreamRequested):
            world.alice.stream_failed(event.number, why, now)

    world.answers["alice"].answer = refuse  # type: ignore[method-assign]
    words = to_the_end(world)
    assert [failed.detail for failed in world.failures()] == [why]
    assert why in words


def test_a_name_that_does_not_resolve() -> None:
    world = lonely()
    world.start()
    world.alice.server_failed("turn:nowhere:3478", "has no address", world.now)
    world.run(20.0)
    assert world.failures() == [ice.ServerFailed("turn:nowhere:3478", 0, "", "has no address")]
    assert "turn:nowhere:3478 was not asked: has no address" in world.last_words()


def test_a_stream_that_brings_something_else() -> None:
    world = lonely(server(transport=Transport.TCP))
    world.servers["turn"].faults.is_silent = True
    world.start()
    world.run(0.1)
    (stream,) = [
        entry for entry in world.network.trace if isinstance(entry, Delivered) and entry.destination[1] == 3478
    ]
    reply = Burst(stream.destination, stream.source, [b"SSH-2.0-OpenSSH\r\n"], Transport.TCP)
    world.network.send(reply, world.now, host="turn")
    world.run(0.5)
    (failed,) = world.failures()
    assert "sent what is no TURN" in failed.detail
    assert world.servers["turn"].stream_count == 0


# --- several


def time_to_connect(*servers: ice.TurnServer) -> float:
    world = World(*servers, relay_only=("alice",), bob=())
    world.network.set_links("alice", "other", BLACK_HOLE)
    world.servers["third"].faults.error_codes[stun.Method.ALLOCATE] = 508
    world.start()
    assert world.run(10.0, lambda: all(agent.state >= ice.State.CONNECTED for agent in world.agents.values()))
    return world.now


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("useless", ["other", "third"])
def test_a_useless_server_beside_a_good_one_delays_nothing(transport: Transport, useless: str) -> None:
    good, bad = server(transport=transport), server(useless, transport)
    alone = time_to_connect(good)
    assert time_to_connect(good, bad) == pytest.approx(alone)
    assert time_to_connect(bad, good) <= alone + 0.05 + 1e-9  # Ta: the first question comes first


def test_several_servers_are_asked_at_once() -> None:
    world = lonely(server(), server("other"), server("third"), link=Link(delay=0.5))
    world.start()
    world.run(2.2)  # two round trips, and two times Ta
    assert len(world.relayed("alice")) == 3


def test_servers_without_a_name_are_told_apart() -> None:
    world = lonely(server(name="", password="wrong"), server("other", name=""))
    world.start()
    world.run(1.0)
    (failed,) = world.failures()
    assert (failed.name, failed.code) == ("turn:198.51.100.2:3478", 401)
    assert len(world.relayed("alice")) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_servers_with_ipv6(transport: Transport) -> None:
    world = World(server(transport=transport, ipv6=True), relay_only=("alice",), bob=(), ipv6=True).connect()
    assert world.echoes()
    assert world.alice.selected_pair is not None
    assert world.alice.selected_pair.remote.host == "2001:db8:2::2"
    assert len(world.alice.local_candidates) == 1


def test_a_server_that_one_of_two_interfaces_reaches() -> None:
    world = lonely(server())
    world.network.firewall("office", policy=UDP_BLOCKED)
    world.network.host("alice").add_ip_address("192.0.2.99", inside="office")
    world.start()
    world.run(10.0)
    assert world.failures() == []
    assert world.alice.is_gathering_complete
    assert len(world.relayed("alice")) == 1


def test_a_server_that_neither_of_two_interfaces_reaches_fails_once() -> None:
    world = lonely(server())
    world.network.host("alice").add_ip_address("192.0.2.99")
    world.network.set_links("alice", "turn", BLACK_HOLE)
    world.start()
    world.run(10.0)
    assert len(world.failures()) == 1


def test_the_end_of_one_of_two_allocations_is_no_end_of_the_server() -> None:
    world = lonely(server())
    world.network.host("alice").add_ip_address("192.0.2.99")
    world.connect()
    world.network.host("alice").remove_ip_address("192.0.2.1")
    world.answers["alice"].look(world.now)
    world.run(5.0)
    assert world.failures() == []
    assert world.echoes()


# --- credentials that run out


FRESH = turn.Credentials("user", "fresh")


def expiring(*, password: str = "stale", **fields: object) -> World:
    """The server knows a password that only `renew` gives."""
    world = lonely(server(password=password, is_renewable=True), **fields)
    world.servers["turn"].set_password("user", "fresh")
    return world


def test_credentials_are_renewed_when_the_first_allocate_is_refused() -> None:
    world = expiring()
    asked: list[tuple[str, str, float]] = []

    def renew(side: str, name: str, now: float) -> turn.Credentials:
        asked.append((side, name, now))
        return FRESH

    world.renew = renew
    world.connect()
    assert [(side, name) for side, name, _ in asked] == [("alice", URL)]
    (event,) = world.of("alice", ice.TurnCredentialsRequested)
    assert event == ice.TurnCredentialsRequested(URL, "xp2p.test")
    assert world.failures() == []
    assert world.echoes()
    assert world.requests()["ALLOCATE"] == 4


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_credentials_that_come_late_are_good_enough(transport: Transport) -> None:
    world = lonely(server(transport=transport, password="stale", is_renewable=True))
    world.servers["turn"].set_password("user", "fresh")
    world.start()
    world.run(3.0)
    name = world.turn_servers["alice"][0].name
    world.alice.refresh_turn_credentials(name, FRESH, world.now)
    assert world.run(3.0, lambda: world.alice.state is ice.State.COMPLETED)
    assert world.failures() == []


def test_credentials_that_are_renewed_in_vain_end_it() -> None:
    world = expiring()
    world.renew = lambda side, name, now: turn.Credentials("user", "wrong again")
    words = to_the_end(world)
    (failed,) = world.failures()
    assert (failed.code, failed.realm) == (401, "xp2p.test")
    assert "Wrong TURN credentials" in words
    assert world.requests() == {"ALLOCATE": 4}
    assert len(world.of("alice", ice.TurnCredentialsRequested)) == 1


def test_credentials_that_nobody_renews() -> None:
    world = expiring()
    words = to_the_end(world)
    (failed,) = world.failures()
    assert (failed.code, failed.realm) == (401, "xp2p.test")
    assert "others did not come in time" in failed.detail
    assert world.time_of("alice", ice.GatheringCompleted) == pytest.approx(5.0)
    assert "Wrong TURN credentials" in words
    assert world.requests() == {"ALLOCATE": 2}


def test_a_renewal_that_fails_is_told_once_and_ends_the_waiting() -> None:
    world = expiring()

    def renew(side: str, name: str, now: float) -> None:
        world.alice.server_failed(name, "its credentials could not be renewed: OSError()", now)

    world.renew = renew
    world.start()
    world.run(8.0)
    assert world.failures() == [
        ice.ServerFailed(URL, 401, "xp2p.test", "its credentials could not be renewed: OSError()")
    ]
    assert world.time_of("alice", ice.GatheringCompleted) < 0.5
    world.alice.server_failed(URL, "its credentials could not be renewed: OSError()", world.now)  # nor later
    assert world.run(60.0, lambda: bool(world.of("alice", Failed)))
    assert {failed.code for failed in world.failures()} == {401}
    assert "Wrong TURN credentials for the realm 'xp2p.test'" in world.last_words()


def test_credentials_are_renewed_in_the_middle_of_life() -> None:
    world = expiring(password="fresh").connect()
    world.servers["turn"].set_password("user", "newer")
    world.renew = lambda side, name, now: turn.Credentials("user", "newer")
    for _ in range(70):
        assert world.echoes(patience=10.0)
    assert len(world.of("alice", ice.TurnCredentialsRequested)) == 1
    assert world.failures() == []


@pytest.mark.parametrize("is_renewable", [True, False])
def test_credentials_that_are_not_renewed_in_the_middle_of_life(*, is_renewable: bool) -> None:
    """Data goes on until the permission has ended. Who has nobody to ask is told at once, and the end says so."""
    world = lonely(server(is_renewable=is_renewable)).connect()
    world.servers["turn"].set_password("user", "newer")
    while world.now < 300.0:
        assert world.echoes(patience=10.0)
    assert world.run(400.0, lambda: bool(world.of("alice", Failed)))
    assert "it takes the credentials no longer" in world.last_words()
    assert [failed.code for failed in world.failures()] == ([] if is_renewable else [401])
    assert len(world.of("alice", ice.TurnCredentialsRequested)) == is_renewable
    assert world.requests()["CREATE_PERMISSION"] + world.requests()["REFRESH"] < 8


def test_renewed_credentials_count_for_the_next_allocation() -> None:
    """After a restart the server is asked with those that it took last."""
    world = expiring()

    def renew(side: str, name: str, now: float) -> turn.Credentials:
        world.turn_servers["alice"] = []  # and the driver names it no more
        return FRESH

    world.renew = renew
    world.connect()
    world.servers["turn"].faults.forgets = True
    world.restart()
    world.run(5.0)
    assert world.echoes()
    assert len(world.of("alice", ice.TurnCredentialsRequested)) == 1


def test_the_same_server_with_other_credentials_is_the_same_server() -> None:
    """A driver that answers a restart names the servers once more, perhaps with credentials of today."""
    world = lonely(server()).connect()
    for number in range(20):
        world.turn_servers["alice"] = [server(password=f"{number}"), server("other", password=f"{number}")]
        world.restart()
        world.run(1.0)
        assert world.echoes()
    assert world.requests()["ALLOCATE"] == 2


def test_data_is_not_lost_while_servers_fail() -> None:
    world = World(server(), server("other"), relay_only=(), bob=())
    world.servers["turn"].faults.is_silent = True
    world.connect()
    for _ in range(60):
        world.alice.send([DATA], world.now)
        world.run(0.1)
        assert world.bob.take_received() == [DATA]
