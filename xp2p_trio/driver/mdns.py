"""Names of the local link for one connection: those of the peer resolved, ours published (RFC 6762).

Nothing is opened before the first name. The system's resolver is never asked: it might pass the name on to a name
server, and `.local` is none of its business (RFC 6762 section 3).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Protocol, final

import trio

from xp2p_trio.driver.engine import Engine
from xp2p_trio.driver.network import DatagramSocket, Network
from xp2p_trio.driver.nursery import Background
from xp2p_trio.mdns import PORT, Endpoint, NameResolved, NameUnresolved, group_of, random_name
from xp2p_trio.sansio import RandomBytes, is_ipv6

logger = logging.getLogger("xp2p_trio.driver")


class NameTaker(Protocol):
    """Who asks for names: `peer.Connection`, `ice.Agent`."""

    def name_resolved(self, name: str, hosts: Sequence[str], now: float) -> None:
        """The name has these addresses; none if nobody on the link answers for it."""


@final
class MdnsService:
    """An `mdns.Endpoint`, its sockets, and who wants to know.

    Every word returns at once, and may be said while news of the asking core are handed out. All work is done by the
    tasks of an engine of its own.

    Args:
        core: is told of the names.
        flush: called after that, to send what it has to say.
        network: where sockets come from.
        hosts: tells the local addresses that the connection uses; they may change.
        enable_ipv6: whether IPv6 addresses are of use.
        random_bytes: source of names and ids.
    """

    def __init__(
        self,
        core: NameTaker,
        flush: Callable[[], object],
        network: Network,
        hosts: Callable[[], Sequence[str]],
        *,
        enable_ipv6: bool = False,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self._core = core
        self._flush = flush
        self._network = network
        self._hosts = hosts
        self._enable_ipv6 = enable_ipv6
        self._random_bytes = random_bytes
        self._endpoint = Endpoint(random_bytes, enable_ipv6=enable_ipv6)
        self._engine = Engine(self._endpoint, network, self._publish)
        self._background: Background | None = None
        self._tried: set[str] = set()
        self._has_socket = False
        self._published: list[str] = []
        self._is_running = False

    def start(self, background: Background) -> None:
        """Be ready to work, in background tasks."""
        self._background = background

    def resolve(self, name: str) -> None:
        """Ask the link for the addresses of a name; the core is told within 5 seconds.

        Raises:
            InvalidArgument: it is not `label.local`.
        """
        self._open_sockets()
        self._endpoint.resolve(name, trio.current_time())
        self._engine.wake()

    def publish(self, host: str) -> str:
        """Answer for an address of ours by a new name, which is returned.

        Where the link has no multicast nobody will find it, and so nobody learns the address.

        Raises:
            InvalidArgument: the host is no numeric address.
        """
        self._open_sockets()
        name = random_name(self._random_bytes)
        self._endpoint.publish(name, host, trio.current_time())
        self._published.append(name)
        self._engine.wake()
        return name

    def close(self) -> None:
        """Say goodbye for our names, and close the sockets. Again is harmless; it has to be before the tasks end."""
        for name in self._published:
            self._endpoint.withdraw(name, trio.current_time())
        self._published.clear()
        if self._is_running:
            self._engine.flush()
        self._engine.stop()
        self._endpoint.close(trio.current_time())

    def _open_sockets(self) -> None:
        """Listen on every address that was not tried before."""
        if self._endpoint.is_closed:
            return
        if not self._is_running:
            assert self._background is not None
            self._is_running = True
            self._engine.start(self._background)
        prefixes = {each.address: each.prefix_length for each in self._network.interfaces()}
        errors = []
        for host in self._hosts():
            if host in self._tried or (is_ipv6(host) and not self._enable_ipv6):
                continue
            self._tried.add(host)
            try:
                address = self._engine.adopt(self._bind(host))
            except OSError as error:
                errors.append(str(error))
            else:
                self._has_socket = True
                self._endpoint.add_local_address(address, trio.current_time(), prefix_length=prefixes.get(host))
        if errors and not self._has_socket:
            logger.warning("names of the local link cannot be resolved: %s", "; ".join(errors))

    def _bind(self, host: str) -> DatagramSocket:
        """A socket that hears everybody; where somebody keeps the port to himself, one that hears answers to itself."""
        group = group_of(host)[0]
        try:
            return self._network.bind_multicast(group, PORT, host)
        except OSError as error:
            logger.debug("%s; asking from another port", error)
            return self._network.bind_multicast(group, 0, host)

    def _publish(self) -> bool:
        """Hand on the endpoint's news."""
        now, has_news = trio.current_time(), False
        for event in self._endpoint.take_events():
            match event:
                case NameResolved(name, hosts):
                    logger.debug("%s is %s", name, ", ".join(hosts))
                    self._core.name_resolved(name, hosts, now)
                    has_news = True
                case NameUnresolved(name):
                    logger.debug("%s: nobody on the link answers for it", name)
                    self._core.name_resolved(name, (), now)
                    has_news = True
                case _:
                    pass
        if has_news:
            self._flush()
        return self._endpoint.is_closed
