"""What an examination asks: one server, or our own NAT. Each probe has its own end, and raises nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, final

import attrs
import trio

from xp2p_trio import stun, turn
from xp2p_trio.driver.network import Network, StreamSocket
from xp2p_trio.driver.wire import Wire, converse
from xp2p_trio.errors import DecodeError, Reason
from xp2p_trio.ice import Outcome, ServerFacts, Sighting
from xp2p_trio.sansio import Address, Burst, Failed, Scope, canonical_address, host_scopes, is_ipv6

HAIRPIN_WAIT: Final = 1.0
"""Seconds that a datagram has to come back from our own NAT."""

HAIRPIN_INTERVAL: Final = 0.25
"""Seconds after which it is sent again: the first may find the filter of the NAT closed."""

_SHORTEST: Final = 0.001


async def ask_stun(wire: Wire, silence: ServerFacts, deadline: float) -> tuple[ServerFacts, Sighting | None]:
    """Ask for the mapped address of a socket.

    Args:
        wire: the socket.
        silence: what is to be said of the server if it does not answer, with its address.
        deadline: absolute, in seconds.
    """
    assert silence.address is not None
    facts, sighting = silence, None
    started_at = trio.current_time()

    def take(event: stun.ClientEvent) -> None:
        nonlocal facts, sighting
        match event:
            case stun.MappedAddressFound(mapped):
                facts = _works(silence, started_at)
                sighting = _see(wire.address, client.server, mapped)
            case Failed(failure) if failure.reason is not Reason.PEER_UNREACHABLE:
                facts = attrs.evolve(silence, outcome=Outcome.REFUSED, detail=failure.detail)
            case _:
                pass

    client = stun.Client(silence.address, wire.address, os.urandom)
    client.start(started_at)
    with trio.move_on_at(deadline):
        await wire.run(client, take)
    return facts, sighting


async def ask_turn(
    wire: Wire, silence: ServerFacts, credentials: turn.Credentials, deadline: float
) -> tuple[ServerFacts, Sighting | None]:
    """Make an allocation over UDP, and release it. Arguments as of `ask_stun`, and the user's credentials."""
    asking = _Asking(wire.address, silence, credentials, deadline, trio.current_time())
    try:
        await wire.run(asking.allocation, asking.take)
    finally:
        asking.release(wire.transmit)
    return asking.facts, asking.sighting


async def ask_turn_over_stream(
    network: Network, host: str, silence: ServerFacts, credentials: turn.Credentials, deadline: float
) -> ServerFacts:
    """Connect, make an allocation, and release it.

    Args:
        network: where streams come from.
        host: what the certificate of the server must be for.
        silence: what is to be said of the server if it does not answer, with its address.
        credentials: of the user.
        deadline: absolute, in seconds.
    """
    assert silence.address is not None
    started_at = trio.current_time()
    stream: StreamSocket | None = None
    try:
        with trio.move_on_at(deadline):
            stream = await network.connect_stream(None, silence.address, silence.transport, host)
    except OSError as error:
        return attrs.evolve(silence, detail=words_of(error))
    if stream is None:
        return silence
    try:
        asking = _Asking(stream.local, silence, credentials, deadline, started_at)
        return await _converse_over(stream, asking)
    finally:
        stream.close()


async def _converse_over(stream: StreamSocket, asking: _Asking) -> ServerFacts:
    framer = turn.StreamFramer()

    def transmit(burst: Burst) -> None:
        stream.transmit(burst.datagrams)

    async def receive() -> Burst:
        while data := await stream.receive():
            if frames := framer.decode_frames(data):
                return Burst(stream.local, stream.remote, frames, stream.transport)
        raise EOFError

    try:
        await converse(asking.allocation, transmit, receive, asking.take)
    except EOFError:
        asking.give_up("it closed the connection")
    except DecodeError as error:
        asking.give_up(f"what answers there does not speak TURN ({error})")
    finally:
        asking.release(transmit)
    return asking.facts


