"""TCP on the simulated network: streams without I/O, and under trio."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing import (
    BLACK_HOLE,
    FULL_CONE,
    SYMMETRIC,
    UDP_BLOCKED,
    WEB_ONLY,
    Delivered,
    FirewallPolicy,
    Host,
    Link,
    NatBehaviour,
    Network,
    Sent,
    StreamAccepted,
    StreamEnded,
    drive,
)
from xp2p_trio.testing.stream_sockets import CONNECT_TIMEOUT, KEEP_SIZE, RECEIVE_SIZE, WINDOW_SIZE, VirtualStream

TCP, TLS, UDP = Transport.TCP, Transport.TLS, Transport.UDP
ALICE, SERVER = "10.0.0.1", ("198.51.100.1", 443)


def network_with_server(link: Link | None = None, **options: bool) -> Network:
    network = Network(link=link, **options)
    network.host("alice", ALICE)
    network.host("server", SERVER[0])
    network.listen("server", SERVER)
    return network


def accepted(network: Network, now: float) -> StreamAccepted:
    """Let the server hear of the one stream that was opened."""
    assert network.deliver(now) == []
    (news,) = network.take_stream_news()
    assert isinstance(news, StreamAccepted)
    return news


def connected(network: Network, now: float = 0.0) -> tuple[Address, StreamAccepted]:
    """A stream from alice: its local address, and what the server knows."""
    local = network.connect("alice", SERVER, now)
    return local, accepted(network, now + 1.0)


def pieces(network: Network, now: float) -> list[bytes]:
    return [piece for burst in network.deliver(now) for piece in burst.datagrams]


def say(network: Network, news: StreamAccepted, *frames: bytes, now: float) -> None:
    network.send(Burst(news.local, news.remote, frames, news.transport), now, host=news.host)


# --- without I/O


def test_a_stream_carries_both_ways_after_the_delay() -> None:
    network = network_with_server(Link(delay=0.1), keep_trace=True)
    local = network.connect("alice", SERVER, 0.0)
    assert local[0] == ALICE
    network.send(Burst(local, SERVER, [b"with", b"the", b"first"], TCP), 0.0)
    assert network.in_flight == 3
    assert network.next_timeout() == 0.1
    assert network.deliver_to_hosts(0.1) == [("server", Burst(SERVER, local, [b"with", b"the", b"first"], TCP))]
    assert network.take_stream_news() == [StreamAccepted("server", SERVER, local, TCP)]
    network.send(Burst(SERVER, local, [b"answer"], TCP), 0.1)
    assert network.deliver(0.2) == [Burst(local, SERVER, [b"answer"], TCP)]
    network.close_stream("alice", local, SERVER, 0.2)
    network.close_stream("alice", local, SERVER, 0.2)
    assert network.deliver(0.4) == []
    assert network.take_stream_news() == [StreamEnded("server", SERVER, local, TCP)]
    network.send(Burst(SERVER, local, [b"lost"], TCP), 0.4)
    assert network.next_timeout() == math.inf
    assert network.statistics.streams == 1
    assert network.statistics.stream_size == len(b"withthefirstanswer")
    assert network.statistics.sent == network.statistics.delivered == 0
    assert [type(entry) for entry in network.trace if isinstance(entry, Sent | Delivered)].count(Delivered) == 4


def test_what_is_under_way_arrives_before_the_end() -> None:
    network = network_with_server(Link(delay=0.1))
    local = network.connect("alice", SERVER, 0.0)
    network.send(Burst(local, SERVER, [b"last words"], TCP), 0.0)
    network.close_stream("alice", local, SERVER, 0.0)
    assert pieces(network, 0.1) == [b"last words"]
    assert network.take_stream_news() == [
        StreamAccepted("server", SERVER, local, TCP),
        StreamEnded("server", SERVER, local, TCP),
    ]


@given(
    link=st.builds(
        Link,
        delay=st.sampled_from([0.0, 0.05]),
        jitter=st.sampled_from([0.0, 0.5]),
        loss=st.sampled_from([0.0, 0.5]),
        reorder=st.sampled_from([0.0, 0.5]),
        duplicate=st.sampled_from([0.0, 0.5]),
        corrupt=st.sampled_from([0.0, 0.5]),
        truncate=st.sampled_from([0.0, 0.5]),
        rate=st.sampled_from([math.inf, 100_000.0]),
        mtu=st.sampled_from([math.inf, 100]),
        queue_size=st.sampled_from([math.inf, 100]),
    ),
    changes=st.lists(st.tuples(st.integers(0, 29), st.sampled_from([Link(), Link(delay=1.0), BLACK_HOLE])), max_size=4),
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=30),
)
def test_nothing_is_lost_or_overtaken_whatever_the_link(
    link: Link, changes: list[tuple[int, Link]], sizes: list[int]
) -> None:
    network = network_with_server(link)
    local = network.connect("alice", SERVER, 0.0)
    for number, size in enumerate(sizes):
        for when, change in changes:
            if when == number:
                network.set_link("alice", "server", change)
        network.send(Burst(local, SERVER, [bytes([number]) * size], TCP), number * 0.01)
    network.set_link("alice", "server", link)
    arrived = b"".join(piece for step in range(60) for piece in pieces(network, float(step)))
    assert arrived == b"".join(bytes([number]) * size for number, size in enumerate(sizes))


def test_streams_and_datagrams_share_the_rate() -> None:
    network = network_with_server(Link(rate=1000.0))
    local, news = connected(network)
    network.send(Burst(local, SERVER, [bytes(960)], TCP), 10.0)  # and 40 bytes of headers
    network.send(Burst((ALICE, 1), SERVER, [bytes(72)]), 10.0)  # and 28
    assert pieces(network, 10.9) == []
    assert pieces(network, 11.0) == [bytes(960)]
    assert pieces(network, 11.1) == [bytes(72)]
    say(network, news, bytes(2 * 1440), now=20.0)  # two segments
    assert pieces(network, 22.9) == []
    assert pieces(network, 22.96) == [bytes(2 * 1440)]


@pytest.mark.parametrize("behaviour", [FULL_CONE, SYMMETRIC, NatBehaviour(timeout=1.0)])
def test_every_nat_lets_streams_out_and_none_in(behaviour: NatBehaviour) -> None:
    network = network_with_server(keep_trace=True)
    home = network.nat("home", "203.0.113.7", behaviour=behaviour, inside=["alice"])
    network.listen("alice", (ALICE, 80))
    local, news = connected(network)
    assert news.remote[0] == "203.0.113.7"
    say(network, news, b"hours later", now=9999.0)
    assert pieces(network, 9999.0) == [b"hours later"]
    with pytest.raises(TimeoutError, match=r"203\.0\.113\.7 port 80.*'home'.*no_mapping"):
        network.connect("server", ("203.0.113.7", 80), 0.0)
    with pytest.raises(TimeoutError, match="no host has that address"):
        network.connect("server", (ALICE, 80), 0.0)
    assert home.statistics.no_mapping == 1
    assert network.statistics.filtered == 1
    assert network.statistics.unroutable == 1
    assert local[0] == ALICE


def test_a_forwarded_port_lets_streams_in() -> None:
    network = network_with_server()
    home = network.nat("home", "203.0.113.7", inside=["alice"])
    home.forward_tcp(8080, (ALICE, 80))
    with pytest.raises(ConnectionRefusedError, match="port 8080"):
        network.connect("server", ("203.0.113.7", 8080), 0.0)
    network.listen("alice", (ALICE, 80))
    local = network.connect("server", ("203.0.113.7", 8080), 0.0)
    network.send(Burst(local, ("203.0.113.7", 8080), [b"hello"], TCP), 0.0)
    assert network.deliver(0.0) == [Burst((ALICE, 80), local, [b"hello"], TCP)]
    home.rebind()
    network.send(Burst(local, ("203.0.113.7", 8080), [b"still there"], TCP), 0.0)
    assert pieces(network, 0.0) == [b"still there"]
    home.rebind("203.0.113.8")
    network.send(Burst(local, ("203.0.113.7", 8080), [b"gone"], TCP), 0.0)
    assert pieces(network, 0.0) == []


def test_streams_have_ports_of_their_own_which_come_free() -> None:
    network = network_with_server()
    home = network.nat("home", "203.0.113.7", behaviour=NatBehaviour(port_range=(2000, 2001)), inside=["alice"])
    for port in (1, 2):  # UDP takes both ports
        network.send(Burst((ALICE, port), SERVER, [b""]), 0.0)
    streams = [network.connect("alice", SERVER, 0.0) for _ in range(2)]
    with pytest.raises(TimeoutError, match="no_port"):
        network.connect("alice", SERVER, 0.0)
    network.deliver(0.0)
    network.close_stream("alice", streams[0], SERVER, 0.0)
    network.deliver(0.0)
    with pytest.raises(ConnectionRefusedError):
        network.connect("alice", (SERVER[0], 1), 0.0)  # which keeps no port
    network.connect("alice", SERVER, 0.0)
    with pytest.raises(TimeoutError, match="no_port"):
        network.connect("alice", SERVER, 0.0)
    assert home.statistics.no_port == 2


def test_neighbours_reach_a_forwarded_port_by_hairpinning() -> None:
    def reach(behaviour: NatBehaviour) -> StreamAccepted:
        network = Network()
        network.host("alice", ALICE)
        network.host("bob", "10.0.0.2")
        home = network.nat("home", "203.0.113.7", behaviour=behaviour, inside=["alice", "bob"])
        home.forward_tcp(80, (ALICE, 80))
        network.listen("alice", (ALICE, 80))
        network.connect("bob", ("203.0.113.7", 80), 0.0)
        return accepted(network, 0.0)

    assert reach(NatBehaviour(hairpinning="external")).remote[0] == "203.0.113.7"
    with pytest.raises(TimeoutError, match="no_hairpin"):
        reach(NatBehaviour())


def test_a_rebinding_ends_a_stream_for_who_sends_on_it() -> None:
    network = network_with_server(Link(delay=0.1))
    home = network.nat("home", "203.0.113.7", inside=["alice"])
    local, news = connected(network)
    home.rebind()
    assert network.next_timeout() == math.inf
    network.send(Burst(local, SERVER, [b"into the dark"], TCP), 10.0)
    assert network.deliver(10.1) == []
    assert network.take_stream_news() == []
    assert network.deliver(10.2) == []
    assert network.take_stream_news() == [StreamEnded("alice", local, SERVER, TCP)]
    say(network, news, b"likewise", now=20.0)
    assert network.deliver(20.1) == network.deliver(21.0) == []
    assert network.take_stream_news() == [StreamEnded("server", SERVER, news.remote, TCP)]
    assert network.connect("alice", SERVER, 30.0) != local


def test_an_address_that_goes_ends_its_streams() -> None:
    network = network_with_server(Link(delay=0.1))
    local, news = connected(network)
    say(network, news, b"under way", now=10.0)
    network.host("alice").remove_ip_address(ALICE)
    assert network.take_stream_news() == [StreamEnded("alice", local, SERVER, TCP)]
    network.host("alice").add_ip_address(ALICE)
    assert network.deliver(10.1) == []
    assert network.deliver(10.2) == []
    assert network.take_stream_news() == [StreamEnded("server", SERVER, local, TCP)]
    network.connect("alice", SERVER, 11.0)


def test_a_host_that_moves_behind_a_box_loses_its_streams() -> None:
    network = network_with_server()
    local, _ = connected(network)
    network.nat("home", "203.0.113.7", inside=["alice"])
    network.send(Burst(local, SERVER, [b"x"], TCP), 1.0)
    assert network.deliver(1.0) == []
    assert network.take_stream_news() == [StreamEnded("alice", local, SERVER, TCP)]


@pytest.mark.parametrize(
    ("policy", "reaches"),
    [
        (UDP_BLOCKED, [80, 443, 3478]),
        (WEB_ONLY, [80, 443]),
        (FirewallPolicy(tcp_ports={443}), [443]),
        (FirewallPolicy(tcp_ports=()), []),
    ],
)
def test_what_a_firewall_lets_out(policy: FirewallPolicy, reaches: Sequence[int]) -> None:
    network = network_with_server()
    network.listen("server", (SERVER[0], 80))
    network.listen("server", (SERVER[0], 3478))
    network.listen("alice", (ALICE, 80))
    office = network.firewall("office", policy=policy, inside=["alice"])
    for port in (80, 443, 3478):
        if port in reaches:
            network.connect("alice", (SERVER[0], port), 0.0)
        else:
            with pytest.raises(TimeoutError, match=r"'office'.*blocked"):
                network.connect("alice", (SERVER[0], port), 0.0)
    with pytest.raises(TimeoutError, match=r"'office'.*filtered"):
        network.connect("server", (ALICE, 80), 0.0)
    assert office.statistics.blocked == 3 - len(reaches)


def test_a_firewall_without_a_filter_lets_streams_in_and_a_policy_holds_at_once() -> None:
    network = network_with_server(keep_trace=True)
    office = network.firewall("office", policy=FirewallPolicy(filtering=None), inside=["alice"])
    network.listen("alice", (ALICE, 80))
    local = network.connect("server", (ALICE, 80), 0.0)
    assert accepted(network, 0.0) == StreamAccepted("alice", (ALICE, 80), local, TCP)
    office.policy = FirewallPolicy()
    network.send(Burst(local, (ALICE, 80), [b"x"], TCP), 1.0)
    assert network.deliver(1.0) == []
    assert network.take_stream_news() == [StreamEnded("server", local, (ALICE, 80), TCP)]


def test_ipv6_passes_a_nat_outwards_only() -> None:
    network = Network()
    network.host("alice", ALICE, "2001:db8::1")
    network.host("server", "2001:db8::2")
    network.nat("home", "203.0.113.7", inside=["alice"])
    network.listen("server", ("2001:db8::2", 1))
    network.listen("alice", ("2001:db8::1", 1))
    local = network.connect("alice", ("2001:db8:0::2", 1), 0.0)
    assert accepted(network, 0.0) == StreamAccepted("server", ("2001:db8::2", 1), local, TCP)
    with pytest.raises(TimeoutError, match="filtered"):
        network.connect("server", ("2001:db8::1", 1), 0.0)


def test_who_cannot_connect_is_told_why() -> None:
    network = network_with_server()
    with pytest.raises(ConnectionRefusedError, match=r"198\.51\.100\.1 port 80.*nobody listens"):
        network.connect("alice", (SERVER[0], 80), 0.0)
    with pytest.raises(TimeoutError, match="no host"):
        network.connect("alice", ("198.51.100.99", 80), 0.0)
    with pytest.raises(OSError, match="TCP is spoken there, not TLS"):
        network.connect("alice", SERVER, 0.0, transport=TLS)
    with pytest.raises(OSError, match="no IPv6 address"):
        network.connect("alice", ("2001:db8::1", 80), 0.0)
    with pytest.raises(InvalidArgument, match="UDP"):
        network.connect("alice", SERVER, 0.0, transport=UDP)
    with pytest.raises(InvalidArgument, match="carol"):
        network.connect("carol", SERVER, 0.0)
    network.set_link("server", "alice", BLACK_HOLE)
    with pytest.raises(TimeoutError, match="loses everything"):
        network.connect("alice", SERVER, 0.0)
    network.set_link("server", "alice", Link())
    network.stop_listening("server", SERVER)
    with pytest.raises(ConnectionRefusedError):
        network.connect("alice", SERVER, 0.0)
    assert network.statistics.streams == 0


def test_listening() -> None:
    network = network_with_server()
    assert network.listen("server", (SERVER[0], 0)) != network.listen("server", (SERVER[0], 0))
    with pytest.raises(OSError, match=r"in use.*443"):
        network.listen("server", SERVER)
    with pytest.raises(OSError, match=ALICE):
        network.listen("server", (ALICE, 1))
    with pytest.raises(InvalidArgument, match="70000"):
        network.listen("server", (SERVER[0], 70000))
    with pytest.raises(InvalidArgument, match="UDP"):
        network.listen("server", SERVER, transport=UDP)
    network.listen("alice", (ALICE, 443), transport=TLS)
    local = network.connect("server", (ALICE, 443), 0.0, transport=TLS)
    assert accepted(network, 0.0) == StreamAccepted("alice", (ALICE, 443), local, TLS)
    network.send(Burst(local, (ALICE, 443), [b"of another stream"], TCP), 0.0)
    assert network.deliver(0.0) == []


def test_a_black_hole_delays_and_in_the_end_ends_a_stream() -> None:
    network = network_with_server(Link(delay=0.1))
    local, _ = connected(network)
    network.set_link("alice", "server", BLACK_HOLE)
    network.send(Burst(local, SERVER, [b"a"], TCP), 10.0)
    network.send(Burst(local, SERVER, [b"b"], TCP), 11.0)
    for now in (11.0, 12.0, 13.0):
        assert network.deliver(now) == []
    network.set_link("alice", "server", Link(delay=0.1))
    network.deliver(network.next_timeout())
    assert pieces(network, network.next_timeout()) == [b"a", b"b"]
    network.set_link("alice", "server", BLACK_HOLE)
    network.send(Burst(local, SERVER, [b"lost"], TCP), 100.0)
    while network.next_timeout() < math.inf:
        now = network.next_timeout()
        assert network.deliver(now) == []
    assert network.take_stream_news() == [StreamEnded("alice", local, SERVER, TCP)]
    assert 600 < now - 100 < 1200


def test_equal_seeds_give_equal_traces_and_what_streams_do_counts() -> None:
    def run(frames: Sequence[bytes], *, is_closed: bool = True) -> str:
        network = Network(seed=3, link=Link(delay=0.1, loss=0.3, rate=10_000))
        network.host("alice", ALICE)
        network.host("server", SERVER[0])
        network.nat("home", "203.0.113.7", behaviour=SYMMETRIC, inside=["alice"])
        network.listen("server", SERVER)
        local = network.connect("alice", SERVER, 0.0)
        network.send(Burst(local, SERVER, frames, TCP), 0.0)
        network.send(Burst((ALICE, 1), SERVER, [b"x"] * 10), 0.0)
        if is_closed:
            network.close_stream("alice", local, SERVER, 0.0)
        network.deliver(10.0)
        return network.trace_hash

    assert run([b"a", b"b"]) == run([b"a", b"b"])
    assert len({run([b"a", b"b"]), run([b"a", b"c"]), run([]), run([b"a", b"b"], is_closed=False)}) == 4


class Greeter:
    """Greets who connects, and says goodbye to the world when that leaves."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.queued: list[Burst] = []

    def receive(self, batch: Burst, now: float) -> None:
        self.seen += batch.datagrams

    def handle_timeout(self, now: float) -> None:
        pass

    def transmit(self, now: float, limit: int) -> list[Burst]:
        bursts, self.queued = self.queued, []
        return bursts

    def take_events(self) -> list[object]:
        return []

    def next_timeout(self) -> float:
        return math.inf


