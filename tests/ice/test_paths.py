"""Single turns of a session: errors, replacements, better pairs, diagnosis, queues."""

from __future__ import annotations

import pytest

from tests.ice.simulation import World, after, snapshot
from xp2p_trio import stun
from xp2p_trio.errors import InvalidState
from xp2p_trio.ice import (
    Candidate,
    CandidateType,
    Configuration,
    PairSelected,
    PairState,
    PathLost,
    PathRecovered,
    Role,
    State,
)
from xp2p_trio.sansio import Address, Burst, Failed

SERVER = ("198.51.100.3", 3478)


def reply(world: World, raw: bytes, attribute: stun.Attribute) -> bytes:
    """What `right` would say to a check of `left`."""
    request = stun.decode_message(raw)
    is_error = isinstance(attribute, stun.ErrorCode)
    kind = stun.MessageClass.ERROR_RESPONSE if is_error else stun.MessageClass.SUCCESS_RESPONSE
    key = stun.short_term_key(world.right.agent.local_password)
    return stun.encode_message(stun.Message(kind, 1, request.transaction_id, (attribute,)), key=key, fingerprint=True)


def request(world: World, *attributes: stun.Attribute, tid: bytes = b"check of left") -> bytes:
    """A check of `left` to `right`."""
    username = f"{world.right.agent.local_username_fragment}:{world.left.agent.local_username_fragment}"
    message = stun.Message(stun.MessageClass.REQUEST, 1, tid[:12], (stun.Username(username), *attributes))
    return stun.encode_message(message, key=stun.short_term_key(world.right.agent.local_password), fingerprint=True)


def test_an_error_answer_fails_the_pair() -> None:
    world = World()
    world.introduce()
    (burst,) = world.left.agent.transmit(world.now, 9)
    answer = reply(world, burst.datagrams[0], stun.ErrorCode(400, "Bad Request"))
    world.left.agent.receive(Burst(burst.local, burst.remote, [answer]), world.now)
    (pair,) = world.left.agent.pair_report
    assert (pair.state, pair.detail) == (PairState.FAILED, "answered error 400 after 1 requests")
    world.run_for(1)  # the peer's own check triggers another one
    world.assert_agreed()


def test_a_socket_that_is_gone_before_the_nomination_keeps_no_timer_running() -> None:
    """What is selected has no socket, and what could be nominated in its place has not answered yet."""
    world = World(left=[("10.1.0.1", 1000), ("10.1.0.2", 1000)])
    world.gather()
    for end in world.ends:
        world.tell_credentials(end)
    for end in world.ends:
        world.tell_candidates(end)
    world.run_for(0.03)
    agent = world.left.agent
    agent.add_remote_candidate(Candidate("9", 1, "udp", 2**31 - 1, "10.9.0.1", 9, CandidateType.HOST), world.now)
    assert agent.state is State.CONNECTED
    world.fate = lambda *_: ()
    world.left.bases.remove(("10.1.0.1", 1000))
    agent.remove_local_address(("10.1.0.1", 1000), world.now)
    for _ in range(1000):
        world.pull()
        now = world.now
        world.now = agent.next_timeout()
        agent.handle_timeout(world.now)
        assert world.pull() or agent.next_timeout() > world.now or world.now > now
        if world.now > 104:
            break
    else:
        raise AssertionError("a thousand timers in four seconds")


def test_a_refused_nomination_of_the_only_path_ends_the_session() -> None:
    world = World(fate=after(0.001))
    world.introduce()
    agent = world.left.agent
    attributes: list[stun.Attribute] = [stun.XorMappedAddress(world.left.bases[0]), stun.ErrorCode(400)]
    for attribute in attributes:
        (burst,) = agent.transmit(world.now, 9)
        agent.receive(Burst(burst.local, burst.remote, [reply(world, burst.datagrams[0], attribute)]), world.now)
        world.now += 0.005
    world.left.settle(world.now)
    failed = world.left.events[-1]
    assert isinstance(failed, Failed)
    assert "refused the only path" in failed.failure.detail
    assert agent.transmit(world.now, 9) == []


