"""Every layer, as a pair of ends with seeded randomness. A new layer is added here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tests.contract.duo import LIMIT, BurstEnd, Duo, End, Item, random_bytes
from xp2p_trio import datachannel, dtls, ice, mdns, peer, sctp, stun, turn
from xp2p_trio.sansio import Address, Burst, Closed, Transport
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.testing.turn_server import TurnServer

Make: TypeAlias = Callable[[int], Duo]

ALICE = ("192.0.2.1", 50001)
BOB = ("192.0.2.2", 50002)


class StunClientEnd(BurstEnd):
    """The client end."""

    ready_events = (stun.MappedAddressFound,)

    def start(self, now: float) -> None:
        self.layer.start(now)

    def noise(self, data: bytes) -> Item:
        return Burst(BOB, ALICE, [data])


class StunServer:
    """The least that answers a client: a layer without timers."""

    def __init__(self) -> None:
        self.answers: list[Burst] = []

    def receive(self, batch: Burst, now: float) -> None:
        for datagram in batch.datagrams:
            request = stun.decode_message(datagram)
            attributes = (stun.XorMappedAddress(batch.remote),)
            answer = stun.Message(
                stun.MessageClass.SUCCESS_RESPONSE, stun.Method.BINDING, request.transaction_id, attributes
            )
            self.answers.append(Burst(batch.local, batch.remote, [stun.encode_message(answer)]))

    def handle_timeout(self, now: float) -> None:
        pass

    def transmit(self, now: float, limit: int) -> list[Burst]:
        answers, self.answers = self.answers[:limit], self.answers[limit:]
        return answers

    def take_events(self) -> list[Any]:
        return []

    def next_timeout(self) -> float:
        return float("inf")


class StunServerEnd(BurstEnd):
    """The server end."""

    def start(self, now: float) -> None:
        self.is_ready = True

    def close(self, now: float) -> None:
        pass


def stun_client(seed: int) -> Duo:
    """A client and a server stub; only the left end is a layer of ours."""
    return Duo(StunClientEnd(stun.Client(BOB, ALICE, random_bytes(seed)("alice"))), StunServerEnd(StunServer()))


class MdnsEnd(BurstEnd):
    """One end of a link, with a name of its own; it asks for that of the other."""

    ready_events = (mdns.NameResolved, mdns.NameUnresolved)  # the loss of three datagrams can be the end of it

    def __init__(self, layer: mdns.Endpoint, hosts: tuple[str, str], names: tuple[str, str]) -> None:
        super().__init__(layer)
        (self.name, self.other_name), (self.host, self.other_host) = names, hosts

    def start(self, now: float) -> None:
        self.layer.add_local_address((self.host, mdns.PORT), now)
        self.layer.publish(self.name, self.host, now)
        self.layer.resolve(self.other_name, now)

    def answer(self, event: Any, other: End, now: float) -> None:
        if isinstance(event, Closed) and other.terminal is None:
            other.close(now)

    def incoming(self, items: list[Item], now: float) -> None:
        super().incoming([Burst(item.local, (self.host, mdns.PORT), item.datagrams) for item in items], now)

    def noise(self, data: bytes) -> Item:
        return Burst((self.other_host, mdns.PORT), mdns.group_of(self.host), [data])


def mdns_endpoint(seed: int) -> Duo:
    """Two neighbours."""
    source = random_bytes(seed)
    hosts = ALICE[0], BOB[0]
    names = mdns.random_name(source("alice's name")), mdns.random_name(source("bob's name"))
    alice = MdnsEnd(mdns.Endpoint(source("alice")), hosts, names)
    return Duo(alice, MdnsEnd(mdns.Endpoint(source("bob")), hosts[::-1], names[::-1]))


CAROL = ("192.0.2.3", 50003)


class TurnEnd(BurstEnd):
    """A client of a TURN server, ready when it has a channel to Carol and permission for one more."""

    ready_events = (turn.ChannelBound,)

    def start(self, now: float) -> None:
        self.layer.start(now)

    def answer(self, event: Any, other: End, now: float) -> None:
        if isinstance(event, turn.Allocated):
            other.relayed_address = event.relayed_address  # type: ignore[attr-defined]
            self.layer.bind_channel(CAROL, now)
            self.layer.create_permissions(["192.0.2.4"], now)

    def noise(self, data: bytes) -> Item:
        return Burst(BOB, ALICE, [data])

    def send(self, payload: bytes, now: float) -> None:
        self.layer.send([(CAROL, payload), (("192.0.2.4", 50004), b""), (("192.0.2.5", 50005), payload)], now)

    def taken(self) -> list[Any]:
        return list(self.layer.take_received())


class NotOurs:
    """Stands for a layer that is no subject here."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