def test_a_world_without_trio_is_told_of_streams_in_order() -> None:
    network = network_with_server(Link(delay=0.1))
    server, alice = Greeter(), Greeter()
    local = network.connect("alice", SERVER, 0.0)
    alice.queued = [Burst(local, SERVER, [b"hello"], TCP)]

    def on_stream_news(news: object, now: float) -> None:
        match news:
            case StreamAccepted("server", ours, theirs, transport):
                server.seen.append("accepted")
                server.queued.append(Burst(ours, theirs, [b"welcome"], transport))
            case StreamEnded("server"):
                server.seen.append("ended")
            case _:
                raise AssertionError(news)

    layers = {"server": server, "alice": alice}
    drive(network, layers, until=lambda: bool(alice.seen), on_stream_news=on_stream_news)
    assert alice.seen == [b"welcome"]
    alice.queued = [Burst(local, SERVER, [b"bye"], TCP)]
    drive(network, layers, until=lambda: not alice.queued, now=1.0, on_stream_news=on_stream_news)
    network.close_stream("alice", local, SERVER, 1.0)
    drive(network, layers, now=1.0, timeout=1.0, on_stream_news=on_stream_news)
    assert server.seen == ["accepted", b"hello", b"bye", "ended"]


# --- under trio


def hosts(link: Link | None = None) -> tuple[Host, Host]:
    network = Network(link=link)
    return network.host("alice", ALICE), network.host("server", SERVER[0])


