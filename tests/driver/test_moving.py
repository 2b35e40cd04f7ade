"""A machine that goes from network to network: `connect` follows it by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import attrs
import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import Configuration, ConnectionState, PeerConnection, connect, ice, open_peer_connection, signaling_pair
from xp2p_trio.driver import Interface
from xp2p_trio.peer import NegotiationNeeded
from xp2p_trio.testing import BLACK_HOLE, PORT_RESTRICTED_CONE, Link, Network, StunServer, serve

SERVERS = Configuration(ice_servers=["stun:198.51.100.1"])


@pytest.fixture
def network() -> Network:
    """Alice at home, with a telephone's network around her as well; Bob at home; a STUN server."""
    network = Network(seed=3, link=Link(delay=0.02))
    network.host("alice", "192.168.1.2")
    network.nat("home", "203.0.113.1", behaviour=PORT_RESTRICTED_CONE, inside=["alice"])
    network.nat("carrier", "203.0.113.3", behaviour=PORT_RESTRICTED_CONE)
    network.host("bob", "203.0.113.2")
    network.firewall("bob's", inside=["bob"])
    network.host("stun", "198.51.100.1")
    return network


async def echo(pc: PeerConnection) -> None:
    with contextlib.suppress(trio.ClosedResourceError):
        async for channel in pc.incoming_channels:
            async for message in channel:
                await channel.send(message)


@pytest.mark.parametrize("is_mover_initiator", [True, False])
async def test_a_telephone_that_leaves_the_house(
    network: Network, autojump_clock: trio.testing.MockClock, is_mover_initiator: bool
) -> None:
    left, right = signaling_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, network.host("stun"), 3478, StunServer())
        async with (
            connect(left, initiator=is_mover_initiator, config=SERVERS, network=network.host("alice")) as alice,
            connect(right, initiator=not is_mover_initiator, config=SERVERS, network=network.host("bob")) as bob,
        ):
            nursery.start_soon(echo, bob)  # noqa: ASYNC111 - it ends with bob
            channel = alice.create_data_channel("talk")
            await channel.send("at home")
            assert await channel.receive() == "at home"
            for number in range(3):
                host = network.host("alice")
                (old,) = host.ip_addresses
                host.add_ip_address(f"100.64.0.{number}", inside="carrier")
                host.remove_ip_address(old)
                start = trio.current_time()
                for message in range(20):
                    await channel.send(f"on the way {number} {message}")
                received = [await channel.receive() for _ in range(20)]
                assert received == [f"on the way {number} {message}" for message in range(20)]
                assert trio.current_time() - start < 2.0 + 4 * 0.04
                pair = bob.selected_pair.value
                assert pair is not None
                assert pair.remote.host == "203.0.113.3"
            assert alice.ice_agent.role is (ice.Role.CONTROLLING if is_mover_initiator else ice.Role.CONTROLLED)
        nursery.cancel_scope.cancel()


async def test_a_path_that_is_lost_leads_to_a_restart(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """Nobody's addresses change, but the NAT does: only a restart opens Bob's firewall for the new port."""
    left, right = signaling_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, network.host("stun"), 3478, StunServer())
        nat = network.nat("outer", "203.0.113.9", behaviour=PORT_RESTRICTED_CONE, inside=["home"])
        async with (
            connect(left, initiator=True, config=SERVERS, network=network.host("alice")) as alice,
            connect(right, initiator=False, config=SERVERS, network=network.host("bob")) as bob,
        ):
            nursery.start_soon(echo, bob)  # noqa: ASYNC111 - it ends with bob
            channel = alice.create_data_channel("talk")
            await channel.send("before")
            assert await channel.receive() == "before"
            nat.rebind()
            await channel.send("after")
            with trio.fail_after(16):
                assert await channel.receive() == "after"
            assert alice.state.value is ConnectionState.CONNECTED
        nursery.cancel_scope.cancel()


async def test_a_program_of_its_own_signaling_is_asked(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    async with (
        open_peer_connection(network=network.host("alice")) as alice,
        open_peer_connection(network=network.host("stun")) as other,
    ):
        other.set_remote_description(alice.set_local_description())
        alice.set_remote_description(other.set_local_description())
        await alice.wait_connected()
        network.host("alice").add_ip_address("192.168.1.77")
        async for event in alice.events:
            if isinstance(event, NegotiationNeeded):
                break
        offer = alice.set_local_description()
        candidates = [candidate.address async for candidate in alice.local_candidates]
        assert "192.168.1.77" in candidates
        other.set_remote_description(offer)
        alice.set_remote_description(other.set_local_description())
        with trio.fail_after(5):
            await alice.ice_state.wait_value(ice.State.COMPLETED)
        assert not alice.ice_agent.is_restarting


class Containers(WrappedNetwork):
    """A host on which every second address is a container's bridge."""

    def interfaces(self) -> Sequence[Interface]:
        return [attrs.evolve(each, is_virtual=each.address.startswith("172.")) for each in self._host.interfaces()]


async def test_a_container_that_starts_restarts_nothing(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    left, right = signaling_pair()
    async with (
        connect(left, initiator=True, network=Containers(network.host("stun"))) as alice,
        connect(right, initiator=False, network=network.host("bob")) as bob,
    ):
        await alice.wait_connected()
        await bob.wait_connected()
        fragment = alice.ice_agent.local_username_fragment
        network.host("stun").add_ip_address("172.17.0.1")
        await trio.sleep(2)
        assert alice.ice_agent.local_username_fragment == fragment
        assert "172.17.0.1" in {candidate.host for candidate in alice.ice_agent.local_candidates}
        network.host("stun").add_ip_address("198.51.100.77")
        await trio.sleep(2)
        assert alice.ice_agent.local_username_fragment != fragment


async def test_both_sides_lose_each_other_and_both_restart(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    left, right = signaling_pair()
    async with (
        connect(left, initiator=True, network=network.host("stun")) as alice,
        connect(right, initiator=False, network=network.host("bob")) as bob,
    ):
        await alice.wait_connected()
        await bob.wait_connected()
        channel = alice.create_data_channel("talk")
        arrived = await bob.incoming_channels.accept()
        for seconds in (9, 12, 15):
            network.set_links("stun", "bob", BLACK_HOLE)
            await trio.sleep(seconds)
            await channel.send(str(seconds))
            network.set_links("stun", "bob", Link(delay=0.02))
            with trio.fail_after(20):
                assert await arrived.receive() == str(seconds)
            await trio.sleep(20)
            for pc in (alice, bob):
                assert pc.state.value is ConnectionState.CONNECTED
                assert pc.signaling_state.value.name == "STABLE"
                assert not pc.ice_agent.is_restarting
