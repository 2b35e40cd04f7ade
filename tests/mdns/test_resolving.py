"""Asking the link for names."""

from __future__ import annotations

import math

import pytest

from tests.mdns.link import ALICE, BOB, CAROL, GROUP, NAME, OTHER, LocalLink, record, response, to_group
from xp2p_trio import mdns
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Burst, Closed
from xp2p_trio.testing import Link, Network

BOB_5353 = (BOB, mdns.PORT)


def asking(*, enable_ipv6: bool = False) -> mdns.Endpoint:
    endpoint = mdns.Endpoint(Network(seed=1).random_bytes("ids"), enable_ipv6=enable_ipv6)
    endpoint.add_local_address((ALICE, mdns.PORT), 0.0)
    endpoint.resolve(NAME, 0.0)
    return endpoint


def asking_from_another_port(prefix_length: int | None = 24) -> tuple[mdns.Endpoint, int]:
    """An endpoint that could not share 5353, and the id of its query."""
    endpoint = mdns.Endpoint(Network(seed=1).random_bytes("ids"))
    endpoint.add_local_address((ALICE, 50000), 0.0, prefix_length=prefix_length)
    endpoint.resolve(NAME, 0.0)
    (burst,) = endpoint.transmit(0.0, 10)
    assert (burst.local, burst.remote) == ((ALICE, 50000), GROUP)
    return endpoint, mdns.decode_message(burst.datagrams[0]).id


def test_a_neighbour_answers() -> None:
    link = LocalLink(link=Link(delay=0.01))
    link.bob.publish(NAME, BOB, 0.0)
    link.run(10.0)
    link.alice.resolve(NAME, link.now)
    link.run(10.0)
    assert link.events["alice"] == [(pytest.approx(10.02), mdns.NameResolved(NAME, (BOB,)))]
    assert link.alice.statistics.names_resolved == 1
    assert link.alice.next_timeout() == math.inf


def test_nobody_answers() -> None:
    link = LocalLink()
    link.alice.resolve(NAME, 0.0)
    link.run(60.0)
    assert link.events["alice"] == [(5.0, mdns.NameUnresolved(NAME))]
    questions = (mdns.Question((NAME[:36].encode(), b"local"), mdns.TYPE_A),)
    assert link.sent(ALICE) == [(time, GROUP, mdns.Message(questions=questions)) for time in (0.0, 1.0, 3.0)]
    assert link.alice.statistics.names_unresolved == 1
    assert link.alice.next_timeout() == math.inf


def test_a_lost_question_is_asked_again() -> None:
    link = LocalLink()
    link.bob.publish(NAME, BOB, 0.0)
    link.run(5.0)
    link.network.set_link("alice", "bob", Link(drop={0}))
    link.alice.resolve(NAME, link.now)
    link.run(10.0)
    assert link.events["alice"] == [(6.0, mdns.NameResolved(NAME, (BOB,)))]


def test_each_question_travels_alone_and_wants_no_unicast() -> None:
    """Chromium hears neither of several questions nor of one with the QU bit."""
    endpoint = mdns.Endpoint(bytes, enable_ipv6=True)
    endpoint.add_local_address((ALICE, mdns.PORT), 0.0)
    for name in (NAME, OTHER):
        endpoint.resolve(name, 0.0)
    asked = []
    for burst in endpoint.transmit(0.0, 100):
        assert (burst.local, burst.remote) == ((ALICE, mdns.PORT), GROUP)
        for datagram in burst.datagrams:
            message = mdns.decode_message(datagram)
            (question,) = message.questions
            assert not question.unicast
            assert message.id == 0
            asked.append((question.name[0].decode() + ".local", question.record_type))
    assert asked == [(NAME, mdns.TYPE_A), (NAME, mdns.TYPE_AAAA), (OTHER, mdns.TYPE_A), (OTHER, mdns.TYPE_AAAA)]


def test_every_local_address_asks_its_group() -> None:
    endpoint = mdns.Endpoint(bytes, enable_ipv6=True)
    for host in (ALICE, "2001:db8::1"):
        endpoint.add_local_address((host, mdns.PORT), 0.0)
    endpoint.resolve(NAME, 0.0)
    assert {(burst.local[0], burst.remote) for burst in endpoint.transmit(0.0, 100)} == {
        (ALICE, (mdns.GROUP_IPV4, 5353)),
        ("2001:db8::1", (mdns.GROUP_IPV6, 5353)),
    }


def test_without_a_local_address_there_is_no_answer() -> None:
    endpoint = mdns.Endpoint(bytes)
    endpoint.resolve(NAME, 0.0)
    assert endpoint.take_events() == [mdns.NameUnresolved(NAME)]
    endpoint.add_local_address((ALICE, mdns.PORT), 0.0)
    endpoint.resolve(NAME, 0.0)
    endpoint.remove_local_address((ALICE, mdns.PORT), 0.0)
    assert endpoint.transmit(0.0, 100) == []
    endpoint.handle_timeout(5.0)
    assert endpoint.take_events() == [mdns.NameUnresolved(NAME)]