async def stream_pair(alice: Host, server: Host, transport: Transport = TCP) -> tuple[VirtualStream, VirtualStream]:
    listener = server.listen((SERVER[0], 0), transport=transport)
    ours = await alice.connect_stream(None, listener.address, transport, "server")
    theirs = await listener.accept()
    listener.close()
    return ours, theirs


@pytest.mark.parametrize(("transport", "round_trips"), [(TCP, 1), (TLS, 2)])
async def test_connecting_takes_round_trips(transport: Transport, round_trips: int, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    ours, theirs = await stream_pair(*hosts(Link(delay=0.1)), transport)
    assert trio.current_time() - start == pytest.approx(0.2 * round_trips)
    assert ours.transport is theirs.transport is transport
    assert (ours.local, ours.remote) == (theirs.remote, theirs.local)
    theirs.transmit([b"hello"])
    assert await ours.receive() == b"hello"
    assert trio.current_time() - start == pytest.approx(0.2 * round_trips + 0.1)


async def test_a_dead_end_takes_its_time(autojump_clock: MockClock) -> None:
    alice, server = hosts(Link(delay=0.1))
    with pytest.raises(ConnectionRefusedError):
        await alice.connect_stream(None, SERVER, TCP, "")
    with pytest.raises(OSError, match=r"10\.9\.9\.9"):
        await alice.connect_stream("10.9.9.9", SERVER, TCP, "")
    start = trio.current_time()
    with pytest.raises(TimeoutError):
        await alice.connect_stream(None, ("198.51.100.99", 1), TCP, "")
    assert trio.current_time() - start == CONNECT_TIMEOUT
    with trio.move_on_after(0.1) as scope:
        server.listen(SERVER)
        await alice.connect_stream(None, SERVER, TCP, "")
    assert scope.cancelled_caught


async def test_a_stream_that_is_cut_while_it_connects(autojump_clock: MockClock) -> None:
    alice, server = hosts(Link(delay=0.1))
    listener = server.listen(SERVER)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(OSError, match="ended before"):
                await alice.connect_stream(None, SERVER, TCP, "")

        await trio.sleep(0.05)
        alice.remove_ip_address(ALICE)
    listener.close()


async def test_both_sides_are_told_of_an_end(autojump_clock: MockClock) -> None:
    ours, theirs = await stream_pair(*hosts(Link(delay=0.1)))
    ours.transmit([b"last"])
    ours.close()
    ours.close()
    assert await theirs.receive() == b"last"
    assert await theirs.receive() == await theirs.receive() == b""
    assert theirs.transmit([b"lost"]) == 1
    await theirs.wait_writable()
    theirs.close()
    for operation in (ours.receive, ours.wait_writable):
        with pytest.raises(trio.ClosedResourceError):
            await operation()
    with pytest.raises(trio.ClosedResourceError):
        ours.transmit([b"x"])


async def test_an_address_that_goes_is_told_at_once(autojump_clock: MockClock) -> None:
    alice, server = hosts(Link(delay=0.1))
    ours, theirs = await stream_pair(alice, server)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            assert await ours.receive() == b""

        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        alice.remove_ip_address(ALICE)
    assert trio.current_time() == start
    theirs.transmit([b"anybody there?"])
    assert await theirs.receive() == b""
    assert trio.current_time() - start == pytest.approx(0.2)


async def test_pieces_are_bounded_and_every_wait_is_a_checkpoint(autojump_clock: MockClock) -> None:
    ours, theirs = await stream_pair(*hosts(Link(delay=0.1)))
    ours.transmit([bytes(RECEIVE_SIZE + 10)])
    for size in (RECEIVE_SIZE, 10):
        with trio.testing.assert_checkpoints():
            assert len(await theirs.receive()) == size
    with trio.CancelScope() as scope:
        scope.cancel()
        await theirs.receive()
        raise AssertionError("a cancelled receive returned")
    with trio.testing.assert_checkpoints():
        await ours.wait_writable()


async def test_a_reader_that_does_not_read_blocks_its_writer(autojump_clock: MockClock) -> None:
    ours, theirs = await stream_pair(*hosts(Link(delay=0.1)))
    frame = bytes(1000)
    total = ours.transmit([frame] * 1000)
    assert total == -(-WINDOW_SIZE // 1000) + KEEP_SIZE // 1000
    assert ours.is_blocked
    assert ours.transmit([frame]) == 0
    assert ours.transmit([bytes(1)]) == 1  # a small one fits
    received = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.wait_writable)
        await trio.sleep(100)
        with pytest.raises(trio.BusyResourceError):
            await ours.wait_writable()
        while received < total * 1000 + 1:
            received += len(await theirs.receive())
    assert received == total * 1000 + 1
    assert not ours.is_blocked


async def test_a_writer_keeps_the_time_where_nobody_reads(autojump_clock: MockClock) -> None:
    ours, _ = await stream_pair(*hosts(Link(rate=100_000.0)))
    assert ours.transmit([bytes(1000)] * 264) == 264
    assert ours.is_blocked  # the window is some bytes too small for the last
    with trio.move_on_after(60) as scope:
        await ours.wait_writable()
    assert scope.cancelled_caught  # the other end has not read them


async def test_a_held_stream_keeps_what_it_is_given(autojump_clock: MockClock) -> None:
    ours, theirs = await stream_pair(*hosts())
    ours.hold()
    assert ours.transmit([bytes(KEEP_SIZE - 10), bytes(10), bytes(1)]) == 2
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.wait_writable)
        await trio.testing.wait_all_tasks_blocked()
        ours.release()
    assert not ours.is_blocked
    assert len(await theirs.receive()) == RECEIVE_SIZE


