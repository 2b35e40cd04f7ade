"""ICE-lite under trio (RFC 8445 section 2.5): descriptions say it, and a full agent on either side connects."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.driver.test_ice_agent import echo, exchange_descriptions
from xp2p_trio import ice
from xp2p_trio.driver import open_ice_agent, open_peer_connection
from xp2p_trio.driver.errors import ConnectionFailed
from xp2p_trio.testing import PORT_RESTRICTED_CONE, Host, Link, Network

LITE = ice.Configuration(lite=True)


@pytest.fixture
def hosts() -> tuple[Host, Host]:
    """Alice at home, Bob with a public address."""
    network = Network(seed=1, link=Link(delay=0.02))
    alice, bob = network.host("alice", "192.168.1.2"), network.host("bob", "198.51.100.2")
    network.nat("home", "203.0.113.1", behaviour=PORT_RESTRICTED_CONE, inside=["alice"])
    return alice, bob


@pytest.mark.parametrize("offers", ["full", "lite"])
async def test_agents_echo(hosts: tuple[Host, Host], offers: str, autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_ice_agent(role=ice.Role.CONTROLLED, network=hosts[0]) as full,
        open_ice_agent(role=ice.Role.CONTROLLING, network=hosts[1], ice=LITE) as lite,
    ):
        assert "\r\na=ice-lite\r\nm=" in lite.create_offer()
        assert "ice-lite" not in full.create_offer()
        exchange_descriptions(*((full, lite) if offers == "full" else (lite, full)))
        await echo(full, lite, b"Hello P2P!")
        assert (full.role, lite.role) == (ice.Role.CONTROLLING, ice.Role.CONTROLLED)
        await trio.sleep(100)
        await echo(full, lite, b"and on")


async def test_over_real_sockets() -> None:
    with trio.fail_after(10):
        async with (
            open_ice_agent(role=ice.Role.CONTROLLED) as full,
            open_ice_agent(role=ice.Role.CONTROLLED, ice=LITE) as lite,
        ):
            exchange_descriptions(full, lite)
            await echo(full, lite, b"Hello P2P!")


async def test_two_of_them_are_told_at_once(hosts: tuple[Host, Host], autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_ice_agent(role=ice.Role.CONTROLLING, network=hosts[0], ice=LITE) as one,
        open_ice_agent(role=ice.Role.CONTROLLED, network=hosts[1], ice=LITE) as other,
    ):
        other.set_remote_description(one.create_offer())
        with pytest.raises(ConnectionFailed, match="both sides are ICE-lite"):
            await other.wait_connected()
        assert trio.current_time() == 0.0


async def test_a_whole_connection_that_cannot_be_is_told_at_once(
    hosts: tuple[Host, Host], autojump_clock: trio.testing.MockClock
) -> None:
    async with (
        open_peer_connection(network=hosts[0], ice=LITE) as one,
        open_peer_connection(network=hosts[1], ice=LITE) as other,
    ):
        other.set_remote_description(one.set_local_description())
        other.set_local_description()
        with pytest.raises(ConnectionFailed, match="both sides are ICE-lite"):
            await other.wait_connected()
