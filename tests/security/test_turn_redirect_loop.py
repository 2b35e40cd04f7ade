"""turn_redirect_loop: one hop at most, within the realm, and never to this machine."""

from __future__ import annotations

import pytest

from tests.ice import relays
from tests.turn.world import CLIENT, OTHER_SERVER, SERVER, World, allocation, server_configuration
from xp2p_trio import ice, stun, turn
from xp2p_trio.errors import Reason
from xp2p_trio.sansio import Address, Burst, Failed, Transport

HERE = [
    ("127.0.0.1", 3478), ("0.0.0.0", 3478), ("255.255.255.255", 3478), ("224.0.0.1", 3478), (OTHER_SERVER[0], 0),
    ("::1", 3478), ("::ffff:127.0.0.1", 3478), ("2001:db8::7", 3478), SERVER,
]  # fmt: skip


def failure(world: World) -> str:
    failed = world.events[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.reason is Reason.REFUSED
    return failed.failure.detail


@pytest.mark.parametrize("alternate", HERE)
def test_where_nobody_is_led(alternate: Address) -> None:
    world = World(alternate_server=alternate)
    world.client.start(0.0)
    world.run(30.0)
    assert world.of(turn.Redirected) == []
    assert "300" in failure(world)
    assert "it names" in failure(world)
    assert world.client.statistics.requests_sent == 2


def test_two_that_point_at_each_other() -> None:
    back = server_configuration(relay_hosts=[OTHER_SERVER[0]], alternate_server=SERVER)
    world = World(alternate_server=OTHER_SERVER, other=back)
    world.client.start(0.0)
    world.run(30.0)
    assert world.of(turn.Redirected) == [turn.Redirected(OTHER_SERVER, "xp2p.test")]
    assert "one redirect" in failure(world)
    assert world.client.statistics.requests_sent == 4


def test_the_credentials_stay_in_their_realm() -> None:
    elsewhere = server_configuration(relay_hosts=[OTHER_SERVER[0]], realm="evil.test")
    world = World(alternate_server=OTHER_SERVER, other=elsewhere)
    world.client.start(0.0)
    world.run(30.0)
    assert "another realm" in failure(world)
    assert world.other.requests_received == {stun.Method.ALLOCATE: 1}


def test_not_at_all_where_the_configuration_says_so() -> None:
    world = World(allocation(follow_redirect=False), alternate_server=OTHER_SERVER)
    world.client.start(0.0)
    world.run(30.0)
    assert world.of(turn.Redirected) == []
    assert "300" in failure(world)


def test_answers_of_the_first_server_count_no_more() -> None:
    world = World(alternate_server=OTHER_SERVER)
    world.client.start(0.0)
    for _ in range(2):  # 401, 300
        (burst,) = world.client.transmit(0.0, 9)
        world.server.receive(burst.reversed(), 0.0)
        (answer_burst,) = world.server.transmit(0.0, 9)
        world.client.receive(answer_burst.reversed(), 0.0)
    assert world.client.take_events() == [turn.Redirected(OTHER_SERVER, "xp2p.test")]
    (burst,) = world.client.transmit(world.now, 9)
    assert burst.remote == OTHER_SERVER
    request = stun.decode_message(burst.datagrams[0])
    attributes = (stun.XorRelayedAddress(("198.51.100.9", 9)), stun.XorMappedAddress(CLIENT), stun.Lifetime(600))
    answer = stun.Message(stun.MessageClass.SUCCESS_RESPONSE, stun.Method.ALLOCATE, request.transaction_id, attributes)
    world.client.receive(Burst(CLIENT, SERVER, [stun.encode_message(answer)]), world.now)
    assert world.client.take_events() == []


# Through an agent, which over a stream has to follow by itself; see also tests/ice/test_servers.py.


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize(
    "alternate", [("127.0.0.1", 3478), ("0.0.0.0", 3478), ("224.0.0.1", 3478), ("::1", 3478), ("198.51.100.3", 0)]
)
def test_an_agent_is_not_led_there_either(alternate: Address, transport: Transport) -> None:
    world = relays.World(
        relays.server(transport=transport),
        relay_only=("alice",),
        bob=(),
        choices={"turn": {"alternate_server": alternate}},
    )
    world.start()
    world.run(10.0)
    (failed,) = world.failures()
    assert failed.code == 300
    assert world.requests() == {"ALLOCATE": 2}
    assert len(world.of("alice", ice.StreamRequested)) == transport.is_stream


@pytest.mark.parametrize("transport", list(Transport))
def test_a_victim_that_a_server_leads_to_gets_one_question(transport: Transport) -> None:
    """Without a word that was made with the password."""
    port = relays.PORTS[transport]
    world = relays.World(
        relays.server(transport=transport),
        relay_only=("alice",),
        bob=(),
        choices={"turn": {"alternate_server": ("198.51.100.3", port)}},
    )
    world.servers["other"].faults.is_silent = True
    world.start()
    world.run(30.0)
    sent = world.sent_to(("198.51.100.3", port))
    assert 1 <= len(sent) <= 4
    assert sum(len(entry.datagram) for entry in sent) < 400
    assert all(stun.decode_message(entry.datagram).get(stun.Username) is None for entry in sent)
