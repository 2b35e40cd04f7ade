"""TCP candidates and streams of a whole connection (RFC 6544), as far as its driver and its descriptions see them."""

from __future__ import annotations

import random

from xp2p_trio import ice
from xp2p_trio.peer import Configuration, Connection, IceCandidate, LocalCandidateFound
from xp2p_trio.sansio import Address, Transport

PORT: Address = ("192.0.2.1", 6001)
TCP = Transport.TCP


def gathering() -> Connection:
    configuration = Configuration(ice=ice.Configuration(tcp=True))
    connection = Connection(configuration, random_bytes=random.Random(1).randbytes)
    connection.set_local_description(None, 0.0)
    connection.add_local_address(("192.0.2.1", 5001), 0.0)
    connection.add_local_address(PORT, 0.0, TCP)
    return connection


def test_descriptions_and_trickled_candidates_have_them() -> None:
    connection = gathering()
    assert connection.local_description is not None
    described = [line for line in connection.local_description.sdp.splitlines() if line.startswith("a=candidate")]
    trickled = [e.candidate.candidate for e in connection.take_events() if isinstance(e, LocalCandidateFound)]
    assert described == [f"a={line}" for line in trickled]
    assert [line.partition("typ host")[2].split(" ufrag")[0] for line in trickled] == [
        "",
        " tcptype active",
        " tcptype passive",
    ]
    assert " 9 typ host tcptype active" in trickled[1]
    # The default candidate is still none, and of UDP (RFC 8839 section 4.2.1.2).
    assert "m=application 9 UDP/DTLS/SCTP webrtc-datachannel" in connection.local_description.sdp


def test_a_stream_that_is_not_wanted_is_let_go_of_at_once() -> None:
    connection = gathering()
    connection.take_events()
    stranger: Address = ("203.0.113.9", 1)
    connection.stream_accepted(("192.0.2.1", 1), stranger, 0.0, TCP)
    assert connection.take_events() == [ice.StreamReleased(("192.0.2.1", 1), stranger, TCP)]


def test_the_end_lets_go_of_what_is_connected_and_of_what_is_not_yet() -> None:
    connection = gathering()
    answerer = Connection(Configuration(), random_bytes=random.Random(2).randbytes)
    assert connection.local_description is not None
    answerer.set_remote_description(connection.local_description, 0.0)
    connection.set_remote_description(answerer.set_local_description(None, 0.0), 0.0)
    for n in range(2):
        line = f"candidate:{n} 1 tcp {n + 1} 198.51.100.{n + 1} 7 typ host tcptype passive"
        connection.add_ice_candidate(IceCandidate(line), 0.0)
    now, requests = 0.0, []
    for now in (0.0, 0.05, 0.1):
        connection.handle_timeout(now)
        connection.transmit(now, 64)
        # What was asked for while it was pulled is told at once: nothing else may happen for long.
        requests += [event for event in connection.take_events() if isinstance(event, ice.StreamRequested)]
    assert len(requests) == 2
    local: Address = ("192.0.2.1", 50001)
    connection.stream_opened(requests[0].number, local, now)
    connection.abort(now)
    events = connection.take_events()
    assert ice.StreamReleased(local, requests[0].remote, TCP) in events
    assert ice.StreamRequestWithdrawn(requests[1].number) in events
