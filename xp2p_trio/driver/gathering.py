"""The driver's part in gathering (RFC 8445 section 5.1.1): sockets bound, names of servers resolved."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

import trio

from xp2p_trio.driver.engine import Engine
from xp2p_trio.driver.interfaces import host_addresses
from xp2p_trio.peer import IceServer
from xp2p_trio.sansio import Address

logger = logging.getLogger("xp2p_trio.driver")


class Gatherer(Protocol):
    """What is answered: `peer.Connection`, `ice.Agent`."""

    def add_local_address(self, address: Address, now: float) -> None:
        """A socket is bound here."""

    def add_stun_server(self, address: Address, now: float) -> None:
        """A server has this address."""

    def end_of_local_addresses(self, now: float) -> None:
        """Every address is known."""


def provide_addresses(core: Gatherer, engine: Engine, *, bind_address: str | None, enable_ipv6: bool) -> None:
    """Bind a socket on every address that works, or on the one that was chosen.

    Raises:
        OSError: the chosen one cannot be bound.
    """
    network = engine.network
    if bind_address is not None:
        hosts = [bind_address]
    else:
        hosts = host_addresses(network.interfaces(), enable_ipv6=enable_ipv6)
    for host in hosts:
        try:
            address = engine.bind((host, 0))
        except OSError as error:
            if bind_address is not None:
                raise
            logger.warning("no candidate on %s: %s", host, error)
        else:
            core.add_local_address(address, trio.current_time())


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