def test_a_name_that_is_asked_for_is_not_asked_for_twice() -> None:
    endpoint = asking()
    endpoint.resolve(NAME.upper(), 0.5)
    assert len(endpoint.transmit(0.5, 100)) == 1
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, BOB))), 0.6)
    assert endpoint.take_events() == [mdns.NameResolved(NAME, (BOB,))]


def test_an_answer_that_comes_before_the_question_leaves_ends_it() -> None:
    endpoint = asking()
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, BOB))), 0.0)
    assert endpoint.transmit(0.0, 100) == []
    assert endpoint.take_events() == [mdns.NameResolved(NAME, (BOB,))]


def test_a_late_timeout_skips_what_it_missed() -> None:
    endpoint = asking()
    assert len(endpoint.transmit(0.0, 100)) == 1
    endpoint.handle_timeout(4.0)
    assert len(endpoint.transmit(4.0, 100)) == 1
    assert endpoint.next_timeout() == 5.0
    endpoint.handle_timeout(100.0)
    assert endpoint.take_events() == [mdns.NameUnresolved(NAME)]


def test_addresses_may_stand_beside_the_answer() -> None:
    """Asked for the IPv4 address of a name that has an IPv6 one, Chromium denies it and says what there is."""
    endpoint = asking(enable_ipv6=True)
    endpoint.receive(to_group(BOB_5353, ALICE, response(additionals=[record(NAME, "2001:db8::2")])), 0.0)
    assert endpoint.take_events() == [mdns.NameResolved(NAME, ("2001:db8::2",))]


def test_addresses_of_the_other_family_are_of_no_use() -> None:
    endpoint = asking()
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, "2001:db8::2"))), 0.0)
    assert endpoint.take_events() == []
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, "2001:db8::2"), record(NAME, BOB))), 0.0)
    assert endpoint.take_events() == [mdns.NameResolved(NAME, (BOB,))]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"]
)  # fmt: skip
def test_only_neighbours_are_addresses(host: str) -> None:
    endpoint = asking()
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, host))), 0.0)
    assert endpoint.take_events() == []
    assert endpoint.statistics.datagrams_ignored == 1
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, host), record(NAME, BOB))), 0.0)
    assert endpoint.take_events() == [mdns.NameResolved(NAME, (BOB,))]


@pytest.mark.parametrize(
    "host", ["::", "::1", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "::ffff:224.0.0.1"]
)
def test_only_neighbours_are_ipv6_addresses(host: str) -> None:
    endpoint = asking(enable_ipv6=True)
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, host))), 0.0)
    assert endpoint.take_events() == []


def test_a_mapped_address_is_the_ipv4_address() -> None:
    endpoint = asking(enable_ipv6=True)
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, "::ffff:192.0.2.2"), record(NAME, BOB))), 0.0)
    assert endpoint.take_events() == [mdns.NameResolved(NAME, (BOB,))]


def test_a_machine_without_a_network_resolves_its_own_names() -> None:
    endpoint = mdns.Endpoint(bytes)
    endpoint.add_local_address(("127.0.0.1", mdns.PORT), 0.0, prefix_length=8)
    endpoint.resolve(NAME, 0.0)
    endpoint.receive(to_group(("127.0.0.1", mdns.PORT), "127.0.0.1", response(record(NAME, "127.0.0.1"))), 0.0)
    assert endpoint.take_events() == [mdns.NameResolved(NAME, ("127.0.0.1",))]


