import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Burst
from xp2p_trio.testing import BLACK_HOLE, BurstLoss, Delivered, Link, Network, NetworkStatistics, Sent

ALICE = ("192.0.2.1", 1000)
BOB = ("192.0.2.2", 2000)


def joined(link: Link | None = None, *, seed: int = 0, keep_trace: bool = False) -> Network:
    network = Network(seed=seed, link=link, keep_trace=keep_trace)
    network.host("alice", ALICE[0])
    network.host("bob", BOB[0])
    return network


def send(network: Network, *datagrams: bytes, now: float = 0.0) -> None:
    network.send(Burst(ALICE, BOB, datagrams), now)


def received(network: Network, now: float = 1000.0) -> list[bytes]:
    return [datagram for burst in network.deliver(now) for datagram in burst.datagrams]


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


def test_a_perfect_wire_delivers_at_once_as_the_receiver_sees_it() -> None:
    network = joined()
    send(network, b"a", b"b", now=3.0)
    assert network.next_timeout() == 3.0
    assert network.deliver(3.0) == [Burst(BOB, ALICE, [b"a", b"b"])]
    assert network.next_timeout() == math.inf


def test_neighbours_share_a_burst_and_others_do_not() -> None:
    network = joined()
    network.send(Burst(ALICE, BOB, [b"1"]), 0.0)
    network.send(Burst(ALICE, BOB, [b"2"]), 0.0)
    network.send(Burst(("192.0.2.1", 1001), BOB, [b"3"]), 0.0)
    network.send(Burst(ALICE, BOB, [b"4"]), 0.0)
    assert [list(burst.datagrams) for burst in network.deliver(0.0)] == [[b"1", b"2"], [b"3"], [b"4"]]


def test_delay_and_jitter_keep_the_order() -> None:
    network = joined(Link(delay=0.1, jitter=0.05))
    send(network, *numbered(200))
    assert 0.1 <= network.next_timeout() <= 0.15
    assert network.deliver(0.0999) == []
    assert received(network, 0.15) == numbered(200)


def test_reorder_lets_later_ones_overtake_and_loses_none() -> None:
    network = joined(Link(delay=0.1, reorder=0.2))
    for number, datagram in enumerate(numbered(200)):
        send(network, datagram, now=number * 0.001)
    arrived = received(network)
    assert arrived != numbered(200)
    assert sorted(arrived) == numbered(200)
    assert network.statistics.reordered > 10


def test_loss_is_as_likely_as_told() -> None:
    network = joined(Link(loss=0.1))
    send(network, *numbered(10_000))
    assert 850 < network.statistics.lost < 1150
    assert len(received(network)) == 10_000 - network.statistics.lost


def test_bursty_loss_has_its_mean_and_its_length() -> None:
    network = joined(Link(burst_loss=BurstLoss.with_mean(loss=0.1, length=5.0)))
    send(network, *numbered(50_000))
    numbers = [int.from_bytes(datagram, "big") for datagram in received(network)]
    gaps = [later - earlier - 1 for earlier, later in itertools.pairwise(numbers) if later - earlier > 1]
    assert 0.08 < network.statistics.lost / 50_000 < 0.12
    assert 4.0 < sum(gaps) / len(gaps) < 6.0


def test_drop_names_the_lost_ones_and_counts_from_the_setting_of_the_link() -> None:
    network = joined(Link(drop={0, 2}))
    send(network, *numbered(4))
    assert received(network) == [numbered(4)[1], numbered(4)[3]]
    network.set_link("alice", "bob", Link(drop={0}))
    send(network, *numbered(2))
    assert received(network) == [numbered(2)[1]]


def test_duplicates_are_counted() -> None:
    network = joined(Link(duplicate=1.0, copies=3))
    send(network, *numbered(100))
    arrived = received(network)
    assert len(arrived) == 100 + network.statistics.duplicated
    assert all(2 <= arrived.count(datagram) <= 4 for datagram in numbered(100))


def test_corruption_flips_one_bit() -> None:
    network = joined(Link(corrupt=1.0))
    send(network, bytes(100))
    (arrived,) = received(network)
    assert sum(byte.bit_count() for byte in arrived) == 1


