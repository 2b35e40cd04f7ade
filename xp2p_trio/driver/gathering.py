"""What ICE asks its driver for: sockets, servers' addresses, streams, names (RFC 8445 section 5.1.1)."""

from __future__ import annotations

import errno
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar, final

import trio

from xp2p_trio import ice
from xp2p_trio.driver.engine import Engine
from xp2p_trio.driver.engine_streams import StreamCore
from xp2p_trio.driver.interfaces import host_addresses
from xp2p_trio.driver.mdns import MdnsService, NameTaker
from xp2p_trio.driver.nursery import Background
from xp2p_trio.driver.servers import Servers, ServerTaker
from xp2p_trio.peer import Configuration
from xp2p_trio.sansio import Address, Transport

# Windows reserves ranges of ports, and says EACCES of them.
_PORT_ERRORS = (errno.EADDRINUSE, errno.EACCES)

MAX_CHANGES: Final = 4
"""Changes of the interfaces that are followed within `CHANGES_WINDOW` seconds: one that flaps restarts little."""

CHANGES_WINDOW: Final = 5.0

BoundT = TypeVar("BoundT")

logger = logging.getLogger("xp2p_trio.driver")


class Asker(StreamCore, NameTaker, ServerTaker, Protocol):
    """Who is answered: `peer.Connection`, `ice.Agent`. The words are those of the latter."""

    def add_local_address(self, address: Address, now: float, transport: Transport = Transport.UDP) -> None:
        """A socket is bound here."""

    def remove_local_address(self, address: Address, now: float, transport: Transport = Transport.UDP) -> None:
        """It is gone."""


