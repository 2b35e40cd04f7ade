"""The path was silent and answers again, or is another one."""

from __future__ import annotations

import pytest

from tests.sctp.simulation import Fate, Simulation
from xp2p_trio.sctp import Configuration, OutgoingMessage, OutgoingStreamsReset, State

RTT = 0.1


class Path:
    """One that can be cut."""

    def __init__(self) -> None:
        self.is_cut = False

    def fate(self, sender: int, packet: bytes) -> list[tuple[float, bytes]]:
        return [] if self.is_cut else [(0.0, packet)]


def transferring(fate: Fate, size: int = 4 << 20) -> Simulation:
    simulation = Simulation(delay=RTT / 2, fate=fate).connect()
    simulation.send(0, *[OutgoingMessage(1, 53, bytes(16384))] * (size // 16384))
    simulation.run(until=lambda: len(simulation.received[1]) > 3)
    return simulation


@pytest.mark.parametrize("seconds", [1.0, 5.0, 25.0])
def test_after_a_black_hole_a_transfer_goes_on_at_once(seconds: float) -> None:
    path = Path()
    simulation = transferring(path.fate)
    path.is_cut = True
    simulation.run(seconds=seconds)
    received = len(simulation.received[1])
    path.is_cut = False
    for end in simulation.ends:
        end.path_recovered(simulation.now)
    recovered_at = simulation.now
    simulation.run(until=lambda: len(simulation.received[1]) > received)
    assert simulation.now - recovered_at <= RTT + 0.2
    simulation.run(until=lambda: len(simulation.received[1]) == 256)
    assert simulation.now - recovered_at < 3.0


def test_another_path_is_timed_anew_and_begins_with_a_window_of_its_own() -> None:
    simulation = transferring(Path().fate)
    simulation.delay = 0.01
    simulation.run(seconds=1.0)
    for way in (0.2, 0.001):  # far longer than the timeout of before, and far shorter
        simulation.delay = way
        for end in simulation.ends:
            end.path_changed(simulation.now)
        statistics = simulation.ends[0].statistics
        assert statistics.srtt is None
        assert statistics.cwnd == 10 * 1176 + statistics.flight_size
        simulation.run(seconds=3 * way)
        srtt = simulation.ends[0].statistics.srtt
        assert srtt is not None
        assert abs(srtt - 2 * way) < 0.03
    simulation.run(until=lambda: len(simulation.received[1]) == 256)
    assert simulation.ends[0].statistics.retransmitted_chunks == 0
    assert simulation.ends[0].statistics.timeouts == 0


@pytest.mark.parametrize("state", ["COOKIE_WAIT", "COOKIE_ECHOED", "SHUTDOWN_SENT"])
def test_what_waits_for_an_answer_asks_again_at_once(state: str) -> None:
    path = Path()
    simulation = Simulation(delay=RTT / 2, fate=path.fate)
    if state.startswith("SHUTDOWN"):
        simulation.connect()
        simulation.ends[0].shutdown(simulation.now)
    else:
        simulation.ends[0].connect(simulation.now)
    while not any(end.state.name == state for end in simulation.ends):
        simulation.step()
    path.is_cut = True
    simulation.run(seconds=9.0)
    path.is_cut = False
    for end in simulation.ends:
        end.path_recovered(simulation.now)
        end.path_recovered(simulation.now)
    simulation.run(seconds=2.5 * RTT)
    ends = {end.state for end in simulation.ends}
    assert ends == ({State.CLOSED} if state.startswith("SHUTDOWN") else {State.ESTABLISHED})


def test_a_stream_reset_is_asked_for_again_at_once() -> None:
    path = Path()
    simulation = Simulation(delay=RTT / 2, fate=path.fate).connect()
    simulation.send(0, OutgoingMessage(1, 53, b"x"))
    simulation.run(seconds=1.0)
    path.is_cut = True
    simulation.ends[0].reset_streams([1], simulation.now)
    simulation.run(seconds=9.0)
    path.is_cut = False
    simulation.ends[0].path_recovered(simulation.now)
    simulation.run(seconds=1.5 * RTT)
    assert OutgoingStreamsReset((1,)) in simulation.events[0]


def test_before_and_after_there_is_nothing_to_go_on_with() -> None:
    simulation = Simulation()
    end = simulation.ends[0]
    for _ in range(2):
        end.path_changed(simulation.now)
        end.path_recovered(simulation.now)
        assert end.transmit(simulation.now, 9) == []
        end.abort(simulation.now)
        end.take_events()


def test_nobody_is_blamed_for_silence_that_is_over() -> None:
    """More than ten retransmissions in a row would be an end (RFC 9260 section 8.1); these are four times seven."""
    path = Path()
    configuration = Configuration(rto_max=0.5)
    simulation = Simulation(delay=RTT / 2, fate=path.fate, configuration=configuration).connect()
    simulation.send(0, OutgoingMessage(1, 53, b"x"))
    for _ in range(4):
        path.is_cut = True
        simulation.run(seconds=3.5)
        for end in simulation.ends:
            end.path_recovered(simulation.now)
    path.is_cut = False
    simulation.run(seconds=1.0)
    assert [message.data for message in simulation.received[1]] == [b"x"]
    assert all(end.state is State.ESTABLISHED for end in simulation.ends)