def test_truncation_cuts_the_end() -> None:
    network = joined(Link(truncate=1.0))
    send(network, bytes(range(100)))
    (arrived,) = received(network)
    assert len(arrived) < 100
    assert bytes(range(100)).startswith(arrived)


def test_rate_spaces_the_datagrams_and_counts_the_headers() -> None:
    network = joined(Link(rate=1000.0))
    send(network, bytes(72), bytes(72))
    assert network.next_timeout() == pytest.approx(0.1)
    assert len(received(network, 0.1)) == 1
    assert network.next_timeout() == pytest.approx(0.2)


def test_a_full_queue_drops_the_tail() -> None:
    network = joined(Link(rate=1000.0, queue_size=300))
    send(network, *[bytes(72)] * 5)
    assert network.statistics.queue_full == 2
    assert len(received(network)) == 3


def test_a_queue_drains_with_time() -> None:
    network = joined(Link(rate=1000.0, queue_size=100))
    for second in range(5):
        send(network, bytes(72), now=float(second))
    assert network.statistics.queue_full == 0


@pytest.mark.parametrize(
    ("source", "destination", "fits"), [("192.0.2.1", "192.0.2.2", 72), ("2001:db8::1", "2001:db8::2", 52)]
)
def test_mtu_counts_the_headers_of_the_family(source: str, destination: str, fits: int) -> None:
    network = Network(link=Link(mtu=100))
    network.host("one", source)
    network.host("other", destination)
    network.send(Burst((source, 1), (destination, 2), [bytes(fits), bytes(fits + 1)]), 0.0)
    assert received(network) == [bytes(fits)]
    assert network.statistics.too_large == 1


def test_a_link_has_two_directions_and_changes_at_run_time() -> None:
    network = joined()
    network.set_link("bob", "alice", BLACK_HOLE)
    network.send(Burst(ALICE, BOB, [b"there"]), 0.0)
    network.send(Burst(BOB, ALICE, [b"back"]), 0.0)
    assert received(network) == [b"there"]
    network.set_links("alice", "bob", Link(delay=1.0))
    assert network.link("alice", "bob") == network.link("bob", "alice") == Link(delay=1.0)
    network.send(Burst(BOB, ALICE, [b"back"]), 2000.0)
    assert network.next_timeout() == 2001.0


def test_what_is_under_way_survives_a_change_of_the_link() -> None:
    network = joined(Link(delay=1.0))
    send(network, b"early")
    network.set_link("alice", "bob", BLACK_HOLE)
    assert received(network, 1.0) == [b"early"]


def test_nobody_there_is_counted() -> None:
    network = joined()
    network.send(Burst(ALICE, ("203.0.113.9", 1), [b"x"]), 0.0)
    network.send(Burst(ALICE, ("2001:db8::1", 1), [b"x"]), 0.0)
    assert network.statistics == NetworkStatistics(sent=2, sent_size=2, unroutable=2)


def test_misuse_is_refused() -> None:
    network = joined()
    with pytest.raises(InvalidArgument, match=r"203\.0\.113\.9"):
        network.send(Burst(("203.0.113.9", 1), BOB, [b"x"]), 0.0)
    with pytest.raises(InvalidArgument, match="65507"):
        send(network, bytes(65508))
    with pytest.raises(InvalidArgument, match="carol"):
        network.set_link("alice", "carol", Link())
    with pytest.raises(InvalidArgument, match="exists"):
        network.host("alice", "192.0.2.9")
    with pytest.raises(InvalidArgument, match="belongs to host 'alice'"):
        network.host("carol", ALICE[0])
    with pytest.raises(InvalidArgument, match="numeric"):
        network.host("carol", "carol.example")
    with pytest.raises(InvalidArgument, match="keep_trace"):
        _ = network.trace


def test_older_time_counts_as_the_newest_seen() -> None:
    network = joined(Link(delay=1.0))
    send(network, b"a", now=5.0)
    send(network, b"b", now=1.0)
    assert received(network, 6.0) == [b"a", b"b"]


