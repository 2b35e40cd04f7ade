"""The servers of a configuration, for one core: their names resolved, their credentials got and renewed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol, final

import trio

from xp2p_trio import ice, turn
from xp2p_trio.driver.engine import Engine
from xp2p_trio.peer import Configuration, IceServer
from xp2p_trio.sansio import Address, canonical_address, is_ipv6

RENEWAL_PATIENCE: Final = 30.0
"""Seconds that a program may take to get credentials while an allocation lives on with the old ones."""

RENEWAL_PAUSES: Final = (10.0, 20.0, 40.0, 80.0)
"""Seconds until it is asked once more when it has none; an allocation is refreshed five minutes before its end."""

_UNIX_TIME_DIGITS: Final = 10

logger = logging.getLogger("xp2p_trio.driver")


class ServerTaker(Protocol):
    """Who is told of servers: `peer.Connection`, `ice.Agent`. The words are those of the latter."""

    def add_stun_server(self, address: Address, now: float, name: str = "") -> None:
        """A server has this address."""

    def add_turn_server(self, server: ice.TurnServer, now: float) -> None:
        """A server has this address and these credentials."""

    def refresh_turn_credentials(self, name: str, credentials: turn.Credentials, now: float) -> None:
        """It has others now."""

    def server_failed(self, name: str, detail: str, now: float) -> None:
        """It is of no use."""

    def end_of_local_addresses(self, now: float) -> None:
        """Every server is known."""


@final
class Servers:
    """What a core is told of its servers.

    Args:
        core: is told.
        engine: drives it.
        configuration: names the servers.
        start_soon: starts a background task.
    """

    def __init__(
        self,
        core: ServerTaker,
        engine: Engine,
        configuration: Configuration,
        start_soon: Callable[..., None],
    ) -> None:
        self._core = core
        self._engine = engine
        self._patience = configuration.ice.gathering_timeout
        self._families = (False, True) if configuration.enable_ipv6 else (False,)
        self._start_soon = start_soon
        self._servers = {server.url: server for server in configuration.ice_servers}
        self._credentials = {server.url: server.credentials for server in configuration.ice_servers}
        self._renewing: set[str] = set()
        self._is_providing = self._are_wanted = False

    def provide(self) -> None:
        """Answer `ice.AddressesRequested`."""
        if not self._servers:  # so that a description has every candidate at once
            self._core.end_of_local_addresses(trio.current_time())
            return
        self._are_wanted = True
        if not self._is_providing:
            self._is_providing = True
            self._start_soon(self._provide)

    def renew(self, url: str) -> None:
        """Answer `ice.TurnCredentialsRequested`."""
        server = self._servers.get(url)
        if server is not None and server.renew is not None and url not in self._renewing:
            self._renewing.add(url)
            self._credentials[url] = None
            self._start_soon(self._renew, server)

    @trio.lowlevel.enable_ki_protection
    async def _provide(self) -> None:
        """Resolve the servers' names, all at once, and say when nothing more will come.

        If ICE is restarted meanwhile, they are resolved anew behind that: the machine may be in another network.
        """
        while self._are_wanted:
            self._are_wanted = False
            missing = dict.fromkeys(self._servers, "address")
            with trio.move_on_after(self._patience):
                async with trio.open_nursery() as nursery:
                    for server in self._servers.values():
                        nursery.start_soon(self._provide_one, server, missing)
            for url, what in missing.items():
                self._core.server_failed(url, f"has no {what} after {self._patience:g} s", trio.current_time())
        self._is_providing = False
        self._core.end_of_local_addresses(trio.current_time())
        self._engine.flush()

    @trio.lowlevel.enable_ki_protection
    async def _provide_one(self, server: IceServer, missing: dict[str, str]) -> None:
        credentials: turn.Credentials | None = None
        try:
            addresses = await self._resolve(server)
            if server.is_turn:
                missing[server.url] = "credentials"
                credentials = self._credentials[server.url]
                if credentials is None or (server.renew is not None and _have_run_out(credentials)):
                    credentials = await self._ask_program(server, self._patience)
        except _Useless as error:
            self._core.server_failed(server.url, str(error), trio.current_time())
        else:
            self._add(server, addresses, credentials, trio.current_time())
        missing.pop(server.url, None)
        self._engine.flush()

    def _add(
        self, server: IceServer, addresses: list[Address], credentials: turn.Credentials | None, now: float
    ) -> None:
        for address in addresses:
            if credentials is None:
                self._core.add_stun_server(address, now, server.url)
            else:
                self._core.add_turn_server(
                    ice.TurnServer(
                        address,
                        credentials,
                        server.transport,
                        name=server.url,
                        host=server.host,
                        is_renewable=server.renew is not None,
                    ),
                    now,
                )

    async def _resolve(self, server: IceServer) -> list[Address]:
        """The addresses to ask a server at: of TURN one of each family.

        Raises:
            _Useless: there are none.
        """
        try:
            found = await self._engine.network.resolve(server.host, server.port)
        except OSError as error:
            raise _Useless(str(error)) from error
        except Exception as error:  # a resolver that the program has put in the way may raise anything
            logger.warning("%s was not resolved", server.host, exc_info=error)
            raise _Useless(f"its name was not resolved: {error!r}") from error
        addresses = [address for address in map(canonical_address, found) if address is not None]
        usable: list[Address] = []
        for wanted in self._families:
            family = [address for address in addresses if is_ipv6(address[0]) is wanted]
            usable += family[:1] if server.is_turn else family
        if not usable:
            raise _Useless("has addresses of IPv6 alone; enable_ipv6 lets them in" if addresses else "has no address")
        return usable

    async def _ask_program(self, server: IceServer, patience: float) -> turn.Credentials:
        """What the program's function gives, which is remembered.

        Raises:
            _Useless: nothing that could be used.
        """
        assert server.renew is not None  # the configuration has refused a server with neither
        found: object = None
        errors: tuple[Exception, ...] = ()
        try:
            with trio.fail_after(patience):
                found = await server.renew()
        except* Exception as group:  # noqa: BLE001 - it may raise anything, also beside our cancellation
            errors = group.exceptions
        if isinstance(found, turn.Credentials):
            self._credentials[server.url] = found
            return found
        problem = f"renew has given {type(found).__name__}, and no turn.Credentials"  # no more: it may be a password
        if errors:
            is_late = isinstance(errors[0], trio.TooSlowError)
            problem = f"renew has taken longer than {patience:g} s" if is_late else f"renew has raised {errors[0]!r}"
        logger.warning("no credentials for %s: %s", server.url, problem, exc_info=errors[0] if errors else None)
        raise _Useless(f"its credentials could not be had: {problem}")

    @trio.lowlevel.enable_ki_protection
    async def _renew(self, server: IceServer) -> None:
        """Ask more than once, as an allocation lives on for minutes without."""
        for pause in (*RENEWAL_PAUSES, None):
            try:
                credentials = await self._ask_program(server, RENEWAL_PATIENCE)
            except _Useless as error:
                self._core.server_failed(server.url, str(error), trio.current_time())
                self._engine.flush()
                if pause is not None:
                    await trio.sleep(pause)
            else:
                self._core.refresh_turn_credentials(server.url, credentials, trio.current_time())
                break
        self._renewing.discard(server.url)
        self._engine.flush()


class _Useless(Exception):
    """A server cannot be asked; the text says why."""


def _have_run_out(credentials: turn.Credentials) -> bool:
    """Whether they say that they are good no more: a name may begin with the Unix time until which it is.

    It is draft-uberti-behave-turn-rest-00 section 2.2. To ask a server with them would not only cost a round trip: it
    may tie our port to that name, as coturn does.
    """
    until = credentials.username.partition(":")[0]
    return len(until) == _UNIX_TIME_DIGITS and until.isdecimal() and int(until) <= time.time()
