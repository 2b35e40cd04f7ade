"""The lite side of ICE (RFC 8445 sections 2.5, 7.3.2 and 8.2), checked by a peer that the test plays."""

from __future__ import annotations

import pytest

from tests.ice.lone import HOST, SOCKET, Lone
from xp2p_trio import stun
from xp2p_trio.errors import Reason
from xp2p_trio.ice import (
    Candidate,
    CandidateFound,
    CandidateType,
    NameRequested,
    PairSelected,
    PathLost,
    PathRecovered,
    Role,
    State,
    TurnServer,
)
from xp2p_trio.sansio import Address, Failed, Transport
from xp2p_trio.turn import Credentials

UDP = Transport.UDP
PEER: Address = ("198.51.100.7", 7001)
OTHER: Address = ("198.51.100.7", 7002)
USE = stun.UseCandidate()
DATA = b"\x80data"


def number(value: int) -> stun.Opaque:
    """Of a nomination (draft-thatcher-ice-renomination)."""
    return stun.Opaque(0xC001, value.to_bytes(4, "big"))


class Lite(Lone):
    """A lite agent with one socket."""

    def __init__(self, role: Role = Role.CONTROLLED, **fields: object) -> None:
        super().__init__(role, lite=True, **fields)

    def checked(self, source: Address, *attributes: stun.Attribute, priority: int = 1000) -> list[stun.Message]:
        """A check of the peer. Returns all that leaves, which is answers alone."""
        self.bring((SOCKET, source, UDP), self.check(stun.Priority(priority), *attributes))
        answers = []
        for burst in self.pull():
            assert (burst.local, burst.remote) == (SOCKET, source)
            answers += [stun.decode_message(datagram) for datagram in burst.datagrams]
        assert all(answer.message_class is not stun.MessageClass.REQUEST for answer in answers)
        return answers

    def leaves_for(self) -> Address | None:
        """Where data goes, if any does."""
        if not self.agent.statistics.requests_received or self.agent.selected_pair is None:
            return None
        self.agent.send([DATA], self.now)
        remotes = {burst.remote for burst in self.pull()}
        assert len(remotes) <= 1
        return remotes.pop() if remotes else None

    def takes_from(self, source: Address) -> bool:
        """Whether data of this source comes up."""
        self.bring((SOCKET, source, UDP), DATA)
        return self.agent.take_received() == [DATA]


def test_its_host_candidates_are_all_it_has() -> None:
    lite = Lite()
    lite.agent.add_remote_candidate(Candidate("1", 1, "udp", 5, *PEER, CandidateType.HOST), lite.now)
    assert [candidate.address for candidate in lite.agent.local_candidates] == [SOCKET]
    assert lite.agent.is_gathering_complete
    assert len(lite.take(CandidateFound)) == 1
    assert lite.wait(30.0) == []
    assert lite.agent.pair_report == ()


def test_servers_and_names_are_none_of_its_business() -> None:
    lite = Lite()
    lite.agent.restart(lite.now)
    lite.agent.add_stun_server(("192.0.2.99", 3478), lite.now)
    lite.agent.add_turn_server(TurnServer(("192.0.2.99", 3478), Credentials("user", "password")), lite.now)
    lite.agent.end_of_local_addresses(lite.now)
    lite.introduce()
    lite.agent.add_remote_candidate(Candidate("1", 1, "udp", 5, "a.local", 9, CandidateType.HOST), lite.now)
    assert lite.wait(10.0) == []
    assert lite.take(NameRequested) == []


def test_its_public_address_takes_the_place_of_its_own() -> None:
    lite = Lite(public_addresses={HOST: "203.0.113.1"})
    (candidate,) = lite.agent.local_candidates
    assert (candidate.address, candidate.type, candidate.related_address) == (("203.0.113.1", 5001), "host", None)
    assert candidate.priority == (126 << 24) + (65535 << 8) + 255  # section 5.2
    lite.checked(PEER, USE)
    assert lite.leaves_for() == PEER


def test_checks_are_answered_and_make_no_path() -> None:
    lite = Lite()
    for _ in range(3):
        (answer,) = lite.checked(PEER)
        assert answer.get(stun.XorMappedAddress) == stun.XorMappedAddress(PEER)
    assert lite.agent.state is State.CHECKING
    assert lite.agent.selected_pair is None
    assert lite.wait(5.0) == []
    assert not lite.takes_from(PEER)


