"""A burst that is reordered by 200 records loses nothing."""

from __future__ import annotations

import random

import pytest

from tests.dtls.duo import connected
from xp2p_trio.dtls.replay import REPLAY_WINDOW_SIZE


def test_window_is_256() -> None:
    assert REPLAY_WINDOW_SIZE == 256


@pytest.mark.parametrize("distance", [1, 63, 64, 200, 255])
def test_record_that_is_late(distance: int) -> None:
    duo = connected()
    duo.client.send([b"%d" % index for index in range(distance + 1)], duo.now)
    first, *rest = duo.client.transmit(duo.now, 1000)
    duo.server.receive([*rest, first], duo.now)
    assert len(duo.server.take_received()) == distance + 1


def test_record_that_is_too_late() -> None:
    duo = connected()
    duo.client.send([b"x"] * 257, duo.now)
    first, *rest = duo.client.transmit(duo.now, 1000)
    duo.server.receive([*rest, first], duo.now)
    assert len(duo.server.take_received()) == 256
    assert duo.server.statistics.records_replayed == 1


def test_shuffled_burst() -> None:
    duo = connected()
    duo.client.send([b"%d" % index for index in range(200)], duo.now)
    records = duo.client.transmit(duo.now, 1000)
    random.Random(1).shuffle(records)
    duo.server.receive(records, duo.now)
    assert sorted(duo.server.take_received()) == sorted(b"%d" % index for index in range(200))
