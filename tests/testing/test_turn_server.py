"""The simulated TURN server, asked by hand: what its own client would never say."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.testing.asker import CLIENT, PEER, REALM, SERVER, Asker, code
from xp2p_trio import stun, turn
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing.drive import drive
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.nat import SYMMETRIC
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.turn_allocations import AllocationCreated, AllocationDeleted
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.testing.turn_server import TurnServer


def test_binding_without_credentials() -> None:
    response = Asker().raw(stun.Method.BINDING)
    assert response.get(stun.XorMappedAddress) == stun.XorMappedAddress(CLIENT)
    unknown = Asker().raw(stun.Method.BINDING, stun.Opaque(0x7F00, b""))
    assert (code(unknown), unknown.get(stun.UnknownAttributes)) == (420, stun.UnknownAttributes((0x7F00,)))


def test_the_challenge() -> None:
    response = Asker().raw(stun.Method.ALLOCATE, stun.RequestedTransport(17))
    nonce, offer = response.get(stun.Nonce), response.get(stun.PasswordAlgorithms)
    assert code(response) == 401
    assert response.get(stun.Realm) == stun.Realm(REALM)
    assert nonce is not None
    assert nonce.text.startswith("obMatJos2gAAA")
    assert offer == stun.PasswordAlgorithms(((1, b""), (2, b"")))
    assert response.get(stun.MessageIntegrity) is None
    plain = Asker(offers_sha256=False).raw(stun.Method.ALLOCATE)
    assert plain.get(stun.PasswordAlgorithms) is None


def test_an_allocation_and_its_end() -> None:
    asker = Asker()
    response = asker.allocate()
    assert code(response) == 0
    assert stun.verify_integrity(response, asker.key) is stun.IntegrityAlgorithm.SHA1
    relayed = response.get(stun.XorRelayedAddress)
    assert relayed is not None
    assert relayed.address[0] == SERVER[0]
    assert 49152 <= relayed.address[1] <= 65535
    assert response.get(stun.Lifetime) == stun.Lifetime(600)
    assert response.get(stun.XorMappedAddress) == stun.XorMappedAddress(CLIENT)
    assert asker.server.take_events() == [AllocationCreated(CLIENT, relayed.address, "user")]
    assert asker.server.next_timeout() == 600.0
    asker.server.handle_timeout(600.0)
    assert asker.server.take_events() == [AllocationDeleted(CLIENT, relayed.address, "user", is_expired=True)]
    assert asker.server.next_timeout() == math.inf


def test_a_repeated_allocate_gets_the_same_answer() -> None:
    asker = Asker()
    first = asker.allocate()
    asker.number -= 1
    again = asker.ask(stun.Method.ALLOCATE, stun.RequestedTransport(17))
    assert again.get(stun.XorRelayedAddress) == first.get(stun.XorRelayedAddress)
    assert code(asker.ask(stun.Method.ALLOCATE, stun.RequestedTransport(17))) == 437
    assert len(asker.server.allocations) == 1


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ((), 400),
        ((stun.RequestedTransport(6),), 442),
        ((stun.RequestedTransport(17), stun.RequestedAddressFamily(2)), 0),
        ((stun.RequestedTransport(17), stun.RequestedAddressFamily(3)), 440),
        ((stun.RequestedTransport(17), stun.Opaque(0x001A, b"")), 420),
        ((stun.RequestedTransport(17), stun.Opaque(0x0018, b"\x80")), 420),
    ],
)
def test_what_allocate_may_ask_for(attributes: tuple[stun.Attribute, ...], expected: int) -> None:
    asker = Asker()
    asker.challenge()
    assert code(asker.ask(stun.Method.ALLOCATE, *attributes)) == expected


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 600), (1, 600), (600, 600), (1000, 1000), (3600, 3600), (10**6, 3600)]
)
def test_lifetimes(asked: int | None, granted: int) -> None:
    asker = Asker()
    attributes = [] if asked is None else [stun.Lifetime(asked)]
    assert asker.allocate(*attributes).get(stun.Lifetime) == stun.Lifetime(granted)
    assert asker.ask(stun.Method.REFRESH, *attributes).get(stun.Lifetime) == stun.Lifetime(granted)
    assert asker.ask(stun.Method.REFRESH, stun.Lifetime(0)).get(stun.Lifetime) == stun.Lifetime(0)
    assert code(asker.ask(stun.Method.REFRESH, stun.Lifetime(0))) == 437


def test_nonces() -> None:
    asker = Asker(nonce_lifetime=5.0)
    asker.allocate()
    asker.now = 4.9
    assert code(asker.ask(stun.Method.REFRESH)) == 0
    asker.now = 5.0
    stale = asker.ask(stun.Method.REFRESH)
    assert code(stale) == 438
    nonce = stale.get(stun.Nonce)
    assert nonce is not None
    asker.nonce = nonce.text
    assert code(asker.ask(stun.Method.REFRESH)) == 0
    for forged in (nonce.text[:-1], "obMatJos2gAAAzz", "", "x" * 50, nonce.text[:13] + "0" * 16 + "nan"):
        asker.nonce = forged
        assert code(asker.ask(stun.Method.REFRESH)) == 438
    asker.nonce = nonce.text
    asker.client = ("192.0.2.2", 50000)  # a nonce is one client's
    assert code(asker.ask(stun.Method.REFRESH)) == 438


def test_who_may_not() -> None:
    asker = Asker(users={"user": "password", "other": "secret"})
    asker.allocate()
    asker.password = "wrong"
    assert code(asker.ask(stun.Method.REFRESH)) == 401
    asker.username, asker.password = "other", "secret"
    assert code(asker.ask(stun.Method.REFRESH)) == 441
    asker.username = "nobody"
    assert code(asker.ask(stun.Method.REFRESH)) == 401
    for missing in (
        (stun.Realm(REALM), stun.Nonce(asker.nonce)),
        (stun.Username("user"), stun.Nonce(asker.nonce)),
        (stun.Username("user"), stun.Realm(REALM)),
    ):
        assert code(asker.raw(stun.Method.REFRESH, *missing, key=b"any")) == 400


@pytest.mark.parametrize(
    "attributes",
    [
        (stun.PasswordAlgorithm(1),),
        (stun.PasswordAlgorithms(((1, b""), (2, b""))),),
        (stun.PasswordAlgorithm(1), stun.PasswordAlgorithms(((1, b""),))),
        (stun.PasswordAlgorithm(3), stun.PasswordAlgorithms(((1, b""), (2, b"")))),
    ],
)
def test_algorithms_that_do_not_fit(attributes: tuple[stun.Attribute, ...]) -> None:
    asker = Asker()
    asker.challenge()
    assert code(asker.ask(stun.Method.ALLOCATE, stun.RequestedTransport(17), *attributes)) == 400


def test_quota_and_capacity() -> None:
    asker = Asker(user_quota=2, capacity=3, users={"user": "password", "other": "secret"})
    codes: list[int] = []
    for username, password in [("user", "password")] * 3 + [("other", "secret")] * 2:
        asker.username, asker.password = username, password
        asker.client = ("192.0.2.1", 50000 + len(codes))
        codes.append(code(asker.allocate()))
    assert codes == [0, 0, 486, 0, 508]


def test_ports_are_all_used_and_none_twice() -> None:
    asker = Asker(ports=(50000, 50009))
    ports = set()
    for number in range(10):
        asker.client = ("192.0.2.1", 40000 + number)
        relayed = asker.allocate().get(stun.XorRelayedAddress)
        assert relayed is not None
        ports.add(relayed.address[1])
    assert ports == set(range(50000, 50010))
    asker.client = ("192.0.2.1", 41000)
    assert code(asker.allocate()) == 508


def test_permissions_and_data() -> None:
    asker = Asker(refuses_peer=lambda host: host == "203.0.113.66")
    relayed = asker.allocate().get(stun.XorRelayedAddress)
    assert relayed is not None
    assert code(asker.ask(stun.Method.CREATE_PERMISSION)) == 400
    assert code(asker.ask(stun.Method.CREATE_PERMISSION, stun.XorPeerAddress(("2001:db8::5", 1)))) == 443
    refused = [stun.XorPeerAddress(PEER), stun.XorPeerAddress(("203.0.113.66", 1))]
    assert code(asker.ask(stun.Method.CREATE_PERMISSION, *refused)) == 403
    say = stun.Message(
        stun.MessageClass.INDICATION, stun.Method.SEND, bytes(12), (stun.XorPeerAddress(PEER), stun.Data(b"hi"))
    )
    assert asker.exchange(stun.encode_message(say)) == []
    assert asker.exchange(b"hello", relayed.address, PEER) == []
    assert code(asker.ask(stun.Method.CREATE_PERMISSION, stun.XorPeerAddress(PEER))) == 0
    assert asker.exchange(stun.encode_message(say)) == [Burst(relayed.address, PEER, [b"hi"])]
    (indication,) = asker.exchange(b"hello", relayed.address, PEER)
    message = stun.decode_message(indication.datagrams[0])
    assert message.get(stun.XorPeerAddress) == stun.XorPeerAddress(PEER)
    assert message.get(stun.Data) == stun.Data(b"hello")
    asker.now = 300.0
    assert asker.exchange(stun.encode_message(say)) == []
    assert asker.exchange(b"hello", relayed.address, PEER) == []


def test_channels() -> None:
    asker = Asker()
    relayed = asker.allocate().get(stun.XorRelayedAddress)
    assert relayed is not None

    def bind(number: int, peer: Address) -> int:
        return code(asker.ask(stun.Method.CHANNEL_BIND, stun.ChannelNumber(number), stun.XorPeerAddress(peer)))

    assert code(asker.ask(stun.Method.CHANNEL_BIND, stun.ChannelNumber(0x4000))) == 400
    assert code(asker.ask(stun.Method.CHANNEL_BIND, stun.XorPeerAddress(PEER))) == 400
    assert [bind(number, PEER) for number in (0x3FFF, 0x5000, 0x4000, 0x4000, 0x4001)] == [400, 400, 0, 0, 400]
    assert bind(0x4000, ("203.0.113.9", 1)) == 400
    assert bind(0x4002, ("2001:db8::5", 1)) == 443
    data = turn.encode_channel_data(0x4000, b"hi", padded=False)
    assert asker.exchange(data) == [Burst(relayed.address, PEER, [b"hi"])]
    assert asker.exchange(turn.encode_channel_data(0x4001, b"hi", padded=False)) == []
    assert asker.exchange(b"hi", relayed.address, PEER) == [Burst(SERVER, CLIENT, [data])]
    asker.now = 301.0  # the permission is gone, the channel is not
    assert asker.exchange(data) == []
    assert code(asker.ask(stun.Method.CREATE_PERMISSION, stun.XorPeerAddress(PEER))) == 0
    assert asker.exchange(data) == [Burst(relayed.address, PEER, [b"hi"])]


def test_silence_and_noise() -> None:
    asker = Asker()
    asker.allocate()
    for noise in (b"", b"\x00", b"\x40", b"\x40\x00\xff\xff", b"\xff" * 30, bytes(20)):
        assert asker.exchange(noise) == []
    assert asker.raw(stun.Method.BINDING).message_class is stun.MessageClass.SUCCESS_RESPONSE
    asker.server.faults.is_silent = True
    request = stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, bytes(12))
    assert asker.exchange(stun.encode_message(request)) == []


@pytest.mark.parametrize(
    "choices",
    [
        {"relay_hosts": []},
        {"relay_hosts": ["example.org"]},
        {"relay_hosts": ["192.0.2.7"], "ports": (5, 4)},
        {"relay_hosts": ["192.0.2.7"], "is_anonymous": True, "offers_sha256": False},
    ],
)
def test_configurations_that_cannot_work(choices: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        TurnServerConfiguration(**choices)


def test_passwords_are_not_shown() -> None:
    configuration = TurnServerConfiguration(relay_hosts=["192.0.2.7"], users={"user": "geheim"})
    assert "geheim" not in repr(configuration)


def test_two_clients_behind_nats_meet_on_the_relay() -> None:
    network = Network(seed=5, link=Link(delay=0.02))
    network.host("turn", SERVER[0])
    layers: dict[str, Any] = {
        "turn": TurnServer(TurnServerConfiguration(relay_hosts=[SERVER[0]]), network.random_bytes("turn"))
    }
    for name, inside, outside in (("alice", "10.0.0.1", "198.51.100.1"), ("bob", "10.0.1.1", "198.51.100.2")):
        host = network.host(name, inside)
        network.nat(f"nat of {name}", outside, behaviour=SYMMETRIC, inside=[name])
        layers[name] = turn.Allocation(
            SERVER,
            host.address(),
            turn.Credentials("user", "password"),
            random_bytes=network.random_bytes(name),
            configuration=turn.Configuration(),
        )
        layers[name].start(0.0)
    relayed: dict[str, Address] = {}
    ready: set[str] = set()

    def on_events(name: str, events: list[Any], now: float) -> None:
        for event in events:
            if isinstance(event, turn.Allocated):
                relayed[name] = event.relayed_address
                assert event.mapped_address[0].startswith("198.51.100.")
            elif isinstance(event, turn.ChannelBound):
                ready.add(name)

    now = drive(network, layers, until=lambda: len(relayed) == 2, on_events=on_events)
    layers["alice"].bind_channel(relayed["bob"], now)
    layers["bob"].bind_channel(relayed["alice"], now)
    now = drive(network, layers, until=lambda: len(ready) == 2, on_events=on_events, now=now)
    layers["alice"].send([(relayed["bob"], b"hello")], now)
    drive(network, layers, now=now, timeout=1.0)
    assert layers["bob"].take_received() == [(relayed["alice"], b"hello")]