def test_a_better_pair_is_selected_and_nominated_when_it_comes_in_time() -> None:
    left: list[Address] = [("10.0.0.1", 1), ("10.0.0.2", 2)]
    slow = lambda number, sender, destination, data: (0.2,) if left[0] in (sender, destination) else (0.01,)  # noqa: E731
    world = World(left=left, fate=slow)
    world.introduce()
    world.run_for(3)
    selections = [event for event in world.left.events if isinstance(event, PairSelected)]
    assert [(event.pair.local.address, event.nominated) for event in selections] == [
        (left[1], False),
        (left[0], False),
        (left[0], True),
    ]
    world.assert_agreed()


def test_a_better_pair_that_comes_too_late_is_not_waited_for() -> None:
    left: list[Address] = [("10.0.0.1", 1), ("10.0.0.2", 2)]
    slow = lambda number, sender, destination, data: (1.0,) if left[0] in (sender, destination) else (0.01,)  # noqa: E731
    world = World(left=left, fate=slow)
    world.introduce()
    world.run_for(5)
    nominated = [
        event.pair.local.address for event in world.left.events if isinstance(event, PairSelected) and event.nominated
    ]
    assert nominated == [left[1]]
    world.assert_agreed()


def test_a_learned_candidate_becomes_what_the_peer_says_it_is() -> None:
    world = World(fate=lambda *_: ())
    world.gather()
    world.tell_credentials(world.right)
    agent = world.right.agent
    raw = request(world, stun.Priority(77))
    agent.receive(Burst(world.right.bases[0], ("198.51.100.9", 9), [raw]), world.now)
    (learned,) = agent.remote_candidates
    assert (learned.type, learned.priority) == ("prflx", 77)
    told = Candidate("abc", 1, "udp", 1234567, "198.51.100.9", 9, CandidateType.SERVER_REFLEXIVE)
    agent.add_remote_candidate(told, world.now)
    assert agent.remote_candidates == (told,)
    (pair,) = agent.pair_report
    assert pair.remote == told
    assert pair.requests_received == 1


def test_a_check_without_priority_from_nowhere_is_answered_and_not_learned() -> None:
    world = World(fate=lambda *_: ())
    world.gather()
    world.tell_credentials(world.right)
    agent = world.right.agent
    agent.receive(Burst(world.right.bases[0], ("198.51.100.9", 9), [request(world)]), world.now)
    assert len(agent.transmit(world.now, 9)) == 1
    assert agent.remote_candidates == ()


@pytest.mark.parametrize("priority", [0, 2**32 - 1])
def test_a_priority_out_of_range_is_brought_into_it(priority: int) -> None:
    world = World(fate=lambda *_: ())
    world.gather()
    world.tell_credentials(world.right)
    agent = world.right.agent
    agent.receive(
        Burst(world.right.bases[0], ("198.51.100.9", 9), [request(world, stun.Priority(priority))]), world.now
    )
    assert agent.remote_candidates[0].priority in (1, 2**31 - 1)


def test_the_peer_may_use_sha256() -> None:
    world = World(fate=lambda *_: ())
    world.introduce()
    world.pull()
    plain = stun.decode_message(request(world, stun.Priority(1)))
    key = stun.short_term_key(world.right.agent.local_password)
    raw = stun.encode_message(
        stun.Message(plain.message_class, 1, plain.transaction_id, plain.attributes[:2]),
        key=key,
        algorithm=stun.IntegrityAlgorithm.SHA256,
        fingerprint=True,
    )
    world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], [raw]), world.now)
    answer = stun.decode_message(world.right.agent.transmit(world.now, 1)[0].datagrams[0])
    assert stun.verify_integrity(answer, key) is stun.IntegrityAlgorithm.SHA256


