"""The client of one server."""

from __future__ import annotations

import math
import random

import attrs
import pytest

from xp2p_trio import stun
from xp2p_trio.errors import InvalidState
from xp2p_trio.sansio import Address, Burst, Closed, Failed

SERVER = ("192.0.2.7", 3478)
LOCAL = ("10.0.0.1", 4000)
MAPPED = ("203.0.113.5", 61000)


def make_client() -> stun.Client:
    return stun.Client(SERVER, LOCAL, random.Random(1).randbytes)


def answer(
    burst: Burst, attribute: stun.Attribute, kind: stun.MessageClass = stun.MessageClass.SUCCESS_RESPONSE
) -> Burst:
    request = stun.decode_message(burst.datagrams[0])
    reply = stun.Message(kind, request.method, request.transaction_id, (attribute,))
    return Burst(LOCAL, SERVER, [stun.encode_message(reply)])


@pytest.mark.parametrize("attribute", [stun.XorMappedAddress(MAPPED), stun.MappedAddress(MAPPED)])
def test_it_learns_the_mapped_address(attribute: stun.Attribute) -> None:
    client = make_client()
    assert client.transmit(0.0, 1) == []
    client.start(1.0)
    (burst,) = client.transmit(1.0, 1)
    assert (burst.local, burst.remote) == (LOCAL, SERVER)
    assert client.next_timeout() == 1.5
    client.receive(answer(burst, attribute), 1.2)
    assert client.take_events() == [stun.MappedAddressFound(MAPPED, pytest.approx(0.2)), Closed()]
    assert client.is_done
    assert client.next_timeout() == math.inf
    assert client.transmit(9.0, 9) == []


def test_a_repeated_request_measures_no_round_trip() -> None:
    client = make_client()
    client.start(0.0)
    (first,) = client.transmit(0.0, 1)
    client.handle_timeout(0.5)
    (second,) = client.transmit(0.5, 1)
    assert first == second
    client.receive(answer(first, stun.XorMappedAddress(MAPPED)), 0.6)
    assert client.take_events()[0] == stun.MappedAddressFound(MAPPED, None)


def test_only_the_answer_counts() -> None:
    client = make_client()
    client.start(0.0)
    (burst,) = client.transmit(0.0, 1)
    good = answer(burst, stun.XorMappedAddress(MAPPED))
    elsewhere: Address = ("192.0.2.8", 3478)
    other_request = stun.encode_message(stun.Message(stun.MessageClass.REQUEST, 1, bytes(12)))
    other_id = bytearray(good.datagrams[0])
    other_id[10] ^= 1
    unknown = answer(burst, stun.Opaque(0x7FFF, b""))
    bad = [
        Burst(LOCAL, elsewhere, good.datagrams),
        Burst(("10.0.0.1", 4001), SERVER, good.datagrams),
        Burst(LOCAL, SERVER, [b"", b"\0", other_request, bytes(other_id), *burst.datagrams, *unknown.datagrams]),
    ]
    for each in bad:
        client.receive(each, 0.1)
    assert client.take_events() == []
    assert client.statistics == stun.ClientStatistics(requests_sent=1, datagrams_ignored=8)
    client.receive(good, 0.2)
    assert len(client.take_events()) == 2


def test_silence_fails_after_seven_requests() -> None:
    client = make_client()
    client.start(0.0)
    while not client.is_done:
        client.transmit(client.next_timeout() if client.statistics.requests_sent else 0.0, 1)
        client.handle_timeout(client.next_timeout())
    (failed,) = client.take_events()
    assert isinstance(failed, Failed)
    assert "did not answer 7 requests" in failed.failure.detail
    assert client.statistics.requests_sent == 7


def test_an_error_answer_fails() -> None:
    client = make_client()
    client.start(0.0)
    (burst,) = client.transmit(0.0, 1)
    client.receive(answer(burst, stun.ErrorCode(500, "Server Error"), stun.MessageClass.ERROR_RESPONSE), 0.1)
    (failed,) = client.take_events()
    assert isinstance(failed, Failed)
    assert "error 500 'Server Error'" in failed.failure.detail


def test_it_is_started_once_and_may_be_closed() -> None:
    client = make_client()
    client.start(0.0)
    with pytest.raises(InvalidState, match="started already"):
        client.start(0.0)
    client.close(0.0)
    client.close(0.0)
    assert client.take_events() == [Closed()]
    assert client.transmit(0.0, 1) == []
    assert attrs.asdict(client.statistics) == {"requests_sent": 0, "datagrams_ignored": 0}
