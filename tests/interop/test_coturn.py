"""Our allocation against coturn, over UDP, TCP and TLS."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interop.coturn import HOST, PATIENCE, REALM, USER, Coturn
from xp2p_trio import turn
from xp2p_trio.errors import Reason
from xp2p_trio.sansio import Address, Burst, Closed, Failed

pytestmark = pytest.mark.interop

TRANSPORTS = [turn.Transport.UDP, turn.Transport.TCP, turn.Transport.TLS]


class Client:
    """An allocation on a socket of its own."""

    def __init__(
        self, server: Coturn, transport: turn.Transport, credentials: turn.Credentials = USER, **choices: Any
    ) -> None:
        server_address = server.address_for(transport)
        self._is_stream = transport.is_stream
        if self._is_stream:
            self.socket = socket.create_connection(server_address, PATIENCE)
        else:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((HOST, 0))
            self.socket.connect(server_address)
        if transport is turn.Transport.TLS:
            self.socket = server.trust().wrap_socket(self.socket, server_hostname=HOST)
        self.socket.setblocking(False)
        self._framer = turn.StreamFramer()
        host, port = self.socket.getsockname()
        self.allocation = turn.Allocation(
            server_address,
            (host, port),
            credentials,
            random_bytes=os.urandom,
            configuration=turn.Configuration(transport=transport, allow_loopback=True, **choices),
        )
        self.events: list[turn.Event] = []
        self.received: list[tuple[Address, bytes]] = []

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def relayed_address(self) -> Address:
        (allocated,) = self.of(turn.Allocated)
        assert isinstance(allocated, turn.Allocated)
        return allocated.relayed_address

    def step(self, now: float) -> None:
        self.allocation.handle_timeout(now)
        for burst in self.allocation.transmit(now, 100):
            if self._is_stream:
                self.socket.setblocking(True)
                self.socket.sendall(b"".join(burst.datagrams))
                self.socket.setblocking(False)
            else:
                for datagram in burst.datagrams:
                    self.socket.send(datagram)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ConnectionError):
            while data := self.socket.recv(65536):
                messages = self._framer.decode_frames(data) if self._is_stream else [data]
                if messages:
                    burst = Burst(self.allocation.local, self.allocation.server, messages)
                    self.allocation.receive(burst, time.monotonic())
        self.events += self.allocation.take_events()
        self.received += self.allocation.take_received()


def run(clients: list[Client], until: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while True:
        now = time.monotonic()
        for client in clients:
            client.step(now)
        if until():
            return
        assert now < deadline, [(client.allocation, client.events, client.allocation.statistics) for client in clients]
        select.select([client.socket for client in clients], [], [], 0.01)


def live(clients: list[Client], seconds: float) -> None:
    end = time.monotonic() + seconds
    run(clients, lambda: time.monotonic() >= end, seconds + PATIENCE)


@contextlib.contextmanager
def allocated(server: Coturn, *transports: turn.Transport, **choices: Any) -> Iterator[list[Client]]:
    clients = [Client(server, transport, **choices) for transport in transports]
    try:
        for client in clients:
            client.allocation.start(time.monotonic())
        run(clients, lambda: all(client.of(turn.Allocated) for client in clients))
        yield clients
    finally:
        for client in clients:
            client.socket.close()


def permit_each_other(one: Client, two: Client) -> None:
    for client in (one, two):
        client.allocation.create_permissions([HOST], time.monotonic())
    run([one, two], lambda: all(client.of(turn.PermissionCreated) for client in (one, two)))


def exchange(one: Client, two: Client, word: bytes) -> None:
    """Data of many sizes both ways, nothing lost or changed."""
    sizes = [0, 1, 2, 3, 4, 5, 500, 1200]
    for sender, receiver in ((one, two), (two, one)):
        sent = [(receiver.relayed_address, word * (size // len(word)) + bytes(size % len(word))) for size in sizes]
        receiver.received.clear()
        sender.allocation.send(sent, time.monotonic())
        run([one, two], lambda receiver=receiver: len(receiver.received) >= len(sizes))  # type: ignore[misc]
        assert receiver.received == [(sender.relayed_address, data) for _, data in sent]


@pytest.mark.parametrize("first", TRANSPORTS)
@pytest.mark.parametrize("second", TRANSPORTS)
def test_data_both_ways_by_indications_and_by_channels(
    coturn: Callable[..., Coturn], first: turn.Transport, second: turn.Transport
) -> None:
    server = coturn()
    with allocated(server, first, second) as (one, two):
        assert one.relayed_address[0] == HOST
        (event,) = one.of(turn.Allocated)
        assert event.mapped_address == one.allocation.local
        permit_each_other(one, two)
        exchange(one, two, b"indication")
        one.allocation.bind_channel(two.relayed_address, time.monotonic())
        run([one, two], lambda: bool(one.of(turn.ChannelBound)))
        exchange(one, two, b"one channel")
        two.allocation.bind_channel(one.relayed_address, time.monotonic())
        run([one, two], lambda: bool(two.of(turn.ChannelBound)))
        exchange(one, two, b"two channels")
        for client in (one, two):
            assert client.allocation.statistics.datagrams_ignored == 0
            assert client.allocation.statistics.datagrams_unsent == 0
            client.allocation.close(time.monotonic())
        run([one, two], lambda: all(client.events[-1] == Closed() for client in (one, two)), 1.5)
        server.wait_for_log("lifetime=0")


def test_a_nonce_goes_stale_and_the_data_flows_on(coturn: Callable[..., Coturn]) -> None:
    """turn_438_storm, over every transport at once."""
    server = coturn("stale-nonce=2")
    with allocated(server, *TRANSPORTS, *TRANSPORTS) as clients:
        pairs = list(zip(clients[:3], clients[3:], strict=True))
        for one, two in pairs:
            permit_each_other(one, two)
        for _ in range(2):
            live(clients, 3.5)  # coturn counts whole seconds
            for one, two in pairs:
                one.allocation.create_permissions(["127.0.0.2", "127.0.0.3"], time.monotonic())
                one.allocation.bind_channel(two.relayed_address, time.monotonic())
                exchange(one, two, b"still there")
                one.allocation.remove_permissions(["127.0.0.2", "127.0.0.3"], time.monotonic())
        for one, _ in pairs:
            assert one.allocation.statistics.requests_refused >= 3
            assert one.allocation.statistics.requests_sent < 20
            one.allocation.close(time.monotonic())
        live(clients, 0.2)
        assert all(one.events[-1] == Closed() for one, _ in pairs)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_password_is_told_with_server_realm_and_code(
    coturn: Callable[..., Coturn], transport: turn.Transport
) -> None:
    server = coturn()
    client = Client(server, transport, turn.Credentials(USER.username, "wrong"))
    client.allocation.start(time.monotonic())
    run([client], lambda: bool(client.events) and isinstance(client.events[-1], Failed))
    refused, failed = client.events
    address = server.address_for(transport)
    assert refused == turn.AllocationRefused(address, REALM, 401, refused.reason)  # type: ignore[union-attr]
    assert isinstance(failed, Failed)
    assert failed.failure.reason is Reason.REFUSED
    assert all(part in failed.failure.detail for part in (HOST, str(address[1]), "401", REALM))
    assert client.allocation.statistics.requests_sent == 2
    client.socket.close()


def test_rest_credentials_are_taken_until_they_expire(coturn: Callable[..., Coturn]) -> None:
    server = coturn("use-auth-secret", "static-auth-secret=north wind")
    good = turn.rest_credentials("alice", "north wind", time.time() + 60)
    with allocated(server, turn.Transport.UDP, credentials=good) as (client,):
        assert client.relayed_address[0] == HOST
    late = Client(server, turn.Transport.UDP, turn.rest_credentials("alice", "north wind", time.time() - 60))
    late.allocation.start(time.monotonic())
    run([late], lambda: bool(late.events) and isinstance(late.events[-1], Failed))
    (refused,) = late.of(turn.AllocationRefused)
    assert refused.code == 401
    late.socket.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_full_quota_is_told(coturn: Callable[..., Coturn], transport: turn.Transport) -> None:
    server = coturn("user-quota=1")
    with allocated(server, transport) as (first,):
        second = Client(server, transport)
        second.allocation.start(time.monotonic())
        run([first, second], lambda: bool(second.events) and isinstance(second.events[-1], Failed))
        (refused,) = second.of(turn.AllocationRefused)
        assert (refused.code, refused.realm) == (486, REALM)
        second.socket.close()


def test_a_forbidden_peer_is_denied_and_the_others_are_not(coturn: Callable[..., Coturn]) -> None:
    server = coturn("denied-peer-ip=127.0.0.66")
    with allocated(server, turn.Transport.UDP) as (client,):
        client.allocation.create_permissions([HOST, "127.0.0.66", "127.0.0.67"], time.monotonic())
        run([client], lambda: len(client.events) == 4)
        (denied,) = client.of(turn.PermissionDenied)
        assert (denied.host, denied.code) == ("127.0.0.66", 403)
        assert {event.host for event in client.of(turn.PermissionCreated)} == {HOST, "127.0.0.67"}


def test_a_second_allocation_from_the_same_port_is_a_mismatch(coturn: Callable[..., Coturn]) -> None:
    server = coturn()
    with allocated(server, turn.Transport.UDP) as (first,):
        second = Client(server, turn.Transport.UDP)
        second.socket.close()
        second.socket = first.socket
        second.allocation = turn.Allocation(
            server.address, first.allocation.local, USER, random_bytes=os.urandom, configuration=turn.Configuration()
        )
        second.allocation.start(time.monotonic())
        run([second], lambda: bool(second.events) and isinstance(second.events[-1], Failed))
        (refused,) = second.of(turn.AllocationRefused)
        assert refused.code == 437


def test_an_allocation_is_refreshed_before_it_expires(coturn: Callable[..., Coturn]) -> None:
    server = coturn("max-allocate-lifetime=6")
    with allocated(server, turn.Transport.UDP) as (client,):
        (event,) = client.of(turn.Allocated)
        assert event.lifetime == 6
        live([client], 4.5)
        assert client.events == [event]
        assert client.allocation.statistics.requests_sent >= 3
        server.wait_for_log("refreshed")
