"""Names of the local link under trio: two machines on a simulated link, and a machine that has no multicast."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from xp2p_trio import Configuration, connect, mdns, signaling_pair
from xp2p_trio.driver.mdns import MdnsService
from xp2p_trio.driver.network import DatagramSocket, Network
from xp2p_trio.driver.nursery import hidden_nursery
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing import Host, Link
from xp2p_trio.testing import Network as VirtualNetwork
from xp2p_trio.testing.sockets import VirtualSocket

GROUP = (mdns.GROUP_IPV4, mdns.PORT)
NAME = "6f2a4c1e-1111-4222-8333-444455556666.local"


class Asker:
    """Who wants to know; keeps what it is told, and counts how often it is asked to send."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[str, ...]]] = []
        self.times: list[float] = []
        self.flushes = 0
        self._news = trio.Event()

    def name_resolved(self, name: str, hosts: Sequence[str], now: float) -> None:
        self.told.append((name, tuple(hosts)))
        self.times.append(now)
        self._news.set()

    def flush(self) -> None:
        self.flushes += 1

    async def next(self) -> tuple[str, tuple[str, ...]]:
        await self._news.wait()
        self._news = trio.Event()
        return self.told[-1]


@asynccontextmanager
async def service(
    network: Network, hosts: Sequence[str], asker: Asker, *, enable_ipv6: bool = False
) -> AsyncIterator[MdnsService]:
    made = MdnsService(
        asker,
        asker.flush,
        network,
        lambda: dict.fromkeys(hosts, 24),
        enable_ipv6=enable_ipv6,
        random_bytes=VirtualNetwork(seed=1).random_bytes(f"names of {hosts}"),
    )

    async def close() -> None:
        made.close()
        await trio.lowlevel.checkpoint()

    async with hidden_nursery(close=close, abort=made.close) as background:
        made.start(background)
        yield made


@pytest.fixture
def network() -> VirtualNetwork:
    network = VirtualNetwork(seed=1, link=Link(delay=0.01), keep_trace=True)
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    return network


def neighbour(network: VirtualNetwork) -> VirtualSocket:
    return network.host("bob").bind_multicast(mdns.GROUP_IPV4, mdns.PORT, "192.0.2.2")


def sent(network: VirtualNetwork, host: str) -> list[mdns.Message]:
    return [
        mdns.decode_message(entry.datagram)
        for entry in network.trace
        if type(entry).__name__ == "Sent" and entry.source[0] == host
    ]