class TurnServerEnd(BurstEnd):
    """The server end; what it sends beyond the client is lost."""

    relayed_address = ("192.0.2.2", 0)

    def start(self, now: float) -> None:
        self.is_ready = True

    def close(self, now: float) -> None:
        pass

    def outgoing(self, now: float, limit: int = LIMIT) -> list[Item]:
        return [item for item in super().outgoing(now, limit) if item.remote == ALICE]

    def send(self, payload: bytes, now: float) -> None:
        for sender in (CAROL, ("192.0.2.4", 50004), ("192.0.2.5", 50005)):
            self.layer.receive(Burst(self.relayed_address, sender, [payload]), now)


def turn_allocation(seed: int) -> Duo:
    """A client, and a server to which Carol speaks; only the left end is a layer of ours."""
    source = random_bytes(seed)
    allocation = turn.Allocation(
        BOB,
        ALICE,
        turn.Credentials("user", "password"),
        random_bytes=source("alice"),
        configuration=turn.Configuration(),
    )
    server = TurnServer(TurnServerConfiguration(relay_hosts=[BOB[0]], nonce_lifetime=20.0), source("bob"))
    return Duo(TurnEnd(allocation), TurnServerEnd(NotOurs(server)))


class DtlsEnd(End):
    """A DTLS connection."""

    ready_events = (dtls.HandshakeCompleted,)

    def start(self, now: float) -> None:
        self.layer.connect(now)

    def send(self, payload: bytes, now: float) -> None:
        self.layer.send([payload, payload[::-1]], now)

    def taken(self) -> list[Any]:
        return list(self.layer.take_received())


def dtls_connection(seed: int) -> Duo:
    """A client and a server that expect each other's certificate."""
    source = random_bytes(seed)
    certificates = {name: dtls.Certificate.generate(source(f"{name} certificate")) for name in ("client", "server")}

    def end(name: str, other: str, role: dtls.Role) -> DtlsEnd:
        return DtlsEnd(
            dtls.Connection(
                dtls.Configuration(),
                role=role,
                certificate=certificates[name],
                remote_fingerprints=[certificates[other].fingerprint()],
                random_bytes=source(name),
            )
        )

    return Duo(end("client", "server", dtls.Role.CLIENT), end("server", "client", dtls.Role.SERVER))


class IceEnd(BurstEnd):
    """An agent; candidates and credentials reach the other side at once."""

    ready_events = (ice.PairSelected,)

    def __init__(self, layer: ice.Agent, address: Address, other_address: Address) -> None:
        super().__init__(layer)
        self.address = address
        self.other_address = other_address
        self.other: IceEnd = self

    def start(self, now: float) -> None:
        self.layer.gather(now)
        theirs = self.other.layer.wrapped
        self.layer.set_remote_credentials(theirs.local_username_fragment, theirs.local_password, now)

    def answer(self, event: Any, other: End, now: float) -> None:
        if isinstance(event, ice.AddressesRequested):
            self.layer.add_local_address(self.address, now)
            self.layer.end_of_local_addresses(now)
        elif isinstance(event, ice.CandidateFound):
            other.layer.add_remote_candidate(event.candidate, now)
        elif isinstance(event, ice.GatheringCompleted):
            other.layer.end_of_remote_candidates(now)

    def noise(self, data: bytes) -> Item:
        return Burst(self.other_address, self.address, [data])

    def is_counted(self, data: bytes) -> bool:
        return not (data and 20 <= data[0] <= 63)  # parked: it may belong to a path that is about to become valid

    def send(self, payload: bytes, now: float) -> None:
        self.layer.send([bytes([22]) + payload, bytes([23]) + payload], now)

    def taken(self) -> list[Any]:
        return list(self.layer.take_received())