def test_other_methods_and_missing_fingerprints_are_not_answered() -> None:
    world = World()
    world.introduce()
    world.pull()
    before = snapshot(world.right.agent)
    key = stun.short_term_key(world.right.agent.local_password)
    message = stun.decode_message(request(world, stun.Priority(1)))
    bare = stun.Message(message.message_class, 1, message.transaction_id, message.attributes[:2])
    other = stun.Message(message.message_class, 3, message.transaction_id, message.attributes[:2])
    for raw in (stun.encode_message(bare, key=key), stun.encode_message(other, key=key, fingerprint=True)):
        world.right.agent.receive(Burst(world.right.bases[0], world.left.bases[0], [raw]), world.now)
    assert world.right.agent.transmit(world.now, 9) == []
    assert snapshot(world.right.agent) == before
    assert world.right.agent.statistics.stun_unmatched == 2


def test_the_diagnosis_names_servers_and_kinds() -> None:
    world = World(fate=lambda *_: ())
    agent = world.left.agent
    agent.gather(world.now)
    agent.add_local_address(("10.0.0.1", 1), world.now)
    agent.add_stun_server(SERVER, world.now)
    agent.end_of_local_addresses(world.now)
    agent.set_remote_credentials("abcd", "p" * 22, world.now)
    for n in (1, 2):
        agent.add_remote_candidate(Candidate("1", 1, "udp", n, "203.0.113.1", n, CandidateType.RELAYED), world.now)
    agent.add_remote_candidate(Candidate("1", 1, "udp", 9, "a-b-c.local", 9, CandidateType.HOST), world.now)
    agent.add_remote_candidate(Candidate("1", 2, "udp", 9, "203.0.113.2", 9, CandidateType.HOST), world.now)
    agent.end_of_remote_candidates(world.now)
    world.run_for(60)
    failed = world.left.events[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.detail == (
        "no path worked: 2 pairs tried, 2 had no answer. We offered 1 host candidate and no server-reflexive one "
        "(stun:198.51.100.3:3478 did not answer in 5 s); they offered 2 relay candidates, besides 1 mDNS name that was "
        "not resolved and 1 that cannot be used. UDP looks blocked, or the peer is gone. If UDP is blocked here, add a "
        "turns: server, or a turn: server with ?transport=tcp."
    )


@pytest.mark.parametrize(
    ("prepare", "advice"),
    [
        ("nothing offered", "Did their candidates reach add_remote_candidate?"),
        ("no sockets", "No socket of ours could be bound"),
        ("wrong credentials", "is the description that of this session?"),
        ("one way", "something blocks one direction"),
        ("plain", "behind a NAT that needs a relay"),
    ],
)
def test_the_diagnosis_advises(prepare: str, advice: str) -> None:
    world = World(fate=lambda *_: ())
    if prepare == "no sockets":
        world.left.bases = []
    world.gather()
    world.tell_credentials(world.left)
    if prepare != "nothing offered":
        world.tell_candidates(world.left)
    world.left.agent.end_of_remote_candidates(world.now)
    if prepare in ("wrong credentials", "one way"):
        ours, theirs = world.left.agent, world.right.agent
        username = stun.Username(f"{ours.local_username_fragment}:{theirs.local_username_fragment}")
        message = stun.Message(stun.MessageClass.REQUEST, 1, bytes(12), (username, stun.Priority(1)))
        key = b"wrong" if prepare == "wrong credentials" else stun.short_term_key(ours.local_password)
        raw = stun.encode_message(message, key=key, fingerprint=True)
        ours.receive(Burst(world.left.bases[0], world.right.bases[0], [raw]), world.now)
        ours.transmit(world.now, 1)
    world.run_for(60)
    failed = world.left.events[-1]
    assert isinstance(failed, Failed)
    assert advice in failed.failure.detail


def test_a_server_that_answers_an_error_and_one_that_works() -> None:
    world = World()
    agent = world.left.agent
    agent.gather(world.now)
    agent.add_local_address(("10.0.0.1", 1), world.now)
    agent.add_stun_server(SERVER, world.now)
    agent.add_stun_server(("198.51.100.4", 3478), world.now)
    agent.end_of_local_addresses(world.now)
    answered: list[Address] = []
    for _ in range(10):
        for burst in agent.transmit(world.now, 9):
            answered.append(burst.remote)
            asked = stun.decode_message(burst.datagrams[0])
            attribute: stun.Attribute = stun.XorMappedAddress(("203.0.113.7", 7777))
            kind = stun.MessageClass.SUCCESS_RESPONSE
            if burst.remote == SERVER:
                attribute, kind = stun.ErrorCode(500, "Server Error"), stun.MessageClass.ERROR_RESPONSE
            answer = stun.encode_message(stun.Message(kind, 1, asked.transaction_id, (attribute,)))
            agent.receive(Burst(burst.local, burst.remote, [answer]), world.now)
        world.now += 0.05
        agent.handle_timeout(world.now)
    assert answered == [SERVER, ("198.51.100.4", 3478)]
    assert agent.is_gathering_complete
    assert [c.type for c in agent.local_candidates] == ["host", "srflx"]


def test_queues_have_their_caps() -> None:
    world = World()
    world.introduce()
    world.run_for(1)
    agent = world.left.agent
    agent.send([b"\x16"] * 4096, world.now)
    with pytest.raises(InvalidState, match="4096 datagrams are queued"):
        agent.send([b"\x16"], world.now)
    bursts = agent.transmit(world.now, 50)
    assert [len(burst.datagrams) for burst in bursts] == [50]
    agent.receive(Burst(world.left.bases[0], world.right.bases[0], [b"\x17"] * 5000), world.now)
    assert len(agent.take_received()) == 4096
    assert agent.statistics.datagrams_dropped == 5000 - 4096


def test_transmit_keeps_to_its_limit() -> None:
    world = World(left=[(f"10.0.0.{n}", n) for n in range(1, 9)])
    world.introduce()
    agent = world.left.agent
    world.run_for(3)
    agent.send([b"\x16"] * 10, world.now)
    assert agent.transmit(world.now, 0) == []
    counts = [sum(len(b.datagrams) for b in agent.transmit(world.now, 3)) for _ in range(5)]
    assert counts == [3, 3, 3, 1, 0]


def test_time_never_runs_back() -> None:
    world = World()
    world.introduce()
    world.run_for(1)
    agent = world.left.agent
    due = agent.next_timeout()
    agent.handle_timeout(0.0)
    agent.receive(Burst(world.left.bases[0], world.right.bases[0], [b"\x17x"]), 0.0)
    agent.send([b"\x16"], 0.0)
    assert len(agent.transmit(0.0, 9)) == 1
    assert agent.next_timeout() == due
    assert agent.state is State.COMPLETED


def test_set_role_before_checks() -> None:
    world = World(roles=(Role.CONTROLLED, Role.CONTROLLED))
    world.gather()
    world.left.agent.set_role(Role.CONTROLLING, world.now)
    for end in world.ends:
        world.tell_credentials(end)
        world.tell_candidates(end)
    world.run_for(1)
    world.assert_agreed()
    assert world.left.agent.statistics.role_conflicts == 0


def test_the_reports_say_what_happened() -> None:
    world = World(configurations=(Configuration(), Configuration()))
    world.introduce()
    world.run_for(1)
    (pair,) = world.left.agent.pair_report
    assert pair.is_valid
    assert pair.is_nominated
    assert pair.state is PairState.SUCCEEDED
    assert pair.round_trip_time == pytest.approx(0.02)
    assert world.left.agent.round_trip_time == pytest.approx(0.02)
    counters = world.left.agent.statistics
    assert counters.requests_sent == pair.requests_sent >= 2
    assert counters.responses_received == pair.responses_received >= 2
    assert "password" not in repr(world.left.agent.statistics)


def late_nomination(seconds: float) -> tuple[World, Address]:
    """`right` is told to use a pair that has last answered so long ago; meanwhile another carries the data."""
    dead, used, other = ("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3)
    slow = Configuration(nomination_wait=1000)  # and the dead pair, the best one, keeps `left` waiting
    world = World(left=[dead, used, other], configurations=(slow, Configuration()))
    world.fate = lambda number, sender, destination, data: () if dead in (sender, destination) else (0.01,)
    world.introduce()
    world.run_for(seconds)
    selected = world.right.agent.selected_pair
    assert selected is not None
    assert selected.remote.address == used
    assert world.right.agent.state is State.CONNECTED
    world.deliver(other, world.right.bases[0], request(world, stun.Priority(5), stun.UseCandidate()))
    return world, other


def test_a_nomination_of_a_pair_without_consent_asks_first() -> None:
    world, other = late_nomination(35)
    assert world.right.agent.state is State.CONNECTED
    world.right.agent.send([b"\x16 to the pair in use"], world.now)
    asked = world.now
    world.run_for(0.1)
    selected = world.right.agent.selected_pair
    assert selected is not None
    assert selected.remote.address == other
    assert world.right.agent.state is State.COMPLETED
    assert world.right.answered[world.right.bases[0], other] > asked


def test_a_nomination_of_a_pair_with_little_consent_left_renews_it() -> None:
    world, other = late_nomination(28)
    assert world.right.agent.state is State.COMPLETED
    asked = world.now
    world.run_for(0.1)
    assert world.right.answered[world.right.bases[0], other] > asked
    world.run_for(10)
    assert world.right.agent.state is State.COMPLETED


def test_checks_that_end_together_when_the_first_of_them_ends_the_session() -> None:
    silent = ("192.0.2.9", 5009)
    world = World(right=[("192.0.2.2", 5002), silent])

    def fate(number: int, source: Address, destination: Address, data: bytes) -> tuple[float, ...]:
        nominates = data[0] <= 3 and stun.decode_message(data).get(stun.UseCandidate) is not None
        return () if nominates or silent in (source, destination) else (0.01,)

    world.fate = fate
    world.introduce()
    world.run_for(38)  # consent checks are answered, the nomination is not
    agent = world.left.agent
    assert agent.state is State.CONNECTED
    for _ in range(4):  # a driver that is late: both transactions have timed out when it comes
        world.now += 1
        agent.handle_timeout(world.now)
        agent.transmit(world.now, 9)
    events = agent.take_events()
    assert isinstance(events[-1], Failed)
    assert events[-1].failure.reason == "no path"


def test_a_pair_of_old_consent_is_not_selected_by_a_change_of_roles() -> None:
    ours: list[Address] = [("10.0.0.1", 1), ("10.0.0.2", 2)]
    theirs: list[Address] = [("10.0.1.1", 1), ("10.0.1.2", 2)]
    works = {(ours[0], theirs[1]), (ours[1], theirs[0])}  # as good as each other but for the role
    slow = Configuration(nomination_wait=1000)
    world = World(left=ours, right=theirs, configurations=(slow, slow))
    world.fate = lambda number, source, destination, data: (
        (0.01,) if {(source, destination), (destination, source)} & works else ()
    )
    world.introduce()
    world.run_for(35)
    agent = world.left.agent
    before = agent.selected_pair
    assert before is not None
    assert before.local.address == ours[0]
    username = f"{agent.local_username_fragment}:{world.right.agent.local_username_fragment}"
    claim = stun.Message(
        stun.MessageClass.REQUEST,
        1,
        b"conflicting!",
        (stun.Username(username), stun.Priority(5), stun.IceControlling(2**64 - 1)),
    )
    raw = stun.encode_message(claim, key=stun.short_term_key(agent.local_password), fingerprint=True)
    agent.receive(Burst(ours[0], theirs[1], [raw]), world.now)
    assert agent.role is Role.CONTROLLED
    after_switch = agent.selected_pair
    assert after_switch is not None
    assert after_switch.local.address == ours[0]
    agent.handle_timeout(world.now)
    assert agent.state is State.CONNECTED


@pytest.mark.parametrize("missing", ["user name", "integrity"])
def test_a_request_without_credentials_is_bad_and_not_unauthenticated(missing: str) -> None:
    world = World()
    world.introduce()
    agent = world.right.agent
    username = f"{agent.local_username_fragment}:{world.left.agent.local_username_fragment}"
    attributes = () if missing == "user name" else (stun.Username(username), stun.Software("long enough for an answer"))
    message = stun.Message(stun.MessageClass.REQUEST, 1, b"no integrity", attributes)
    key = stun.short_term_key(agent.local_password) if missing == "user name" else None
    raw = stun.encode_message(message, key=key, fingerprint=True)
    agent.transmit(world.now, 9)
    agent.receive(Burst(world.right.bases[0], ("203.0.113.66", 6), [raw]), world.now)
    (answer,) = agent.transmit(world.now, 9)
    error = stun.decode_message(answer.datagrams[0]).get(stun.ErrorCode)
    assert error is not None
    assert error.code == 400


def test_an_answer_of_another_algorithm_than_the_request_does_not_count() -> None:
    world = World()
    world.introduce()
    (burst,) = world.left.agent.transmit(world.now, 9)
    asked = stun.decode_message(burst.datagrams[0])
    mapped = stun.XorMappedAddress(world.left.bases[0])
    message = stun.Message(stun.MessageClass.SUCCESS_RESPONSE, 1, asked.transaction_id, (mapped,))
    key = stun.short_term_key(world.right.agent.local_password)
    for algorithm, state in (
        (stun.IntegrityAlgorithm.SHA256, State.CHECKING),
        (stun.IntegrityAlgorithm.SHA1, State.CONNECTED),
    ):
        answer = stun.encode_message(message, key=key, algorithm=algorithm, fingerprint=True)
        world.left.agent.receive(Burst(burst.local, burst.remote, [answer]), world.now)
        assert world.left.agent.state is state


def test_data_follows_a_peer_whose_nat_maps_it_anew() -> None:
    world = World()
    outside = ("198.51.100.7", 40_000)
    world.nat = {world.left.bases[0]: outside}
    world.introduce()
    world.run_for(1)
    for turn in range(1, 4):
        world.nat = {world.left.bases[0]: (outside[0], outside[1] + turn)}
        world.run_for(13.5)  # a consent check of each side and the time that it may stay unanswered
        for end in world.ends:
            end.agent.send([b"\x16%d" % turn], world.now)
        world.run_for(1)
        assert world.left.received[-1] == world.right.received[-1] == b"\x16%d" % turn
        assert world.right.count(PathLost) == world.right.count(PathRecovered) == turn
    world.run_for(60)
    assert (world.left.agent.state, world.right.agent.state) == (State.COMPLETED, State.COMPLETED)


def test_data_follows_a_nomination_of_a_lesser_pair_when_the_better_one_is_dead() -> None:
    first, second = ("10.0.0.1", 1), ("10.0.0.2", 2)
    world = World(left=[first, second])
    world.introduce()
    world.run_for(1)
    world.assert_agreed()
    world.fate = lambda number, source, destination, data: () if first in (source, destination) else (0.01,)
    world.deliver(second, world.right.bases[0], request(world, stun.Priority(5), stun.UseCandidate()))
    world.run_for(13.5)
    selected = world.right.agent.selected_pair
    assert selected is not None
    assert selected.remote.address == second
    assert world.right.agent.state is State.COMPLETED


def test_a_lost_path_without_another_is_kept_until_consent_ends() -> None:
    world = World(left=[("10.0.0.1", 1), ("10.0.0.2", 2)])
    world.introduce()
    world.run_for(1)
    before = world.right.agent.selected_pair
    world.is_connected = False
    world.run_for(20)
    assert world.right.count(PathLost) == 1
    assert world.right.agent.selected_pair == before
    world.is_connected = True
    world.run_for(7)
    assert world.right.count(PathRecovered) == 1
    world.assert_agreed()


def test_a_lost_nomination_is_repeated_in_half_a_second_however_long_the_list() -> None:
    world = World()
    nominations: list[float] = []

    def fate(number: int, source: Address, destination: Address, data: bytes) -> tuple[float, ...]:
        if stun.decode_message(data).get(stun.UseCandidate) is None:
            return (0.01,)
        nominations.append(world.now)
        return () if len(nominations) == 1 else (0.01,)

    world.fate = fate
    world.gather()
    for n in range(60):
        dead = Candidate(f"{n}", 1, "udp", 2**31 - 1 - n, f"203.0.113.{n + 1}", 9, CandidateType.HOST)
        world.left.agent.add_remote_candidate(dead, world.now)
    for end in world.ends:
        world.tell_credentials(end)
        world.tell_candidates(end)
    world.run_for(3)
    world.assert_agreed()
    assert nominations[1] - nominations[0] == pytest.approx(0.5)