@final
class Supply:
    """Answers the requests of one core, from what its configuration allows.

    Args:
        core: who asks.
        engine: what drives it.
        configuration: which interfaces, ports and servers to use.
    """

    def __init__(self, core: Asker, engine: Engine, configuration: Configuration) -> None:
        self._core = core
        self._engine = engine
        self._configuration = configuration
        self._background: Background | None = None
        self._bound: dict[str, list[tuple[Address, Transport]]] = {}
        self._prefixes: dict[str, int | None] = {}
        self._virtual: set[str] = set()
        self._servers = Servers(core, engine, configuration, self._start_soon)
        self._mdns = MdnsService(
            core,
            engine.flush,
            engine.network,
            lambda: {host: self._prefixes.get(host) for host in self._bound},
            enable_ipv6=configuration.enable_ipv6,
        )
        self._asked = trio.Event()

    def check(self) -> None:
        """See that the address that was chosen can be bound, so that a wrong one is told before anything has begun.

        Raises:
            OSError: it cannot.
        """
        if self._configuration.bind_address is not None:
            bind_in_range(
                self._engine.network.bind, self._configuration.bind_address, self._configuration.port_range
            ).close()

    def start(self, background: Background) -> None:
        """Be ready to answer, with the help of background tasks."""
        self._background = background
        self._mdns.start(background)

    def close(self) -> None:
        """Answer no more."""
        self._mdns.close()

    def answer(self, event: object) -> None:
        """Do what the core asks for, if the event is a request."""
        match event:
            case ice.AddressesRequested():
                self._asked.set()
                self.bind_addresses()
                self._servers.provide()
            case ice.StreamRequested(number, local_host, remote, transport, server_name):
                host = local_host or self._configuration.bind_address
                self._engine.connect_stream(number, host, remote, transport, server_name)
            case ice.StreamRequestWithdrawn(number):
                self._engine.withdraw_stream(number)
            case ice.StreamReleased(local, remote, transport):
                self._engine.close_stream(local, remote, transport)
            case ice.TurnCredentialsRequested(name):
                self._servers.renew(name)
            case ice.NameRequested(name) if self._configuration.mdns == "off":
                self._core.name_resolved(name, (), trio.current_time())
            case ice.NameRequested(name):
                self._mdns.resolve(name)
            case ice.NamePublished(name, host):
                self._mdns.publish(name, host)
            case _:
                pass

    @trio.lowlevel.enable_ki_protection
    async def watch_interfaces(self, changed: Callable[[], object]) -> None:
        """Follow the machine from network to network; `changed` is called when it seems to be in another one."""
        recent: deque[float] = deque(maxlen=MAX_CHANGES)
        await self._asked.wait()  # until the core wants addresses there is nothing to compare with
        while True:
            await self._engine.network.wait_interfaces_changed()
            if len(recent) == MAX_CHANGES:
                await trio.sleep_until(recent[0] + CHANGES_WINDOW)
            recent.append(trio.current_time())
            if self._engine.is_over:
                return
            if self.bind_addresses():
                changed()
                self._engine.flush()

    def bind_addresses(self) -> bool:
        """Bind a socket on every address that may be used and has none, and let go of those that are gone.

        Returns:
            Whether an address has come or gone by which others are reached. Bridges of containers come and go all day.
        """
        hosts = self._hosts()
        gone = [host for host in self._bound if host not in hosts]
        new = [host for host in hosts if host not in self._bound]
        now = trio.current_time()
        # What is new comes first, so that data goes on without a gap.
        for host in new:
            self._bind(host, now)
        for host in gone:
            for address, transport in self._bound.pop(host):
                self._engine.close_socket(address, transport)
                self._core.remove_local_address(address, now, transport)
        self._mdns.hosts_changed()
        changed = [*gone, *(host for host in new if host in self._bound)]
        return any(host not in self._virtual for host in changed)

    def _hosts(self) -> list[str]:
        configuration = self._configuration
        found = self._engine.network.interfaces()
        self._prefixes = {each.address: each.prefix_length for each in found}
        self._virtual &= self._bound.keys()
        self._virtual |= {each.address for each in found if each.is_virtual}
        if configuration.bind_address is not None:
            return [configuration.bind_address]
        hosts = host_addresses(found, enable_ipv6=configuration.enable_ipv6, wanted=configuration.interfaces)
        if not hosts and found:
            names = ", ".join(f"{each.name} {each.address}" for each in found)
            logger.warning("no interface of this machine may be used; it has: %s", names)
        return hosts

    def _bind(self, host: str, now: float) -> None:
        try:
            address = bind_in_range(self._engine.bind, host, self._configuration.port_range)
        except OSError as error:
            logger.warning("no candidate on %s: %s", host, error)
            return
        self._bound[host] = [(address, Transport.UDP)]
        self._core.add_local_address(address, now)
        if not self._configuration.ice.tcp or self._configuration.ice_transport_policy == "relay":
            return
        try:
            address = bind_in_range(self._engine.listen, host, self._configuration.port_range)
        except OSError as error:
            logger.warning("no TCP candidate on %s: %s", host, error)
        else:
            self._bound[host].append((address, Transport.TCP))
            self._core.add_local_address(address, now, Transport.TCP)

    def _start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        assert self._background is not None
        self._background.start_soon(function, *args)


def bind_in_range(bind: Callable[[Address], BoundT], host: str, port_range: tuple[int, int] | None) -> BoundT:
    """Bind a port of the range, the first that is free from a random one on (RFC 6056 section 3.3.1).

    Args:
        bind: opens a socket, or a listener; port 0 lets the system choose.
        host: the local address.
        port_range: the lowest and the highest port; None leaves the choice to the system.

    Raises:
        OSError: the address cannot be bound, or no port of the range is free; the text says which.
    """
    if port_range is None:
        return bind((host, 0))
    low, high = port_range
    count = high - low + 1
    start = secrets.randbelow(count)
    reason = ""
    for step in range(count):
        try:
            return bind((host, low + (start + step) % count))
        except OSError as error:
            if error.errno not in _PORT_ERRORS:
                raise
            reason = str(error.strerror)
    raise OSError(errno.EADDRINUSE, f"the port range {low}-{high} is used up on {host}: {reason}")
