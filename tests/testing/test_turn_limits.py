"""What a hostile client cannot make of the simulated TURN server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testing.asker import CLIENT, PEER, REALM, SERVER, Asker, code
from xp2p_trio import stun, turn
from xp2p_trio.sansio import Burst, Transport
from xp2p_trio.testing.turn_allocations import MAX_PORTS_TRIED, AllocationCreated

BINDING = stun.encode_message(stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, bytes(12)))
ALLOCATE = stun.encode_message(stun.Message(stun.MessageClass.REQUEST, stun.Method.ALLOCATE, bytes(12)))


def created(asker: Asker) -> list[int]:
    """Ports of the relayed addresses that were to be bound."""
    return [event.relayed_address[1] for event in asker.server.take_events() if isinstance(event, AllocationCreated)]


def sent(asker: Asker) -> list[bytes]:
    return [datagram for burst in asker.server.transmit(asker.now, 10_000) for datagram in burst.datagrams]


def permit(asker: Asker, *hosts: str) -> int:
    return code(asker.ask(stun.Method.CREATE_PERMISSION, *(stun.XorPeerAddress((host, 1)) for host in hosts)))


def bind(asker: Asker, number: int, port: int) -> int:
    peer = stun.XorPeerAddress(("203.0.113.5", port))
    return code(asker.ask(stun.Method.CHANNEL_BIND, stun.ChannelNumber(0x4000 + number), peer))


def test_permissions_are_bounded_until_they_expire() -> None:
    asker = Asker(max_permissions=4)
    asker.allocate()
    assert permit(asker, "203.0.113.1", "203.0.113.2") == 0
    assert permit(asker, *(f"203.0.113.{number}" for number in range(2, 6))) == 508
    assert permit(asker, "203.0.113.3", "203.0.113.4") == 0
    assert permit(asker, "203.0.113.1", "203.0.113.2") == 0
    assert permit(asker, "203.0.113.5") == 508
    assert permit(asker, *(f"203.0.113.{number}" for number in range(1, 6))) == 508
    asker.now = 300.0
    assert permit(asker, "203.0.113.5") == 0
    assert [len(one.permissions) for one in asker.server.allocations] == [1]


def test_channels_are_bounded_until_they_expire() -> None:
    asker = Asker(max_channels=3)
    asker.allocate(stun.Lifetime(3600))
    assert [bind(asker, number, number + 1) for number in range(5)] == [0, 0, 0, 508, 508]
    assert bind(asker, 1, 2) == 0
    asker.now = 600.0
    assert bind(asker, 4, 5) == 0
    assert [(len(one.channels), len(one.numbers)) for one in asker.server.allocations] == [(1, 1)]


def test_a_channel_that_has_expired_is_free_and_so_is_its_peer() -> None:
    asker = Asker()
    asker.allocate(stun.Lifetime(3600))
    assert [bind(asker, 0, 1), bind(asker, 1, 2)] == [0, 0]
    assert [bind(asker, 0, 2), bind(asker, 1, 1)] == [400, 400]
    asker.now = 600.0
    assert [bind(asker, 0, 2), bind(asker, 1, 1)] == [0, 0]
    (allocation,) = asker.server.allocations
    assert {number: peer[1] for number, (peer, _) in allocation.channels.items()} == {0x4000: 2, 0x4001: 1}
    assert {peer[1]: number for peer, number in allocation.numbers.items()} == {2: 0x4000, 1: 0x4001}


@pytest.mark.parametrize("request_", [BINDING, ALLOCATE])
def test_a_forged_source_gets_few_answers(request_: bytes) -> None:
    asker = Asker(challenge_rate=10)
    for second in range(3):
        asker.now = float(second)
        for _ in range(50):
            asker.server.receive(Burst(SERVER, CLIENT, [request_] * 20), asker.now)
        assert len(sent(asker)) == 10


def test_no_answer_is_more_than_one_datagram_and_it_says_no_more_than_it_must() -> None:
    asker = Asker()
    for request in (ALLOCATE, BINDING):
        asker.server.receive(Burst(SERVER, CLIENT, [request]), 0.0)
        (answer,) = sent(asker)
        assert stun.decode_message(answer).get(stun.Software) is None
    for nothing in (b"", b"\x40\x00\x00\x04data", BINDING[:19], ALLOCATE[:4] + bytes(16)):
        asker.server.receive(Burst(SERVER, CLIENT, [nothing]), 0.0)
    assert sent(asker) == []


def test_hosts_that_are_answered_are_bounded() -> None:
    asker = Asker()
    for number in range(5000):
        asker.server.receive(Burst(SERVER, (f"10.0.{number // 250}.{number % 250}", 1), [BINDING]), 0.0)
    assert len(sent(asker)) == 1024


def test_who_has_proved_itself_is_not_counted() -> None:
    asker = Asker(challenge_rate=2)
    asker.allocate()
    assert [code(asker.ask(stun.Method.REFRESH)) for _ in range(20)] == [0] * 20


def test_a_stream_proves_its_address() -> None:
    asker = Asker(Transport.TCP, challenge_rate=2)
    assert [code(asker.raw(stun.Method.ALLOCATE)) for _ in range(20)] == [401] * 20


def test_answers_that_nobody_pulls_are_bounded() -> None:
    asker = Asker(challenge_rate=10**6)
    asker.server.receive(Burst(SERVER, CLIENT, [BINDING] * 10_000), 0.0)
    assert len(sent(asker)) == 4096


def test_transmit_keeps_to_its_limit_and_to_the_order() -> None:
    asker = Asker()
    asker.server.receive(Burst(SERVER, CLIENT, [BINDING] * 5), 0.0)
    asker.server.receive(Burst(SERVER, ("192.0.2.2", 1), [BINDING] * 5), 0.0)
    counts = [[len(burst.datagrams) for burst in asker.server.transmit(0.0, 3)] for _ in range(5)]
    assert counts == [[3], [2, 1], [3], [1], []]


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("is_bound", [False, True])
def test_data_that_fits_into_no_datagram(transport: Transport, *, is_bound: bool) -> None:
    asker = Asker(transport)
    relayed = asker.allocate().get(stun.XorRelayedAddress)
    assert relayed is not None
    assert permit(asker, PEER[0]) == 0
    if is_bound:
        bind(asker, 0, PEER[1])
    assert asker.exchange(bytes(65507), relayed.address, PEER) == []
    assert len(asker.exchange(bytes(turn.MAX_DATA_SIZE), relayed.address, PEER)) == 1
    if is_bound and transport.is_stream:
        assert asker.exchange(turn.encode_channel_data(0x4000, bytes(65532), padded=True)) == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", 403),
        ("224.0.0.1", 403),
        ("255.255.255.255", 403),
        ("127.0.0.1", 403),
        ("127.9.9.9", 403),
        ("::", 443),
        ("10.0.0.1", 0),
    ],
)
def test_hosts_that_no_server_relays_to(host: str, expected: int) -> None:
    asker = Asker()
    asker.allocate()
    assert permit(asker, host) == expected


@pytest.mark.parametrize("host", ["::1", "ff02::1", "::", "::127.0.0.1", "64:ff9b::7f00:1"])
def test_every_spelling_of_them(host: str) -> None:
    asker = Asker()
    asker.allocate(stun.RequestedAddressFamily(2))
    assert permit(asker, host) == 403


def test_a_relay_on_loopback_reaches_loopback() -> None:
    asker = Asker(relay_hosts=["127.0.0.1"])
    asker.allocate()
    assert permit(asker, "127.0.0.1") == 0


class Binder:
    """Asks for an allocation where some ports are taken by other programs."""

    def __init__(self, taken: set[int], ports: tuple[int, int]) -> None:
        self.asker = asker = Asker(users=None, ports=ports)
        allocate = stun.Message(
            stun.MessageClass.REQUEST, stun.Method.ALLOCATE, bytes(12), (stun.RequestedTransport(17),)
        )
        asker.server.receive(Burst(SERVER, CLIENT, [stun.encode_message(allocate)]), 0.0)
        self.tried: list[int] = []
        while tried := created(asker):
            self.tried += tried
            if tried[-1] in taken:
                asker.server.relayed_address_taken((SERVER[0], tried[-1]), 0.0)
        (answer,) = sent(asker)
        self.answer = stun.decode_message(answer)


def test_a_port_that_is_taken_by_somebody_else() -> None:
    binder = Binder({50000, 50001, 50002}, (50000, 50003))
    assert code(binder.answer) == 0
    assert binder.answer.get(stun.XorRelayedAddress) == stun.XorRelayedAddress((SERVER[0], 50003))
    assert len(set(binder.tried)) == len(binder.tried)
    (allocation,) = binder.asker.server.allocations
    assert allocation.relayed_address[1] == binder.tried[-1] == 50003


def test_all_ports_taken() -> None:
    binder = Binder(set(range(50000, 60000)), (50000, 59999))
    assert code(binder.answer) == 508
    assert len(set(binder.tried)) == MAX_PORTS_TRIED
    assert binder.asker.server.allocations == []
    assert binder.asker.server.take_events() == []


def test_one_port_and_it_is_taken() -> None:
    assert code(Binder({50000}, (50000, 50000)).answer) == 508


def test_an_address_that_is_nobodys_was_not_taken() -> None:
    asker = Asker()
    asker.allocate()
    asker.server.relayed_address_taken((SERVER[0], 1), 0.0)
    assert len(asker.server.allocations) == 1


def parts(asker: Asker) -> list[bytes]:
    """What a client that knows the password may say, and what nobody would."""
    signed = (stun.Username("user"), stun.Realm(REALM), stun.Nonce(asker.nonce))
    peer = stun.XorPeerAddress(PEER)
    requests = [
        (stun.Method.ALLOCATE, (stun.RequestedTransport(17),)),
        (stun.Method.REFRESH, (stun.Lifetime(0),)),
        (stun.Method.CREATE_PERMISSION, (peer,)),
        (stun.Method.CHANNEL_BIND, (stun.ChannelNumber(0x4000), peer)),
        (0x321, ()),
    ]
    messages = [
        stun.encode_message(
            stun.Message(stun.MessageClass.REQUEST, method, bytes(12), (*attributes, *signed)), key=asker.key
        )
        for method, attributes in requests
    ]
    say = stun.Message(stun.MessageClass.INDICATION, stun.Method.SEND, bytes(12), (peer, stun.Data(b"hi")))
    return [*messages, stun.encode_message(say), turn.encode_channel_data(0x4000, b"hello", padded=True), BINDING]


@given(data=st.data(), transport=st.sampled_from(list(Transport)))
def test_whatever_a_client_says(data: st.DataObject, transport: Transport) -> None:
    asker = Asker(transport)
    asker.challenge()
    known = parts(asker)
    for _ in range(data.draw(st.integers(1, 12))):
        said = b"".join(data.draw(st.lists(st.sampled_from(known) | st.binary(max_size=40), max_size=4)))
        cut = data.draw(st.integers(0, len(said)))
        asker.now += data.draw(st.sampled_from([0.0, 1.0, 400.0]))
        asker.server.receive(Burst(SERVER, CLIENT, [said[:cut], said[cut:]], transport), asker.now)
        if data.draw(st.booleans()):
            relayed = [one.relayed_address for one in asker.server.allocations] or [SERVER]
            asker.server.receive(Burst(relayed[0], PEER, [said]), asker.now)
        for event in asker.server.take_events():
            if isinstance(event, AllocationCreated) and data.draw(st.booleans()):
                asker.server.relayed_address_taken(event.relayed_address, asker.now)
        for burst in asker.server.transmit(asker.now, 100):
            assert burst.remote in (CLIENT, PEER)
            assert burst.remote == PEER or burst.transport is transport
        assert len(asker.server.allocations) <= 1
        assert asker.server.next_timeout() > asker.now
