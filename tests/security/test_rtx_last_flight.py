"""Lost last flights leave no side waiting for ever; tests/dtls/test_loss.py tries all patterns of loss."""

from __future__ import annotations

import pytest

from tests.dtls.duo import Duo
from xp2p_trio import dtls


@pytest.mark.parametrize("losses", range(1, 9))
def test_last_flight_lost_again_and_again(losses: int) -> None:
    left = losses

    def fate(index: int, from_client: bool, datagram: bytes) -> list[tuple[float, bytes]]:
        nonlocal left
        if duo.server.state is dtls.State.CONNECTED and not from_client and left:
            left -= 1
            return []
        return [(0.0, datagram)]

    duo = Duo(fate=fate)
    duo.begin()
    duo.run(lambda: duo.is_connected)
    assert duo.is_connected
    assert duo.server.statistics.retransmissions_cued == losses
    duo.echo()


def test_server_data_before_its_last_flight_waits_for_it() -> None:
    duo = Duo(fate=lambda index, from_client, datagram: [] if index == 3 else [(0.0, datagram)])
    duo.begin()
    duo.run(lambda: duo.server.state is dtls.State.CONNECTED)
    duo.server.send([b"early", b"bird"], duo.now)
    duo.pull()
    duo.run(lambda: duo.client.statistics.records_parked == 2)
    assert duo.client.take_received() == []
    duo.run(lambda: duo.is_connected)
    assert duo.client.take_received() == [b"early", b"bird"]
