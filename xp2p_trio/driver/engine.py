"""The engine that drives one sans-IO core: a receive loop for each socket, and one pump for timers and output.

Any task may call `flush` after it gave the core something to do: what the core has to say leaves at once, without a
task switch. `wake` leaves that to the pump, which lingers while the program keeps sending, so that messages which are
sent one after the other share packets. The first `wake` after a program was handed a message is taken for its answer:
it leaves at once, and takes the acknowledgement along, which has waited for it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias, final

import trio

from xp2p_trio.driver.engine_streams import EngineStreams, Receive, StreamCore
from xp2p_trio.driver.network import DatagramSocket, Network
from xp2p_trio.driver.nursery import Background
from xp2p_trio.sansio import Address, Burst, Layer, Transport

MAX_BURST: Final = 64
"""Datagrams that the core builds at a time: as many as the kernel takes in one call (UDP_MAX_SEGMENTS)."""

ENOUGH: Final = 64 * 1024
"""Bytes after which the pump waits for no more to send: a burst is full."""

WAKE_CHARGE: Final = 1024
"""What a wake counts beside its bytes, so that the pump waits for so many small messages and no longer."""

BLOCKED_PATIENCE: Final = 0.5
"""Seconds that datagrams wait for a socket whose buffer is full and stays so; then they are lost, as UDP loses them."""

ANSWER_TURNS: Final = 2
"""Turns of the scheduler that an acknowledgement waits for the program's answer: one to wake it, one to let it send."""

LAST_WAITS: Final = (1.0, 1.0)
"""Seconds that a core which ends may wait: for its last words to be pulled, and for allocations to be deleted."""

logger = logging.getLogger("xp2p_trio.driver")

_UDP: Final = Transport.UDP  # an attribute of an enumeration costs as much as a dictionary's look-up

Core: TypeAlias = Layer[Burst, Burst, Any]
"""What an engine drives: a `peer.Connection` or an `ice.Agent`."""


