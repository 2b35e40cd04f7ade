"""The simulated STUN server."""

from __future__ import annotations

from xp2p_trio import stun
from xp2p_trio.sansio import Closed, Failed
from xp2p_trio.testing.drive import drive
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.stun_server import StunServer


def ask(server: StunServer) -> list[stun.ClientEvent]:
    network = Network(seed=1)
    here = network.host("client", "192.0.2.1").address()
    there = network.host("server", "192.0.2.7").address(3478)
    client = stun.Client(there, here, network.random_bytes("client"))
    client.start(0.0)
    events: list[stun.ClientEvent] = []
    drive(
        network,
        {"client": client, "server": server},
        until=lambda: client.is_done,
        on_events=lambda name, news, now: events.extend(news),
    )
    return events + client.take_events()


def test_it_tells_the_mapped_address() -> None:
    events = ask(StunServer())
    assert events == [stun.MappedAddressFound(("192.0.2.1", 49152), 0.0), Closed()]


def test_silence_and_errors() -> None:
    silent = StunServer(is_silent=True)
    (failed,) = ask(silent)
    assert isinstance(failed, Failed)
    assert silent.requests_received == 7
    (failed,) = ask(StunServer(error_code=500))
    assert isinstance(failed, Failed)
    assert "500" in failed.failure.detail
