"""A client of the simulated TURN server that asks by hand."""

from __future__ import annotations

from typing import Any

from xp2p_trio import stun
from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.testing.turn_server import TurnServer

SERVER = ("192.0.2.7", 3478)
CLIENT = ("192.0.2.1", 50000)
PEER = ("203.0.113.5", 6000)
REALM = "xp2p.test"


class Asker:
    """Signs by the rules and sends what it is told."""

    def __init__(self, transport: Transport = Transport.UDP, **choices: Any) -> None:
        choices.setdefault("relay_hosts", [SERVER[0], "2001:db8::7"])
        self.server = TurnServer(TurnServerConfiguration(**choices), Network(seed=3).random_bytes("server"))
        self.now = 0.0
        self.client = CLIENT
        self.transport = transport
        if transport.is_stream:
            self.server.stream_accepted(SERVER, CLIENT, self.now, transport)
        self.username, self.password = "user", "password"
        self.nonce = ""
        self.number = 0

    def exchange(self, datagram: bytes, local: Address = SERVER, remote: Address | None = None) -> list[Burst]:
        """What the server has to say to a datagram, of the client unless told otherwise."""
        if remote is None:
            self.server.receive(Burst(local, self.client, [datagram], self.transport), self.now)
        else:
            self.server.receive(Burst(local, remote, [datagram]), self.now)
        return self.server.transmit(self.now, 100)

    def raw(self, method: int, *attributes: stun.Attribute, key: bytes | None = None) -> stun.Message:
        """The response to a request."""
        self.number += 1
        request = stun.Message(stun.MessageClass.REQUEST, method, self.number.to_bytes(12, "big"), attributes)
        (burst,) = self.exchange(stun.encode_message(request, key=key))
        assert (burst.local, burst.remote, burst.transport) == (SERVER, self.client, self.transport)
        response = stun.decode_message(burst.datagrams[0])
        assert response.transaction_id == request.transaction_id
        return response

    @property
    def key(self) -> bytes:
        return stun.long_term_key(self.username, REALM, self.password)

    def challenge(self) -> None:
        nonce = self.raw(stun.Method.ALLOCATE).get(stun.Nonce)
        assert nonce is not None
        self.nonce = nonce.text

    def ask(self, method: int, *attributes: stun.Attribute) -> stun.Message:
        """The response to a signed request."""
        credentials = (stun.Username(self.username), stun.Realm(REALM), stun.Nonce(self.nonce))
        return self.raw(method, *attributes, *credentials, key=self.key)

    def allocate(self, *attributes: stun.Attribute) -> stun.Message:
        self.challenge()
        return self.ask(stun.Method.ALLOCATE, stun.RequestedTransport(17), *attributes)


def code(response: stun.Message) -> int:
    """Of an error, 0 of a success."""
    error = response.get(stun.ErrorCode)
    assert (error is None) == (response.message_class is stun.MessageClass.SUCCESS_RESPONSE)
    return 0 if error is None else error.code
