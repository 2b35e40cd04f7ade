"""Alice and Bob behind a NAT each, a STUN server on the Internet, and what theory says of that."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from xp2p_trio import ice, peer
from xp2p_trio.sansio import Address, Transport
from xp2p_trio.testing import (
    FULL_CONE,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    STATEFUL,
    SYMMETRIC,
    UDP_BLOCKED,
    AmplificationSpy,
    Answers,
    ConsentSpy,
    Delivered,
    FirewallPolicy,
    Link,
    NatBehaviour,
    Network,
    Peers,
    Sent,
    StreamNews,
    StunServer,
    TurnServer,
    TurnServerConfiguration,
    VirtualTimeout,
    drive,
    tell_of_stream,
)
from xp2p_trio.testing.drive import BurstLayer
from xp2p_trio.testing.nat import Dependence, PortAssignment

STUN_SERVER: Address = ("198.51.100.1", 3478)
STUN_URL = "stun:198.51.100.1"
TURN_SERVER: Address = ("198.51.100.2", 3478)
TURNS_SERVER: Address = ("198.51.100.2", 5349)
TURN_URLS = {
    Transport.UDP: "turn:user:password@198.51.100.2",
    Transport.TCP: "turn:user:password@198.51.100.2?transport=tcp",
    Transport.TLS: "turns:user:password@198.51.100.2",
}
PRIVATE_IP = "192.168.1.2"
"""Of both, as it happens in homes."""

Surroundings: TypeAlias = NatBehaviour | FirewallPolicy | Literal["open"]

KINDS: dict[str, Surroundings] = {
    "open": "open",
    "firewall": STATEFUL,
    "full cone": FULL_CONE,
    "restricted": RESTRICTED_CONE,
    "port-restricted": PORT_RESTRICTED_CONE,
    "symmetric": SYMMETRIC,
    "blocked": UDP_BLOCKED,
}

DEPENDENCES: tuple[Dependence, ...] = ("endpoint-independent", "address-dependent", "address-and-port-dependent")
PORTS: tuple[PortAssignment, ...] = ("preserving", "random", "contiguous")
BEHAVIOURS = [
    NatBehaviour(mapping=mapping, filtering=filtering, ports="random")
    for mapping, filtering in itertools.product(DEPENDENCES, DEPENDENCES)
]

NO_PATH = {
    frozenset({"symmetric"}),
    frozenset({"symmetric", "port-restricted"}),
    frozenset({"symmetric", "firewall"}),
    *(frozenset({"blocked", kind}) for kind in KINDS),
}
"""The pairs of kinds that need a relay."""


def path_exists(one: NatBehaviour, other: NatBehaviour) -> bool:
    """Whether two hosts behind these NATs find a path with STUN alone.

    A side with endpoint-independent mapping has the address that the server saw. Any other sends to its peer from an
    address that the peer hears of only when something from there gets through.
    """
    independent = "endpoint-independent"
    fixed = [nat for nat in (one, other) if nat.mapping == independent]
    if len(fixed) == 2:  # each opens its filter for the other's true address
        return True
    if len(fixed) == 1:  # it has sent to the right IP address, but not to the port that the other really uses
        return fixed[0].filtering != "address-and-port-dependent"
    # Both are elsewhere than the server saw. One has to let in what comes for the mapping that the server saw, and the
    # other the answer from the same IP address and another port. If both then take a new port for each port of the
    # other, no answer ever comes from where the request went.
    if one.mapping == other.mapping == "address-and-port-dependent":
        return False
    return any(
        first.filtering == independent and second.filtering != "address-and-port-dependent"
        for first, second in ((one, other), (other, one))
    )


def surround(network: Network, name: str, surroundings: Surroundings, public_ip: str) -> None:
    """Make a host, and what is around it."""
    match surroundings:
        case NatBehaviour():
            network.host(name, PRIVATE_IP)
            network.nat(f"{name}'s", public_ip, behaviour=surroundings, inside=[name])
        case FirewallPolicy():
            network.host(name, public_ip)
            network.firewall(f"{name}'s", policy=surroundings, inside=[name])
        case _:
            network.host(name, public_ip)


def turn_server(network: Network) -> TurnServer:
    """One on the host "turn", which listens for streams as well, and relays the families that it has addresses of."""
    hosts = network.host("turn").ip_addresses
    for host in hosts:
        network.listen("turn", (host, TURN_SERVER[1]))
        network.listen("turn", (host, TURNS_SERVER[1]), transport=Transport.TLS)
    configuration = TurnServerConfiguration(relay_hosts=hosts, users={"user": "password"})
    return TurnServer(configuration, network.random_bytes("turn"))


def internet(alice: Surroundings, bob: Surroundings, *, seed: int = 0, keep_trace: bool = False) -> Network:
    """The two, and the host of the STUN server."""
    network = Network(seed=seed, link=Link(delay=0.02), keep_trace=keep_trace)
    surround(network, "alice", alice, "203.0.113.1")
    surround(network, "bob", bob, "203.0.113.2")
    network.host("stun", STUN_SERVER[0])
    network.host("turn", TURN_SERVER[0])
    return network


def peers_on(network: Network) -> Peers:
    """Two peer connections that ask the STUN server."""
    configuration = peer.Configuration(ice_servers=[STUN_URL])
    return Peers(network=network, alice=configuration, bob=configuration, servers={"stun": StunServer()})


def _of_side(shared: peer.Configuration, fields: Mapping[str, Any]) -> peer.Configuration:
    own = attrs.evolve(shared.ice, **{name: value for name, value in fields.items() if name != "mdns"})
    servers = () if own.lite else shared.ice_servers
    return attrs.evolve(shared, ice=own, ice_servers=servers, mdns=fields.get("mdns", shared.mdns))


class Agents:
    """Two ICE agents on a network, and perfect signaling.

    Args:
        network: with the hosts "alice", "bob" and "stun", and "turn" where `urls` name it.
        consent_interval: of both.
        urls: servers in place of the STUN server.
        relay_only: the names of those that use nothing but TURN.
        sides: fields of `ice.Configuration`, and `mdns`, that only one of them has, by its name.
        says_lite: whether the other is told of a side that it is lite.
        is_introduced: whether each is told of the other at once.
        fields: of both configurations.
    """

    def __init__(
        self,
        network: Network,
        *,
        consent_interval: float = 5.0,
        urls: tuple[str, ...] = (STUN_URL,),
        relay_only: Container[str] = (),
        sides: Mapping[str, Mapping[str, Any]] | None = None,
        says_lite: bool = True,
        is_introduced: bool = True,
        **fields: Any,
    ) -> None:
        self.network = network
        self.says_lite = says_lite
        self.now = 0.0
        self.servers: dict[str, StunServer | TurnServer] = {"stun": StunServer()}
        watched = {*network.host("alice").ip_addresses, *network.host("bob").ip_addresses}
        if any(url.startswith("turn") for url in urls):
            self.servers["turn"] = turn_server(network)
        relaying = set(network.host("turn").ip_addresses) if "turn" in self.servers else set()
        lite = {ip for side in sides or () if sides[side].get("lite") for ip in network.host(side).ip_addresses}
        servers = [(host, port) for host in relaying for _, port in (TURN_SERVER, TURNS_SERVER)]
        network.add_monitor(ConsentSpy(watched | relaying, servers=servers, lite=lite))
        network.add_monitor(AmplificationSpy(watched))
        shared = peer.Configuration(ice_servers=urls, **{"ice": ice.Configuration(carries="any"), **fields})
        self.configurations = {name: _of_side(shared, (sides or {}).get(name, {})) for name in ("alice", "bob")}
        self.agents = {
            name: ice.Agent(
                self.configurations[name].ice,
                role=role,
                random_bytes=network.random_bytes(name),
                consent_interval=consent_interval,
                relay_only=name in relay_only,
                hide_hosts=self.configurations[name].mdns == "hide",
            )
            for name, role in (("alice", ice.Role.CONTROLLING), ("bob", ice.Role.CONTROLLED))
        }
        self.events: dict[str, list[ice.Event]] = {"alice": [], "bob": []}
        names: dict[str, str] = {}
        self.answers = {
            name: Answers(network, name, agent, self.configurations[name], names=names)
            for name, agent in self.agents.items()
        }
        if is_introduced:
            self.introduce()
        for agent in self.agents.values():
            agent.gather(self.now)

    def introduce(self) -> None:
        """Tell each of the other's credentials."""
        for name, agent in self.agents.items():
            other = self.agents[self.other(name)]
            agent.set_remote_credentials(
                other.local_username_fragment,
                other.local_password,
                self.now,
                lite=self.says_lite and self.configurations[self.other(name)].ice.lite,
                renomination=True,
            )

    def restart(self) -> None:
        """Restart ICE on both sides."""
        for agent in self.agents.values():
            agent.restart(self.now)
        self.introduce()

    @staticmethod
    def other(name: str) -> str:
        """The other one."""
        return "bob" if name == "alice" else "alice"

    def run(self, seconds: float, until: ice.State = ice.State.CLOSED) -> bool:
        """Let time pass, or less if both come to a state. Returns whether both are there."""

        def reached() -> bool:
            return all(agent.state >= until for agent in self.agents.values())

        layers: dict[str, BurstLayer] = {**self.agents, **self.servers}
        try:
            self.now = drive(
                self.network,
                layers,
                until=reached,
                now=self.now,
                timeout=seconds,
                on_events=self._on_events,
                on_stream_news=self._on_stream_news,
            )
        except VirtualTimeout:
            self.now += seconds
            return False
        return reached()

    def connects(self) -> bool:
        """Run until both are sure of a pair, or have given up."""
        assert self.run(60.0, ice.State.COMPLETED), "neither connected nor failed"
        states = {agent.state for agent in self.agents.values()}
        assert len(states) == 1, "one side is connected, the other is not"
        return states == {ice.State.COMPLETED}

    def routes(self) -> set[str]:
        """How data goes, as both see it."""
        pairs = [agent.selected_pair for agent in self.agents.values()]
        return {pair.route for pair in pairs if pair is not None}

    def path(self, name: str) -> tuple[tuple[Address, Address], tuple[Address, Address]]:
        """Send a datagram. Returns the path as its sender sees it, and as its receiver does, from the trace."""
        before = len(self.network.trace)
        datagram = b"\x80" + name.encode()
        self.agents[name].send([datagram], self.now)
        self.run(0.5)
        assert set(self.agents[self.other(name)].take_received()) == {datagram}
        entries = [entry for entry in self.network.trace[before:] if entry.datagram == datagram]
        sent, delivered = entries[0], entries[-1]
        assert isinstance(sent, Sent)
        assert isinstance(delivered, Delivered)
        return (sent.source, sent.destination), (delivered.destination, delivered.source)

    def echoes(self, patience: float = 0.2) -> bool:
        """Whether a datagram of each reaches the other in so many seconds."""
        for agent in self.agents.values():
            if agent.state < ice.State.FAILED:
                agent.send([b"\x80"], self.now)
        self.run(patience)
        received = [agent.take_received() for agent in self.agents.values()]
        return all(received)

    def are_on_one_pair(self) -> bool:
        """Whether each answers from where, and to where, the other sends."""
        self.run(1.0)  # what is nominated last counts
        alice_sends, bob_receives = self.path("alice")
        bob_sends, alice_receives = self.path("bob")
        return (alice_sends, bob_sends) == (alice_receives, bob_receives)

    def agree_on_a_pair(self) -> bool:
        """Whether what one calls its own is what the other calls the peer's; also where a server lies between."""
        self.run(2.0)
        alice, bob = (agent.selected_pair for agent in self.agents.values())
        assert alice is not None
        assert bob is not None
        return (alice.local.address, alice.remote.address) == (bob.remote.address, bob.local.address)

    def _on_events(self, name: str, events: list[Any], now: float) -> None:
        if name not in self.agents:
            return
        self.events[name] += events
        other = self.agents[self.other(name)]
        for event in events:
            match event:
                case ice.CandidateFound(candidate):
                    other.add_remote_candidate(candidate, now)
                case ice.GatheringCompleted():
                    other.end_of_remote_candidates(now)
                case _:
                    self.answers[name].answer(event, now)

    def _on_stream_news(self, news: StreamNews, now: float) -> None:
        core = {**self.agents, **self.servers}.get(news.host)
        if isinstance(core, ice.Agent | TurnServer):
            tell_of_stream(core, news, now)