async def test_who_waits_is_woken_by_closing(autojump_clock: MockClock) -> None:
    alice, server = hosts()
    listener = server.listen(SERVER)
    ours, theirs = await alice.connect_stream(None, SERVER, TCP, ""), await listener.accept()
    ours.hold()
    ours.transmit([b"x"])

    async with trio.open_nursery() as nursery:
        for operation in (ours.receive, ours.wait_writable, listener.accept):

            async def wait(operation=operation) -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await operation()

            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await ours.receive()
        with pytest.raises(trio.BusyResourceError):
            await listener.accept()
        ours.close()
        listener.close()
        listener.close()
    assert await theirs.receive() == b""


async def test_a_listener_that_closes_ends_what_nobody_took(autojump_clock: MockClock) -> None:
    alice, server = hosts(Link(delay=0.1))
    listener = server.listen(SERVER)
    taken_late = await alice.connect_stream(None, SERVER, TCP, "")
    listener.close()
    assert await taken_late.receive() == b""
    with pytest.raises(ConnectionRefusedError):
        await alice.connect_stream(None, SERVER, TCP, "")
    again = server.listen(SERVER)
    assert again.address == SERVER
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            stream = await alice.connect_stream(None, SERVER, TCP, "")
            assert await stream.receive() == b""

        await trio.sleep(0.05)  # its first word is still under way
        again.close()


async def test_waiting_for_other_addresses(autojump_clock: MockClock) -> None:
    alice, server = hosts()
    changes = 0

    async def count() -> None:
        nonlocal changes
        while True:
            await alice.wait_interfaces_changed()
            alice.interfaces()
            changes += 1

    alice.interfaces()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await trio.sleep(1)
        server.add_ip_address("198.51.100.2")
        await trio.sleep(1)
        assert changes == 0
        alice.add_ip_address("10.0.0.2")
        await trio.sleep(1)
        alice.remove_ip_address(ALICE)
        await trio.sleep(1)
        assert changes == 2
        nursery.cancel_scope.cancel("enough was seen")
    alice.add_ip_address(ALICE)
    await alice.wait_interfaces_changed()  # at once, since it was never told