async def test_one_publishes_and_the_other_resolves(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    asker, quiet = Asker(), Asker()
    async with (
        service(network.host("alice"), ["192.0.2.1"], asker) as alice,
        service(network.host("bob"), ["192.0.2.2"], quiet) as bob,
    ):
        for _ in range(2):
            bob.publish(NAME, "192.0.2.2")
        await trio.sleep(10.0)
        started = trio.current_time()
        alice.resolve(NAME)
        assert await asker.next() == (NAME, ("192.0.2.2",))
        assert asker.times == [pytest.approx(started + 0.02)]
        assert asker.flushes == 1
    assert quiet.told == []
    assert sent(network, "192.0.2.2")[-1].answers[0].ttl == 0  # goodbye


async def test_names_come_over_time_and_all_are_told(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    asker = Asker()
    async with service(network.host("alice"), ["192.0.2.1"], asker) as alice:
        names = [f"{number}.local" for number in range(3)]
        for name in names:
            alice.resolve(name)
            await trio.sleep(1.0)
        await trio.sleep(10.0)
    assert asker.told == [(name, ()) for name in names]


async def test_nothing_is_opened_before_the_first_name(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    host, asker = network.host("alice"), Asker()
    async with service(host, ["192.0.2.1"], asker) as alice:
        host.bind(("192.0.2.1", mdns.PORT)).close()
        alice.resolve(NAME)
        with pytest.raises(OSError, match="5353"):
            host.bind(("192.0.2.1", mdns.PORT))
    host.bind(("192.0.2.1", mdns.PORT)).close()


async def test_two_connections_of_one_program(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    first, second = Asker(), Asker()
    async with (
        service(network.host("alice"), ["192.0.2.1"], first) as one,
        service(network.host("alice"), ["192.0.2.1"], second) as other,
    ):
        one.publish(NAME, "192.0.2.1")
        other.resolve(NAME)
        await second.next()
    assert [hosts for _, hosts in second.told] == [("192.0.2.1",)]


async def test_a_port_that_is_not_shared(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    """The question leaves from another port, and the answer comes by unicast."""
    selfish = network.host("alice").bind(("192.0.2.1", mdns.PORT))
    asker, quiet = Asker(), Asker()
    async with (
        service(network.host("alice"), ["192.0.2.1"], asker) as alice,
        service(network.host("bob"), ["192.0.2.2"], quiet) as bob,
    ):
        bob.publish(NAME, "192.0.2.2")
        await trio.sleep(10.0)
        alice.resolve(NAME)
        assert await asker.next() == (NAME, ("192.0.2.2",))
    selfish.close()


async def test_addresses_that_come_and_go(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    asker, hosts, bob, machine = Asker(), ["192.0.2.1"], neighbour(network), network.host("alice")
    async with service(machine, hosts, asker) as alice:
        alice.hosts_changed()  # nothing is open yet
        machine.bind_multicast("224.0.0.1", mdns.PORT, "192.0.2.1").close()
        alice.resolve(NAME)
        await trio.sleep(0.5)
        machine.add_ip_address("192.0.2.7")
        hosts[:] = ["192.0.2.7", "2001:db8::1"]  # IPv6 is off
        alice.hosts_changed()
        machine.bind(("192.0.2.1", mdns.PORT)).close()  # which is free again
        await trio.sleep(10.0)
    assert Counter(burst.remote[0] for burst in await bob.receive()) == {"192.0.2.1": 1, "192.0.2.7": 2}
    bob.close()


async def test_ipv6(autojump_clock: MockClock) -> None:
    network = VirtualNetwork(seed=1)
    hosts = {"alice": "2001:db8::1", "bob": "2001:db8::2"}
    for name, ip_address in hosts.items():
        network.host(name, ip_address)
    asker, quiet = Asker(), Asker()
    async with (
        service(network.host("alice"), [hosts["alice"]], asker, enable_ipv6=True) as alice,
        service(network.host("bob"), [hosts["bob"]], quiet, enable_ipv6=True) as bob,
    ):
        bob.publish(NAME, hosts["bob"])
        alice.resolve(NAME)
        await asker.next()
    assert [resolved for _, resolved in asker.told] == [("2001:db8::2",)]


class WithoutMulticast:
    """A machine that has a network, but no multicast; and whose resolver nobody may ask."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.attempts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def bind_multicast(self, group: str, port: int, interface_address: str) -> DatagramSocket:
        self.attempts += 1
        raise OSError(f"cannot join {group} port {port} on {interface_address}: No such device")

    async def resolve(self, host: str, port: int) -> list[Address]:
        raise AssertionError(f"{host} was given to the system's resolver")


async def test_a_machine_without_multicast(
    network: VirtualNetwork, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    machine, asker = WithoutMulticast(network.host("alice")), Asker()
    with caplog.at_level(logging.INFO, "xp2p_trio.driver"):
        async with service(machine, ["192.0.2.1"], asker) as alice:  # type: ignore[arg-type]
            started = trio.current_time()
            alice.resolve(NAME)
            assert asker.told == []  # the one who asks may be in the middle of something
            assert await asker.next() == (NAME, ())
            assert trio.current_time() == started
            alice.publish(NAME, "192.0.2.1")
            alice.resolve("other.local")
            assert await asker.next() == ("other.local", ())
    (line,) = caplog.messages
    assert "192.0.2.1" in line
    assert "No such device" in line
    assert machine.attempts == 2  # 5353, and any port


async def test_a_machine_without_addresses(autojump_clock: MockClock) -> None:
    asker = Asker()
    async with service(VirtualNetwork(seed=1).host("alice", "192.0.2.1"), [], asker) as alice:
        alice.resolve(NAME)
        assert await asker.next() == (NAME, ())


async def test_other_names_are_refused(network: VirtualNetwork) -> None:
    asker = Asker()
    async with service(network.host("alice"), ["192.0.2.1"], asker) as alice:
        for name in ("example.org", "a.b.local"):
            with pytest.raises(InvalidArgument):
                alice.resolve(name)
            with pytest.raises(InvalidArgument):
                alice.publish(name, "192.0.2.1")
        with pytest.raises(InvalidArgument):
            alice.publish(NAME, "alice")


async def test_what_is_said_while_news_are_handed_out(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    """A core that is told of a name may ask for the next one at once."""

    class Curious(Asker):
        alice: MdnsService

        def flush(self) -> None:
            super().flush()
            if self.flushes < 5:
                self.alice.resolve(f"{self.flushes}.local")

    asker = Curious()
    async with service(network.host("alice"), ["192.0.2.1"], asker) as asker.alice:
        asker.alice.resolve(NAME)
        await trio.sleep(60.0)
    assert len(asker.told) == 5


async def test_closing_is_the_end(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    asker, bob = Asker(), neighbour(network)
    async with service(network.host("alice"), ["192.0.2.1"], asker) as alice:
        alice.resolve(NAME)
        await trio.sleep(0.1)
        alice.close()
        alice.close()
        alice.resolve("other.local")
        bob.transmit(Burst(bob.address, GROUP, [b"x"]))
        await trio.sleep(60.0)
    assert asker.told == []
    bob.close()


async def test_on_this_machine() -> None:
    """The kernel's sockets, on loopback and where the machine has an address."""
    network = SystemNetwork()
    hosts = [each.address for each in network.interfaces() if ":" not in each.address]
    asker, quiet = Asker(), Asker()
    async with service(network, hosts, asker) as one, service(network, hosts, quiet) as other:
        names = {mdns.random_name(os.urandom): host for host in hosts}
        for name, host in names.items():
            other.publish(name, host)
            one.resolve(name)
        with trio.move_on_after(10):
            while len(asker.told) < len(names):
                await asker.next()
    if not any(resolved for _, resolved in asker.told):
        pytest.skip(f"no multicast on {', '.join(hosts)}")
    assert {name: resolved for name, resolved in asker.told if resolved}.items() <= {
        name: (host,) for name, host in names.items()
    }.items()


@pytest.mark.parametrize(("one", "other"), [("hide", "resolve"), ("resolve", "hide"), ("hide", "hide")])
async def test_peers_that_hide_their_addresses_find_each_other(
    network: VirtualNetwork, autojump_clock: MockClock, one: Any, other: Any
) -> None:
    ours, theirs = signaling_pair()
    async with (
        connect(ours, initiator=True, config=Configuration(mdns=one), network=network.host("alice")) as alice,
        connect(theirs, initiator=False, config=Configuration(mdns=other), network=network.host("bob")) as bob,
    ):
        with trio.fail_after(1.0):
            await alice.create_data_channel("hidden").send("hello")
            channel = await bob.incoming_channels.accept()
            assert await channel.receive() == "hello"
        for peer, mode, address in ((alice, one, "192.0.2.1"), (bob, other, "192.0.2.2")):
            assert peer.local_description is not None
            assert (".local " in peer.local_description.sdp) is (mode == "hide")
            assert (address in peer.local_description.sdp) is (mode != "hide")
    network.host("alice").bind(("192.0.2.1", mdns.PORT)).close()  # nothing is left


async def test_names_are_left_alone_if_mdns_is_off(network: VirtualNetwork, autojump_clock: MockClock) -> None:
    ours, theirs = signaling_pair()
    async with (
        connect(ours, initiator=True, config=Configuration(mdns="hide"), network=network.host("alice")) as alice,
        connect(theirs, initiator=False, config=Configuration(mdns="off"), network=network.host("bob")) as bob,
    ):
        await alice.create_data_channel("hidden").send("hello")
        await bob.incoming_channels.accept()  # who tells his own address, so that her checks reach him
    assert not any(
        entry.destination == GROUP
        for entry in network.trace
        if type(entry).__name__ == "Sent" and entry.source[0] != "192.0.2.1"
    )