def test_a_nomination_is_a_path() -> None:
    lite = Lite()
    lite.checked(PEER)
    assert not lite.takes_from(PEER)  # it waits
    assert len(lite.checked(PEER, USE)) == 1
    assert lite.agent.state is State.COMPLETED
    assert lite.agent.take_received() == [DATA]
    (selected,) = lite.take(PairSelected)
    assert selected.nominated
    assert (selected.pair.local.address, selected.pair.remote.address) == (SOCKET, PEER)
    assert lite.leaves_for() == PEER
    assert lite.takes_from(PEER)
    assert not lite.takes_from(OTHER)


@pytest.mark.parametrize("role", Role)
def test_it_is_controlled_whatever_the_peer_and_the_program_say(role: Role) -> None:
    lite = Lite(role)
    lite.agent.set_role(Role.CONTROLLING, lite.now)
    for tie_breaker in (0, 2**64 - 1):
        (answer,) = lite.checked(PEER, stun.IceControlled(tie_breaker), USE)
        error = answer.get(stun.ErrorCode)
        assert error is not None
        assert error.code == 487
        assert lite.agent.selected_pair is None
    lite.checked(PEER, stun.IceControlling(0), USE)
    assert lite.agent.role is Role.CONTROLLED
    assert lite.agent.state is State.COMPLETED
    assert lite.agent.statistics.role_conflicts == 2


def test_checks_keep_consent_alive_and_thirty_seconds_without_are_the_end() -> None:
    lite = Lite()
    lite.checked(PEER, USE)
    for _ in range(60):
        assert lite.wait(5.0) == []  # it asks nothing
        lite.checked(PEER)
        assert lite.leaves_for() == PEER
    lite.wait(29.9)
    assert lite.leaves_for() == PEER
    lite.wait(0.2)
    assert lite.agent.state is State.FAILED
    lite.take(object)
    last = lite.events[-1]
    assert isinstance(last, Failed)
    assert last.failure.reason is Reason.CONSENT_EXPIRED
    assert not any(isinstance(event, PathLost | PathRecovered) for event in lite.events)


@pytest.mark.parametrize("interval", [5.0, 12.0, 24.0, 28.8])
def test_a_peer_that_checks_seldom_is_no_lost_path(interval: float) -> None:
    lite = Lite()
    lite.checked(PEER, USE)
    for _ in range(20):
        lite.wait(interval)
        lite.checked(PEER)
        assert lite.leaves_for() == PEER
    assert not any(isinstance(event, PathLost | PathRecovered) for event in lite.take(object))


def test_a_check_without_credentials_keeps_nothing_alive() -> None:
    lite = Lite()
    lite.checked(PEER, USE)
    for _ in range(31):
        lite.wait(1.0)
        lite.bring((SOCKET, PEER, UDP), lite.check(password="x" * 22))
    assert lite.agent.state is State.FAILED


def test_of_an_aggressive_peers_nominations_the_best_counts() -> None:
    """Every check has USE-CANDIDATE; the peer uses the pair of the highest priority (RFC 5245 section 8.1.1.2)."""
    lite = Lite()
    sources = [("198.51.100.7", 7000 + n) for n in range(5)]
    for n in (2, 0, 4, 1, 3):
        lite.checked(sources[n], USE, priority=1000 + n)
    assert lite.leaves_for() == sources[4]
    assert all(lite.takes_from(source) for source in sources)
    lite.wait(1.0)
    lite.checked(sources[0], USE, priority=1000)  # one more time
    assert lite.leaves_for() == sources[4]


def test_of_numbered_nominations_the_last_counts() -> None:
    lite = Lite()
    lite.checked(PEER, USE, number(1), priority=5000)
    lite.checked(OTHER, USE, number(2), priority=1)
    assert lite.leaves_for() == OTHER
    lite.checked(PEER, USE, number(1), priority=5000)
    assert lite.leaves_for() == OTHER
    lite.checked(PEER, USE, number(3), priority=5000)
    assert lite.leaves_for() == PEER


def test_a_peer_that_has_moved_is_followed_once_its_old_address_is_silent() -> None:
    """Its NAT maps it anew: consent checks come from another port, and nothing nominates that."""
    lite = Lite()
    lite.checked(PEER, USE)
    lite.wait(5.0)
    lite.checked(PEER)
    lite.wait(5.0)
    lite.checked(OTHER)
    assert lite.leaves_for() == PEER  # it may be a second path
    lite.wait(5.0)
    lite.checked(OTHER)
    assert lite.leaves_for() == OTHER
    assert lite.takes_from(OTHER)
    for _ in range(20):
        lite.wait(5.0)
        lite.checked(OTHER)
    assert lite.leaves_for() == OTHER


