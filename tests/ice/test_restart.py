"""ICE restart (RFC 8445 section 9): a new session beside the one that carries data."""

from __future__ import annotations

import pytest

from tests.simulation.nats import Agents, internet
from xp2p_trio import ice
from xp2p_trio.errors import InvalidArgument, Reason
from xp2p_trio.ice import (
    AddressesRequested,
    GatheringCompleted,
    PairSelected,
    PathLost,
    PathRecovered,
    State,
    StateChanged,
)
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.testing import BLACK_HOLE, FULL_CONE, SYMMETRIC, Link


def connected(**fields: object) -> Agents:
    agents = Agents(internet("open", FULL_CONE, keep_trace=True), **fields)
    assert agents.connects()
    for events in agents.events.values():
        events.clear()
    return agents


def test_a_restart_has_new_credentials_and_gathers_anew() -> None:
    agents = connected()
    alice = agents.agents["alice"]
    before = alice.local_username_fragment, alice.local_password
    role = alice.role
    agents.restart()
    assert alice.is_restarting
    assert alice.local_username_fragment != before[0]
    assert alice.local_password != before[1]
    assert alice.role is role
    assert agents.run(5.0, State.COMPLETED)
    assert not alice.is_restarting
    kinds = [type(event) for event in agents.events["alice"]]
    assert kinds.count(GatheringCompleted) == 1
    assert kinds.count(PairSelected) == 1
    states = [event.state for event in agents.events["alice"] if isinstance(event, StateChanged)]
    assert states == [State.GATHERING, State.CHECKING, State.CONNECTED, State.COMPLETED]
    assert agents.echoes()
    assert agents.agree_on_a_pair()


def test_the_old_path_carries_data_until_the_new_one_is_chosen() -> None:
    agents = connected()
    for agent in agents.agents.values():
        agent.restart(agents.now)  # nobody is told of it
    assert all(agent.state is State.GATHERING for agent in agents.agents.values())
    for _ in range(20):
        agents.run(3.0)
        assert agents.echoes()
    assert not any(isinstance(event, PathLost | Failed) for events in agents.events.values() for event in events)
    agents.introduce()
    assert agents.run(5.0, State.COMPLETED)
    assert agents.echoes()


def test_one_side_that_restarts_alone_goes_on_as_before() -> None:
    agents = connected()
    agents.agents["alice"].restart(agents.now)
    agents.run(100.0)
    assert agents.echoes()
    assert agents.agents["alice"].is_restarting


def test_a_restart_that_is_taken_back() -> None:
    agents = connected()
    alice = agents.agents["alice"]
    fragment = alice.local_username_fragment
    candidates = alice.local_candidates
    alice.restart(agents.now)
    agents.run(1.0)
    alice.cancel_restart(agents.now)
    assert alice.local_username_fragment == fragment
    assert alice.state is State.COMPLETED
    assert alice.local_candidates == candidates
    agents.run(40.0)
    assert agents.echoes()
    alice.cancel_restart(agents.now)  # nothing is under way
    assert agents.echoes()


def test_restarts_in_a_row_keep_the_path_that_works() -> None:
    agents = connected()
    for _ in range(5):
        for agent in agents.agents.values():
            agent.restart(agents.now)
        agents.run(0.3)
        assert agents.echoes()
    agents.introduce()
    assert agents.run(5.0, State.COMPLETED)
    assert agents.echoes()


def test_addresses_are_asked_for_once_for_restarts_in_a_row_and_not_for_one_that_was_taken_back() -> None:
    agents = connected()
    alice = agents.agents["alice"]
    alice.restart(agents.now)
    alice.restart(agents.now)
    assert alice.take_events().count(AddressesRequested()) == 1
    alice.restart(agents.now)
    alice.cancel_restart(agents.now)
    assert AddressesRequested() not in alice.take_events()


def test_a_restart_amid_the_first_checks_replaces_them() -> None:
    agents = Agents(internet("open", "open", keep_trace=True))
    agents.run(0.01)
    agents.restart()
    assert agents.connects()
    assert agents.echoes()
    assert agents.agree_on_a_pair()


def test_a_new_path_takes_over_at_once_where_the_old_one_is_lost() -> None:
    agents = connected()
    agents.network.set_links("alice", "bob", BLACK_HOLE)
    agents.run(15.0)
    for events in agents.events.values():
        assert any(isinstance(event, PathLost) for event in events)
        events.clear()
    agents.restart()
    agents.network.set_links("alice", "bob", Link(delay=0.02))
    agents.run(3.0)
    for events in agents.events.values():
        assert any(isinstance(event, PathRecovered) for event in events)
    assert agents.echoes()


def test_without_an_answer_consent_of_the_old_path_decides() -> None:
    agents = connected()
    agents.agents["alice"].restart(agents.now)
    agents.network.set_links("alice", "bob", BLACK_HOLE)
    agents.run(31.0)
    last = agents.events["alice"][-1]
    assert isinstance(last, Failed)
    assert last.failure.reason is Reason.CONSENT_EXPIRED


def test_the_new_session_outlives_the_consent_of_the_old_one() -> None:
    """The machine was carried to another network: no path for 35 s, and the restart finds one then."""
    agents = connected(ice=ice.Configuration(carries="any", check_timeout=39.5))
    agents.network.set_links("alice", "bob", BLACK_HOLE)
    agents.run(10.0)
    agents.restart()
    agents.run(25.0)
    for agent in agents.agents.values():
        assert agent.state is State.CHECKING
        assert not agent.is_restarting  # nothing is left to fall back on
        assert agent.selected_pair is None
        agent.send([b"\x80"], agents.now)  # lost, as what is sent over a lost path is
    agents.network.set_links("alice", "bob", Link(delay=0.02))
    agents.run(20.0)
    assert agents.echoes()
    assert agents.agents["alice"].statistics.datagrams_unsent > 0


def test_data_under_way_on_the_old_path_still_arrives() -> None:
    """What the peer sent before it knew of the new path: it takes the old one, which has another address."""
    agents = Agents(internet("open", SYMMETRIC, keep_trace=True))
    assert agents.connects()
    bob = agents.agents["bob"]
    agents.network.set_link("bob", "alice", Link(delay=1.0))
    agents.run(2.0)
    agents.restart()
    for _ in range(40):
        bob.send([b"\x80"], agents.now)
        agents.run(0.1)
    agents.run(2.0)
    assert bob.state is State.COMPLETED
    assert len(agents.agents["alice"].take_received()) == 40


def test_credentials_may_be_chosen_and_are_checked() -> None:
    agents = connected()
    alice = agents.agents["alice"]
    with pytest.raises(InvalidArgument, match="username fragment"):
        alice.restart(agents.now, ("a", "p" * 22))
    assert not alice.is_restarting
    alice.restart(agents.now, ("abcd", "p" * 22))
    assert (alice.local_username_fragment, alice.local_password) == ("abcd", "p" * 22)


def test_after_the_end_nothing_restarts() -> None:
    agents = connected()
    alice = agents.agents["alice"]
    alice.close(agents.now)
    alice.restart(agents.now)
    alice.cancel_restart(agents.now)
    assert alice.state is ice.State.CLOSED
    assert alice.take_events()[-1] == Closed()
