"""What still happens to a connection that has failed, while its block goes on."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import Configuration, ConnectionState, ice, open_peer_connection
from xp2p_trio.sansio import Address
from xp2p_trio.testing import BLACK_HOLE, Link, Network


class WatchedNetwork(WrappedNetwork):
    """A host whose sockets and listeners can be counted."""

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.opened: list[Address] = []

    def bind(self, address: Address) -> Any:
        return self._opened(self._host.bind(address))

    def listen(self, address: Address) -> Any:
        return self._opened(self._host.listen(address))

    def _opened(self, socket: Any) -> Any:
        self.opened.append(socket.address)
        return socket


async def test_a_connection_that_has_failed_follows_no_interfaces(autojump_clock: trio.testing.MockClock) -> None:
    network = Network(seed=1, link=Link(delay=0.01))
    alice_host = network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    ours = WatchedNetwork(alice_host)
    config = Configuration(ice=ice.Configuration(tcp=True))
    async with open_peer_connection(network=network.host("bob")) as bob:
        async with open_peer_connection(config, network=ours) as alice:
            bob.set_remote_description(alice.set_local_description())
            alice.set_remote_description(bob.set_local_description())
            await alice.wait_connected()
            network.set_links("alice", "bob", BLACK_HOLE)
            await alice.state.wait_value(ConnectionState.FAILED)
            for number in range(10):
                alice_host.add_ip_address(f"192.0.2.{100 + number}")
                await trio.sleep(2)
            count = len(ours.opened)
        for address in ours.opened:
            alice_host.bind(address).close()
            alice_host.listen(address).close()
        assert count == 2
