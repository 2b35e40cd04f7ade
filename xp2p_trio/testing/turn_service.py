"""The TURN server under trio, on sockets of this machine or of a simulated host. For tests and demos."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, RandomBytes, Transport
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.testing.turn_server import TurnServer
from xp2p_trio.testing.turn_tls import make_tls_contexts

if TYPE_CHECKING:  # both import trio, which the rest of this package does without
    import ssl

    import trio

    from xp2p_trio.driver import Network
    from xp2p_trio.testing.turn_runner import TurnRunner

DEFAULT_PORT = 3478
DEFAULT_TLS_PORT = 5349
"""RFC 8656 section 4."""


@attrs.frozen
class TurnService:
    """A server that runs.

    Attributes:
        core: what it does and does wrong, and for whom.
        addresses: where clients come to.
        username: of its first user; empty where everybody may come.
        password: of that user.
        client_ssl_context: trusts the certificate that was made for it; None where none was made.
    """

    core: TurnServer
    addresses: Mapping[Transport, Address]
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    client_ssl_context: ssl.SSLContext | None = attrs.field(default=None, repr=False)

    @property
    def urls(self) -> list[str]:
        """For the configuration of peers, credentials included: `turn:user:pass@127.0.0.1:3478?transport=udp`."""
        return [self.url(transport) for transport in self.addresses]

    def url(self, transport: Transport) -> str:
        """The one of a transport."""
        host, port = self.addresses[transport]
        user = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        scheme = "turns" if transport is Transport.TLS else "turn"
        carrier = "udp" if transport is Transport.UDP else "tcp"
        return f"{scheme}:{user}{f'[{host}]' if ':' in host else host}:{port}?transport={carrier}"


async def serve_turn(
    configuration: TurnServerConfiguration,
    *,
    network: Network | None = None,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    tls_port: int = DEFAULT_TLS_PORT,
    tls: ssl.SSLContext | None = None,
    transports: Collection[Transport] | None = None,
    random_bytes: RandomBytes = os.urandom,
    task_status: trio.TaskStatus[TurnService] | None = None,
) -> None:
    """Run a TURN server until it is cancelled: `service = await nursery.start(testing.serve_turn, configuration)`.

    For tests and demos: it answers whom its configuration names and keeps its limits, but knows no databases, no
    rates of bytes and no second process.

    Args:
        configuration: of the server; its `relay_hosts` have to be addresses of this machine or host.
        network: where its sockets are: the system's, or a `Host` of a simulated network.
        host: the numeric address that clients come to.
        port: for UDP and TCP; 0 lets the system choose.
        tls_port: for TLS; 0 lets the system choose.
        tls: certificate and key. A simulated host needs none, as nothing is encrypted there.
        transports: which of them clients may use; UDP and TCP by default, and TLS where `tls` is given.
        random_bytes: of the core.
        task_status: of trio, told as soon as all ports are open.

    Raises:
        OSError: an address is not ours, or a port is taken; the text names both.
        InvalidArgument: TLS without a certificate.
    """
    import trio

    if transports is None:
        transports = [Transport.UDP, Transport.TCP, *([] if tls is None else [Transport.TLS])]
    runner, service = _open(configuration, network, host, port, tls_port, tls, transports, random_bytes)
    try:
        async with trio.open_nursery() as nursery:
            runner.start(nursery.start_soon)
            if task_status is not None:
                task_status.started(service)
    finally:
        runner.close()


@asynccontextmanager
async def embedded_turn_server(
    configuration: TurnServerConfiguration | None = None,
    *,
    network: Network | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    tls_port: int = 0,
    transports: Collection[Transport] = (Transport.UDP, Transport.TCP),
) -> AsyncGenerator[TurnService, None]:
    """A TURN server for as long as the block: `async with testing.embedded_turn_server() as service:`.

    Where TLS is among the transports, a certificate is made, and `service.client_ssl_context` trusts it.

    Args:
        configuration: of the server; without it there is one user with a random password, and relayed addresses are
            at `host`.
        network: where its sockets are: the system's, or a `Host` of a simulated network.
        host: the numeric address that clients come to.
        port: for UDP and TCP; 0 lets the system choose.
        tls_port: for TLS; 0 lets the system choose.
        transports: which of them clients may use.

    Raises:
        OSError: an address is not ours, or a port is taken; the text names both.
    """
    import trio

    from xp2p_trio.driver.nursery import hidden_nursery
    from xp2p_trio.testing.host import Host

    if configuration is None:
        users = {f"demo-{os.urandom(4).hex()}": os.urandom(16).hex()}
        configuration = TurnServerConfiguration(relay_hosts=[host], users=users)
    is_simulated = isinstance(network, Host)
    contexts = make_tls_contexts([host, "localhost"]) if Transport.TLS in transports and not is_simulated else None
    tls = None if contexts is None else contexts.server
    runner, service = _open(configuration, network, host, port, tls_port, tls, transports, os.urandom)
    try:
        async with hidden_nursery(close=trio.lowlevel.checkpoint, abort=runner.close) as background:
            runner.start(background.start_soon)
            yield service if contexts is None else attrs.evolve(service, client_ssl_context=contexts.client)
    finally:
        runner.close()


def _open(
    configuration: TurnServerConfiguration,
    network: Network | None,
    host: str,
    port: int,
    tls_port: int,
    tls: ssl.SSLContext | None,
    transports: Collection[Transport],
    random_bytes: RandomBytes,
) -> tuple[TurnRunner, TurnService]:
    """Everything that can fail."""
    from xp2p_trio.driver import SystemNetwork
    from xp2p_trio.testing.turn_runner import TurnRunner

    if not transports:
        raise InvalidArgument("transports is empty; nobody could come")
    core = TurnServer(configuration, random_bytes)
    runner = TurnRunner(core, SystemNetwork() if network is None else network)
    addresses: dict[Transport, Address] = {}
    try:
        for relay_host in configuration.relay_hosts:
            runner.check_relay_host(relay_host)
        for transport in transports:
            wanted = (host, tls_port if transport is Transport.TLS else port)
            addresses[transport] = runner.open(transport, wanted, tls)
    except BaseException:
        runner.close()
        raise
    username, password = next(iter((configuration.users or {"": ""}).items()), ("", ""))
    return runner, TurnService(core, addresses, username, password)