@final
class Engine:
    """Sockets, streams, clock and core of one connection."""

    def __init__(
        self,
        core: Core,
        network: Network,
        publish: Callable[[], bool],
        *,
        stream_core: StreamCore | None = None,
    ) -> None:
        """Make an engine that stands still until `start`.

        Args:
            core: what to drive.
            network: where sockets come from.
            publish: called after each step to hand the core's news on; whether the core is at its end.
            stream_core: the same core, if it uses streams.
        """
        self._core = core
        self._network = network
        self._streams = EngineStreams(stream_core, network, self._receive_loop, self.flush)
        self._publish = publish
        self._background: Background | None = None
        self._sockets: dict[Address, DatagramSocket] = {}
        self._blocked: dict[Address, list[Burst]] = {}
        self._woken = trio.Event()
        self._pump_deadline = math.inf
        self._is_lingering = False
        self._is_answer_expected = False
        self._waiting = 0
        self._is_over = False

    @property
    def network(self) -> Network:
        """Where sockets come from."""
        return self._network

    @property
    def is_over(self) -> bool:
        """Whether it was stopped."""
        return self._is_over

    def start(self, background: Background) -> None:
        """Begin to drive the core, in background tasks."""
        self._background = background
        self._streams.start(background)
        background.start_soon(self._pump)

    def bind(self, address: Address) -> Address:
        """Open a socket and receive on it.

        Returns:
            The address with the port that was bound.

        Raises:
            OSError: the address cannot be bound.
        """
        return self.adopt(self._network.bind(address))

    def adopt(self, socket: DatagramSocket) -> Address:
        """Receive on a socket, send from it what the core sends from its address, and close it at the end."""
        assert self._background is not None
        self._sockets[socket.address] = socket
        self._background.start_soon(self._receive_loop, socket.receive)
        return socket.address

    def close_socket(self, address: Address, transport: Transport) -> None:
        """Close the socket that `bind`, or the listener that `listen`, opened on an address, which is gone."""
        if transport.is_stream:
            self._streams.close_listener(address)
        elif (socket := self._sockets.pop(address, None)) is not None:
            self._blocked.pop(address, None)
            socket.close()

    # --- streams; see `EngineStreams`

    @property
    def dropped_frames(self) -> int:
        """Frames that found no room in a stream that takes nothing more."""
        return self._streams.dropped_frames

    def connect_stream(
        self, number: int, local_host: str | None, remote: Address, transport: Transport, server_name: str
    ) -> None:
        """Connect in the background, and tell the core of the outcome under that number."""
        self._streams.connect(number, local_host, remote, transport, server_name)

    def withdraw_stream(self, number: int) -> None:
        """Give up a connection attempt; the core hears no more of it."""
        self._streams.withdraw(number)

    def close_stream(self, local: Address, remote: Address, transport: Transport) -> None:
        """Close a stream; the core hears no more of it."""
        self._streams.close((local, remote, transport))

    def listen(self, address: Address) -> Address:
        """Take the streams that peers open there, and tell the core of each.

        Returns:
            The address with the port that was bound.

        Raises:
            OSError: the address cannot be bound.
        """
        return self._streams.listen(address)

    # ---

    @trio.lowlevel.enable_ki_protection
    def wake(self, size: int = 0) -> None:
        """The core has something to send, of about this many bytes; the pump will look soon."""
        self._waiting += WAKE_CHARGE + size
        if self._is_answer_expected and not self._is_lingering:
            self._is_answer_expected = False
            self.flush()
        else:
            self._woken.set()

    def expect_answer(self) -> None:
        """A task of the program was woken with a message, and is likely to send something now."""
        self._is_answer_expected = True

    @trio.lowlevel.enable_ki_protection  # an interrupt in the middle of a layer would leave it in no state at all
    def flush(self) -> None:
        """Send what the core has to say, and hand on its news."""
        if self._is_over:
            return
        now = trio.current_time()
        self._waiting = 0
        while not self._is_stalled() and (bursts := self._core.transmit(now, MAX_BURST)):
            for burst in bursts:
                self._transmit(burst)
        self._hand_on()
        if self._core.next_timeout() < self._pump_deadline:
            self._woken.set()

    def abandon(self) -> None:
        """Send what the core, which was told to end, has to say, and wait for nothing that it would wait for."""
        self.flush()
        now = trio.current_time()
        for number in range(1, 1 + len(LAST_WAITS)):
            if self._is_over:
                return
            self._core.handle_timeout(now + sum(LAST_WAITS[:number]))
            self._hand_on()
        self.stop()

    def stop(self) -> None:
        """Close the sockets; nothing is sent or received any more."""
        self._is_over = True
        self._woken.set()
        for socket in self._sockets.values():
            socket.close()
        self._streams.stop()

    def _hand_on(self) -> None:
        if self._publish():
            self.stop()

    def _transmit(self, burst: Burst) -> None:
        if burst.transport is not _UDP:
            self._streams.transmit(burst)
            return
        if self._blocked and burst.local in self._blocked:
            self._blocked[burst.local].append(burst)
            return
        socket = self._sockets.get(burst.local)
        if socket is None:
            return
        sent = socket.transmit(burst)
        if sent < len(burst.datagrams):
            assert self._background is not None
            waiting = self._blocked[burst.local] = [Burst(burst.local, burst.remote, burst.datagrams[sent:])]
            self._background.start_soon(self._unblock, socket, waiting)

    def _is_stalled(self) -> bool:
        """Whether so much waits for a full socket that more is not asked of the core."""
        if not self._blocked:
            return False
        return any(sum(len(burst.datagrams) for burst in waiting) >= MAX_BURST for waiting in self._blocked.values())

    @trio.lowlevel.enable_ki_protection
    async def _unblock(self, socket: DatagramSocket, waiting: list[Burst]) -> None:
        """Send what waits for a full socket as soon as it takes it. Timers and the other sockets go on meanwhile."""
        try:
            with trio.move_on_after(BLOCKED_PATIENCE) as patience:
                while waiting:
                    await socket.wait_writable()
                    patience.deadline = trio.current_time() + BLOCKED_PATIENCE
                    burst = waiting[0]
                    sent = socket.transmit(burst)
                    rest = burst.datagrams[sent:]
                    waiting[:1] = [Burst(burst.local, burst.remote, rest)] if rest else []
        except trio.ClosedResourceError:
            return
        if self._blocked.get(socket.address) is not waiting:
            return  # the socket was closed meanwhile
        if waiting:
            logger.debug("%s port %d takes nothing: %d bursts lost", *socket.address, len(waiting))
        del self._blocked[socket.address]
        self.flush()

    @trio.lowlevel.enable_ki_protection
    async def _receive_loop(self, receive: Receive) -> None:
        core = self._core
        while not self._is_over:
            try:
                bursts = await receive()
            except trio.ClosedResourceError:
                return
            now = trio.current_time()
            for burst in bursts:
                core.receive(burst, now)
            if self._is_lingering:
                self._hand_on()  # the pump is about to send
                continue
            if len(bursts) == 1 and len(bursts[0].datagrams) == 1:
                self._hand_on()
                if self._is_answer_expected and await self._is_answered():
                    continue
            self.flush()
            self._is_answer_expected = False

    async def _is_answered(self) -> bool:
        """Let the program answer; whether it has, and the answer took along whatever there was to send."""
        turns = 0
        while self._is_answer_expected:
            if turns == ANSWER_TURNS:
                return False
            turns += 1
            await trio.lowlevel.checkpoint()
        return True

    @trio.lowlevel.enable_ki_protection
    async def _pump(self) -> None:
        while not self._is_over:
            self.flush()
            self._pump_deadline = self._core.next_timeout()
            with trio.move_on_at(self._pump_deadline):
                await self._woken.wait()
            self._pump_deadline = -math.inf
            self._woken = trio.Event()
            if self._waiting:
                await self._linger()
            now = trio.current_time()
            if now >= self._core.next_timeout():
                self._core.handle_timeout(now)

    async def _linger(self) -> None:
        """Let the program put more messages beside the first: they will share packets."""
        self._is_lingering = True
        quiet_turns = 0
        # A task that sends in every turn may have its turn before ours and, the next time, behind it.
        while quiet_turns < 2 and self._waiting < ENOUGH:
            seen = self._waiting
            await trio.lowlevel.checkpoint()
            quiet_turns = quiet_turns + 1 if self._waiting == seen else 0
        self._is_lingering = False
