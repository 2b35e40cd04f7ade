"""Whatever happens to two peers, nothing is left of them: no task, no file, no warning, and no memory that grows."""

from __future__ import annotations

import gc
import os
import random
import sys
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing

from xp2p_trio import Configuration, InvalidState, PeerConnection, SdpError, ice, open_peer_connection
from xp2p_trio.driver import SystemNetwork
from xp2p_trio.sansio import Transport
from xp2p_trio.testing import BLACK_HOLE, Link, Network, TurnService, embedded_turn_server

SERVER = "192.0.2.9"


class Crash(Exception):
    """A bug of the program, in the block of a connection."""


def open_files() -> dict[str, str]:
    files = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            files[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one of the listing
    return files


@contextmanager
def no_complaints() -> Iterator[None]:
    """A warning is an error, also one of an object that is collected."""
    complaints: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, complaints.append
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
            gc.collect()
    finally:
        sys.unraisablehook = before
    assert complaints == []


class Scenario:
    """Two peers, a TURN server, and what a random number makes of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.is_simulated = self.random.random() < 0.6
        self.transports = self.random.sample(list(Transport), self.random.randint(1, 3))
        self.story: list[object] = ["simulated" if self.is_simulated else "kernel", self.transports]

    async def main(self) -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        if self.is_simulated:
            network = Network(seed=1, link=Link(delay=0.01, loss=self.random.choice([0, 0, 0.1])))
            hosts = [network.host("alice", "192.0.2.1"), network.host("bob", "192.0.2.2")]
            server = embedded_turn_server(
                network=network.host("server", SERVER), host=SERVER, transports=self.transports
            )
            async with server as service:
                await self._between(service, [hosts[0], hosts[1]], network)
        else:
            async with embedded_turn_server(transports=self.transports) as service:
                system = SystemNetwork(ssl_context=service.client_ssl_context)
                await self._between(service, [system, system], None)
        assert trio.lowlevel.current_statistics().tasks_living == before

    def configuration(self, service: TurnService) -> Configuration:
        choose = self.random.choice
        policy = choose(["all", "relay"])
        self.story.append(policy)
        return Configuration(
            ice_servers=service.urls,
            ice_transport_policy=policy,
            mdns=choose(["resolve", "off", "hide"]) if policy == "all" and self.is_simulated else "off",
            bind_address=None if self.is_simulated else "127.0.0.1",
            ice=ice.Configuration(tcp=choose([True, False])),
            close_timeout=1.0,
        )

    async def _between(self, service: TurnService, networks: list[Any], network: Network | None) -> None:
        with trio.move_on_after(20 if network is None else 1000):
            try:
                async with (
                    open_peer_connection(self.configuration(service), network=networks[0]) as alice,
                    open_peer_connection(self.configuration(service), network=networks[1]) as bob,
                ):
                    with trio.move_on_after(self.random.choice([0, 0.02, 0.1, 100, 100, 100])) as scope:
                        await self._talk(alice, bob, network)
                    self.story.append("cancelled" if scope.cancelled_caught else "done")
            except* (Crash, trio.BrokenResourceError, trio.ClosedResourceError) as group:
                self.story.append(group.exceptions)
            return
        raise AssertionError(f"{self.story} took too long")

    async def _talk(self, alice: PeerConnection, bob: PeerConnection, network: Network | None) -> None:
        async with trio.open_nursery() as nursery:
            if not self.is_simulated or self.random.random() < 0.8:  # else the peers may never meet
                trickle(nursery, alice, bob)
            exchange(alice, bob)
            await alice.wait_connected()
            for _ in range(self.random.randint(0, 6)):
                act = self.random.choice([self._send, self._restart, self._crash, self._close, self._lose, self._flap])
                self.story.append(act.__name__)
                await act(alice, bob, network)
            nursery.cancel_scope.cancel("it is over")

    async def _send(self, alice: PeerConnection, bob: PeerConnection, network: Network | None) -> None:
        ours = alice.create_data_channel("talk")
        with trio.move_on_after(0.5 if network is None else 60):
            await ours.send_many([bytes(1000)] * 100)
            theirs = await bob.incoming_channels.accept()
            for _ in range(self.random.randint(0, 100)):
                await theirs.receive()

    async def _restart(self, alice: PeerConnection, bob: PeerConnection, network: Network | None) -> None:
        one, other = self.random.sample([alice, bob], 2)
        one.restart_ice()
        with suppress(InvalidState):  # it is over
            exchange(one, other)
        await trio.sleep(self.random.choice([0, 0.01, 0.1]))

    async def _crash(self, alice: PeerConnection, bob: PeerConnection, network: Network | None) -> None:
        if self.random.random() < 0.3:
            raise Crash

    async def _close(self, alice: PeerConnection, bob: PeerConnection, network: Network | None) -> None:
        if self.random.random() < 0.3:
            await self.random.choice([alice, bob]).aclose()

    async def _lose(self, alice: PeerConnection, bob: PeerConnection, network: Network | None) -> None:
        if network is not None:
            network.set_links("alice", self.random.choice(["bob", "server"]), BLACK_HOLE)
            await trio.sleep(self.random.choice([1, 10, 50]))

    async def _flap(self, alice: PeerConnection, bob: PeerConnection, network: Network | None) -> None:
        if network is not None:
            host = network.host("alice")
            host.add_ip_address("192.0.2.77")
            await trio.sleep(self.random.choice([0, 0.1, 3]))
            host.remove_ip_address("192.0.2.77")


def exchange(offerer: PeerConnection, answerer: PeerConnection) -> None:
    answerer.set_remote_description(offerer.set_local_description())
    offerer.set_remote_description(answerer.set_local_description())


def trickle(nursery: trio.Nursery, alice: PeerConnection, bob: PeerConnection) -> None:
    for one, other in ((alice, bob), (bob, alice)):
        nursery.start_soon(_pass_on, one, other)


async def _pass_on(one: PeerConnection, other: PeerConnection) -> None:
    async for signal in one.outgoing_signals:
        if signal is None or hasattr(signal, "candidate"):
            with suppress(SdpError):  # of another generation
                other.add_ice_candidate(signal)


def run(seed: int) -> None:
    scenario = Scenario(seed)
    clock = trio.testing.MockClock(autojump_threshold=0) if scenario.is_simulated else None
    before = open_files()
    try:
        with no_complaints():
            trio.run(scenario.main, clock=clock)
        assert open_files() == before
    except BaseException as error:
        error.add_note(f"seed {seed}: {scenario.story}")
        raise


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_left(seed: int) -> None:
    run(seed)


@pytest.mark.slow
def test_nothing_is_left_of_two_hundred_and_nothing_grows() -> None:
    for seed in range(40):  # what is kept for good is kept by now
        run(seed)
    gc.collect()
    tracemalloc.start()
    sizes = []
    for seed in range(40, 240):
        run(seed)
        if seed % 50 == 39:
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] - sizes[0] < 200_000, sizes
