"""Each monitor lets the lawful pass and stops the unlawful."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from xp2p_trio.sansio import Burst
from xp2p_trio.stun import Message, MessageClass, Method, Software, encode_message
from xp2p_trio.testing import AmplificationSpy, ConsentSpy, InvariantBroken, LimitSpy, Network, NonceSpy

ALICE, BOB, CAROL = ("192.0.2.1", 1), ("192.0.2.2", 2), ("192.0.2.3", 3)
KEY = b"a password of the peer"
RECORD = b"\x16\xfe\xfd" + bytes(10)


def stun(message_class: MessageClass, number: int = 0, *, key: bytes | None = KEY, software: str = "") -> bytes:
    attributes = (Software(software),) if software else ()
    return encode_message(Message(message_class, Method.BINDING, bytes([number] * 12), attributes), key=key)


def network_with(monitor: Any) -> Network:
    network = Network(monitors=[monitor])
    for name, address in (("alice", ALICE), ("bob", BOB), ("carol", CAROL)):
        network.host(name, address[0])
    return network


def exchange(network: Network, burst: Burst, now: float) -> None:
    network.send(burst, now)
    network.deliver(now)


def check(network: Network, now: float, *, number: int = 0, key: bytes | None = KEY) -> None:
    exchange(network, Burst(ALICE, BOB, [stun(MessageClass.REQUEST, number)]), now)
    exchange(network, Burst(BOB, ALICE, [stun(MessageClass.SUCCESS_RESPONSE, number, key=key)]), now)


def test_consent_lasts_for_thirty_seconds() -> None:
    network = network_with(ConsentSpy())
    check(network, 1.0)
    exchange(network, Burst(ALICE, BOB, [RECORD]), 31.0)
    with pytest.raises(InvariantBroken, match=r"answered its last check 30\.5 s ago"):
        exchange(network, Burst(ALICE, BOB, [RECORD]), 31.5)


def test_consent_is_renewed_by_an_answer() -> None:
    network = network_with(ConsentSpy())
    check(network, 0.0)
    check(network, 25.0, number=1)
    exchange(network, Burst(ALICE, BOB, [RECORD]), 50.0)
    assert network.statistics.delivered == 5


def test_what_a_lite_agent_has_accepted_is_its_consent() -> None:
    network = network_with(ConsentSpy(lite=[BOB[0]]))
    check(network, 0.0)
    exchange(network, Burst(BOB, ALICE, [RECORD]), 30.0)
    with pytest.raises(InvariantBroken, match="no STUN"):
        exchange(network, Burst(BOB, ALICE, [RECORD]), 31.0)
    network = network_with(ConsentSpy(lite=[BOB[0]]))
    exchange(network, Burst(ALICE, BOB, [stun(MessageClass.REQUEST)]), 0.0)
    exchange(network, Burst(BOB, ALICE, [stun(MessageClass.ERROR_RESPONSE)]), 0.0)
    with pytest.raises(InvariantBroken, match="no STUN"):
        exchange(network, Burst(BOB, ALICE, [RECORD]), 0.0)


def test_nothing_but_stun_without_consent() -> None:
    network = network_with(ConsentSpy())
    exchange(network, Burst(ALICE, BOB, [stun(MessageClass.REQUEST)]), 0.0)
    with pytest.raises(InvariantBroken, match="no STUN"):
        exchange(network, Burst(ALICE, BOB, [RECORD]), 0.0)


def test_consent_of_one_direction_or_path_is_not_that_of_another() -> None:
    network = network_with(ConsentSpy())
    check(network, 0.0)
    for path in ((BOB, ALICE), (ALICE, CAROL), (("192.0.2.1", 9), BOB)):
        with pytest.raises(InvariantBroken):
            exchange(network, Burst(*path, [RECORD]), 0.0)


def test_an_answer_without_integrity_or_request_gives_no_consent() -> None:
    network = network_with(ConsentSpy())
    check(network, 0.0, key=None)
    exchange(network, Burst(BOB, ALICE, [stun(MessageClass.SUCCESS_RESPONSE, 7)]), 0.0)
    with pytest.raises(InvariantBroken):
        exchange(network, Burst(ALICE, BOB, [RECORD]), 0.0)


def test_answers_stay_within_what_came() -> None:
    spy = AmplificationSpy()
    network = network_with(spy)
    exchange(network, Burst(BOB, ALICE, [stun(MessageClass.REQUEST)]), 0.0)
    exchange(network, Burst(ALICE, BOB, [stun(MessageClass.SUCCESS_RESPONSE)]), 0.0)
    assert spy.ratio(ALICE, BOB) == 1.0
    with pytest.raises(InvariantBroken, match="2 times"):
        exchange(network, Burst(ALICE, BOB, [stun(MessageClass.SUCCESS_RESPONSE)]), 0.0)


def test_answers_are_not_longer_than_what_came() -> None:
    network = network_with(AmplificationSpy())
    exchange(network, Burst(BOB, ALICE, [stun(MessageClass.REQUEST)]), 0.0)
    with pytest.raises(InvariantBroken, match="bytes"):
        exchange(network, Burst(ALICE, BOB, [stun(MessageClass.ERROR_RESPONSE, software="x" * 100)]), 0.0)


def test_checks_to_the_silent_end() -> None:
    network = network_with(AmplificationSpy())
    request = stun(MessageClass.REQUEST)
    network.send(Burst(ALICE, BOB, [request] * (70_000 // len(request))), 0.0)
    with pytest.raises(InvariantBroken, match="never answered"):
        network.send(Burst(ALICE, BOB, [request]), 0.0)


def test_a_path_that_answered_is_free() -> None:
    spy = AmplificationSpy()
    network = network_with(spy)
    check(network, 0.0)
    network.send(Burst(ALICE, BOB, [RECORD] * 10_000), 1.0)
    assert spy.ratio(ALICE, BOB) > 1000
    assert spy.ratio(CAROL, BOB) == 0.0
    assert spy.ratio(BOB, CAROL) == 0.0


def test_limits_of_statistics() -> None:
    @attrs.define
    class Statistics:
        queued: int = 10

    statistics = Statistics()
    network = network_with(LimitSpy(lambda: statistics, {"queued": 10}))
    exchange(network, Burst(ALICE, BOB, [RECORD]), 0.0)
    statistics.queued = 11
    with pytest.raises(InvariantBroken, match="queued is 11, above its cap of 10"):
        network.send(Burst(ALICE, BOB, [RECORD]), 0.0)


def record(epoch: int, sequence_number: int) -> bytes:
    return b"\x17\xfe\xfd" + epoch.to_bytes(2) + sequence_number.to_bytes(6) + b"\x00\x01x"


def test_record_numbers_rise() -> None:
    network = network_with(NonceSpy())
    network.send(Burst(ALICE, BOB, [record(0, 5), record(0, 5), record(1, 0) + record(1, 1), b"\x17", b""]), 0.0)
    network.send(Burst(BOB, ALICE, [record(1, 0)]), 0.0)
    for repeated in (record(1, 1), record(1, 2) + record(1, 2)):
        with pytest.raises(InvariantBroken, match=r"sent record \(1, [12]\)"):
            network.send(Burst(ALICE, BOB, [repeated]), 0.0)


def test_only_the_hosts_named_are_watched() -> None:
    network = network_with(ConsentSpy({BOB[0]}))
    network.add_monitor(AmplificationSpy({BOB[0]}))
    network.send(Burst(ALICE, BOB, [RECORD, stun(MessageClass.SUCCESS_RESPONSE)]), 0.0)
    with pytest.raises(InvariantBroken, match="no STUN"):
        network.send(Burst(BOB, ALICE, [RECORD]), 0.0)
