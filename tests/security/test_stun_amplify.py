"""stun_amplify and section 5.5: what strangers and candidate lists can make us send."""

from __future__ import annotations

import collections
import ipaddress

from tests.ice.simulation import World
from xp2p_trio import stun
from xp2p_trio.ice import Candidate, CandidateType, Configuration
from xp2p_trio.sansio import Burst

VICTIM = "198.51.100.99"
MAPPED = str(ipaddress.ip_address("::ffff:c633:6463"))  # CPython 3.13 spells it with dots


def candidate(port: int, foundation: str = "f", host: str = VICTIM) -> Candidate:
    return Candidate(foundation, 1, "udp", 2130706431, host, port, CandidateType.HOST)


def test_one_victim_named_a_hundred_times_is_one_pair() -> None:
    world = World(fate=lambda *_: ())
    world.gather()
    world.tell_credentials(world.left)
    for n in range(100):
        world.left.agent.add_remote_candidate(candidate(9, str(n)), world.now)
        world.left.agent.add_remote_candidate(candidate(9, str(n), MAPPED), world.now)
    world.left.agent.end_of_remote_candidates(world.now)
    world.run_for(60)
    assert len(world.left.sent) <= 7
    assert len(world.left.agent.pair_report) == 1


def test_a_list_of_candidates_costs_a_victim_seven_requests_a_pair() -> None:
    configuration = Configuration(check_timeout=39.5)
    world = World(fate=lambda *_: (), configurations=(configuration, configuration))
    world.gather()
    world.tell_credentials(world.left)
    for n in range(1, 200):
        world.left.agent.add_remote_candidate(candidate(n, str(n)), world.now)
    world.left.agent.end_of_remote_candidates(world.now)
    world.run_for(100)
    per_path = collections.Counter((local, remote) for _, local, remote, _ in world.left.sent)
    assert len(per_path) == 100
    assert max(per_path.values()) <= 7
    assert sum(len(data) for *_, data in world.left.sent) <= 100 * 7 * 110
    assert all(data[0] <= 3 for *_, data in world.left.sent)
    world.check_pacing()


def test_unauthenticated_requests_get_less_than_they_send_and_fifty_a_second() -> None:
    world = World()
    world.gather()
    agent = world.right.agent
    username = stun.Username(f"{agent.local_username_fragment}:{world.left.agent.local_username_fragment}")
    message = stun.Message(stun.MessageClass.REQUEST, 1, bytes(12), (username, stun.Priority(1)))
    received = sent = replies = 0
    for n in range(3000):
        now = world.now + n / 1000
        raw = stun.encode_message(message, key=b"wrong", fingerprint=True)
        agent.receive(Burst(world.right.bases[0], (VICTIM, 1 + n), [raw]), now)
        received += len(raw)
        for burst in agent.transmit(now, 10):
            replies += len(burst.datagrams)
            sent += sum(map(len, burst.datagrams))
    assert 100 <= replies <= 200
    assert sent < received / 10


def test_fifty_a_second_is_what_an_agent_sends_whatever_generation_is_named() -> None:
    world = World()
    world.introduce()
    world.run_for(1)
    agent = world.right.agent
    names = []
    for _ in range(4):
        names.append(f"{agent.local_username_fragment}:{world.left.agent.local_username_fragment}")
        world.restart()
        for end in world.ends:
            world.tell_credentials(end)
    replies = 0
    for n in range(1000):
        message = stun.Message(stun.MessageClass.REQUEST, 1, bytes(12), (stun.Username(names[n % 4]), stun.Priority(1)))
        raw = stun.encode_message(message, key=b"wrong", fingerprint=True)
        agent.receive(Burst(world.right.bases[0], (VICTIM, 1 + n), [raw]), world.now + n / 1000)
        replies += sum(burst.remote[0] == VICTIM for burst in agent.transmit(world.now + n / 1000, 10))
    assert replies <= 50


def test_the_smallest_request_gets_no_reply() -> None:
    world = World()
    world.gather()
    agent = world.right.agent
    bare = stun.Message(stun.MessageClass.REQUEST, 1, bytes(12))
    for raw in (stun.encode_message(bare), stun.encode_message(bare, fingerprint=True)):
        agent.receive(Burst(world.right.bases[0], (VICTIM, 1), [raw]), world.now)
    assert agent.transmit(world.now, 10) == []
