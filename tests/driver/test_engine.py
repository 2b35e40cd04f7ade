"""The engine over a core that only queues: what may leave does leave, whatever the order in which tasks have turns."""

import math
from collections import deque

import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xp2p_trio.driver.engine import ENOUGH, MAX_BURST, Engine
from xp2p_trio.sansio import Burst

HERE, THERE = ("192.0.2.1", 1), ("192.0.2.2", 2)
ACK, MESSAGE = b"ack", b"message"


class QueueCore:
    """Sends what is queued while its window is open; acknowledges what arrives; has a timer that sends."""

    def __init__(self, window):
        self.window = window
        self.queued = deque()
        self.unread = 0
        self.deadline = math.inf

    def receive(self, batch, now):
        for datagram in batch.datagrams:
            if datagram == ACK:
                self.window += 1
            else:
                self.unread += 1
                self.queued.append(ACK)

    def handle_timeout(self, now):
        if now >= self.deadline:
            self.deadline = math.inf
            self.queued.append(ACK)

    def transmit(self, now, limit):
        datagrams = []
        while self.queued and len(datagrams) < limit and not self.is_shut:
            datagrams.append(self.queued.popleft())
            self.window -= datagrams[-1] != ACK
        return [Burst(HERE, THERE, datagrams)] if datagrams else []

    def next_timeout(self):
        return self.deadline

    @property
    def is_shut(self):
        return self.window <= 0 and self.queued[0] != ACK


class ScriptedSocket:
    """Gives what the test puts in, and takes so many datagrams at a time as the test allows."""

    def __init__(self):
        self.address = HERE
        self.sent = []
        self.room = math.inf
        self._arrived = []
        self._lot = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()

    def arrive(self, datagrams):
        self._arrived.append(Burst(HERE, THERE, datagrams))
        self._lot.unpark_all()

    def make_room(self, room):
        self.room = room
        self._writers.unpark_all()

    async def receive(self):
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            await self._lot.park()
        bursts, self._arrived = self._arrived, []
        return bursts

    def transmit(self, burst):
        taken = int(min(len(burst.datagrams), self.room))
        self.room -= taken
        self.sent += burst.datagrams[:taken]
        return taken

    async def wait_writable(self):
        await trio.lowlevel.checkpoint()
        while not self.room:
            await self._writers.park()

    def close(self):
        self._lot.unpark_all()


class OneSocket:
    def __init__(self):
        self.socket = ScriptedSocket()

    def bind(self, address):
        return self.socket


class Rig:
    """An engine, its core, its socket, and tasks of a program that read."""

    def __init__(self, window=10**6):
        self.core = QueueCore(window)
        network = OneSocket()
        self.socket = network.socket
        self.engine = Engine(self.core, network, self._publish)
        self._readers = trio.lowlevel.ParkingLot()

    def _publish(self):
        if self.core.unread and self._readers:
            self._readers.unpark_all()
            self.engine.expect_answer()
        return False

    def send(self, size):
        self.core.queued.append(MESSAGE)
        self.engine.wake(size)

    async def read(self, answers, idle_turns):
        """Take what comes, and answer some of it, some turns later."""
        for is_answering in answers:
            while not self.core.unread:
                await self._readers.park()
            self.core.unread -= 1
            for _ in range(idle_turns):
                await trio.lowlevel.checkpoint()
            if is_answering:
                self.send(10)

    async def follow(self, steps):
        """Do what one task of the test's script says."""
        for step, number in steps:
            match step:
                case "send":
                    self.send(number)
                case "arrive":
                    self.socket.arrive([MESSAGE] * number)
                case "acknowledge":
                    self.socket.arrive([ACK] * number)
                case "room":
                    self.socket.make_room(number)
                case "timer":
                    self.core.deadline = trio.current_time() + number / 100
                    self.engine.flush()
                case "turns":
                    for _ in range(number):
                        await trio.lowlevel.checkpoint()
                case "time":
                    await trio.sleep(number / 100)

    def assert_nothing_lies_about(self):
        assert not self.core.queued or self.core.is_shut
        assert self.core.deadline == math.inf


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from([0, 1, 1000, ENOUGH])),
        st.tuples(st.sampled_from(["arrive", "acknowledge"]), st.integers(1, 3)),
        st.tuples(st.just("room"), st.sampled_from([0, 1, 5, 100, math.inf])),
        st.tuples(st.just("timer"), st.integers(0, 3)),
        st.tuples(st.just("turns"), st.integers(1, 5)),
        st.tuples(st.just("time"), st.integers(0, 3)),
    ),
    max_size=12,
)


