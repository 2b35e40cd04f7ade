"""A pair on a wire that loses, reorders, duplicates and corrupts, against a model of what may be true."""

from __future__ import annotations

import collections

import hypothesis.strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.dtls.duo import CLIENT_CERTIFICATE, SERVER_CERTIFICATE, make_client, make_server
from xp2p_trio import dtls
from xp2p_trio.errors import InvalidState

SIDES = st.sampled_from(list(dtls.Role))


class Pair(RuleBasedStateMachine):
    """The reference: a multiset of what was sent, of which at most that much arrives; and who has ended.

    Corruption is applied to application data and alerts only: a flipped bit in a handshake message is a refusal, which
    `test_corruption` covers.
    """

    datagrams = Bundle("datagrams")

    @initialize(cookie=st.booleans(), small=st.booleans(), seed=st.integers(0, 2**16), rounds=st.integers(0, 6))
    def begin(self, cookie: bool, small: bool, seed: int, rounds: int) -> None:
        configuration = dtls.Configuration(require_cookie=cookie, max_datagram_size=256 if small else 1200)
        self.now = 0.0
        self.ends = {
            dtls.Role.CLIENT: make_client(configuration, seed=2 * seed),
            dtls.Role.SERVER: make_server(configuration, seed=2 * seed + 1),
        }
        self.events: dict[dtls.Role, list[dtls.Event]] = {role: [] for role in dtls.Role}
        self.sent: dict[dtls.Role, collections.Counter[bytes]] = {role: collections.Counter() for role in dtls.Role}
        self.numbers: dict[dtls.Role, set[tuple[int, int]]] = {role: set() for role in dtls.Role}
        self.closed_by_us: set[dtls.Role] = set()
        self.count = 0
        for end in self.ends.values():
            end.connect(0.0)
        for _ in range(rounds):
            self.exchange()

    @rule()
    def exchange(self) -> None:
        """A moment of good weather."""
        for role in dtls.Role:
            _, out = self.transmit(role)
            self.ends[dtls.Role(1 - role)].receive(out, self.now)

    def is_connected(self) -> bool:
        return all(end.state is dtls.State.CONNECTED for end in self.ends.values())

    @rule(target=datagrams, side=SIDES)
    def pull(self, side: dtls.Role) -> tuple[dtls.Role, tuple[bytes, ...]]:
        return self.transmit(side)

    def transmit(self, side: dtls.Role) -> tuple[dtls.Role, tuple[bytes, ...]]:
        out = self.ends[side].transmit(self.now, 5)
        assert len(out) <= 5
        for datagram in out:
            for record in dtls.decode_records(datagram):
                number = record.epoch, record.sequence_number
                assert number not in self.numbers[side]
                self.numbers[side].add(number)
        return side, tuple(out)

    @rule(batch=datagrams, latency=st.floats(0, 0.2))
    def arrive(self, batch: tuple[dtls.Role, tuple[bytes, ...]], latency: float) -> None:
        """Any batch, as often and as late as the wire likes."""
        self.now += latency
        sender, out = batch
        self.ends[dtls.Role(1 - sender)].receive(out, self.now)

    @rule(batch=datagrams, data=st.data())
    def corrupt(self, batch: tuple[dtls.Role, tuple[bytes, ...]], data: st.DataObject) -> None:
        sender, out = batch
        receiver = self.ends[dtls.Role(1 - sender)]
        for datagram in out:
            if datagram[3:5] == b"\x00\x01":  # its first record is protected
                forged = bytearray(datagram)
                forged[data.draw(st.integers(11, len(forged) - 1))] ^= data.draw(st.integers(1, 255))
                receiver.receive([bytes(forged)], self.now)

    @rule(side=SIDES, junk=st.lists(st.binary(max_size=60), max_size=3))
    def noise(self, side: dtls.Role, junk: list[bytes]) -> None:
        self.ends[side].receive(junk, self.now)

    @rule(side=SIDES, size=st.integers(0, 1200))
    def send(self, side: dtls.Role, size: int) -> None:
        end = self.ends[side]
        self.count += 1
        item = (b"%d %d " % (side, self.count)).ljust(size, b".")
        try:
            end.send([item, item], self.now)
        except InvalidState:
            assert end.state is not dtls.State.CONNECTED
        else:
            assert end.state is dtls.State.CONNECTED
            self.sent[side][item] += 2

    @rule(side=SIDES)
    def expire(self, side: dtls.Role) -> None:
        end = self.ends[side]
        due = end.next_timeout()
        if due != float("inf"):
            self.now = max(self.now, due)
            end.handle_timeout(self.now)
            assert end.next_timeout() > due

    @rule(seconds=st.sampled_from([0.001, 0.06, 1.0, 5.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds if self.is_connected() else min(seconds, 0.06)
        for end in self.ends.values():
            end.handle_timeout(self.now)

    @precondition(lambda self: self.count > 6)
    @rule(side=SIDES)
    def close(self, side: dtls.Role) -> None:
        if self.ends[side].state not in (dtls.State.CLOSED, dtls.State.FAILED):
            self.closed_by_us.add(side)
        self.ends[side].close(self.now)

    @invariant()
    def what_holds(self) -> None:
        for role, end in self.ends.items():
            self.events[role] += end.take_events()
            kinds = [type(event) for event in self.events[role]]
            was_connected = dtls.HandshakeCompleted in kinds
            for item in end.take_received():
                assert was_connected
                peer = dtls.Role(1 - role)
                assert self.sent[peer][item] > 0
                self.sent[peer][item] -= 1
            assert kinds in (
                [],
                [dtls.HandshakeCompleted],
                [dtls.HandshakeCompleted, dtls.Closed],
                [dtls.Closed],
                [dtls.Failed],
            )
            if end.state is dtls.State.CONNECTED:
                expected = SERVER_CERTIFICATE if role is dtls.Role.CLIENT else CLIENT_CERTIFICATE
                assert end.peer_certificate == expected.der
                assert end.next_timeout() == float("inf")
            if dtls.Closed in kinds:
                [event] = [event for event in self.events[role] if isinstance(event, dtls.Closed)]
                assert event.by_peer is (role not in self.closed_by_us)
                if event.by_peer:
                    assert dtls.Role(1 - role) in self.closed_by_us
        if self.is_connected():
            assert len({end.export_keying_material("model", None, 16) for end in self.ends.values()}) == 1

    def teardown(self) -> None:
        """An intact wire and enough time: both are connected if nobody has ended."""
        if not hasattr(self, "ends"):
            return
        if any(end.state in (dtls.State.CLOSED, dtls.State.FAILED) for end in self.ends.values()):
            return
        for _ in range(200):
            for role, end in self.ends.items():
                self.ends[dtls.Role(1 - role)].receive(end.transmit(self.now, 100), self.now)
            if self.is_connected():
                return
            self.now = min(end.next_timeout() for end in self.ends.values())
            for end in self.ends.values():
                end.handle_timeout(self.now)
            if any(end.state is dtls.State.FAILED for end in self.ends.values()):
                failed = [event for role in dtls.Role for event in self.ends[role].take_events()]
                assert all(
                    isinstance(event, dtls.Failed) and event.failure.reason == "handshake timeout" for event in failed
                )
                return
        raise AssertionError("neither connected nor failed")


TestPair = Pair.TestCase
