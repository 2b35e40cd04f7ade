"""An allocation and a server on a bad network, against what RFC 8656 promises.

Whatever is lost, repeated, reordered or corrupted, and however the clock leaps by up to 60 seconds:

* nothing is sent to a peer whose permission the server may have forgotten;
* on a network that answers, permissions and channels never lapse on the server;
* data that comes out is data that went in, from the peer that sent it;
* closing ends it within a second.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.turn.world import CLIENT, SERVER, World, allocation
from xp2p_trio import stun, turn
from xp2p_trio.sansio import Address, Burst, Closed, Failed
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.turn_allocations import ServerAllocation

PEERS = [("203.0.113.5", 6000), ("203.0.113.5", 6001), ("203.0.113.6", 6000), ("198.51.100.1", 7)]
LEAP = 60.0


class Watch:
    """A monitor that knows from the wire alone which permissions the client was granted, and when it asked."""

    def __init__(self) -> None:
        self.asked: dict[bytes, tuple[float, list[str]]] = {}
        self.expires: dict[str, float] = {}
        self.channels: dict[int, Address] = {}

    def sent(self, burst: Burst, now: float) -> None:
        if burst.local != CLIENT:
            return
        for datagram in burst.datagrams:
            if 64 <= datagram[0] <= 79:
                number, _ = turn.decode_channel_data(datagram)
                host = self.channels[number][0]
                assert self.expires.get(host, -1.0) > now, f"data to {host} at {now}"
                continue
            message = stun.decode_message(datagram)
            peers = [one.address for one in message.attributes if isinstance(one, stun.XorPeerAddress)]
            if message.message_class is stun.MessageClass.INDICATION:
                assert self.expires.get(peers[0][0], -1.0) > now, f"data to {peers[0]} at {now}"
                continue
            # The server's five minutes may start with the first of the repeated requests.
            self.asked.setdefault(message.transaction_id, (now, [host for host, _ in peers]))
            number_attribute = message.get(stun.ChannelNumber)
            if number_attribute is not None:
                assert self.channels.setdefault(number_attribute.number, peers[0]) == peers[0]

    def delivered(self, burst: Burst, now: float) -> None:
        if burst.local != CLIENT or burst.remote != SERVER:
            return
        for datagram in burst.datagrams:
            try:
                message = stun.decode_message(datagram)
            except stun_errors:
                continue
            if message.message_class is stun.MessageClass.SUCCESS_RESPONSE and message.transaction_id in self.asked:
                asked_at, hosts = self.asked[message.transaction_id]
                for host in hosts:
                    self.expires[host] = max(self.expires.get(host, -1.0), asked_at + turn.PERMISSION_LIFETIME)


stun_errors = ValueError  # the base of DecodeError


class Machine(RuleBasedStateMachine):
    """The rules."""

    @initialize(seed=st.integers(0, 2**16), nonce_lifetime=st.sampled_from([7.0, 100.0, 3600.0]), sha256=st.booleans())
    def begin(self, seed: int, nonce_lifetime: float, sha256: bool) -> None:
        self.world = World(
            allocation(seed=seed, allocation_timeout=100.0),
            seed=seed,
            link=Link(delay=0.02),
            nonce_lifetime=nonce_lifetime,
            offers_sha256=sha256,
        )
        self.watch = Watch()
        self.world.network.add_monitor(self.watch)
        self.sent: set[tuple[Address, bytes]] = set()
        self.said: set[tuple[Address, bytes]] = set()
        self.counter = 0
        self.is_good = True
        self.was_bad = False
        self.is_corrupt = False
        self.wanted: set[str] = set()
        self.bound: set[Address] = set()
        self.granted: set[str] = set()
        self.held: set[Address] = set()
        self.noted = 0
        self.world.client.start(0.0)
        self.world.run(1.0)

    @property
    def client(self) -> turn.Allocation:
        return self.world.client

    @property
    def is_alive(self) -> bool:
        return self.client.state is turn.State.ALLOCATED

    @property
    def on_server(self) -> ServerAllocation:
        (found,) = self.world.server.allocations
        return found

    def note(self) -> None:
        """Take down what was granted since the last time."""
        news, self.noted = self.world.events[self.noted :], len(self.world.events)
        self.granted |= {event.host for event in news if isinstance(event, turn.PermissionCreated)}
        self.held |= {event.peer for event in news if isinstance(event, turn.ChannelBound)}

    def payload(self) -> bytes:
        self.counter += 1
        return self.counter.to_bytes(4, "big") * (self.counter % 5)

    @precondition(lambda self: self.is_alive)
    @rule(peer=st.sampled_from(PEERS))
    def permit(self, peer: Address) -> None:
        self.client.create_permissions([peer[0]], self.world.now)
        self.wanted.add(peer[0])

    @precondition(lambda self: self.is_alive)
    @rule(peer=st.sampled_from(PEERS))
    def remove(self, peer: Address) -> None:
        self.note()
        self.granted.discard(peer[0])
        self.held = {other for other in self.held if other[0] != peer[0]}
        self.client.remove_permissions([peer[0]], self.world.now)
        self.wanted.discard(peer[0])
        self.bound = {other for other in self.bound if other[0] != peer[0]}

    @precondition(lambda self: self.is_alive)
    @rule(peer=st.sampled_from(PEERS))
    def bind(self, peer: Address) -> None:
        self.client.bind_channel(peer, self.world.now)
        self.wanted.add(peer[0])
        self.bound.add(peer)

    @precondition(lambda self: self.is_alive)
    @rule(peers=st.lists(st.sampled_from(PEERS), max_size=5))
    def send(self, peers: list[Address]) -> None:
        items = [(peer, self.payload()) for peer in peers]
        self.client.send(items, self.world.now)
        self.sent.update(items)

    @precondition(lambda self: self.is_alive and self.world.server.allocations)
    @rule(peer=st.sampled_from(PEERS))
    def say(self, peer: Address) -> None:
        data = self.payload()
        self.said.add((peer, data))
        self.world.server.receive(Burst(self.on_server.relayed_address, peer, [data]), self.world.now)

    @rule(seconds=st.sampled_from([0.001, 0.03, 0.3, 3.0, 50.0, 200.0]))
    def live(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(seconds=st.one_of(st.just(LEAP), st.floats(0.0, LEAP)), times=st.integers(1, 8))
    def leap(self, seconds: float, times: int) -> None:
        """Nobody runs for a while; what was promised still holds at the very end of it."""
        for _ in range(times):
            self.world.leap(seconds)
            self.nothing_lapses_on_a_network_that_answers()
            self.world.run(1.0)

    @precondition(lambda self: self.is_alive)
    @rule(seconds=st.sampled_from([1.0, 299.0, 301.0, 599.0, 601.0]), peer=st.sampled_from(PEERS))
    def oversleep(self, seconds: float, peer: Address) -> None:
        """The program hangs, and the first it does is to send."""
        self.was_bad = True
        self.world.now += seconds
        self.send([peer])
        self.world.shuttle()
        self.world.run(1.0)

    @precondition(lambda self: self.is_good)
    @rule(
        loss=st.sampled_from([0.0, 0.1, 0.3, 1.0]),
        duplicate=st.sampled_from([0.0, 0.3]),
        reorder=st.sampled_from([0.0, 0.5]),
        corrupt=st.sampled_from([0.0, 0.1]),
    )
    def worsen(self, loss: float, duplicate: float, reorder: float, corrupt: float) -> None:
        link = Link(delay=0.02, loss=loss, duplicate=duplicate, reorder=reorder, corrupt=corrupt)
        self.world.network.set_links("client", "server", link)
        self.is_good, self.was_bad = False, True
        self.is_corrupt = self.is_corrupt or corrupt > 0

    @precondition(lambda self: not self.is_good)
    @rule()
    def mend(self) -> None:
        self.world.network.set_links("client", "server", Link(delay=0.02))
        self.is_good = True

    @rule(data=st.binary(min_size=1, max_size=60))
    def noise(self, data: bytes) -> None:
        self.world.client.receive(Burst(CLIENT, SERVER, [data]), self.world.now)
        self.is_corrupt = True  # it may have been data on a channel

    @precondition(lambda self: self.is_alive and self.is_good)
    @rule()
    def everything_is_in_place(self) -> None:
        """After a while on a good network the server has what is wanted."""
        self.world.run(120.0)
        assert self.is_alive, self.world.events[-1]
        now = self.world.now
        assert all(self.on_server.may_relay(host, now) for host in self.wanted)
        assert all(self.on_server.channel_of(peer, now) is not None for peer in self.bound)
        assert (self.client.statistics.permissions, self.client.statistics.channels) == (
            len(self.wanted),
            len(self.bound),
        )

    @invariant()
    def nothing_lapses_on_a_network_that_answers(self) -> None:
        if hasattr(self, "world") and not self.was_bad:
            assert not [event for event in self.world.events if isinstance(event, Failed)]
            self.note()
            if self.is_alive:
                now = self.world.now
                assert all(self.on_server.may_relay(host, now) for host in self.granted)
                assert all(self.on_server.channel_of(peer, now) is not None for peer in self.held)

    @invariant()
    def data_is_true(self) -> None:
        if hasattr(self, "world") and not self.is_corrupt:
            assert set(self.world.received) <= self.said
            assert {(local, data) for local, _, data in self.world.peer.received} <= self.sent

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        before = self.world.now
        self.client.close(before)
        self.world.run(2.0)
        assert isinstance(self.world.events[-1], Closed | Failed)
        assert not [time for time in self.world.sent_at["client"] if time > before + turn_close_timeout]
        if self.is_good and self.world.events[-1] == Closed():
            assert self.world.server.allocations == []


turn_close_timeout = 1.0

TestAllocation = Machine.TestCase
