"""A TURN server that says anything: on the stream, in datagrams, and in answers with true integrity."""

from __future__ import annotations

from xp2p_trio import stun, turn
from xp2p_trio.errors import DecodeError
from xp2p_trio.sansio import Address, Burst, Closed, Failed
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.testing.turn_server import TurnServer

_SERVER = ("192.0.2.7", 3478)
_CLIENT = ("192.0.2.1", 50000)
_PEERS = (("203.0.113.5", 6000), ("203.0.113.6", 6000))
_STRANGER = ("198.51.100.66", 6)
_KEY = stun.long_term_key("user", "xp2p.test", "password", stun.PasswordAlgorithmNumber.SHA256)
_WAITS = (0.0, 0.01, 1.0, 60.0, 301.0)
_MAX_STEPS = 200


class _Run:
    """A client that is told lies; each step eats some bytes of the input."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.now = 0.0
        drawn = 0

        def random_bytes(size: int) -> bytes:
            nonlocal drawn
            drawn += 1
            return drawn.to_bytes(size, "big")

        self.server = TurnServer(TurnServerConfiguration(relay_hosts=[_SERVER[0]]), random_bytes)
        self.client = turn.Allocation(
            _SERVER,
            _CLIENT,
            turn.Credentials("user", "password"),
            random_bytes=random_bytes,
            configuration=turn.Configuration(),
        )
        self.requests: list[stun.Message] = []
        self.ended = False

    def take(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        return taken.ljust(size, b"\0")

    def give(self, datagram: bytes) -> None:
        self.client.receive(Burst(_CLIENT, self.client.server, [datagram]), self.now)

    def exchange(self) -> None:
        """The true server answers."""
        for burst in self.client.transmit(self.now, 50):
            self.note(burst)
            self.server.receive(burst.reversed(), self.now)
        for burst in self.server.transmit(self.now, 50):
            if burst.remote == _CLIENT:
                self.client.receive(burst.reversed(), self.now)

    def note(self, burst: Burst) -> None:
        for datagram in burst.datagrams:
            if datagram[0] < 4:
                message = stun.decode_message(datagram)
                if message.message_class is stun.MessageClass.REQUEST:
                    self.requests = [*self.requests[-7:], message]

    def lie(self, kind: int) -> None:
        """Answer one of the requests with attributes out of the input."""
        if not self.requests:
            return
        request = self.requests[kind % len(self.requests)]
        body = self.take(self.take(1)[0])
        header = stun.encode_message(
            stun.Message(
                stun.MessageClass.ERROR_RESPONSE if kind & 8 else stun.MessageClass.SUCCESS_RESPONSE,
                request.method,
                request.transaction_id,
            )
        )
        body += bytes(-len(body) & 3)
        raw = header[:2] + len(body).to_bytes(2, "big") + header[4:] + body
        try:
            message = stun.decode_message(raw)
        except DecodeError:
            self.give(raw)
            return
        covers = stun.MessageIntegrity | stun.MessageIntegritySha256 | stun.Fingerprint
        plain = tuple(one for one in message.attributes if not isinstance(one, covers))
        answer = stun.Message(message.message_class, message.method, message.transaction_id, plain)
        key = _KEY if kind & 16 else None
        self.give(stun.encode_message(answer, key=key, algorithm=stun.IntegrityAlgorithm.SHA256))

    def step(self) -> None:
        op, argument = self.take(2)
        match op % 10:
            case 0:
                self.exchange()
            case 1:
                self.give(self.take(argument))
            case 2 | 3:
                self.lie(argument)
            case 4:
                self.give(turn.encode_channel_data(0x4000 + argument % 4, self.take(argument % 9), padded=False))
            case 5:
                self.now += _WAITS[argument % len(_WAITS)]
                self.client.handle_timeout(self.now)
            case 6 if self.client.state is turn.State.ALLOCATED:
                self.client.bind_channel(_PEERS[argument % 2], self.now)
            case 7 if self.client.state is turn.State.ALLOCATED:
                self.client.send([(peer, b"data") for peer in (*_PEERS, _STRANGER)], self.now)
            case 8 if argument == 1:
                self.client.close(self.now)
            case 9:
                self.client.refresh_credentials(turn.Credentials("user", "password"), self.now)
        self.check()

    def check(self) -> None:
        for event in self.client.take_events():
            assert not self.ended, f"{event} after the end"
            self.ended = isinstance(event, Closed | Failed)
        received: list[tuple[Address, bytes]] = self.client.take_received()
        assert {peer[0] for peer, _ in received} <= {host for host, _ in _PEERS}
        statistics = self.client.statistics
        assert statistics.permissions <= 2
        assert statistics.channels <= 2
        if not self.ended and self.client.next_timeout() <= self.now:
            self.client.handle_timeout(self.now)
            assert self.client.next_timeout() > self.now, "it spins"


def test_one_input(data: bytes) -> None:
    framer = turn.StreamFramer()
    try:
        frames = framer.decode_frames(data[: len(data) // 2]) + framer.decode_frames(data[len(data) // 2 :])
        assert data.startswith(b"".join(frames))
    except DecodeError:
        pass
    run = _Run(data)
    run.client.start(0.0)
    for _ in range(3 if data[:1] < b"\x80" else 1):
        run.exchange()
    for _ in range(_MAX_STEPS):
        if not run.data:
            break
        run.step()


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
