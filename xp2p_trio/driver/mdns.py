"""Names of the local link for one connection: those of the peer resolved, ours published (RFC 6762).

Nothing is opened before the first name. The system's resolver is never asked: it might pass the name on to a name
server, and `.local` is none of its business (RFC 6762 section 3).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, final

import trio

from xp2p_trio.driver.engine import MAX_BURST, Engine
from xp2p_trio.driver.network import DatagramSocket, Network
from xp2p_trio.driver.nursery import Background
from xp2p_trio.mdns import PORT, Endpoint, NameResolved, NameUnresolved, group_of
from xp2p_trio.sansio import RandomBytes, Transport, is_ipv6

logger = logging.getLogger("xp2p_trio.driver")


class NameTaker(Protocol):
    """Who asks for names: `peer.Connection`, `ice.Agent`."""

    def name_resolved(self, name: str, hosts: Sequence[str], now: float) -> None:
        """The name has these addresses; none if nobody on the link answers for it."""


@final
class MdnsService:
    """An `mdns.Endpoint`, its sockets, and who wants to know.

    Every word returns at once, and may be said while news of the asking core are handed out. All work is done by the
    tasks of an engine of its own. Sockets are open while there is a name to ask for or to answer for, and no longer:
    they hear whatever anybody on the link says.

    Args:
        core: is told of the names.
        flush: called after that, to send what it has to say.
        network: where sockets come from.
        hosts: tells the local addresses that the connection uses, each with the prefix length of its network if that is
            known; they may change. `Network.interfaces` is not asked, which would be taken for a look at what changed.
        enable_ipv6: whether IPv6 addresses are of use.
        random_bytes: source of the ids of queries.
    """

    def __init__(
        self,
        core: NameTaker,
        flush: Callable[[], object],
        network: Network,
        hosts: Callable[[], Mapping[str, int | None]],
        *,
        enable_ipv6: bool = False,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self._core = core
        self._flush = flush
        self._network = network
        self._hosts = hosts
        self._enable_ipv6 = enable_ipv6
        self._endpoint = Endpoint(random_bytes, enable_ipv6=enable_ipv6)
        self._engine = Engine(self._endpoint, network, self._publish)
        self._background: Background | None = None
        self._sockets: dict[str, DatagramSocket | None] = {}  # by host, of those that were tried
        self._published: set[str] = set()
        self._is_running = False

    def start(self, background: Background) -> None:
        """Be ready to work, in background tasks."""
        self._background = background

    def resolve(self, name: str) -> None:
        """Ask the link for the addresses of a name; the core is told within 5 seconds.

        Raises:
            InvalidArgument: it is not `label.local`.
        """
        self._run()
        self._endpoint.resolve(name, trio.current_time())
        self._engine.wake()

    def publish(self, name: str, host: str) -> None:
        """Answer for an address of ours by this name, see `mdns.random_name`, until the end.

        Where the link has no multicast nobody will find it, and so nobody learns the address. Again is harmless.

        Raises:
            InvalidArgument: the name is not `label.local`, or the host no numeric address.
        """
        self._run()
        if name not in self._published:
            self._endpoint.publish(name, host, trio.current_time())
            self._published.add(name)
            self._engine.wake()

    def hosts_changed(self) -> None:
        """The local addresses are others now."""
        if self._is_running and not self._endpoint.is_closed and self._has_work():
            self._follow_hosts()
            self._engine.wake()

    def close(self) -> None:
        """Say goodbye for our names, and close the sockets. Again is harmless."""
        now = trio.current_time()
        for name in self._published:
            self._endpoint.withdraw(name, now)
        self._published.clear()
        sockets = {each.address: each for each in self._sockets.values() if each is not None}
        for burst in self._endpoint.transmit(now, MAX_BURST):  # the engine may have no tasks any more
            sockets[burst.local].transmit(burst)
        self._endpoint.close(now)
        self._engine.stop()

    def _run(self) -> None:
        if not self._is_running:
            assert self._background is not None
            self._is_running = True
            self._engine.start(self._background)
        if not self._has_work() and not self._endpoint.is_closed:
            self._follow_hosts()

    def _has_work(self) -> bool:
        return bool(self._published or self._endpoint.statistics.names_asked)

    def _follow_hosts(self) -> None:
        """Listen on every address, and no more on those that are gone."""
        hosts = {host: prefix for host, prefix in self._hosts().items() if self._enable_ipv6 or not is_ipv6(host)}
        for host in [host for host in self._sockets if host not in hosts]:
            self._forget(host)
        now, errors = trio.current_time(), []
        for host, prefix_length in hosts.items():
            if host in self._sockets:
                continue
            self._sockets[host] = None
            try:
                opened = self._bind(host)
            except OSError as error:
                errors.append(str(error))
            else:
                self._sockets[host] = opened
                self._engine.adopt(opened)
                self._endpoint.add_local_address(opened.address, now, prefix_length=prefix_length)
        if errors and not any(self._sockets.values()):
            logger.warning("names of the local link cannot be resolved: %s", "; ".join(errors))

    def _forget(self, host: str) -> None:
        if (gone := self._sockets.pop(host)) is not None:
            self._engine.close_socket(gone.address, Transport.UDP)
            self._endpoint.remove_local_address(gone.address, trio.current_time())

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
        if has_news:
            if not self._has_work():  # where there was no multicast none is looked for again
                for host in [host for host, opened in self._sockets.items() if opened is not None]:
                    self._forget(host)
            self._flush()
        return self._endpoint.is_closed
