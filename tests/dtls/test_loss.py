"""A handshake completes whatever single datagrams, pairs and triples of them the path loses or mangles."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from tests.dtls.duo import LATENCY, Duo, Fate
from xp2p_trio import dtls

SMALL = dtls.Configuration(max_datagram_size=256)
COOKIE = dtls.Configuration(require_cookie=True)
SMALL_COOKIE = dtls.Configuration(max_datagram_size=256, require_cookie=True)
EACH = pytest.mark.parametrize(
    "configuration",
    [dtls.Configuration(), COOKIE, SMALL, SMALL_COOKIE],
    ids=["plain", "cookie", "small", "small-cookie"],
)


def lose(*indices: int) -> Fate:
    def fate(index: int, from_client: bool, datagram: bytes) -> Sequence[tuple[float, bytes]]:
        return [] if index in indices else [(0.0, datagram)]

    return fate


def completes(configuration: dtls.Configuration, fate: Fate) -> Duo:
    duo = Duo(configuration=configuration, fate=fate)
    duo.begin()
    duo.run(lambda: duo.is_connected)
    assert duo.is_connected
    duo.echo()
    for role in dtls.Role:
        assert [type(event) for event in duo.events[role]] == [dtls.HandshakeCompleted]
    return duo


def size_of(configuration: dtls.Configuration) -> int:
    """Datagrams of an undisturbed handshake."""
    duo = Duo(configuration=configuration)
    duo.begin()
    duo.run(lambda: duo.is_connected)
    return len(duo.sent)


@EACH
def test_undisturbed_handshake_repeats_nothing(configuration: dtls.Configuration) -> None:
    duo = completes(configuration, lose())
    for end in (duo.client, duo.server):
        assert end.statistics.retransmissions == 0
        assert end.statistics.retransmissions_cued == 0


@EACH
def test_any_single_loss(configuration: dtls.Configuration) -> None:
    for index in range(size_of(configuration) + 4):
        completes(configuration, lose(index))


@EACH
def test_any_double_loss(configuration: dtls.Configuration) -> None:
    for pair in itertools.combinations(range(size_of(configuration) + 4), 2):
        completes(configuration, lose(*pair))


def test_any_triple_loss() -> None:
    for triple in itertools.combinations(range(9), 3):
        completes(dtls.Configuration(), lose(*triple))


def test_no_echo_of_repetitions() -> None:
    """A slow path makes both repeat themselves; once both are connected, that comes to rest."""

    def fate(index: int, from_client: bool, datagram: bytes) -> Sequence[tuple[float, bytes]]:
        return [(0.3, datagram)]

    duo = completes(dtls.Configuration(), fate)
    assert duo.client.statistics.retransmissions > 0
    count = len(duo.sent)
    duo.run(seconds=50)
    assert len(duo.sent) == count
    # Each side repeats by its own timer as often as fits into a round trip, and no copy begets another.
    for end in (duo.client, duo.server):
        assert end.statistics.retransmissions <= 8
    assert duo.server.statistics.retransmissions_cued <= 4


def test_lost_last_flight_is_repeated_for_a_repeated_finished() -> None:
    duo = completes(dtls.Configuration(), lose(3))
    assert duo.server.statistics.retransmissions_cued == 1


@EACH
def test_each_datagram_duplicated(configuration: dtls.Configuration) -> None:
    for target in range(size_of(configuration)):

        def fate(index: int, from_client: bool, datagram: bytes, target: int = target) -> Sequence[tuple[float, bytes]]:
            return [(0.0, datagram)] * (3 if index == target else 1)

        completes(configuration, fate)


@EACH
def test_each_datagram_delayed_behind_the_next(configuration: dtls.Configuration) -> None:
    for delay in (0.000001, 0.03, 0.5):
        for target in range(size_of(configuration)):

            def fate(
                index: int, from_client: bool, datagram: bytes, target: int = target, delay: float = delay
            ) -> Sequence[tuple[float, bytes]]:
                return [(delay if index == target else 0.0, datagram)]

            completes(configuration, fate)


def test_each_flight_in_reverse_order() -> None:
    def fate(index: int, from_client: bool, datagram: bytes) -> Sequence[tuple[float, bytes]]:
        return [(0.001 * (100 - index % 100), datagram)]

    duo = completes(SMALL, fate)
    assert duo.server.statistics.records_parked > 0


def test_each_datagram_truncated() -> None:
    for target in range(4):
        for size in (0, 1, 12, 13, 25, 40, 70, 131):

            def fate(
                index: int, from_client: bool, datagram: bytes, target: int = target, size: int = size
            ) -> Sequence[tuple[float, bytes]]:
                return [(0.0, datagram[: min(size, len(datagram) - 1)] if index == target else datagram)]

            completes(dtls.Configuration(), fate)


def test_path_that_carries_small_datagrams_only() -> None:
    def fate(index: int, from_client: bool, datagram: bytes) -> Sequence[tuple[float, bytes]]:
        return [(0.0, datagram)] if len(datagram) <= 300 else []

    completes(dtls.Configuration(), fate)


@pytest.mark.parametrize(("round_trip", "loss", "most"), [(0.6, 0.0, 16), (0.6, 0.3, 40), (0.1, 0.3, 40)])
def test_slow_and_lossy_path(round_trip: float, loss: float, most: int) -> None:
    """99 of 100 complete within half a minute, and the number of datagrams has a bound."""
    completed = 0
    for seed in range(100):
        generator = random.Random(seed)

        def fate(
            index: int, from_client: bool, datagram: bytes, generator: random.Random = generator
        ) -> Sequence[tuple[float, bytes]]:
            return [] if generator.random() < loss else [(round_trip / 2 - LATENCY, datagram)]

        duo = Duo(fate=fate)
        duo.begin()
        duo.run(lambda duo=duo: duo.is_connected, seconds=30.0)
        completed += duo.is_connected
        assert len(duo.sent) <= most
    assert completed >= 99


def test_first_flight_before_the_server_begins() -> None:
    duo = Duo()
    duo.client.connect(0.0)
    duo.pull()
    duo.settle()
    duo.server.connect(duo.now)
    duo.run(lambda: duo.is_connected)
    assert duo.is_connected
    assert duo.client.statistics.retransmissions == 0