def test_a_peer_that_checks_two_paths_stays_on_the_one_it_has_nominated() -> None:
    lite = Lite()
    lite.checked(PEER, USE)
    for _ in range(40):
        lite.wait(2.5)
        lite.checked(OTHER, priority=9999)
        lite.wait(2.5)
        lite.checked(PEER)
        assert lite.leaves_for() == PEER


def test_a_check_that_is_replayed_from_elsewhere_draws_no_data_there() -> None:
    """While the peer is heard: neither a nomination, nor one with a number, nor a plain check."""
    lite = Lite()
    replayed = []
    for attributes in ((USE,), (USE, number(7)), ()):
        raw = lite.check(stun.Priority(1000), *attributes)
        lite.bring((SOCKET, PEER, UDP), raw)
        replayed.append(raw)
    victim: Address = ("203.0.113.66", 53)
    for _ in range(20):
        lite.wait(4.0)
        lite.checked(PEER)
        for raw in replayed:
            lite.bring((SOCKET, victim, UDP), raw)
        lite.pull()
        assert lite.leaves_for() == PEER


def test_a_peer_may_move_more_often_than_there_are_places_for_it() -> None:
    lite = Lite()
    for n in range(200):
        source: Address = ("198.51.100.7", 7000 + n)
        lite.checked(source, USE, number(n + 1))
        assert lite.leaves_for() == source
        lite.wait(5.0)
    assert len(lite.agent.remote_candidates) <= 32
    assert len(lite.agent.pair_report) <= 128


def test_a_flood_of_sources_within_a_moment_is_bounded_and_loses_nothing() -> None:
    lite = Lite()
    lite.checked(PEER, USE)
    for n in range(5000):
        lite.bring((SOCKET, (f"203.{n >> 8}.113.{n & 255}", 1), UDP), lite.check(stun.Priority(2**31 - 1)))
        lite.pull()
    assert len(lite.agent.remote_candidates) <= 32
    assert lite.leaves_for() == PEER


def test_an_interface_that_goes_and_comes_back() -> None:
    lite = Lite()
    lite.checked(PEER, USE)
    lite.agent.remove_local_address(SOCKET, lite.now)
    assert PathLost() in lite.take(object)
    assert lite.leaves_for() is None
    lite.wait(5.0)
    lite.agent.add_local_address(SOCKET, lite.now)
    lite.checked(PEER)
    assert PathRecovered() in lite.take(object)
    assert lite.leaves_for() == PEER
    lite.wait(25.0)
    assert lite.leaves_for() == PEER


def test_early_checks_and_nominations_count_once_the_peer_is_known() -> None:
    lite = Lite(is_known=False)
    assert len(lite.checked(PEER, USE)) == 1
    assert lite.agent.state is State.GATHERING
    lite.introduce()
    assert lite.agent.state is State.COMPLETED
    assert lite.leaves_for() == PEER


def test_a_restart_leaves_the_old_path_once_the_new_one_is_nominated() -> None:
    lite = Lite()
    lite.checked(PEER, USE)
    old = lite.check(stun.Priority(1))
    lite.agent.restart(lite.now)
    lite.agent.end_of_local_addresses(lite.now)
    lite.introduce()
    assert lite.leaves_for() == PEER
    lite.bring((SOCKET, PEER, UDP), old)
    assert len(lite.pull()) == 1  # answered by the session before
    lite.checked(OTHER)
    assert lite.leaves_for() == PEER
    lite.checked(OTHER, USE)
    assert lite.leaves_for() == OTHER
    assert not lite.agent.is_restarting
    assert lite.agent.state is State.COMPLETED


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ("nothing", "no check of the peer has come"),
        ("checks", "none of them has nominated"),
        ("strangers", "wrong credentials"),
    ],
)
def test_it_says_why_there_is_no_path(prepare: str, words: str) -> None:
    lite = Lite()
    lite.agent.end_of_remote_candidates(lite.now)
    if prepare == "checks":
        lite.checked(PEER)
    if prepare == "strangers":
        lite.bring((SOCKET, PEER, UDP), lite.check(password="x" * 22))
    lite.wait(11.0)
    (failed,) = lite.take(Failed)
    assert failed.failure.reason is Reason.NO_PATH
    assert words in failed.failure.detail


def test_two_lite_agents_cannot_connect_and_are_told_at_once() -> None:
    lite = Lite(is_known=False)
    lite.agent.set_remote_credentials("peer", "p" * 22, lite.now, lite=True)
    (failed,) = lite.take(Failed)
    assert failed.failure.reason is Reason.NO_PATH
    assert "both sides are ICE-lite" in failed.failure.detail
    assert "one of them has to be a full agent" in failed.failure.detail
