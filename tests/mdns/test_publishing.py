"""Answering for names of ours."""

from __future__ import annotations

import itertools
import math

import pytest

from tests.mdns.link import ALICE, BOB, CAROL, GROUP, NAME, OTHER, LocalLink, query, record, to_group
from xp2p_trio import mdns
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst

ALICE_5353 = (ALICE, mdns.PORT)
BOB_5353 = (BOB, mdns.PORT)
RECORD = record(NAME, BOB)


def publishing(host: str = BOB, *, prefix_length: int | None = 24) -> mdns.Endpoint:
    """Bob, whose announcements are over."""
    endpoint = mdns.Endpoint(bytes)
    endpoint.add_local_address(BOB_5353, 0.0, prefix_length=prefix_length)
    endpoint.publish(NAME, host, 0.0)
    for now in (0.0, 1.0):
        endpoint.handle_timeout(now)
        endpoint.transmit(now, 100)
    return endpoint


def ask(endpoint: mdns.Endpoint, datagram: bytes, now: float, source: Address = ALICE_5353) -> list[Burst]:
    endpoint.receive(to_group(source, BOB, datagram), now)
    return endpoint.transmit(now, 100)


def told(bursts: list[Burst]) -> list[tuple[Address, mdns.Message]]:
    return [(burst.remote, mdns.decode_message(datagram)) for burst in bursts for datagram in burst.datagrams]


def test_a_name_is_announced_twice() -> None:
    link = LocalLink()
    link.bob.publish(NAME, BOB, 0.0)
    link.run(60.0)
    announcement = mdns.Message(is_response=True, answers=(RECORD,))
    assert link.sent(BOB) == [(0.0, GROUP, announcement), (1.0, GROUP, announcement)]
    assert link.bob.statistics.answers_sent == 2
    assert link.bob.statistics.names_published == 1


def test_who_waits_for_it_hears_the_announcement() -> None:
    link = LocalLink()
    link.alice.resolve(NAME, 0.0)
    link.run(0.5)
    link.bob.publish(NAME, BOB, link.now)
    link.run(10.0)
    assert link.events["alice"] == [(0.5, mdns.NameResolved(NAME, (BOB,)))]


@pytest.mark.parametrize("record_type", [mdns.TYPE_A, mdns.TYPE_AAAA, mdns.TYPE_ANY])
def test_a_question_is_answered_to_everybody(record_type: int) -> None:
    bursts = ask(publishing(), query(NAME, record_type), 10.0)
    assert told(bursts) == [(GROUP, mdns.Message(is_response=True, answers=(RECORD,)))]
    assert bursts[0].local == BOB_5353


def test_letters_have_no_case() -> None:
    endpoint = mdns.Endpoint(bytes)
    endpoint.add_local_address(BOB_5353, 0.0)
    endpoint.publish(NAME.upper(), BOB, 0.0)
    for now in (0.0, 1.0):
        endpoint.handle_timeout(now)
        assert told(endpoint.transmit(now, 1)) == [(GROUP, mdns.Message(is_response=True, answers=(RECORD,)))]
    assert len(ask(endpoint, query(NAME.upper()), 10.0)) == 1


def test_once_a_second_at_most_to_everybody() -> None:
    """RFC 6762 section 6, and not less often either."""
    endpoint, times = publishing(), []
    for step in range(1, 400):
        now = 10.0 + step / 100
        endpoint.handle_timeout(now)
        times += [now for _ in ask(endpoint, query(NAME), now)]
    assert len(times) == 4
    assert all(later - earlier >= 0.99 for earlier, later in itertools.pairwise(times))


def test_what_is_asked_too_soon_is_answered_later() -> None:
    endpoint = publishing()
    assert ask(endpoint, query(NAME), 1.5) == []
    assert endpoint.next_timeout() == 2.0
    endpoint.handle_timeout(2.0)
    assert len(endpoint.transmit(2.0, 100)) == 1
    assert endpoint.next_timeout() == math.inf


def test_a_question_with_the_unicast_bit_is_answered_to_the_asker() -> None:
    for now in (1.1, 1.2):  # the limit is one of multicast
        endpoint = publishing()
        answer = mdns.Message(is_response=True, answers=(RECORD,))
        assert told(ask(endpoint, query(NAME, unicast=True), now)) == [(ALICE_5353, answer)]


def test_an_ordinary_resolver_is_answered_as_by_a_name_server() -> None:
    asker = (ALICE, 50000)
    datagram = query(NAME, unicast=True, message_id=77)
    legacy = mdns.AddressRecord(RECORD.name, BOB, mdns.LEGACY_TTL)
    answer = mdns.Message(77, True, (mdns.Question(RECORD.name, mdns.TYPE_A),), (legacy,))
    assert told(ask(publishing(), datagram, 10.0, asker)) == [(asker, answer)]
    assert ask(publishing(), query(NAME, mdns.TYPE_AAAA), 10.0, asker) == []


def test_nobody_beyond_the_link_is_answered_by_unicast() -> None:
    """RFC 6762 section 11; a source can be forged, and the answer would go there."""
    for source in (("203.0.113.9", mdns.PORT), ("203.0.113.9", 50000), ("192.0.3.1", 50000)):
        assert ask(publishing(), query(NAME, unicast=True), 10.0, source) == []


def test_one_answer_for_one_asker_however_often_it_asks() -> None:
    endpoint = publishing()
    questions = tuple(mdns.Question(RECORD.name, mdns.TYPE_A, unicast=True) for _ in range(1000))
    datagram = mdns.encode_message(mdns.Message(questions=questions))
    endpoint.receive(to_group(ALICE_5353, BOB, datagram, datagram), 10.0)
    assert len(endpoint.transmit(10.0, 1000)) == 1