def test_hosts_are_bounded_and_told_once() -> None:
    endpoint = asking()
    answers = [record(NAME, f"192.0.2.{number // 2}") for number in range(2, 100)]
    endpoint.receive(to_group(BOB_5353, ALICE, response(*answers)), 0.0)
    assert endpoint.take_events() == [mdns.NameResolved(NAME, ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"))]


def test_names_are_bounded() -> None:
    endpoint = mdns.Endpoint(bytes)
    endpoint.add_local_address((ALICE, mdns.PORT), 0.0)
    for number in range(1000):
        endpoint.resolve(f"host-{number}.local", 0.0)
    unresolved = endpoint.take_events()
    assert unresolved == [mdns.NameUnresolved(f"host-{number}.local") for number in range(mdns.MAX_NAMES, 1000)]
    assert endpoint.statistics.names_asked == mdns.MAX_NAMES
    assert len(endpoint.transmit(0.0, 10_000)) == mdns.MAX_NAMES
    endpoint.handle_timeout(5.0)
    endpoint.resolve("another.local", 5.0)
    assert endpoint.statistics.names_asked == 1


def test_what_is_not_pulled_does_not_pile_up() -> None:
    endpoint = asking()
    for now in (1.0, 3.0):
        endpoint.handle_timeout(now)
    assert len(endpoint.transmit(3.0, 100)) == 1


@pytest.mark.parametrize(
    ("source", "datagram"),
    [
        (BOB_5353, response(record(OTHER, BOB))),  # nobody asked
        (BOB_5353, response(record(NAME, BOB, ttl=0))),  # goodbye
        ((BOB, 5354), response(record(NAME, BOB))),  # RFC 6762 section 6
        (BOB_5353, mdns.encode_message(mdns.Message(answers=(record(NAME, BOB),)))),  # what an asker knows
        (BOB_5353, b""),
        (BOB_5353, bytes(11)),
        (BOB_5353, response(record(NAME, BOB))[:-1]),
    ],
)
def test_what_is_no_answer_is_counted(source: tuple[str, int], datagram: bytes) -> None:
    endpoint = asking()
    endpoint.receive(to_group(source, ALICE, datagram), 0.0)
    assert endpoint.take_events() == []
    assert endpoint.statistics.datagrams_ignored == 1
    assert endpoint.statistics.names_asked == 1


def test_what_came_for_another_address_is_counted() -> None:
    endpoint = asking()
    endpoint.receive(to_group(BOB_5353, CAROL, response(record(NAME, BOB))), 0.0)
    assert endpoint.statistics.datagrams_ignored == 1


def test_the_answer_to_another_port_comes_by_unicast() -> None:
    link = LocalLink()
    link.bob.publish(NAME, BOB, 0.0)
    link.run(5.0)
    alice = mdns.Endpoint(link.network.random_bytes("alice"))
    alice.add_local_address((ALICE, 50000), link.now, prefix_length=24)
    alice.resolve(NAME, link.now)
    link.endpoints["alice"] = alice
    link.run(5.0)
    assert link.events["alice"] == [(5.0, mdns.NameResolved(NAME, (BOB,)))]
    (_, destination, answer) = link.sent(BOB)[-1]
    assert destination == (ALICE, 50000)
    assert answer.id == link.sent(ALICE)[-1][2].id != 0
    assert answer.questions == link.sent(ALICE)[-1][2].questions
    assert answer.answers == (mdns.AddressRecord((NAME[:36].encode(), b"local"), BOB, mdns.LEGACY_TTL),)


def test_an_answer_by_unicast_is_that_of_a_neighbour_to_our_question() -> None:
    for source, message_id, is_taken in (
        (BOB_5353, 0, True),
        (BOB_5353, 1, False),
        ((BOB, 5354), 0, False),
        (("203.0.113.9", mdns.PORT), 0, False),
        (("192.0.3.1", mdns.PORT), 0, False),
        (("2001:db8::2", mdns.PORT), 0, False),
        (("169.254.1.1", mdns.PORT), 0, True),
        (("fe80::1%eth0", mdns.PORT), 0, True),
        (("?", mdns.PORT), 0, False),
    ):
        endpoint, our_id = asking_from_another_port()
        answer = response(record(NAME, BOB), message_id=our_id ^ message_id)
        endpoint.receive(Burst((ALICE, 50000), source, [answer]), 0.0)
        assert bool(endpoint.take_events()) is is_taken


def test_whose_network_is_not_known_everybody_is_a_neighbour() -> None:
    endpoint, our_id = asking_from_another_port(prefix_length=None)
    answer = response(record(NAME, BOB), message_id=our_id)
    endpoint.receive(Burst((ALICE, 50000), ("203.0.113.9", mdns.PORT), [answer]), 0.0)
    assert endpoint.take_events() == [mdns.NameResolved(NAME, (BOB,))]


def test_closed() -> None:
    endpoint = asking()
    endpoint.close(0.0)
    endpoint.close(0.0)
    assert endpoint.is_closed
    assert endpoint.take_events() == [Closed()]
    endpoint.resolve(OTHER, 0.0)
    endpoint.publish(OTHER, ALICE, 0.0)
    endpoint.withdraw(OTHER, 0.0)
    endpoint.add_local_address((BOB, mdns.PORT), 0.0)
    endpoint.receive(to_group(BOB_5353, ALICE, response(record(NAME, BOB))), 0.0)
    endpoint.handle_timeout(10.0)
    assert (endpoint.transmit(10.0, 100), endpoint.take_events(), endpoint.next_timeout()) == ([], [], math.inf)


@pytest.mark.parametrize("name", ["example.org", "a.b.local", "local", "192.0.2.1", ""])
def test_other_names_are_never_asked_for(name: str) -> None:
    endpoint = asking()
    with pytest.raises(InvalidArgument):
        endpoint.resolve(name, 0.0)
    with pytest.raises(InvalidArgument):
        endpoint.publish(name, ALICE, 0.0)


@pytest.mark.parametrize(("address", "prefix"), [(("alice", 5353), None), ((ALICE, 5353), 33), ((ALICE, 5353), -1)])
def test_a_local_address_is_checked(address: tuple[str, int], prefix: int | None) -> None:
    with pytest.raises(InvalidArgument):
        mdns.Endpoint(bytes).add_local_address(address, 0.0, prefix_length=prefix)
