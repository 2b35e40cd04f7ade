"""Flights on their way out, and their timer."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio import dtls
from xp2p_trio.dtls.flights import FlightItem, FlightWriter, RetransmitTimer
from xp2p_trio.dtls.protection import PlaintextSealer
from xp2p_trio.dtls.reassembly import Reassembler

BODIES = st.lists(st.binary(max_size=2000), min_size=1, max_size=6)


@given(BODIES, st.integers(256, 1500), st.booleans())
def test_flight_arrives_as_it_was(bodies: list[bytes], size: int, changes_keys: bool) -> None:
    messages = [dtls.Message(11, index, body) for index, body in enumerate(bodies)]
    flight = [FlightItem(0, message) for message in messages]
    if changes_keys:
        flight.insert(len(flight) // 2, FlightItem(0, None))
    writer = FlightWriter()
    sealers = {0: PlaintextSealer()}
    for _ in range(2):
        writer.begin(tuple(flight))
        reassembler = Reassembler()
        arrived: list[dtls.Message] = []
        datagrams = []
        while writer.has_output:
            datagrams.append(writer.build_datagram(sealers, size))
        change_cipher_specs = 0
        for datagram in datagrams:
            assert 0 < len(datagram) <= size
            for record in dtls.decode_records(datagram):
                if record.content_type == 20:
                    change_cipher_specs += 1
                    continue
                for fragment in dtls.decode_fragments(record.fragment):
                    reassembler.add(fragment)
                while (message := reassembler.take_message()) is not None:
                    arrived.append(message)
        assert arrived == messages
        assert change_cipher_specs == changes_keys
        # Nothing is wasted: all datagrams but the last are filled up to where a piece would be a sliver.
        assert all(len(datagram) > size - 100 for datagram in datagrams[:-1])


def timer(**changes: float) -> RetransmitTimer:
    values = {"initial": 0.05, "maximum": 60.0, "limit": 12, "patience": 60.0, **changes}
    return RetransmitTimer(**values)  # type: ignore[arg-type]


def test_back_off_and_end() -> None:
    subject = timer()
    subject.start(10.0)
    gaps = []
    now = 10.0
    while True:
        gaps.append(round(subject.deadline - now, 9))
        now = subject.deadline
        if not subject.expire(now):
            break
    assert gaps[:10] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6]
    assert now == 70.0
    assert subject.deadline == math.inf


def test_cap_of_the_timeout() -> None:
    subject = timer(maximum=0.15, limit=5)
    subject.start(0.0)
    steps = []
    while subject.expire(subject.deadline):
        steps.append(subject.retransmit_timeout)
    assert steps == [0.1, 0.15, 0.15, 0.15, 0.15]


def test_new_flight_begins_anew() -> None:
    subject = timer()
    subject.start(0.0)
    assert subject.expire(0.05)
    assert subject.expire(0.15)
    subject.start(1.0)
    assert (subject.deadline, subject.timeouts) == (1.05, 0)


def test_last_flight_is_repeated_on_demand_only() -> None:
    subject = timer()
    subject.begin_final(1.0)
    assert subject.deadline == math.inf
    assert not subject.accept_cue(1.0249)
    assert subject.accept_cue(1.0251)
    assert not subject.accept_cue(1.05)
    assert sum(subject.accept_cue(2.0 + step) for step in range(100)) == 9
    assert subject.deadline == math.inf
