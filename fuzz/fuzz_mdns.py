"""Anybody on the local link: any datagram at both doors of an endpoint that asks for names and has one of its own."""

from __future__ import annotations

import math

from xp2p_trio import mdns
from xp2p_trio.errors import DecodeError
from xp2p_trio.sansio import Address, Burst, Scope, host_scopes

_SHARED: Address = ("192.0.2.1", mdns.PORT)
_OWN: Address = ("192.0.2.1", 50000)
_SOURCES: tuple[Address, ...] = (
    ("192.0.2.2", mdns.PORT),
    ("192.0.2.2", 40000),
    ("203.0.113.66", mdns.PORT),
    ("fe80::1", mdns.PORT),
)
_NAMES = ("a.local", "6f2a4c1e-1111-4222-8333-444455556666.local", "x" * 63 + ".local")
_OURS = "b.local"
_WAITS = (0.0, 0.1, 1.0, 3.0, 10.0)
_MAX_STEPS = 200


class _Run:
    """An endpoint that is told anything; each step eats some bytes of the input."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.now = 0.0
        self.endpoint = mdns.Endpoint(bytes, enable_ipv6=True)
        self.endpoint.add_local_address(_SHARED, self.now, prefix_length=24)
        self.endpoint.add_local_address(_OWN, self.now, prefix_length=24)
        self.endpoint.publish(_OURS, "192.0.2.1", self.now)
        self.asked: set[str] = set()

    def take(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        return taken.ljust(size, b"\0")

    def step(self) -> None:
        op, argument = self.take(2)
        match op % 6:
            case 0 | 1:
                local = _OWN if op & 8 else _SHARED
                source = _SOURCES[(op >> 4) % len(_SOURCES)]
                self.endpoint.receive(Burst(local, source, [self.take(argument)]), self.now)
            case 2:
                name = _NAMES[argument % len(_NAMES)]
                self.asked.add(name)
                self.endpoint.resolve(name, self.now)
            case 3:
                self.now += _WAITS[argument % len(_WAITS)]
                self.endpoint.handle_timeout(self.now)
            case 4:
                self.transmit(argument % 8)
            case 5:
                self.endpoint.withdraw(_OURS, self.now)
                self.endpoint.publish(_OURS, "192.0.2.1", self.now)
        self.check()

    def transmit(self, limit: int) -> None:
        bursts = self.endpoint.transmit(self.now, limit)
        assert len(bursts) <= limit
        for burst in bursts:
            assert burst.remote[0] == mdns.GROUP_IPV4 or burst.remote[0] in ("192.0.2.2", "fe80::1")
            for datagram in burst.datagrams:
                message = mdns.decode_message(datagram)
                assert len(datagram) < 300
                if message.is_response:
                    assert burst.local == _SHARED
                    assert {record.name for record in message.answers} == {(b"b", b"local")}

    def check(self) -> None:
        for event in self.endpoint.take_events():
            assert isinstance(event, mdns.NameResolved | mdns.NameUnresolved)
            assert event.name in self.asked
            if isinstance(event, mdns.NameResolved):
                assert 0 < len(event.hosts) <= mdns.MAX_HOSTS
                scopes = {scope for host in event.hosts for scope in host_scopes(host)}
                assert scopes <= {Scope.UNICAST, Scope.LINK_LOCAL}
        assert self.endpoint.statistics.names_asked <= len(_NAMES)
        if self.endpoint.next_timeout() <= self.now:
            self.endpoint.handle_timeout(self.now)
            assert self.endpoint.next_timeout() > self.now, "it spins"


def test_one_input(data: bytes) -> None:
    try:
        message = mdns.decode_message(data)
        raw = mdns.encode_message(message, deny_others=True)
        assert len(raw) > mdns.MAX_MESSAGE_SIZE or mdns.decode_message(raw) == message
    except DecodeError:
        pass
    run = _Run(data)
    for _ in range(_MAX_STEPS):
        if not run.data:
            break
        run.step()
    run.endpoint.close(run.now)
    assert run.endpoint.next_timeout() == math.inf


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
