"""ICE alone under trio (RFC 8445): a path through NATs for datagrams of your own, without DTLS, SCTP or channels.

    async with open_ice_agent(role=ice.Role.CONTROLLING) as agent:
        signaling_send(agent.create_offer())
        agent.set_remote_description(signaling_receive())
        await agent.wait_connected()
        await agent.send(b"hello")

Datagrams are neither encrypted nor ordered nor repeated: that is the program's own affair.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, final

import attrs
import trio

from xp2p_trio import ice, sdp
from xp2p_trio.driver.engine import Engine
from xp2p_trio.driver.errors import connection_failed
from xp2p_trio.driver.feed import Feed
from xp2p_trio.driver.gathering import Supply
from xp2p_trio.driver.ice_description import IceDescription, decode_ice_description, encode_ice_description
from xp2p_trio.driver.network import Network, announce
from xp2p_trio.driver.nursery import Background, hidden_nursery
from xp2p_trio.driver.state import StateValue
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.errors import Failure, InvalidState
from xp2p_trio.peer import Configuration
from xp2p_trio.sansio import Closed, Failed

MAX_UNREAD: Final = 1024
"""Datagrams that wait for `IceAgent.receive`; of more than these the oldest are dropped."""

EVENT_CAPACITY: Final = 256
"""News that wait for a program which does not listen."""


@asynccontextmanager
async def open_ice_agent(
    configuration: Configuration | None = None,
    /,
    *,
    role: ice.Role,
    network: Network | None = None,
    **overrides: object,
) -> AsyncGenerator[IceAgent, None]:
    """Run an ICE agent for the length of a block. Entering and leaving do not wait for the network.

    Args:
        configuration: what to change of the defaults; only what concerns ICE counts here.
        role: one side is CONTROLLING (by custom the one that offers), the other CONTROLLED; a conflict is repaired.
        network: where sockets come from; the operating system by default.
        overrides: fields of the configuration, by name: `ice_servers`, `bind_address`, ...

    Raises:
        TypeError: an override is no field of the configuration.
        InvalidArgument: a value is out of range.
        OSError: `bind_address` is no address of this machine.
    """
    configuration = attrs.evolve(configuration or Configuration(), **overrides)  # type: ignore[arg-type]
    agent = IceAgent(configuration, role, network or SystemNetwork())
    agent.check()
    async with hidden_nursery(close=agent.aclose, abort=agent.abort) as background:
        agent.start(background)
        yield agent


@final
class IceAgent:
    """One agent, made by `open_ice_agent`.

    Attributes:
        state: the state of ICE as an awaitable value.
        local_candidates: the lines of our candidates as they are found; it ends when there will be no more, and after a
            restart it is another channel.
        events: everything that happens, nothing left out; who does not listen loses the oldest.
    """

    def __init__(self, configuration: Configuration, role: ice.Role, network: Network) -> None:
        self._core = core = ice.Agent(
            attrs.evolve(configuration.ice, carries="any"),
            role=role,
            random_bytes=os.urandom,
            consent_interval=configuration.consent_interval,
            relay_only=configuration.ice_transport_policy == "relay",
            hide_hosts=configuration.mdns == "hide",
        )
        self._configuration = configuration
        self._engine = Engine(core, network, self._publish, stream_core=core)
        self._supply = Supply(core, self._engine, configuration)
        self._session_id = int.from_bytes(os.urandom(8)) >> 1
        self._has_gathered = trio.Event()
        self._remote: IceDescription | None = None
        self._is_restarting = False
        self._received: Feed[bytes] = Feed(MAX_UNREAD)
        self._failure: Failure | None = None
        self._is_closing = False
        self._has_ended = trio.Event()
        self.state: StateValue[ice.State] = StateValue(core.state)
        self.events: Feed[ice.Event] = Feed(EVENT_CAPACITY)
        self.local_candidates: Feed[str] = Feed(configuration.ice.max_local_candidates)

    def __repr__(self) -> str:
        return f"<IceAgent {self._core.role.name.lower()} {self.state.value.name.lower()}>"

    def check(self) -> None:
        """See that the configuration can work here; for `open_ice_agent` alone.

        Raises:
            OSError: the address to bind is not ours.
        """
        self._supply.check()

    def start(self, background: Background) -> None:
        """Begin to drive the core; for `open_ice_agent` alone."""
        self._engine.start(background)
        self._supply.start(background)
        if self._configuration.bind_address is None:
            background.start_soon(self._supply.watch_interfaces, lambda: None)

    # --- what is known

    @property
    def role(self) -> ice.Role:
        """The role now; a conflict with the peer's may have changed it (RFC 8445 section 7.3.1.1)."""
        return self._core.role

    @property
    def selected_pair(self) -> ice.CandidatePair | None:
        """The pair that data goes over; None before there is one."""
        return self._core.selected_pair

    @property
    def dropped(self) -> int:
        """How many datagrams were lost because nobody received them in time."""
        return self._received.dropped

    def statistics(self) -> ice.Statistics:
        """The agent's counters."""
        return self._core.statistics

    # --- negotiation: nothing here can block

    @trio.lowlevel.enable_ki_protection
    def gather(self) -> None:
        """Begin to look for local candidates; offers and answers do so by themselves. Again is harmless."""
        if self._core.state is ice.State.NEW:
            self._core.gather(trio.current_time())
            self._engine.flush()

    def create_offer(self) -> str:
        """Our credentials and the candidates found so far, as a session description. Gathering begins.

        Raises:
            InvalidState: the agent has ended.
        """
        return self._describe()

    def create_answer(self) -> str:
        """The same, once the peer's offer is known.

        Raises:
            InvalidState: there is no remote description to answer, or the agent has ended.
        """
        if self._remote is None:
            raise InvalidState("there is nothing to answer; call set_remote_description first")
        return self._describe()

    @trio.lowlevel.enable_ki_protection
    def set_remote_description(self, description: str) -> None:
        """Take the peer's credentials and candidates; checks begin, anew if the peer has restarted ICE.

        Raises:
            SdpError: it cannot be used; the text names the line. Nothing has changed.
            InvalidState: the agent has ended.
        """
        self._check_alive()
        remote = decode_ice_description(description)
        now = trio.current_time()
        self.gather()
        was = self._remote
        is_known = was is not None and was.username_fragment == remote.username_fragment
        if was is not None and not is_known and not self._is_restarting:
            self.restart()
        for candidate in remote.candidates:
            named = attrs.evolve(candidate, username_fragment=remote.username_fragment)
            self._core.add_remote_candidate(named, now)
        if is_known and self._is_restarting:  # the peer has told this before it knew of our restart
            self._engine.flush()
            return
        self._core.set_remote_credentials(
            remote.username_fragment,
            remote.password,
            now,
            lite=remote.ice_lite,
            renomination=remote.renomination,
        )
        self._remote = remote
        self._is_restarting = False
        if remote.end_of_candidates:
            self._core.end_of_remote_candidates(now)
        self._engine.flush()

    @trio.lowlevel.enable_ki_protection
    def restart(self) -> None:
        """Look for a new path with new credentials (RFC 8445 section 9), while the old one carries data.

        Tell the peer by `create_offer` or `create_answer`, and set its new description. A peer's description with other
        credentials restarts us by itself.

        Raises:
            InvalidState: the agent has ended.
        """
        self._check_alive()
        self._is_restarting = True
        self._has_gathered = trio.Event()
        self.local_candidates = Feed(self._configuration.ice.max_local_candidates)
        self._core.restart(trio.current_time())
        self._engine.flush()

    @trio.lowlevel.enable_ki_protection
    def add_remote_candidate(self, candidate: str | None) -> None:
        """Take a candidate that the peer trickled (RFC 8838); None or an empty line is the end of its candidates.

        Raises:
            SdpError: the line is no candidate.
        """
        now = trio.current_time()
        if candidate:
            parsed = sdp.decode_candidate(candidate)
            self._core.add_remote_candidate(parsed, now)
        else:
            self._core.end_of_remote_candidates(now)
        self._engine.flush()

    async def wait_gathered(self) -> None:
        """Wait until every candidate of ours is known, so that a description is complete. Gathering begins."""
        self.gather()
        await self._has_gathered.wait()

    # --- data

    async def wait_connected(self) -> None:
        """Wait until there is a path.

        Raises:
            ConnectionFailed: there is none; the text says what was tried.
            trio.ClosedResourceError: you closed the agent.
        """
        await self.state.wait_value(lambda state: state >= ice.State.CONNECTED)
        self._raise_if_over()

    @trio.lowlevel.enable_ki_protection
    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send one datagram to the peer. It may be lost, as UDP may lose it.

        Raises:
            InvalidState: there is no path yet.
            ConnectionFailed: the path is dead; the text is a diagnosis.
            trio.ClosedResourceError: you closed the agent.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._raise_if_over()
        if self._core.selected_pair is None and self.state.value is self._core.state:
            raise InvalidState(f"the agent is {self.state.value.name}; await wait_connected() before you send")
        # The core refuses only what a socket that blocks for long has piled up; UDP may lose it.
        with contextlib.suppress(InvalidState):
            self._core.send([bytes(data)], trio.current_time())
        self._engine.flush()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def receive(self) -> bytes:
        """Wait for the next datagram of the peer. Any number of tasks may wait.

        Raises:
            ConnectionFailed: the path is dead; the text is a diagnosis.
            trio.ClosedResourceError: you closed the agent.
        """
        try:
            return await self._received.receive()
        except trio.EndOfChannel:
            self._raise_if_over()
            raise

    @trio.lowlevel.enable_ki_protection
    async def aclose(self) -> None:
        """End the agent and close its sockets, in a second at most: allocations on TURN servers are deleted.

        ICE has no goodbye: the peer finds out by consent. Again is harmless.
        """
        self._close()
        self._engine.flush()
        try:
            await self._has_ended.wait()
        except BaseException:
            self.abort()
            raise
        self._supply.close()

    @trio.lowlevel.enable_ki_protection
    def abort(self) -> None:
        """`aclose` for those who cannot wait: each server is told once."""
        self._close()
        self._engine.abandon()
        self._supply.close()

    # --- inside

    def _close(self) -> None:
        self._is_closing = True
        self._core.close(trio.current_time())
        self._received.end()

    def _describe(self) -> str:
        self._check_alive()
        self.gather()
        core = self._core
        announce(self._engine.network, core.local_username_fragment)
        description = IceDescription(
            core.local_username_fragment,
            core.local_password,
            tuple(c for c in core.local_candidates if c.type is not ice.CandidateType.PEER_REFLEXIVE),
            core.is_gathering_complete,
            self._configuration.ice.lite,
        )
        return encode_ice_description(description, session_id=self._session_id)

    def _check_alive(self) -> None:
        if self._is_closing or self._has_ended.is_set():
            raise InvalidState(f"the agent is {self._core.state.name}; open a new one")

    def _raise_if_over(self) -> None:
        if self._failure is not None:
            raise connection_failed(self._failure)
        if self._is_closing:
            raise trio.ClosedResourceError("you closed this agent")

    def _publish(self) -> bool:
        """Hand the core's news on; whether it was the last."""
        for datagram in self._core.take_received():
            self._received.put(datagram)
        while events := self._core.take_events():
            for event in events:
                self._dispatch(event)
                self.events.put(event)
        if self._has_ended.is_set():
            self.events.end()
        return self._has_ended.is_set()

    def _dispatch(self, event: ice.Event) -> None:
        match event:
            case ice.CandidateFound(candidate):
                self.local_candidates.put(sdp.encode_candidate(candidate))
            case ice.GatheringCompleted():
                self._end_gathering()
            case ice.StateChanged(state):
                if state < ice.State.FAILED:  # else the last word is awaited, which knows why
                    self.state.publish(state)
            case Closed() | Failed():
                self._failure = event.failure if isinstance(event, Failed) else None
                self._has_ended.set()
                self._received.end()
                self._end_gathering()
                self.state.publish(self._core.state)
            case _:
                self._supply.answer(event)

    def _end_gathering(self) -> None:
        self.local_candidates.end()
        self._has_gathered.set()
