"""The simulated TURN server and clients that come over a stream."""

from __future__ import annotations

import math

import pytest

from tests.testing.asker import CLIENT, PEER, SERVER, Asker, code
from xp2p_trio import stun, turn
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Burst, Transport
from xp2p_trio.testing.turn_allocations import AllocationCreated, AllocationDeleted, StreamDropped

STREAMS = [Transport.TCP, Transport.TLS]
BINDING = stun.encode_message(stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, bytes(12)))


def answers(asker: Asker, *chunks: bytes) -> list[bytes]:
    asker.server.receive(Burst(SERVER, CLIENT, list(chunks), asker.transport), asker.now)
    return [frame for burst in asker.server.transmit(asker.now, 100) for frame in burst.datagrams]


@pytest.mark.parametrize("transport", STREAMS)
def test_an_allocation_over_a_stream_ends_with_it(transport: Transport) -> None:
    asker = Asker(transport)
    relayed = asker.allocate().get(stun.XorRelayedAddress)
    assert relayed is not None
    assert asker.server.take_events() == [AllocationCreated(CLIENT, relayed.address, "user", transport)]
    asker.server.stream_closed(SERVER, CLIENT, 5.0, transport)
    assert asker.server.take_events() == [AllocationDeleted(CLIENT, relayed.address, "user", False, transport)]
    assert asker.server.next_timeout() == math.inf
    assert asker.server.stream_count == 0
    assert answers(asker, BINDING) == []


def test_the_same_addresses_by_another_transport_are_another_client() -> None:
    asker = Asker(Transport.TCP)
    over_tcp = asker.allocate()
    asker.transport = Transport.UDP
    assert code(asker.ask(stun.Method.REFRESH)) == 437
    over_udp = asker.allocate()
    assert code(over_tcp) == code(over_udp) == 0
    asker.server.stream_closed(SERVER, CLIENT, 0.0)
    assert [one.path.transport for one in asker.server.allocations] == [Transport.UDP]


def test_messages_are_cut_out_of_the_stream() -> None:
    asker = Asker(Transport.TCP)
    assert answers(asker, *(BINDING[at : at + 1] for at in range(len(BINDING) - 1))) == []
    assert len(answers(asker, BINDING[-1:])) == 1
    assert len(answers(asker, BINDING * 3 + BINDING[:7])) == 3
    assert len(answers(asker, BINDING[7:])) == 1


def test_data_on_a_stream_is_padded() -> None:
    asker = Asker(Transport.TLS)
    relayed = asker.allocate().get(stun.XorRelayedAddress)
    assert relayed is not None
    channel = (stun.ChannelNumber(0x4000), stun.XorPeerAddress(PEER))
    assert code(asker.ask(stun.Method.CHANNEL_BIND, *channel)) == 0
    message = turn.encode_channel_data(0x4000, b"hello", padded=True)
    assert asker.exchange(message * 2) == [Burst(relayed.address, PEER, [b"hello", b"hello"])]
    assert asker.exchange(b"hello", relayed.address, PEER) == [Burst(SERVER, CLIENT, [message], Transport.TLS)]


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH\r\n", b"\x16\x03\x01", BINDING[:4] + bytes(16), b"\xff" * 9])
@pytest.mark.parametrize("before", [b"", BINDING])
def test_noise_ends_the_stream_but_not_what_was_asked_before_it(noise: bytes, before: bytes) -> None:
    asker = Asker(Transport.TCP)
    asker.allocate()
    asker.server.take_events()
    assert len(answers(asker, before + noise, BINDING)) == (1 if before else 0)
    deleted, dropped = asker.server.take_events()
    assert isinstance(deleted, AllocationDeleted)
    assert isinstance(dropped, StreamDropped)
    assert (dropped.local, dropped.remote, dropped.transport) == (SERVER, CLIENT, Transport.TCP)
    assert "stream" in dropped.reason
    assert asker.server.stream_count == 0


def test_an_allocation_asked_for_right_before_noise_does_not_stay() -> None:
    asker = Asker(Transport.TCP, users=None)
    allocate = stun.Message(stun.MessageClass.REQUEST, stun.Method.ALLOCATE, bytes(12), (stun.RequestedTransport(17),))
    answers(asker, stun.encode_message(allocate) + b"\xff" * 4)
    assert asker.server.allocations == []
    assert [type(event) for event in asker.server.take_events()] == [
        AllocationCreated,
        AllocationDeleted,
        StreamDropped,
    ]


def test_streams_that_are_too_many() -> None:
    asker = Asker(Transport.TCP, max_streams=3)
    for port in range(1, 6):
        asker.server.stream_accepted(SERVER, ("192.0.2.9", port), 0.0)
    dropped = [event.remote[1] for event in asker.server.take_events() if isinstance(event, StreamDropped)]
    assert dropped == [3, 4, 5]
    assert asker.server.stream_count == 3
    asker.server.stream_closed(SERVER, ("192.0.2.9", 1), 0.0)
    asker.server.stream_accepted(SERVER, ("192.0.2.9", 6), 0.0)
    assert asker.server.take_events() == []


def test_a_stream_that_wants_nothing_is_dropped() -> None:
    asker = Asker(Transport.TCP, stream_timeout=10.0)
    assert asker.server.next_timeout() == 10.0
    asker.now = 9.0
    asker.raw(stun.Method.BINDING)
    asker.now = 18.9
    assert answers(asker, BINDING[:10]) == []  # half a message is nothing
    asker.server.handle_timeout(asker.server.next_timeout())
    (dropped,) = asker.server.take_events()
    assert dropped == StreamDropped(SERVER, CLIENT, Transport.TCP, "nothing came for 10 s")


def test_a_stream_with_an_allocation_may_be_silent() -> None:
    asker = Asker(Transport.TCP, stream_timeout=10.0)
    asker.allocate()
    asker.server.take_events()
    asker.server.handle_timeout(599.0)
    assert asker.server.take_events() == []
    assert asker.server.stream_count == 1
    asker.server.handle_timeout(600.0)
    assert [type(event) for event in asker.server.take_events()] == [AllocationDeleted, StreamDropped]
    assert asker.server.next_timeout() == math.inf


def test_a_server_that_is_silent_does_not_lose_its_place_in_the_stream() -> None:
    asker = Asker(Transport.TCP)
    asker.server.faults.is_silent = True
    assert answers(asker, BINDING + BINDING[:5]) == []
    asker.server.faults.is_silent = False
    assert len(answers(asker, BINDING[5:])) == 1


def test_a_stream_that_is_accepted_again_is_a_new_one() -> None:
    asker = Asker(Transport.TCP)
    asker.allocate()
    assert answers(asker, BINDING[:5]) == []
    asker.server.stream_accepted(SERVER, CLIENT, 0.0)
    assert asker.server.allocations == []
    assert len(answers(asker, BINDING)) == 1


def test_a_datagram_socket_is_no_stream() -> None:
    with pytest.raises(InvalidArgument):
        Asker().server.stream_accepted(SERVER, CLIENT, 0.0, Transport.UDP)
    with pytest.raises(InvalidArgument):
        Asker().server.stream_closed(SERVER, CLIENT, 0.0, Transport.UDP)