def test_addresses_of_a_host() -> None:
    network = Network()
    host = network.host("alice", "192.0.2.1", "2001:DB8::1")
    assert host.ip_addresses == ("192.0.2.1", "2001:db8::1")
    assert host.address() != host.address()
    assert host.address(9, ip_address="2001:db8:0::1") == ("2001:db8::1", 9)
    assert network.host("alice") is host
    assert network.host_of("2001:db8::1") is host
    with pytest.raises(InvalidArgument, match="no address"):
        host.address(ip_address="192.0.2.7")


def test_the_trace_tells_everything() -> None:
    network = joined(Link(delay=1.0), keep_trace=True)
    send(network, b"a")
    network.deliver(1.0)
    assert list(network.trace) == [Sent(0.0, ALICE, BOB, b"a"), Delivered(1.0, ALICE, BOB, b"a")]


ROUGH = Link(
    delay=0.05, jitter=0.02, loss=0.1, burst_loss=BurstLoss.with_mean(loss=0.1, length=3.0), reorder=0.1, duplicate=0.1,
    corrupt=0.1, truncate=0.1, rate=50_000.0, queue_size=20_000, mtu=1200,
)  # fmt: skip


def run_rough(seed: int, sizes: Sequence[int]) -> tuple[str, NetworkStatistics]:
    network = joined(ROUGH, seed=seed)
    random_bytes = network.random_bytes("alice")
    for number, size in enumerate(sizes):
        send(network, random_bytes(size), now=number * 0.01)
    network.deliver(1000.0)
    return network.trace_hash, network.statistics


@given(seed=st.integers(), sizes=st.lists(st.integers(0, 1500), max_size=40))
def test_equal_seeds_give_equal_traces(seed: int, sizes: list[int]) -> None:
    assert run_rough(seed, sizes) == run_rough(seed, sizes)


def test_the_trace_of_a_seed_never_changes() -> None:
    trace_hash, statistics = run_rough(7, [100 * (number % 14) for number in range(200)])
    assert trace_hash == "477c7ea0bde9ee70e9fc28b44ff3f654"
    assert statistics.delivered > 100


def test_other_seeds_give_other_traces() -> None:
    assert run_rough(1, [500] * 40)[0] != run_rough(2, [500] * 40)[0]


@given(seed=st.integers(), sizes=st.lists(st.integers(0, 1500), max_size=60))
def test_every_datagram_is_accounted_for(seed: int, sizes: list[int]) -> None:
    _, counted = run_rough(seed, sizes)
    assert counted.sent == len(sizes)
    assert counted.delivered == (
        counted.sent + counted.duplicated - counted.lost - counted.queue_full - counted.too_large
    )


def test_traffic_of_one_direction_leaves_the_fate_of_the_other_alone() -> None:
    def fate(backwards: int) -> list[bytes]:
        network = joined(Link(loss=0.5))
        network.send(Burst(BOB, ALICE, numbered(backwards)), 0.0)
        send(network, *numbered(50))
        return [datagram for burst in network.deliver(0.0) if burst.local == BOB for datagram in burst.datagrams]

    assert fate(0) == fate(17)


def test_random_bytes_of_a_name_are_its_own() -> None:
    network = Network(seed=1)
    first, again, other = network.random_bytes("a"), network.random_bytes("a"), network.random_bytes("b")
    assert (first(8), first(8)) == (again(8), again(8))
    assert first(8) != first(8)
    assert network.random_bytes("a")(8) != other(8)
    assert Network(seed=2).random_bytes("a")(8) != network.random_bytes("a")(8)


def test_monitors_see_both_ends() -> None:
    class Spy:
        def __init__(self) -> None:
            self.seen: list[tuple[str, Burst, float]] = []

        def sent(self, burst: Burst, now: float) -> None:
            self.seen.append(("sent", burst, now))

        def delivered(self, burst: Burst, now: float) -> None:
            self.seen.append(("delivered", burst, now))

    spy = Spy()
    network = Network(link=Link(delay=1.0), monitors=[spy])
    network.host("alice", ALICE[0])
    network.host("bob", BOB[0])
    send(network, b"a")
    network.deliver(1.0)
    assert spy.seen == [("sent", Burst(ALICE, BOB, (b"a",)), 0.0), ("delivered", Burst(BOB, ALICE, [b"a"]), 1.0)]
