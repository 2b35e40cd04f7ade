"""sctp_uaf_close: the end may come at every step of every flow, and is the end."""

from __future__ import annotations

import math

import pytest

from tests.sctp.simulation import Simulation, random_fate
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.sctp import OutgoingMessage, State


@pytest.mark.parametrize("step", range(40))
@pytest.mark.parametrize("how", ["abort", "shutdown"])
def test_close_at_every_step(step: int, how: str) -> None:
    simulation = Simulation(fate=random_fate(step, loss=0.1))
    for end in simulation.ends:
        end.connect(simulation.now)
    simulation.send(0, *(OutgoingMessage(n, 53, bytes(5000), lifetime=n / 10 or None) for n in range(8)))
    for number in range(step):
        if number == 15 and simulation.ends[0].state == State.ESTABLISHED:
            simulation.ends[0].reset_streams([1, 2], simulation.now)
        simulation.step()
    closing = simulation.ends[0]
    getattr(closing, how)(simulation.now)
    getattr(closing, how)(simulation.now)
    simulation.run(seconds=400)
    for number, end in enumerate(simulation.ends):
        terminal = [event for event in simulation.events[number] if isinstance(event, Closed | Failed)]
        if number == 0 or simulation.events[1][-1:] == terminal:
            assert len(terminal) == 1
            assert simulation.events[number][-1] == terminal[0]
            assert end.next_timeout() == math.inf
            assert end.state == State.CLOSED
            packets = list(simulation.sent[1 - number])
            end.receive(packets, simulation.now)
            end.handle_timeout(simulation.now + 1000)
            assert end.transmit(simulation.now + 1000, 50) == []
            assert end.take_events() == []
            assert end.take_received() == []
            assert end.unacknowledged_size == 0