def test_answers_that_wait_are_bounded() -> None:
    endpoint = publishing()
    for port in range(1000):
        endpoint.receive(to_group((ALICE, 40000 + port), BOB, query(NAME)), 10.0)
    assert len(endpoint.transmit(10.0, 10_000)) == mdns.MAX_OWED
    assert endpoint.statistics.answers_dropped == 1000 - mdns.MAX_OWED


@pytest.mark.parametrize(("ttl", "is_answered"), [(120, False), (60, False), (59, True)])
def test_who_knows_the_answer_is_not_told(ttl: int, is_answered: bool) -> None:
    question = mdns.Question(RECORD.name, mdns.TYPE_A)
    known = mdns.Message(questions=(question,), answers=(record(NAME, BOB, ttl=ttl),))
    assert bool(ask(publishing(), mdns.encode_message(known), 10.0)) is is_answered
    other = mdns.Message(questions=(question,), answers=(record(NAME, CAROL), record(OTHER, BOB)))
    assert ask(publishing(), mdns.encode_message(other), 10.0) != []


@pytest.mark.parametrize("datagram", [query(OTHER), query("x.y.local"), query("example.org"), b"\0" * 12])
def test_questions_about_others_are_counted(datagram: bytes) -> None:
    endpoint = publishing()
    assert ask(endpoint, datagram, 10.0) == []
    assert endpoint.statistics.datagrams_ignored == 1


def test_questions_of_other_types_are_ours_and_have_no_answer() -> None:
    endpoint = publishing()
    assert ask(endpoint, query(NAME, 16), 10.0) == []
    assert endpoint.statistics.datagrams_ignored == 0


def test_at_another_port_nobody_is_answered() -> None:
    endpoint = publishing()
    endpoint.add_local_address((BOB, 50000), 10.0)
    endpoint.receive(Burst((BOB, 50000), ALICE_5353, [query(NAME)]), 10.0)
    assert endpoint.transmit(10.0, 100) == []


def test_a_withdrawn_name_is_taken_back() -> None:
    link = LocalLink()
    link.bob.publish(NAME, BOB, 0.0)
    link.run(5.0)
    link.bob.withdraw(NAME, link.now)
    link.bob.withdraw(NAME, link.now)
    link.alice.resolve(NAME, link.now)
    link.run(10.0)
    goodbye = mdns.Message(is_response=True, answers=(record(NAME, BOB, ttl=0),))
    assert link.sent(BOB)[2:] == [(5.0, GROUP, goodbye)]
    assert link.events["alice"] == [(10.0, mdns.NameUnresolved(NAME))]
    assert link.bob.statistics.names_published == 0


def test_a_name_that_nobody_heard_of_goes_in_silence() -> None:
    endpoint = mdns.Endpoint(bytes)
    endpoint.add_local_address(BOB_5353, 0.0)
    endpoint.publish(NAME, BOB, 0.0)
    endpoint.receive(to_group(ALICE_5353, BOB, query(NAME, unicast=True)), 0.0)
    endpoint.withdraw(NAME, 0.0)
    assert endpoint.transmit(0.0, 100) == []


def test_an_address_is_told_where_it_is_valid() -> None:
    """RFC 6762 section 6.2: not on the link of another interface."""
    endpoint = publishing("198.51.100.1")
    assert endpoint.statistics.answers_sent == 0
    assert ask(endpoint, query(NAME), 10.0) == []
    endpoint.add_local_address(("198.51.100.1", mdns.PORT), 10.0, prefix_length=24)
    (burst,) = endpoint.transmit(10.0, 100)
    assert burst.local == ("198.51.100.1", mdns.PORT)


def test_an_address_of_the_other_family_is_told() -> None:
    """Chromium joins the IPv4 group only, and asks there for the IPv6 addresses of our names."""
    endpoint = publishing("2001:db8::2")
    answer = mdns.Message(is_response=True, answers=(record(NAME, "2001:db8::2"),))
    assert told(ask(endpoint, query(NAME, mdns.TYPE_AAAA), 10.0)) == [(GROUP, answer)]


def test_an_address_that_is_gone_tells_nothing_more() -> None:
    endpoint = publishing()
    endpoint.receive(to_group(ALICE_5353, BOB, query(NAME, unicast=True), query(NAME)), 10.0)
    endpoint.remove_local_address(BOB_5353, 10.0)
    endpoint.remove_local_address(BOB_5353, 10.0)
    assert endpoint.transmit(10.0, 100) == []
    assert endpoint.next_timeout() == math.inf
    endpoint.add_local_address(BOB_5353, 11.0)
    endpoint.add_local_address(BOB_5353, 11.0)
    assert len(endpoint.transmit(11.0, 100)) == 1


def test_what_cannot_be_published() -> None:
    endpoint = publishing()
    with pytest.raises(InvalidArgument):
        endpoint.publish(NAME, BOB, 0.0)
    with pytest.raises(InvalidArgument):
        endpoint.publish(OTHER, "bob", 0.0)


def test_answers_are_hardly_longer_than_questions() -> None:
    for source in (ALICE_5353, (ALICE, 50000)):
        datagram = query(NAME, unicast=True)
        (burst,) = ask(publishing(), datagram, 10.0, source)
        assert len(burst.datagrams[0]) <= len(datagram) + 32
