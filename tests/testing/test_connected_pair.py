"""Two peers in one line: of the trio driver, and sans-IO."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio
from trio.testing import MockClock

from xp2p_trio.peer import Configuration, ConnectionState
from xp2p_trio.sansio import Closed
from xp2p_trio.testing import BLACK_HOLE, Link, Network, Peers, VirtualTimeout, connect_peers, connected_pair


async def test_a_message_there_and_back(autojump_clock: MockClock) -> None:
    async with connected_pair(link=Link(delay=0.05), seed=7) as (alice, bob):
        channel = alice.create_data_channel("hello")
        await channel.send("there")
        async with await bob.incoming_channels.accept() as arrived:
            assert arrived.label == "hello"
            assert await arrived.receive() == "there"
            await arrived.send(b"back")
            assert await channel.receive() == b"back"


async def test_an_hour_of_virtual_time_on_a_bad_link(autojump_clock: MockClock) -> None:
    link = Link(delay=0.05, jitter=0.02, loss=0.02, reorder=0.05, duplicate=0.05)
    async with connected_pair(link=link, seed=3) as (alice, bob):
        channel = alice.create_data_channel("clock")
        started = trio.current_time()
        for minute in range(60):
            await channel.send(str(minute))
            await trio.sleep(60)
        arrived = await bob.incoming_channels.accept()
        assert [await arrived.receive() for _ in range(60)] == [str(minute) for minute in range(60)]
        assert trio.current_time() - started >= 3600
        assert alice.state.value is bob.state.value is ConnectionState.CONNECTED


async def test_a_bulk_transfer_over_a_slow_link(autojump_clock: MockClock) -> None:
    link = Link(delay=0.02, rate=1_000_000.0, queue_size=100_000)
    async with connected_pair(link=link, seed=1) as (alice, bob):
        channel = alice.create_data_channel("bulk")
        started = trio.current_time()

        async def send() -> None:
            for number in range(64):
                await channel.send(number.to_bytes(2) * 8192)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            arrived = await bob.incoming_channels.accept()
            for number in range(64):
                assert await arrived.receive() == number.to_bytes(2) * 8192
        elapsed = trio.current_time() - started
        assert 1.05 < elapsed < 3.0  # a mebibyte at a megabyte a second, with headers


async def test_a_network_of_ones_own_whose_links_change(autojump_clock: MockClock) -> None:
    network = Network(seed=5, link=Link(delay=0.01))
    network.host("alice", "10.0.0.1")
    network.host("bob", "10.0.0.2")
    async with connected_pair(network=network) as (alice, _):
        network.set_links("alice", "bob", BLACK_HOLE)
        await alice.state.wait_value(ConnectionState.DISCONNECTED)
        network.set_links("alice", "bob", Link(delay=0.01))
        await alice.state.wait_value(ConnectionState.CONNECTED)


def test_sans_io_peers_connect() -> None:
    peers = connect_peers(link=Link(delay=0.05, loss=0.1), seed=7)
    assert peers.alice.state is peers.bob.state is ConnectionState.CONNECTED
    peers.alice.close(peers.now)
    peers.run(lambda: peers.alice.is_over and peers.bob.is_over)
    assert peers.events["alice"][-1] == Closed(by_peer=False)
    assert peers.events["bob"][-1] == Closed(by_peer=True)


def test_sans_io_peers_over_ipv6_and_two_delays() -> None:
    alice = Configuration(enable_ipv6=True, bind_address="2001:db8::1")
    peers = connect_peers(
        link=Link(delay=0.05), back=Link(delay=0.01), alice=alice, bob=Configuration(enable_ipv6=True)
    )
    pair = peers.alice.agent.selected_pair
    assert pair is not None
    assert (pair.local.address[0], pair.remote.address[0]) == ("2001:db8::1", "2001:db8::2")
    assert peers.network.link("bob", "alice") == Link(delay=0.01)


def test_a_path_that_is_not_there_is_told() -> None:
    with pytest.raises(VirtualTimeout, match="seed 4"):
        connect_peers(link=BLACK_HOLE, seed=4, timeout=5.0)


def test_a_stun_server_that_does_not_answer_delays_nothing() -> None:
    configuration = Configuration(ice_servers=("stun:stun.example", "stun:192.0.2.99"))
    peers = Peers(alice=configuration, bob=configuration, link=Link(delay=0.05))
    peers.connect()
    assert peers.now < 1.0


def test_equal_seeds_give_equal_runs() -> None:
    def trace(seed: int) -> str:
        return connect_peers(link=Link(delay=0.05, loss=0.2), seed=seed).network.trace_hash

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_the_sans_io_part_does_without_trio() -> None:
    code = (
        "import sys; sys.modules['trio'] = None\n"
        "from xp2p_trio import testing\n"
        "peers = testing.connect_peers(link=testing.Link(delay=0.01))\n"
        "print(peers.alice.state.name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("CONNECTED", "")
