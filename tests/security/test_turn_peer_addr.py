"""turn_peer_addr: one canonical form before any policy, whatever the spelling."""

from __future__ import annotations

import ipaddress

import pytest

from tests.ice import relays
from tests.turn.world import World, allocation
from xp2p_trio import ice, stun, turn
from xp2p_trio.errors import InvalidArgument

LOOPBACK = [
    "127.0.0.1", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::FFFF:7f00:1",
    "0:0:0:0:0:ffff:127.0.0.1", "::127.0.0.1", "::7f00:1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "::1%lo",
    "64:FF9B:0:0:0:0:127.1.2.3",
]  # fmt: skip
UNSPECIFIED = [
    "0.0.0.0", "0.1.2.3", "::", "::0", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0", "::ffff:0:0", "64:ff9b::",
    "64:ff9b::0.0.0.0", "::%1", "::0.1.2.3", "::ffff:0.9.9.9",
]  # fmt: skip
MULTICAST = [
    "224.0.0.1", "239.255.255.255", "ff02::1", "ff02::1%eth0", "FF0E::1", "::ffff:224.0.0.1", "::ffff:e000:1",
    "::224.0.0.1", "64:ff9b::224.0.0.1", "64:ff9b::efff:ffff",
]  # fmt: skip
BROADCAST = [
    "255.255.255.255", "240.0.0.1", "::ffff:255.255.255.255", "::ffff:ffff:ffff", "::255.255.255.255",
    "64:ff9b::255.255.255.255",
]  # fmt: skip
LINK_LOCAL = [
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "::169.254.1.1",
    "64:ff9b::a9fe:a9fe",
]


@pytest.mark.parametrize("host", [*LOOPBACK, *UNSPECIFIED, *MULTICAST, *BROADCAST, *LINK_LOCAL])
@pytest.mark.parametrize("family", turn.AddressFamily)
def test_nothing_is_asked_for_it(host: str, family: turn.AddressFamily) -> None:
    world = World(allocation(address_family=family))
    world.allocate()
    world.client.create_permissions([host], world.now)
    assert [event.code for event in world.client.take_events()] == [0]
    try:
        world.client.bind_channel((host, 80), world.now)
    except InvalidArgument:
        pytest.fail("a peer's address is no misuse")
    world.client.send([((host, 80), b"data")], world.now)
    world.run(5.0)
    assert stun.Method.CREATE_PERMISSION not in world.server.requests_received
    assert stun.Method.CHANNEL_BIND not in world.server.requests_received
    assert world.client.statistics.datagrams_sent == 0
    assert world.client.statistics.datagrams_unsent == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_loopback_can_be_allowed_and_is_one_host(host: str) -> None:
    world = World(allocation(allow_loopback=True), allows_loopback=True)
    world.allocate()
    world.client.create_permissions([host], world.now)
    world.run(1.0)
    assert world.of(turn.PermissionCreated) == [turn.PermissionCreated("127.0.0.1")]


@pytest.mark.parametrize(
    "host", ["localhost", "2130706433", "0x7f000001", "127.1", "017700000001", "127.0.0.1:80", "[::1]"]
)
def test_what_is_no_ip_address_is_refused(host: str) -> None:
    world = World()
    world.allocate()
    with pytest.raises(InvalidArgument):
        world.client.create_permissions([host], world.now)


# Through an agent.


@pytest.mark.parametrize("host", [*LOOPBACK, *UNSPECIFIED, *MULTICAST, *BROADCAST, *LINK_LOCAL])
@pytest.mark.parametrize("ipv6", [False, True])
def test_an_agent_lets_no_server_send_there(host: str, *, ipv6: bool) -> None:
    server = relays.server(ipv6=ipv6)
    world = relays.World(server, relay_only=("alice",), bob=(), ipv6=True, allow_loopback=False, allow_link_local=False)
    world.ignored_candidates = lambda candidate: True
    world.start()
    world.run(1.0)
    assert len(world.alice.local_candidates) == 1
    spelled = str(ipaddress.ip_address(host))
    world.alice.add_remote_candidate(ice.Candidate("1", 1, "udp", 1, spelled, 80, ice.CandidateType.HOST), world.now)
    world.run(5.0)
    assert world.requests().keys() == {"ALLOCATE"}
    assert world.alice.statistics.candidates_refused == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.1.1"])
def test_what_an_agent_may_check_itself_a_server_may_not_unless_that_is_allowed(host: str) -> None:
    """Both are judged by the same switches."""
    for is_allowed in (False, True):
        world = relays.World(
            relays.server(),
            relay_only=("alice",),
            bob=(),
            allow_loopback=is_allowed,
            allow_link_local=is_allowed,
            choices={"turn": {"allows_loopback": True}},
        )
        world.ignored_candidates = lambda candidate: True
        world.start()
        world.run(1.0)
        world.alice.add_remote_candidate(ice.Candidate("1", 1, "udp", 1, host, 80, ice.CandidateType.HOST), world.now)
        world.run(1.0)
        assert world.requests()["CREATE_PERMISSION"] == is_allowed