@settings(max_examples=200)
@example([[("time", 1), ("arrive", 1)]], [([False], 0)], 1)
@given(
    scripts=st.lists(STEPS, min_size=1, max_size=4),
    readers=st.lists(st.tuples(st.lists(st.booleans(), max_size=6), st.integers(0, 4)), max_size=3),
    window=st.sampled_from([0, 1, 3, 10**6]),
)
def test_nothing_that_may_leave_stays(scripts, readers, window):
    async def main():
        rig = Rig(window)
        async with trio.open_nursery() as nursery:
            rig.engine.start(nursery)
            rig.engine.bind(HERE)
            async with trio.open_nursery() as program:
                for answers, idle_turns in readers:
                    nursery.start_soon(rig.read, answers, idle_turns)
                for steps in scripts:
                    program.start_soon(rig.follow, steps)
            rig.socket.make_room(math.inf)
            await trio.sleep(1)
            rig.assert_nothing_lies_about()
            nursery.cancel_scope.cancel("the script is over")

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_what_is_sent_in_a_row_leaves_in_one_burst():
    rig = Rig()
    calls = []
    transmit = rig.socket.transmit
    rig.socket.transmit = lambda burst: calls.append(len(burst.datagrams)) or transmit(burst)

    async def send():
        for _ in range(20):
            rig.send(32)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        rig.engine.start(nursery)
        rig.engine.bind(HERE)
        await trio.testing.wait_all_tasks_blocked()
        await send()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel("enough was seen")
    assert sum(calls) == 20
    assert len(calls) <= 2


async def test_an_acknowledgement_waits_for_no_answer_that_does_not_come():
    rig = Rig()
    async with trio.open_nursery() as nursery:
        rig.engine.start(nursery)
        rig.engine.bind(HERE)
        nursery.start_soon(rig.read, [False, False], 0)
        for count in (1, 2):
            await trio.testing.wait_all_tasks_blocked()
            rig.socket.arrive([MESSAGE])
            await trio.testing.wait_all_tasks_blocked()
            assert rig.socket.sent == [ACK] * count
        nursery.cancel_scope.cancel("enough was seen")


async def test_a_full_socket_holds_the_core_back_until_it_takes_more():
    rig = Rig()
    async with trio.open_nursery() as nursery:
        rig.engine.start(nursery)
        rig.engine.bind(HERE)
        rig.socket.make_room(0)
        for _ in range(500):
            rig.send(1000)
        await trio.testing.wait_all_tasks_blocked()
        assert len(rig.core.queued) >= 500 - 2 * MAX_BURST
        rig.socket.make_room(math.inf)
        await trio.testing.wait_all_tasks_blocked()
        assert rig.socket.sent == [MESSAGE] * 500
        nursery.cancel_scope.cancel("enough was seen")


@pytest.mark.parametrize("turns", range(8))
async def test_the_answer_takes_the_acknowledgement_along(turns):
    """A program that answers at once causes one burst; one that takes its time delays no acknowledgement."""
    rig = Rig()
    async with trio.open_nursery() as nursery:
        rig.engine.start(nursery)
        rig.engine.bind(HERE)
        nursery.start_soon(rig.read, [True], turns)
        await trio.testing.wait_all_tasks_blocked()
        rig.socket.arrive([MESSAGE])
        await trio.testing.wait_all_tasks_blocked()
        assert rig.socket.sent == [ACK, MESSAGE]
        nursery.cancel_scope.cancel("enough was seen")


async def test_a_program_that_never_stops_sending_starves_nobody():
    rig = Rig()
    turns = 0

    async def send_for_ever():
        while True:
            rig.send(1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        rig.engine.start(nursery)
        rig.engine.bind(HERE)
        nursery.start_soon(send_for_ever)
        while len(rig.socket.sent) < 1000:
            turns += 1
            rig.socket.arrive([MESSAGE])
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel("enough was seen")
    assert turns < 2000
