"""An examination of the network that this machine stands in, as `xp2p-trio doctor` shows it.

One socket on each address asks all STUN servers, so that they all see the same socket, and a TURN server for an
allocation, which is released again. Then two sockets send to each other by their addresses outside. Nothing is sent
anywhere but to the given servers, and to our own addresses as these servers tell them.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, final

import attrs
import trio

from xp2p_trio import ice, mdns
from xp2p_trio.driver.interfaces import host_addresses
from xp2p_trio.driver.network import Interface, Network
from xp2p_trio.driver.probes import ask_stun, ask_turn, ask_turn_over_stream, hairpins, words_of
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.driver.wire import Wire
from xp2p_trio.ice import NetworkFacts, Outcome, ServerFacts, Sighting, Verdict
from xp2p_trio.peer import IceServer
from xp2p_trio.sansio import Address, Scope, host_scopes, is_ipv6

PATIENCE: Final = 5.0
"""Seconds that servers have to answer; an ICE agent waits for them as long."""

MAX_ADDRESSES: Final = 4
"""Of one name that are asked."""

_GRACE: Final = 1.5
"""Seconds after `patience` for what is still to be done then: an allocation is deleted in one."""

_RANK: Final = (Outcome.WORKS, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.NOT_ASKED)
_UNIQUE_LOCAL: Final = ipaddress.IPv6Network("fc00::/7")  # RFC 4193


@attrs.frozen(kw_only=True)
class InterfaceReport:
    """An address of this machine.

    Attributes:
        interface: the interface and its address.
        ignored: why it takes no part; empty if it does.
    """

    interface: Interface
    ignored: str = ""


@attrs.frozen(kw_only=True)
class Report:
    """What was found.

    Attributes:
        interfaces: the addresses of this machine, best first.
        facts: what is known of its network.
        verdict: what that means.
        mdns: whether names can be asked for behind which browsers hide addresses; None if there is nobody to ask.
        mdns_detail: why not.
    """

    interfaces: tuple[InterfaceReport, ...]
    facts: NetworkFacts
    verdict: Verdict
    mdns: bool | None = None
    mdns_detail: str = ""


async def examine(
    servers: Sequence[IceServer],
    *,
    network: Network | None = None,
    enable_ipv6: bool = False,
    patience: float = PATIENCE,
) -> Report:
    """Examine the network. Takes as long as the slowest server, and little more than `patience` with a dead one.

    Args:
        servers: STUN servers, of which it takes two on different hosts to tell how a NAT maps, and TURN servers.
        network: where sockets come from; the operating system by default.
        enable_ipv6: whether IPv6 addresses are examined as well.
        patience: seconds that servers have to answer.
    """
    examination = _Examination(network or SystemNetwork(), servers, enable_ipv6=enable_ipv6, patience=patience)
    await examination.run()
    return examination.report()


@final
class _Examination:
    """What is found out, as it is found out."""

    def __init__(self, network: Network, servers: Sequence[IceServer], *, enable_ipv6: bool, patience: float) -> None:
        self._network = network
        self._servers = servers
        self._enable_ipv6 = enable_ipv6
        self._patience = patience
        self._deadline = trio.current_time() + patience
        self._interfaces = network.interfaces()
        self._hosts: dict[str, str] = {}
        """Why an address that could take part does not; empty if it does."""
        self._wires: list[Wire] = []
        self._allocating: defaultdict[Address | None, trio.Lock] = defaultdict(trio.Lock)
        self._facts: dict[int, ServerFacts] = {}
        self._sightings: list[Sighting] = []
        self._hairpin: bool | None = None
        self._is_hairpin_tested = False
        self._mdns: bool | None = None
        self._mdns_detail = ""

    async def run(self) -> None:
        """Ask everybody."""
        try:
            self._bind()
            self._try_multicast()
            async with trio.open_nursery() as listeners:
                for wire in self._wires:
                    listeners.start_soon(wire.listen)
                with trio.move_on_at(self._deadline + _GRACE):
                    async with trio.open_nursery() as nursery:
                        for number, server in enumerate(self._servers):
                            nursery.start_soon(self._ask, number, server)
                listeners.cancel_scope.cancel()
        finally:
            for wire in self._wires:
                wire.close()

    def _bind(self) -> None:
        for host in host_addresses(self._interfaces, enable_ipv6=self._enable_ipv6):
            try:
                self._wires.append(Wire(self._network.bind((host, 0))))
                self._hosts[host] = ""
            except OSError as error:
                self._hosts[host] = words_of(error)

    def _try_multicast(self) -> None:
        """Join the group of mDNS, and leave it again; nothing is said there."""
        for wire in self._wires:
            host = wire.address[0]
            if is_ipv6(host) or _is_loopback(host) or self._mdns:
                continue
            try:
                self._network.bind_multicast(mdns.GROUP_IPV4, mdns.PORT, host).close()
            except OSError as error:
                self._mdns, self._mdns_detail = False, words_of(error)
            else:
                self._mdns, self._mdns_detail = True, ""

    def report(self) -> Report:
        """What was found out."""
        facts = NetworkFacts(
            hosts=tuple(wire.address[0] for wire in self._wires),
            sightings=tuple(self._sightings),
            servers=tuple(facts for _, facts in sorted(self._facts.items())),
            hairpin=self._hairpin,
            ipv6=any(_is_global_ipv6(each.address) for each in self._interfaces),
            is_ipv6_enabled=self._enable_ipv6,
        )
        interfaces = tuple(
            InterfaceReport(interface=each, ignored=self._why_ignored(each)) for each in self._interfaces
        )
        return Report(
            interfaces=interfaces,
            facts=facts,
            verdict=ice.explain(facts),
            mdns=self._mdns,
            mdns_detail=self._mdns_detail,
        )

    def _why_ignored(self, interface: Interface) -> str:
        if interface.address in self._hosts:
            return self._hosts[interface.address]
        return "only this machine is there" if interface.is_loopback else "IPv6 is off"

    async def _ask(self, number: int, server: IceServer) -> None:
        facts = ServerFacts(name=server.url, transport=server.transport, outcome=Outcome.NOT_ASKED)
        self._facts[number] = attrs.evolve(facts, detail=f"its name did not resolve in {self._patience:g} s")
        try:
            with trio.move_on_at(self._deadline) as scope:
                addresses = await self._network.resolve(server.host, server.port)
        except OSError as error:
            self._facts[number] = attrs.evolve(facts, detail=f"{words_of(error)}; check the name, and the DNS")
            return
        if scope.cancelled_caught:
            return
        usable = [address for address in addresses if any(self._wires_to(address))][:MAX_ADDRESSES]
        paths = [(wire, address) for address in usable for wire in self._wires_to(address)]
        if not paths:
            self._facts[number] = attrs.evolve(facts, detail=self._why_no_path(addresses))
            return
        silence = f"it did not answer in {self._patience:g} s"
        facts = attrs.evolve(facts, outcome=Outcome.UNREACHABLE, address=paths[0][1], detail=silence)
        self._facts[number] = facts
        if server.is_turn:
            await self._ask_turn(number, server, facts, paths[0][0])
            return
        async with trio.open_nursery() as nursery:
            for wire, address in paths:
                nursery.start_soon(self._ask_stun, number, wire, attrs.evolve(facts, address=address))

    async def _ask_stun(self, number: int, wire: Wire, facts: ServerFacts) -> None:
        facts, sighting = await ask_stun(wire, facts, self._deadline)
        self._facts[number] = min(self._facts[number], facts, key=_merit)
        self._note(sighting)
        if sighting is not None and not self._is_hairpin_tested and _is_translated(sighting):
            self._is_hairpin_tested = True
            self._hairpin = await hairpins(self._network, wire, sighting, self._deadline)

    async def _ask_turn(self, number: int, server: IceServer, silence: ServerFacts, wire: Wire) -> None:
        credentials = server.credentials
        problem = "it has no username and password"
        if credentials is None and server.renew is not None:
            problem = f"its credentials did not come in {self._patience:g} s"
            try:
                with trio.move_on_at(self._deadline):
                    credentials = await server.renew()
            except Exception as error:  # noqa: BLE001 - the program's function may raise anything
                problem = f"its credentials did not come ({error!r})"
        if credentials is None:
            self._facts[number] = attrs.evolve(silence, outcome=Outcome.NOT_ASKED, address=None, detail=problem)
        elif server.transport.is_stream:
            self._facts[number] = await ask_turn_over_stream(
                self._network, server.host, silence, credentials, self._deadline
            )
        else:
            # Of one socket a server holds one allocation (RFC 8656 section 7.2).
            async with self._allocating[silence.address]:
                self._facts[number], sighting = await ask_turn(wire, silence, credentials, self._deadline)
            self._note(sighting)

    def _note(self, sighting: Sighting | None) -> None:
        if sighting is not None:
            self._sightings.append(sighting)

    def _wires_to(self, server: Address) -> Iterator[Wire]:
        """The sockets of the family; nothing but this machine is reached from a loopback address."""
        is_loopback = _is_loopback(server[0])
        for wire in self._wires:
            host = wire.address[0]
            if is_ipv6(host) == is_ipv6(server[0]) and (is_loopback or not _is_loopback(host)):
                yield wire

    def _why_no_path(self, addresses: Sequence[Address]) -> str:
        if not self._wires:
            return "there is no network"
        if not self._enable_ipv6 and all(is_ipv6(host) for host, _ in addresses):
            return "it has IPv6 addresses only, and IPv6 is off"
        return "no address of this machine leads there"


def _merit(facts: ServerFacts) -> tuple[int, float]:
    """For the best of what the addresses of a server come to, and of the best ones the fastest."""
    return _RANK.index(facts.outcome), facts.round_trip_time or 0.0


def _is_loopback(host: str) -> bool:
    return Scope.LOOPBACK in host_scopes(host)


def _is_global_ipv6(host: str) -> bool:
    return is_ipv6(host) and host_scopes(host) == [Scope.UNICAST] and ipaddress.IPv6Address(host) not in _UNIQUE_LOCAL


def _is_translated(sighting: Sighting) -> bool:
    return not is_ipv6(sighting.local[0]) and sighting.mapped != sighting.local
