"""Every layer, as a pair of ends with seeded randomness. A new layer is added here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tests.contract.duo import BurstEnd, Duo, End, Item, random_bytes
from xp2p_trio import dtls, stun
from xp2p_trio.sansio import Burst

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


SUBJECTS: dict[str, Make] = {
    "stun.Client": stun_client,
    "dtls.Connection": dtls_connection,
}
