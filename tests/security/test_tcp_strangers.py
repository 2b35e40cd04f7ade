"""tcp_strangers: whoever connects to a port of ours costs little, learns nothing, and keeps no peer out."""

from __future__ import annotations

import pytest

from tests.ice.lone import PORT, SOCKET, Lone, frame, framed
from xp2p_trio import stun
from xp2p_trio.ice import Configuration, Role, State, StreamReleased
from xp2p_trio.ice.peer_streams import ACCEPTED_PATIENCE, MAX_STRANGERS
from xp2p_trio.sansio import Address, AddressFilter

SOURCE: Address = ("198.51.100.7", 1234)


def attacker(n: int) -> Address:
    return "203.0.113.66", 1024 + n


def test_of_a_thousand_streams_sixteen_stay() -> None:
    lone = Lone()
    for n in range(1000):
        lone.accept((f"203.{n >> 8}.113.{n & 255}", 1024))
    released = {event.remote for event in lone.released()}
    assert len(released) == 1000 - MAX_STRANGERS
    assert (f"203.{999 >> 8}.113.{999 & 255}", 1024) not in released


def test_a_flood_from_one_host_does_not_push_out_a_peer_of_another() -> None:
    lone = Lone(Role.CONTROLLED)
    path = lone.accept(SOURCE)
    for n in range(1000):
        lone.accept(attacker(n))
    lone.bring(path, frame(lone.check(stun.Priority(1), stun.UseCandidate())))
    for n in range(1000, 2000):
        lone.accept(attacker(n))
    lone.answer_all(lone.wait(0.1))
    assert lone.agent.state is State.COMPLETED
    assert StreamReleased(*path) not in lone.released()


def test_a_stream_over_which_the_peer_has_checked_is_no_strangers() -> None:
    lone = Lone(Role.CONTROLLED)
    path = lone.accept(SOURCE)
    lone.bring(path, frame(lone.check()))
    for n in range(1000):
        lone.accept((f"203.{n >> 8}.113.{n & 255}", 1024))
    assert StreamReleased(*path) not in lone.released()


def test_silent_streams_are_closed() -> None:
    lone = Lone(patience=1000.0)
    path = lone.accept(SOURCE)
    lone.wait(ACCEPTED_PATIENCE - 1.0)
    assert lone.released() == []
    lone.wait(2.0)
    other = lone.accept(attacker(1))  # whatever happens next
    assert lone.released() == [StreamReleased(*path)]
    assert other[1] == attacker(1)


@pytest.mark.parametrize("password", ["wrong" * 5, None])
def test_without_credentials_a_stream_gets_nothing_but_an_error(password: str | None) -> None:
    lone = Lone()
    path = lone.accept(attacker(1))
    raw = lone.check(password=password or "x" * 22)
    before = lone.agent.statistics
    lone.bring(path, frame(raw), frame(b"\x16\xfe\xfd" + bytes(100)), frame(b"\x80data"))
    replies = framed(lone.pull())
    assert len(replies) == 1
    assert len(replies[0]) <= len(raw)
    assert stun.decode_message(replies[0]).message_class is stun.MessageClass.ERROR_RESPONSE
    assert lone.agent.pair_report == ()
    assert lone.agent.remote_candidates == ()
    assert lone.agent.take_received() == []
    assert lone.agent.statistics.requests_received == before.requests_received
    lone.wait(30.0)
    assert lone.agent.take_received() == []


def test_data_before_the_check_of_that_very_stream_is_kept_back() -> None:
    """Also when another stream of the same host is valid."""
    lone = Lone()
    lone.connect()
    path = lone.accept(("198.51.100.7", 1234))
    lone.bring(path, frame(lone.check()), frame(b"\x80before"))
    assert lone.agent.take_received() == []
    lone.agent.send([b"\x80ours"], lone.now)
    assert [burst.remote for burst in lone.pull() if b"\x80ours" in burst.datagrams[0]] == [("198.51.100.7", 7001)]


@pytest.mark.parametrize(
    ("configuration", "host"),
    [
        ({"remote_filter": AddressFilter(deny=["198.51.100.0/24"])}, "198.51.100.7"),
        ({"allow_loopback": False}, "127.0.0.1"),
        ({"allow_link_local": False}, "169.254.1.1"),
        ({}, "0.0.0.0"),
        ({}, "::ffff:198.51.100.7"),
        ({}, "not an address"),
    ],
)
def test_streams_from_hosts_that_are_refused_are_closed_at_once(configuration: dict[str, object], host: str) -> None:
    lone = Lone(**configuration)
    path = lone.accept((host, 1234))
    assert lone.released() == [StreamReleased(*path)]
    lone.bring(path, frame(lone.check()))
    assert framed(lone.wait(1.0)) == []


def test_a_port_that_is_not_ours_is_nobodys() -> None:
    lone = Lone()
    for local in (SOCKET, ("192.0.2.1", 6002), ("192.0.2.9", PORT[1])):
        path = lone.accept(SOURCE, local)
        assert lone.released() == [StreamReleased(*path)]


def test_an_end_that_nobody_knows_of_is_no_news() -> None:
    lone = Lone()
    lone.agent.stream_closed(PORT, SOURCE, lone.now)
    lone.agent.stream_failed(1, "", lone.now)
    lone.agent.stream_opened(1, PORT, lone.now)
    assert lone.take(object) == lone.events
    assert lone.agent.state is State.CHECKING
    assert Configuration().tcp is False