@final
class _Asking:
    """An allocation that is released as soon as it is there, and what is to be said of its server."""

    def __init__(
        self, local: Address, silence: ServerFacts, credentials: turn.Credentials, deadline: float, started_at: float
    ) -> None:
        assert silence.address is not None
        now = trio.current_time()
        self._local = local
        self._silence = silence
        self._started_at = started_at
        self.allocation = turn.Allocation(
            silence.address,
            local,
            credentials,
            random_bytes=os.urandom,
            configuration=turn.Configuration(
                transport=silence.transport,
                address_family=turn.AddressFamily.IPV6 if is_ipv6(silence.address[0]) else turn.AddressFamily.IPV4,
                allocation_timeout=max(deadline - now, _SHORTEST),
            ),
        )
        self.allocation.start(now)
        self.facts = silence
        self.sighting: Sighting | None = None

    def take(self, event: turn.Event) -> None:
        """Draw the conclusion of an event."""
        match event:
            case turn.Allocated(_, mapped):
                self.facts = _works(self._silence, self._started_at)
                if not self._silence.transport.is_stream:
                    self.sighting = _see(self._local, self.allocation.server, mapped)
                self.allocation.close(trio.current_time())
            case turn.AllocationRefused(server, realm, code, reason):
                self._refuse(address=server, realm=realm, code=code, detail=reason)
            case turn.Redirected((host, port)):  # over a stream; over UDP the allocation follows by itself
                self._refuse(code=300, detail=f"{host} port {port}")
            case Failed(failure) if failure.reason is not Reason.PEER_UNREACHABLE and not self.facts.code:
                self._refuse(detail=failure.detail)
            case _:
                pass

    def give_up(self, why: str) -> None:
        """The stream is of no use any more."""
        if self.facts is self._silence:
            self._refuse(detail=why)

    def release(self, transmit: Callable[[Burst], None]) -> None:
        """See to it that the server need not keep the allocation, also when cancelled."""
        now = trio.current_time()
        self.allocation.close(now)
        for burst in self.allocation.transmit(now, 1):
            transmit(burst)

    def _refuse(self, **what: Any) -> None:
        self.facts = attrs.evolve(self._silence, outcome=Outcome.REFUSED, **what)


async def hairpins(network: Network, wire: Wire, seen: Sighting, deadline: float) -> bool | None:
    """Whether two sockets of ours reach each other by their mapped addresses (RFC 4787 section 6).

    Each sends to the other, as ICE does, so that a filter lets in what was sent to. What is sent is a Binding request,
    which nobody has to understand.

    Returns:
        None if it cannot be told, since there is no second socket or no second mapped address.
    """
    try:
        other = Wire(network.bind((wire.address[0], 0)))
    except OSError:
        return None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.listen)
            server = ServerFacts(name="", outcome=Outcome.UNREACHABLE, address=seen.server)
            _, mirrored = await ask_stun(other, server, deadline)
            heard = None
            if mirrored is not None and _may_be_ours(seen) and _may_be_ours(mirrored):
                heard = await _reach_each_other((wire, seen.mapped), (other, mirrored.mapped))
            nursery.cancel_scope.cancel()
        return heard
    finally:
        other.close()


async def _reach_each_other(one: tuple[Wire, Address], other: tuple[Wire, Address]) -> bool:
    has_heard = False

    async def listen(wire: Wire, request: bytes) -> None:
        nonlocal has_heard
        await wire.wait_for(request)
        has_heard = True
        nursery.cancel_scope.cancel()

    with trio.move_on_after(HAIRPIN_WAIT):
        async with trio.open_nursery() as nursery:
            sent: list[tuple[Wire, Burst]] = []
            for (wire, _), (target, mapped) in ((one, other), (other, one)):
                transaction_id = os.urandom(stun.TRANSACTION_ID_SIZE)
                message = stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, transaction_id)
                request = stun.encode_message(message)
                nursery.start_soon(listen, target, request)
                sent.append((wire, Burst(wire.address, mapped, [request])))
            while True:
                for wire, burst in sent:
                    wire.transmit(burst)
                await trio.sleep(HAIRPIN_INTERVAL)
    return has_heard


def words_of(error: OSError) -> str:
    """What the system says, without its number."""
    return error.strerror or str(error)


def _works(facts: ServerFacts, started_at: float) -> ServerFacts:
    time = trio.current_time() - started_at
    return attrs.evolve(facts, outcome=Outcome.WORKS, detail="", round_trip_time=time)


def _see(local: Address, server: Address, mapped: Address) -> Sighting | None:
    canonical = canonical_address(mapped)
    return None if canonical is None else Sighting(local=local, server=server, mapped=canonical)


def _may_be_ours(sighting: Sighting) -> bool:
    """Whether a server may be believed as far as sending there goes."""
    return host_scopes(sighting.mapped[0]) == [Scope.UNICAST]
