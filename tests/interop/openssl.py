"""OpenSSL as a peer of our DTLS layer: in memory by pyOpenSSL, and as `s_server` and `s_client` over UDP sockets."""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from cryptography import x509
from OpenSSL import SSL

from xp2p_trio import dtls

OPENSSL = "openssl"
SRTP_PROFILES = b"SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"
_DATAGRAM_SIZE = 65536
_LOOPBACK = "127.0.0.1"


class MemoryPeer:
    """pyOpenSSL with memory BIOs, set up as aiortc does: mutual certificates, any certificate taken, use_srtp."""

    def __init__(
        self,
        certificate: dtls.Certificate,
        *,
        is_client: bool,
        ciphers: bytes = b"ECDHE+AESGCM:ECDHE+CHACHA20",
        mtu: int | None = None,
        options: int = 0,
    ) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.use_certificate(x509.load_der_x509_certificate(certificate.der))
        context.use_privatekey(certificate.private_key)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.set_cipher_list(ciphers)
        context.set_tlsext_use_srtp(SRTP_PROFILES)
        context.set_options(options)
        self.ssl = SSL.Connection(context)
        if mtu is not None:
            self.ssl.set_options(SSL.OP_NO_QUERY_MTU)
            self.ssl.set_ciphertext_mtu(mtu)
        if is_client:
            self.ssl.set_connect_state()
        else:
            self.ssl.set_accept_state()
        self.is_connected = False

    def take_output(self) -> list[bytes]:
        """What it sends; the records of a flight come run together, which no datagram limit binds here."""
        with contextlib.suppress(SSL.WantReadError):
            return [self.ssl.bio_read(_DATAGRAM_SIZE)]
        return []

    def receive(self, datagrams: Sequence[bytes]) -> None:
        for datagram in datagrams:
            self.ssl.bio_write(datagram)
            self.step()

    def step(self) -> None:
        if not self.is_connected:
            with contextlib.suppress(SSL.WantReadError):
                self.ssl.do_handshake()
                self.is_connected = True

    def read(self) -> bytes | None:
        """The next datagram of data, or None."""
        try:
            return self.ssl.recv(_DATAGRAM_SIZE)
        except SSL.WantReadError:
            return None


def exchange(ours: dtls.Connection, theirs: MemoryPeer, now: float = 0.0) -> None:
    """Carry datagrams both ways until neither side has any."""
    theirs.step()
    while True:
        to_us = theirs.take_output()
        ours.receive(to_us, now)
        to_them = ours.transmit(now, 100)
        theirs.receive(to_them)
        if not to_us and not to_them:
            return


class Process:
    """An `openssl` command with its standard streams; whatever is open is closed on leaving."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [OPENSSL, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self.output = b""

    def write(self, text: bytes) -> None:
        self._stdin.write(text)
        self._stdin.flush()

    def read(self) -> bytes:
        """Everything that it has printed so far."""
        while chunk := self._stdout.read():
            self.output += chunk
        return self.output

    def wait_for(self, text: bytes, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.read():
            assert time.monotonic() < deadline, self.output
            select.select([self._stdout], [], [], 0.05)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()


class Endpoint:
    """Our connection on a UDP socket, driven by hand."""

    def __init__(self, connection: dtls.Connection, remote: tuple[str, int] | None = None) -> None:
        self.connection = connection
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((_LOOPBACK, 0))
        self.remote = remote
        self.events: list[dtls.Event] = []
        self.received: list[bytes] = []

    @property
    def port(self) -> int:
        port = self.socket.getsockname()[1]
        assert isinstance(port, int)
        return port

    def run(self, until: Callable[[], bool], seconds: float = 15.0) -> None:
        """Move datagrams until a condition holds."""
        deadline = time.monotonic() + seconds
        while not until():
            now = time.monotonic()
            assert now < deadline, (self.connection.state, self.events, self.connection.statistics)
            self.connection.handle_timeout(now)
            self._flush(now)
            pause = max(0.0, min(self.connection.next_timeout() - now, 0.05))
            if select.select([self.socket], [], [], pause)[0]:
                with contextlib.suppress(ConnectionRefusedError):
                    datagram, self.remote = self.socket.recvfrom(_DATAGRAM_SIZE)
                    self.connection.receive([datagram], now)
            self._flush(now)
            self.events += self.connection.take_events()
            self.received += self.connection.take_received()

    def _flush(self, now: float) -> None:
        for datagram in self.connection.transmit(now, 100):
            assert self.remote is not None
            with contextlib.suppress(ConnectionRefusedError):
                self.socket.sendto(datagram, self.remote)


def write_pem(certificate: dtls.Certificate, folder: pathlib.Path) -> str:
    """A file with certificate and key."""
    path = folder / f"{certificate.fingerprint().value.hex()[:16]}.pem"
    path.write_text(certificate.to_pem())
    return str(path)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((_LOOPBACK, 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


@contextlib.contextmanager
def s_server(connection: dtls.Connection, pem: str, *arguments: str) -> Iterator[tuple[Endpoint, Process]]:
    """`openssl s_server` and our client, which is begun."""
    port = free_port()
    process = Process(
        [
            "s_server",
            "-dtls1_2",
            "-accept",
            f"{_LOOPBACK}:{port}",
            "-cert",
            pem,
            "-key",
            pem,
            "-Verify",
            "1",
            *arguments,
        ]
    )
    endpoint = Endpoint(connection, (_LOOPBACK, port))
    try:
        process.wait_for(b"ACCEPT")
        connection.connect(time.monotonic())
        yield endpoint, process
    finally:
        process.kill()
        endpoint.socket.close()


@contextlib.contextmanager
def s_client(connection: dtls.Connection, pem: str, *arguments: str) -> Iterator[tuple[Endpoint, Process]]:
    """`openssl s_client` and our server, which is begun."""
    endpoint = Endpoint(connection)
    connection.connect(time.monotonic())
    process = Process(
        ["s_client", "-dtls1_2", "-connect", f"{_LOOPBACK}:{endpoint.port}", "-cert", pem, "-key", pem, *arguments]
    )
    try:
        yield endpoint, process
    finally:
        process.kill()
        endpoint.socket.close()
