"""Two agents and some TURN servers in virtual time, each of which does what a test tells it to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from xp2p_trio import ice, peer, stun, turn
from xp2p_trio.sansio import Address, Closed, Failed, Transport
from xp2p_trio.testing import (
    AmplificationSpy,
    Answers,
    ConsentSpy,
    Link,
    Network,
    Sent,
    StreamDropped,
    StreamNews,
    TurnServer,
    TurnServerConfiguration,
    TurnServerEvent,
    VirtualTimeout,
    drive,
    tell_of_stream,
)
from xp2p_trio.testing.drive import BurstLayer

T = TypeVar("T")

SIDES = ("alice", "bob")
HOSTS = {"alice": ("192.0.2.1", "2001:db8:1::1"), "bob": ("203.0.113.2", "2001:db8:2::2")}
SERVERS = {
    "turn": ("198.51.100.2", "2001:db8:5::2"),
    "other": ("198.51.100.3", "2001:db8:5::3"),
    "third": ("198.51.100.4", "2001:db8:5::4"),
}
"""Every host has an address of each family."""

PORTS = {Transport.UDP: 3478, Transport.TCP: 3478, Transport.TLS: 5349}
DATA = b"\x80 is no STUN"


def server(
    host: str = "turn",
    transport: Transport = Transport.UDP,
    *,
    password: str = "password",
    username: str = "user",
    ipv6: bool = False,
    name: str | None = None,
    is_renewable: bool = False,
) -> ice.TurnServer:
    """What an agent is told of a server."""
    port = PORTS[transport]
    return ice.TurnServer(
        (SERVERS[host][ipv6], port),
        turn.Credentials(username, password),
        transport,
        name=f"turn:{host}:{port}?transport={transport.value}" if name is None else name,
        host=host,
        is_renewable=is_renewable,
    )


class World:
    """Alice, who controls, and Bob, on hosts that reach each other only by way of servers unless told otherwise.

    Args:
        alice: the servers of the one.
        bob: the servers of the other; None is like Alice's.
        relay_only: the names of those that use nothing but TURN.
        links: of everybody to everybody.
        choices: by server, what it does.
        ipv6: whether Alice and Bob have addresses of both families.
        fields: of both agents' configuration.
    """

    def __init__(
        self,
        *alice: ice.TurnServer,
        bob: Sequence[ice.TurnServer] | None = None,
        relay_only: Collection[str] = SIDES,
        seed: int = 0,
        link: Link | None = None,
        choices: Mapping[str, Mapping[str, Any]] | None = None,
        ipv6: bool = False,
        **fields: Any,
    ) -> None:
        self.network = network = Network(seed=seed, link=link or Link(delay=0.02), keep_trace=True)
        for name, addresses in HOSTS.items():
            network.host(name, *addresses[: 1 + ipv6])
        self.servers: dict[str, TurnServer] = {}
        for name, addresses in SERVERS.items():
            network.host(name, *addresses)
            for transport in (Transport.TCP, Transport.TLS):
                for address in addresses:
                    network.listen(name, (address, PORTS[transport]), transport=transport)
            configuration = TurnServerConfiguration(**{"relay_hosts": addresses, **(choices or {}).get(name, {})})
            self.servers[name] = TurnServer(configuration, network.random_bytes(name))
        ports = {(host, port) for hosts in SERVERS.values() for host in hosts for port in PORTS.values()}
        network.add_monitor(ConsentSpy(servers=ports))
        network.add_monitor(AmplificationSpy({host for hosts in HOSTS.values() for host in hosts}))
        self.turn_servers = {"alice": list(alice), "bob": list(alice if bob is None else bob)}
        self.now = 0.0
        configuration_ = peer.Configuration(enable_ipv6=ipv6, ice=ice.Configuration(**{"carries": "any", **fields}))
        self.agents = {
            name: ice.Agent(
                configuration_.ice, role=role, random_bytes=network.random_bytes(name), relay_only=name in relay_only
            )
            for name, role in zip(SIDES, (ice.Role.CONTROLLING, ice.Role.CONTROLLED), strict=True)
        }
        self.alice, self.bob = self.agents.values()
        self.answers = {name: Answers(network, name, agent, configuration_) for name, agent in self.agents.items()}
        self.events: dict[str, list[tuple[float, ice.Event]]] = {name: [] for name in SIDES}
        self.server_events: dict[str, list[TurnServerEvent]] = {name: [] for name in SERVERS}
        self.renew: Callable[[str, str, float], turn.Credentials | None] = lambda side, name, now: None
        self.received: dict[str, list[bytes]] = {name: [] for name in SIDES}
        self.ignored_candidates: Callable[[ice.Candidate], bool] = lambda candidate: False

    # --- life

    def start(self) -> World:
        """Let both gather, and know each other."""
        self.introduce()
        for agent in self.agents.values():
            agent.gather(self.now)
        return self

    def introduce(self) -> None:
        """Tell each of the other's credentials."""
        for name, agent in self.agents.items():
            other = self.agents[other_side(name)]
            agent.set_remote_credentials(
                other.local_username_fragment, other.local_password, self.now, renomination=True
            )

    def restart(self) -> None:
        """Restart ICE on both sides."""
        for agent in self.agents.values():
            agent.restart(self.now)
        self.introduce()

    def gathered(self) -> World:
        """Until Alice knows all her candidates, and Bob none; nor does she know his."""
        self.ignored_candidates = lambda candidate: True
        self.start()
        self.run(10.0, lambda: self.alice.is_gathering_complete)
        return self

    def connect(self) -> World:
        """Until both have a nominated pair."""
        self.start()
        self.run(20.0, lambda: all(agent.state is ice.State.COMPLETED for agent in self.agents.values()))
        assert [agent.state for agent in self.agents.values()] == [ice.State.COMPLETED] * 2, self.story()
        return self

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass. Returns whether `until` came true."""
        layers: dict[str, BurstLayer] = {**self.agents, **self.servers}
        deadline = self.now + seconds
        try:
            self.now = drive(
                self.network,
                layers,
                until=until,
                now=self.now,
                timeout=seconds,
                on_events=self._on_events,
                on_stream_news=self._on_stream_news,
            )
        except VirtualTimeout:
            self.now = deadline
            return False
        return until is not None

    def echoes(self, patience: float = 0.3) -> bool:
        """Whether a datagram of each reaches the other."""
        for agent in self.agents.values():
            agent.send([DATA], self.now)
        self.run(patience)
        return [self.agents[name].take_received() for name in SIDES] == [[DATA]] * 2

    # --- what there is to see

    def of(self, side: str, kind: type[T]) -> list[T]:
        """The events of a side of this kind."""
        return [event for _, event in self.events[side] if isinstance(event, kind)]

    def time_of(self, side: str, kind: type[ice.Event]) -> float:
        """When the first of them came."""
        return next(time for time, event in self.events[side] if isinstance(event, kind))

    def failures(self, side: str = "alice") -> list[ice.ServerFailed]:
        """What became of the servers of a side."""
        return self.of(side, ice.ServerFailed)

    def last_words(self, side: str = "alice") -> str:
        """Why a side has failed."""
        (last,) = self.of(side, Failed)
        return last.failure.detail

    def has_closed(self, side: str) -> bool:
        """Whether its last word is there."""
        return bool(self.of(side, Closed))

    def requests(self, host: str = "turn") -> Counter[str]:
        """What a server was asked for, retransmissions included."""
        received = self.servers[host].requests_received
        return Counter({stun.Method(method).name: count for method, count in received.items()})

    def routes(self) -> list[str]:
        """How data goes, as each side sees it."""
        pairs = [agent.selected_pair for agent in self.agents.values()]
        return ["" if pair is None else pair.route for pair in pairs]

    def sent_to(self, address: Address, since: int = 0) -> list[Sent]:
        """What left for an address."""
        trace = self.network.trace[since:]
        return [entry for entry in trace if isinstance(entry, Sent) and entry.destination == address]

    def relayed(self, side: str) -> list[ice.Candidate]:
        """The relayed candidates of a side, best first."""
        found = [each for each in self.agents[side].local_candidates if each.type is ice.CandidateType.RELAYED]
        return sorted(found, key=lambda candidate: -candidate.priority)

    def story(self) -> str:
        """What happened, for a test that fails."""
        return "\n".join(f"{side} {time:.3f} {event}" for side in SIDES for time, event in self.events[side])

    # --- inside

    def _on_events(self, name: str, events: list[Any], now: float) -> None:
        if name in self.servers:
            self.server_events[name] += events
            for event in events:
                if isinstance(event, StreamDropped):
                    self.network.close_stream(name, event.local, event.remote, now)
            return
        self.events[name] += [(now, event) for event in events]
        agent, other = self.agents[name], self.agents[other_side(name)]
        for event in events:
            match event:
                case ice.AddressesRequested():
                    self.answers[name].look(now)
                    for each in self.turn_servers[name]:
                        agent.add_turn_server(each, now)
                    agent.end_of_local_addresses(now)
                case ice.CandidateFound(candidate):
                    if not self.ignored_candidates(candidate):
                        other.add_remote_candidate(candidate, now)
                case ice.GatheringCompleted():
                    other.end_of_remote_candidates(now)
                case ice.TurnCredentialsRequested(server_name):
                    credentials = self.renew(name, server_name, now)
                    if credentials is not None:
                        agent.refresh_turn_credentials(server_name, credentials, now)
                case _:
                    self.answers[name].answer(event, now)

    def _on_stream_news(self, news: StreamNews, now: float) -> None:
        tell_of_stream({**self.agents, **self.servers}[news.host], news, now)


def other_side(side: str) -> str:
    """The other one."""
    return "bob" if side == "alice" else "alice"
