"""What a driver would answer: sockets, servers' addresses and streams for sans-IO cores on simulated hosts, at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, final

from xp2p_trio import ice
from xp2p_trio.peer import Configuration, IceServer
from xp2p_trio.sansio import Address, Transport, is_ipv6
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.streams import StreamAccepted, StreamNews

if TYPE_CHECKING:
    from xp2p_trio.driver.gathering import Asker


class StreamTaker(Protocol):
    """Whose streams these are: an agent, a connection, a `TurnServer`."""

    def stream_accepted(self, local: Address, remote: Address, now: float, transport: Transport) -> None:
        """Somebody has connected."""

    def stream_closed(self, local: Address, remote: Address, now: float, transport: Transport) -> None:
        """A stream is at its end."""


@final
class Answers:
    """The driver of one core, `ice.Agent` or `peer.Connection`, without trio.

    Names resolve at once, and so do mDNS names, which are those of `names`. An interface that comes or goes is seen
    when `look` is called.

    Args:
        network: what lies around.
        host: the name of the host that the core is on.
        core: who is answered.
        configuration: what it may use.
        names: hosts by mDNS name; shared by the cores that see each other's.
    """

    def __init__(
        self,
        network: Network,
        host: str,
        core: Asker,
        configuration: Configuration,
        *,
        names: dict[str, str] | None = None,
    ) -> None:
        self._network = network
        self._host = host
        self._core = core
        self._configuration = configuration
        self._names = {} if names is None else names
        self._bound: dict[tuple[str, Transport], Address] = {}

    def answer(self, event: object, now: float) -> None:
        """Do what an event asks for; others are nobody's business here."""
        core = self._core
        match event:
            case ice.AddressesRequested():
                self.look(now)
                for server in self._configuration.ice_servers:
                    self._provide_server(server, now)
                core.end_of_local_addresses(now)
            case ice.StreamRequested(number, local_host, remote, transport):
                try:
                    local = self._network.connect(self._host, remote, now, transport=transport, local_ip=local_host)
                except OSError as error:
                    core.stream_failed(number, str(error), now)
                else:
                    core.stream_opened(number, local, now)
            case ice.StreamReleased(local, remote):
                self._network.close_stream(self._host, local, remote, now)
            case ice.NamePublished(name, host):
                self._names[name] = host
            case ice.NameRequested(name):
                is_found = name in self._names and self._configuration.mdns != "off"
                core.name_resolved(name, [self._names[name]] if is_found else [], now)
            case _:
                pass

    def look(self, now: float) -> bool:
        """Bind a socket on every address that has none, and let go of those that are gone; whether any changed."""
        host = self._network.host(self._host)
        wanted = _addresses_of(host.ip_addresses, self._configuration)
        gone = [key for key in self._bound if key[0] not in wanted]
        for key in gone:
            self._core.remove_local_address(self._bound.pop(key), now, key[1])
        new = [ip_address for ip_address in wanted if (ip_address, Transport.UDP) not in self._bound]
        for ip_address in new:
            self._bound[ip_address, Transport.UDP] = address = host.address(ip_address=ip_address)
            self._core.add_local_address(address, now)
            if self._configuration.ice.tcp:
                address = self._network.listen(self._host, (ip_address, 0))
                self._bound[ip_address, Transport.TCP] = address
                self._core.add_local_address(address, now, Transport.TCP)
        return bool(gone or new)

    def take(self, news: StreamNews, now: float) -> None:
        """Tell the core of a stream of its host that was accepted, or has ended."""
        if news.host == self._host:
            tell_of_stream(self._core, news, now)

    def _provide_server(self, server: IceServer, now: float) -> None:
        families = (False, True) if self._configuration.enable_ipv6 else (False,)
        hosts = [host for host in self._network.resolve(server.host) if is_ipv6(host) in families]
        if not hosts:
            self._core.server_failed(server.url, f"no host {server.host!r} on the simulated network", now)
        elif server.credentials is None:
            for host in hosts:
                self._core.add_stun_server((host, server.port), now, server.url)
        else:
            first_of_family = {is_ipv6(host): host for host in reversed(hosts)}
            for family in families:
                if family in first_of_family:
                    address = first_of_family[family], server.port
                    self._core.add_turn_server(
                        ice.TurnServer(
                            address, server.credentials, server.transport, name=server.url, host=server.host
                        ),
                        now,
                    )


def tell_of_stream(core: StreamTaker, news: StreamNews, now: float) -> None:
    """Tell a core of a stream that was accepted, or has ended."""
    if isinstance(news, StreamAccepted):
        core.stream_accepted(news.local, news.remote, now, news.transport)
    else:
        core.stream_closed(news.local, news.remote, now, news.transport)


def _addresses_of(ip_addresses: Sequence[str], configuration: Configuration) -> list[str]:
    if configuration.bind_address is not None:
        return [configuration.bind_address]
    return [address for address in ip_addresses if configuration.enable_ipv6 or not is_ipv6(address)]
