"""The driver's part in gathering (RFC 8445 section 5.1.1): sockets bound, names of servers resolved."""

from __future__ import annotations

import errno
import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import trio

from xp2p_trio.driver.engine import Engine
from xp2p_trio.driver.interfaces import host_addresses
from xp2p_trio.peer import EVERY_INTERFACE, IceServer, InterfaceFilter
from xp2p_trio.sansio import Address

# Windows reserves ranges of ports, and says EACCES of them.
_PORT_ERRORS = (errno.EADDRINUSE, errno.EACCES)

BoundT = TypeVar("BoundT")

logger = logging.getLogger("xp2p_trio.driver")


class Gatherer(Protocol):
    """What is answered: `peer.Connection`, `ice.Agent`."""

    def add_local_address(self, address: Address, now: float) -> None:
        """A socket is bound here."""

    def add_stun_server(self, address: Address, now: float) -> None:
        """A server has this address."""

    def end_of_local_addresses(self, now: float) -> None:
        """Every address is known."""


def provide_addresses(
    core: Gatherer,
    engine: Engine,
    *,
    bind_address: str | None,
    enable_ipv6: bool,
    interfaces: InterfaceFilter = EVERY_INTERFACE,
    port_range: tuple[int, int] | None = None,
) -> None:
    """Bind a socket on every address that works, or on the one that was chosen.

    Args:
        core: who asked.
        engine: what drives it.
        bind_address: the one local address to use; None for every one that the filters let through.
        enable_ipv6: whether IPv6 addresses are used as well.
        interfaces: which interfaces and addresses are used.
        port_range: the lowest and the highest port to bind; None leaves the choice to the system.

    Raises:
        OSError: the chosen one cannot be bound.
    """
    if bind_address is not None:
        hosts = [bind_address]
    else:
        found = engine.network.interfaces()
        hosts = host_addresses(found, enable_ipv6=enable_ipv6, wanted=interfaces)
        if not hosts:
            names = ", ".join(f"{each.name} {each.address}" for each in found) or "none"
            logger.warning("no interface of this machine may be used; it has: %s", names)
    for host in hosts:
        try:
            address = bind_in_range(engine.bind, host, port_range)
        except OSError as error:
            if bind_address is not None:
                raise
            logger.warning("no candidate on %s: %s", host, error)
        else:
            core.add_local_address(address, trio.current_time())


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


async def provide_servers(core: Gatherer, engine: Engine, servers: Iterable[IceServer], patience: float) -> None:
    """Resolve the servers' names, all at once, and say when nothing more will come.

    Args:
        core: who asked.
        engine: what drives it.
        servers: what to resolve.
        patience: seconds after which a resolver that is still silent keeps gathering from being complete no longer.
    """
    with trio.move_on_after(patience):
        async with trio.open_nursery() as nursery:
            for server in servers:
                nursery.start_soon(_provide_server, core, engine, server)
    core.end_of_local_addresses(trio.current_time())
    engine.flush()


async def _provide_server(core: Gatherer, engine: Engine, server: IceServer) -> None:
    try:
        addresses = await engine.network.resolve(server.host, server.port)
    except OSError as error:
        logger.warning("%s does not resolve: %s", server, error)
        return
    for address in addresses:
        core.add_stun_server(address, trio.current_time())
    engine.flush()