def ice_agent(seed: int) -> Duo:
    """A controlling and a controlled agent with one address each."""
    source = random_bytes(seed)

    def end(name: str, role: ice.Role, address: Address, other_address: Address) -> IceEnd:
        agent = ice.Agent(ice.Configuration(), role=role, random_bytes=source(name), consent_interval=5.0)
        return IceEnd(agent, address, other_address)

    alice = end("alice", ice.Role.CONTROLLING, ALICE, BOB)
    bob = end("bob", ice.Role.CONTROLLED, BOB, ALICE)
    alice.other, bob.other = bob, alice
    return Duo(alice, bob)


TURN = ("192.0.2.7", 3478)
PATIENT = ice.Configuration(gathering_timeout=20.0)
"""There is one server, and four of the questions to it may be lost."""


class FarSide:
    """A TURN server and, beyond it, a peer with an address of its own: what a relayed agent talks to."""

    def __init__(self, server: TurnServer, peer: Any) -> None:
        self.server = server
        self.peer = peer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.peer, name)

    def receive(self, batch: Burst, now: float) -> None:
        self.server.receive(batch, now)

    def handle_timeout(self, now: float) -> None:
        self.server.handle_timeout(now)
        self.peer.handle_timeout(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """What leaves for the client. What server and peer have to say to each other arrives at once."""
        out: list[Burst] = []
        while limit > 0:
            from_server = self.server.transmit(now, limit)
            from_peer = self.peer.transmit(now, LIMIT)
            if not from_server and not from_peer:
                break
            for burst in from_server:
                if burst.remote == ALICE:
                    out.append(burst)
                    limit -= len(burst.datagrams)
                else:
                    self.peer.receive(burst.reversed(), now)
            for burst in from_peer:
                self.server.receive(burst.reversed(), now)
        return out

    def next_timeout(self) -> float:
        return min(self.server.next_timeout(), float(self.peer.next_timeout()))

    def stream_accepted(self, now: float) -> None:
        self.server.stream_accepted(TURN, ALICE, now, Transport.TCP)


def answer_for_relay(end: End, event: Any, other: End, transport: Transport, now: float) -> bool:
    """Do what a driver does for a relayed agent; whether the event asked for it."""
    if isinstance(event, ice.AddressesRequested):
        if transport is Transport.UDP:
            end.layer.add_local_address(ALICE, now)
        end.layer.add_turn_server(ice.TurnServer(TURN, turn.Credentials("user", "password"), transport), now)
        end.layer.end_of_local_addresses(now)
    elif isinstance(event, ice.StreamRequested):
        other.layer.wrapped.stream_accepted(now)
        end.layer.stream_opened(event.number, ALICE, now)
    else:
        return False
    return True


class RelayedIceEnd(IceEnd):
    """An agent that uses nothing but a TURN server."""

    is_indirect = True

    def __init__(self, layer: ice.Agent, transport: Transport) -> None:
        super().__init__(layer, ALICE, TURN)
        self.transport = transport

    def answer(self, event: Any, other: End, now: float) -> None:
        if other is not self and not answer_for_relay(self, event, other, self.transport, now):
            super().answer(event, other, now)

    def noise(self, data: bytes) -> Item:
        return Burst(TURN, ALICE, [data], self.transport)

    def is_counted(self, data: bytes) -> bool:
        return self.transport is Transport.UDP  # a stream may have the beginning of something


def relayed_ice_agent(transport: Transport) -> Make:
    """An agent behind a server, and one that is not; only the left end is a layer of ours."""

    def make(seed: int) -> Duo:
        source = random_bytes(seed)
        agents = [
            ice.Agent(PATIENT, role=role, random_bytes=source(name), relay_only=name == "alice")
            for name, role in (("alice", ice.Role.CONTROLLING), ("bob", ice.Role.CONTROLLED))
        ]
        server = TurnServer(TurnServerConfiguration(relay_hosts=[TURN[0]]), source("turn"))
        alice = RelayedIceEnd(agents[0], transport)
        bob = IceEnd(FarSide(server, agents[1]), BOB, TURN)  # type: ignore[arg-type]
        alice.other, bob.other = bob, alice
        return Duo(alice, bob, is_lossy=transport is Transport.UDP)

    return make


PPIDS = (50, 51, 53, 56, 57, 52, 54, 99)


class MuxEnd(End):
    """A channel multiplexer; the association between the two is perfect and resets streams at once."""

    ready_events = (datachannel.ChannelOpened,)

    def __init__(self, layer: datachannel.ChannelMux, *, is_dtls_client: bool) -> None:
        super().__init__(layer)
        self.is_dtls_client = is_dtls_client
        self.channel_id = 0

    def start(self, now: float) -> None:
        self.channel_id = self.layer.open_channel(datachannel.ChannelParameters("one"), now)
        self.layer.associate(
            is_dtls_client=self.is_dtls_client, outbound_streams=1024, remote_max_message_size=262144, now=now
        )

    def answer(self, event: Any, other: End, now: float) -> None:
        if isinstance(event, datachannel.ResetRequested):
            other.layer.incoming_streams_reset(event.stream_ids, now)
            self.layer.outgoing_streams_reset(event.stream_ids, now)
        elif isinstance(event, Closed) and other.terminal is None:
            other.close(now)

    def incoming(self, items: list[Item], now: float) -> None:
        arrived = [item if isinstance(item, sctp.Message) else to_message(item) for item in items]
        self.layer.receive(arrived, now)

    def noise(self, data: bytes) -> Item:
        stream_id, ppid = (data[0] % 8, PPIDS[data[1] % len(PPIDS)]) if len(data) > 1 else (1, 50)
        return sctp.Message(stream_id, ppid, data[2:] or b"x")

    def is_counted(self, data: bytes) -> bool:
        return False  # what an authenticated peer says may be in order, or wait for its channel

    def content(self, item: Item) -> bytes:
        return bytes([item.stream_id % 256, PPIDS.index(item.ppid)]) + item.data

    def send(self, payload: bytes, now: float) -> None:
        self.layer.send([(self.channel_id, payload), (self.channel_id, ""), (self.channel_id, "zwölf")], now)

    def taken(self) -> list[Any]:
        return list(self.layer.take_received())


def to_message(outgoing: sctp.OutgoingMessage) -> sctp.Message:
    """What the other side's association makes of it."""
    return sctp.Message(outgoing.stream_id, outgoing.ppid, outgoing.data)


def channel_mux(seed: int) -> Duo:
    """Two multiplexers; `seed` changes nothing, since they draw no randomness."""
    left = MuxEnd(datachannel.ChannelMux(datachannel.Configuration()), is_dtls_client=True)
    right = MuxEnd(datachannel.ChannelMux(datachannel.Configuration()), is_dtls_client=False)
    return Duo(left, right, is_lossy=False)


class SctpEnd(End):
    """An association."""

    ready_events = (sctp.AssociationEstablished,)

    def start(self, now: float) -> None:
        self.layer.connect(now)

    def close(self, now: float) -> None:
        self.layer.shutdown(now)

    def send(self, payload: bytes, now: float) -> None:
        self.layer.send(
            [
                sctp.OutgoingMessage(1, 53, payload),
                sctp.OutgoingMessage(2, 53, payload[::-1] * 30, ordered=False),
                sctp.OutgoingMessage(3, 51, payload, max_retransmits=0),
            ],
            now,
        )

    def taken(self) -> list[Any]:
        return list(self.layer.take_received())


def sctp_association(seed: int) -> Duo:
    """Two associations that connect at once, as WebRTC has it."""
    source = random_bytes(seed)

    def end(name: str) -> SctpEnd:
        return SctpEnd(
            sctp.Association(
                sctp.Configuration(),
                local_port=5000,
                remote_port=5000,
                max_message_size=262144,
                random_bytes=source(name),
            )
        )

    return Duo(end("left"), end("right"))


class PeerEnd(BurstEnd):
    """The whole stack; signaling is instantaneous."""

    ready_events = (datachannel.ChannelOpened,)

    def __init__(self, layer: peer.Connection, address: Address, other_address: Address) -> None:
        super().__init__(layer)
        self.address = address
        self.other_address = other_address
        self.other: PeerEnd = self
        self.offers = False
        self.channel_id = 0

    def start(self, now: float) -> None:
        self.channel_id = self.layer.create_data_channel(datachannel.ChannelParameters("one"), now)
        if self.offers:
            other = self.other.layer
            other.set_remote_description(self.layer.set_local_description(None, now), now)
            self.layer.set_remote_description(other.set_local_description(None, now), now)

    def answer(self, event: Any, other: End, now: float) -> None:
        if isinstance(event, ice.AddressesRequested):
            self.layer.add_local_address(self.address, now)
            self.layer.end_of_local_addresses(now)
        elif isinstance(event, peer.LocalCandidateFound):
            other.layer.add_ice_candidate(event.candidate, now)
        elif event == peer.GatheringStateChanged(peer.GatheringState.COMPLETE):
            other.layer.add_ice_candidate(None, now)

    def noise(self, data: bytes) -> Item:
        return Burst(self.other_address, self.address, [data])

    def is_counted(self, data: bytes) -> bool:
        return not (data and 20 <= data[0] <= 63)  # parked: see `IceEnd`

    def send(self, payload: bytes, now: float) -> None:
        self.layer.send([(self.channel_id, payload), (self.channel_id, ""), (self.channel_id, "zwölf")], now)

    def taken(self) -> list[Any]:
        return list(self.layer.take_received())


def peer_connection(seed: int) -> Duo:
    """Two whole stacks with one address and one channel each."""
    source = random_bytes(seed)
    alice = PeerEnd(peer.Connection(random_bytes=source("alice")), ALICE, BOB)
    bob = PeerEnd(peer.Connection(random_bytes=source("bob")), BOB, ALICE)
    alice.other, bob.other, alice.offers = bob, alice, True
    return Duo(alice, bob)


class RelayedPeerEnd(PeerEnd):
    """A whole stack that uses nothing but a TURN server."""

    is_indirect = True

    def __init__(self, layer: peer.Connection, transport: Transport) -> None:
        super().__init__(layer, ALICE, TURN)
        self.transport = transport

    def answer(self, event: Any, other: End, now: float) -> None:
        if other is not self and not answer_for_relay(self, event, other, self.transport, now):
            super().answer(event, other, now)

    def noise(self, data: bytes) -> Item:
        return Burst(TURN, ALICE, [data], self.transport)

    def is_counted(self, data: bytes) -> bool:
        return self.transport is Transport.UDP


def relayed_peer_connection(transport: Transport) -> Make:
    """A stack behind a server, and one that is not; only the left end is a layer of ours."""

    def make(seed: int) -> Duo:
        source = random_bytes(seed)
        url = f"turn:user:password@{TURN[0]}?transport={transport.value}"
        configuration = peer.Configuration(ice_transport_policy="relay", ice_servers=[url], ice=PATIENT)
        server = TurnServer(TurnServerConfiguration(relay_hosts=[TURN[0]]), source("turn"))
        alice = RelayedPeerEnd(peer.Connection(configuration, random_bytes=source("alice")), transport)
        far = FarSide(server, peer.Connection(random_bytes=source("bob")))
        bob = PeerEnd(far, BOB, TURN)  # type: ignore[arg-type]
        alice.other, bob.other, alice.offers = bob, alice, True
        return Duo(alice, bob, is_lossy=transport is Transport.UDP)

    return make


SUBJECTS: dict[str, Make] = {
    "stun.Client": stun_client,
    "mdns.Endpoint": mdns_endpoint,
    "turn.Allocation": turn_allocation,
    "dtls.Connection": dtls_connection,
    "ice.Agent": ice_agent,
    "sctp.Association": sctp_association,
    "datachannel.ChannelMux": channel_mux,
    "peer.Connection": peer_connection,
    "ice.Agent over TURN/udp": relayed_ice_agent(Transport.UDP),
    "ice.Agent over TURN/tcp": relayed_ice_agent(Transport.TCP),
    "peer.Connection over TURN/udp": relayed_peer_connection(Transport.UDP),
    "peer.Connection over TURN/tcp": relayed_peer_connection(Transport.TCP),
}
