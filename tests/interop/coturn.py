"""coturn on this machine: `apt-get install coturn` brings it. Its log says what became of every request."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import ipaddress
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from typing import Final

import attrs
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from xp2p_trio import turn
from xp2p_trio.driver import SystemNetwork
from xp2p_trio.sansio import Address, Transport

HOST: Final = next(each.address for each in SystemNetwork().interfaces() if ":" not in each.address)
"""The address of this machine: browsers and libjuice do not answer a relay on loopback."""

REALM: Final = "coturn.test"
USER: Final = turn.Credentials("alice", "wonder land")
SECRET: Final = "of the REST interface"
PATIENCE: Final = 15.0
RELAYED_PORTS: Final = range(52000, 53000)


class NotInstalledError(Exception):
    """There is no coturn here."""


def find_turnserver() -> str:
    """The command; Debian's is not on every path."""
    command = shutil.which("turnserver") or "/usr/bin/turnserver"
    if not os.access(command, os.X_OK):
        raise NotInstalledError("turnserver is not installed: apt-get install coturn")
    return command


@attrs.frozen
class TlsIdentity:
    """A self-signed certificate on disk; who trusts `trust()` trusts it alone."""

    certificate: pathlib.Path
    key: pathlib.Path

    def trust(self) -> ssl.SSLContext:
        """For `SystemNetwork(ssl_context=...)`."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_tls_identity(folder: pathlib.Path, *hosts: str) -> TlsIdentity:
    """Write the certificate of a server at these IP addresses, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, REALM)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)) for host in hosts]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    identity = TlsIdentity(folder / "turn.crt", folder / "turn.key")
    identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    identity.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    return identity


def rest_credentials(lifetime: float, name: str = "alice") -> turn.Credentials:
    """Credentials of the REST interface that expire after so many seconds: a time, and a digest over it."""
    username = f"{int(time.time() + lifetime)}:{name}"
    digest = hmac.digest(SECRET.encode(), username.encode(), hashlib.sha1)
    return turn.Credentials(username, base64.b64encode(digest).decode())


class Coturn:
    """A `turnserver` of its own.

    Args:
        folder: for its files.
        options: lines of its configuration beyond the usual.
        tls: its certificate; without one there is no TLS.
        host: the address to listen on and to relay from.
        ports: for UDP and TCP, and for TLS; None takes free ones.
        inside: a command that runs another in a network namespace (`ip netns exec NAME`).
        rest: whether the passwords are those of the REST interface, instead of `USER`'s.
        relayed_ports: what it relays from.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *options: str,
        tls: TlsIdentity | None = None,
        host: str = HOST,
        ports: tuple[int, int] | None = None,
        inside: Sequence[str] = (),
        rest: bool = False,
        relayed_ports: range = RELAYED_PORTS,
    ) -> None:
        command = find_turnserver()
        port, tls_port = ports or (free_port(host), free_port(host))
        self._tls = tls
        self.relayed_ports = relayed_ports
        self.address: Address = (host, port)
        self._tls_address: Address = (host, tls_port)
        self.log_path = folder / f"coturn-{port}.log"
        config = folder / f"turnserver-{port}.conf"
        lines = [
            f"listening-ip={host}",
            f"relay-ip={host}",
            f"listening-port={port}",
            f"realm={REALM}",
            *(["use-auth-secret", f"static-auth-secret={SECRET}"] if rest else [_user_line(USER), "lt-cred-mech"]),
            "allow-loopback-peers",
            *([f"tls-listening-port={tls_port}", f"cert={tls.certificate}", f"pkey={tls.key}"] if tls else ["no-tls"]),
            "no-dtls",
            "no-cli",
            "verbose",
            "simple-log",
            "log-binding",
            f"min-port={relayed_ports[0]}",
            f"max-port={relayed_ports[-1]}",
            f"log-file={self.log_path}",
            f"pidfile={folder / f'turnserver-{port}.pid'}",
            f"userdb={folder / f'turndb-{port}'}",
            *options,
        ]
        config.write_text("\n".join(lines) + "\n")
        self._output = (folder / f"coturn-{port}.out").open("wb")
        self._process = subprocess.Popen(
            [*inside, command, "-c", str(config)], stdout=self._output, stderr=subprocess.STDOUT
        )
        try:
            self.wait_for_log("Total General servers")
        except AssertionError:
            self.stop()
            raise

    @property
    def log(self) -> str:
        """Everything it has said."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def count(self, pattern: str) -> int:
        """How many lines of the log have this."""
        return sum(re.search(pattern, line) is not None for line in self.log.splitlines())

    def wait_for_log(self, pattern: str, times: int = 1) -> None:
        """Block until so many lines of the log have this."""
        deadline = time.monotonic() + PATIENCE
        while self.count(pattern) < times:
            assert self._process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, self.log[-3000:]
            select.select([], [], [], 0.02)

    async def logged(self, pattern: str, times: int = 1) -> None:
        """As `wait_for_log`, while everything else goes on."""
        with trio.move_on_after(PATIENCE):
            while self.count(pattern) < times:  # noqa: ASYNC110 - a file tells nobody
                await trio.sleep(0.02)
        assert self.count(pattern) >= times, self.log[-3000:]

    def url(self, transport: Transport = Transport.UDP, credentials: turn.Credentials = USER) -> str:
        """As a program is configured with it, credentials and all."""
        user = f"{_quote(credentials.username)}:{_quote(credentials.password)}"
        host, port = self.address_for(transport)
        scheme = "turns" if transport is Transport.TLS else "turn"
        over = "udp" if transport is Transport.UDP else "tcp"
        return f"{scheme}:{user}@{host}:{port}?transport={over}"

    def server(self, transport: Transport = Transport.UDP, credentials: turn.Credentials = USER) -> dict[str, str]:
        """As the browser's `RTCIceServer`."""
        scheme, _, rest = self.url(transport, credentials).partition(":")
        return {
            "urls": f"{scheme}:{rest.partition('@')[2]}",
            "username": credentials.username,
            "credential": credentials.password,
        }

    def address_for(self, transport: Transport) -> Address:
        """Where it listens."""
        return self._tls_address if transport is Transport.TLS else self.address

    def trust(self) -> ssl.SSLContext:
        """What believes its certificate, and no other: for `SystemNetwork(ssl_context=...)`."""
        assert self._tls is not None
        return self._tls.trust()

    @property
    def stun_url(self) -> str:
        """As a STUN server."""
        return f"stun:{self.address[0]}:{self.address[1]}"

    def kill(self) -> None:
        """End it without a word to anybody."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        if self._process.poll() is None:
            self.kill()
        self._output.close()


def free_port(host: str = HOST) -> int:
    """A port that is free just now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _user_line(user: turn.Credentials) -> str:
    return f"user={user.username}:{user.password}"


def _quote(text: str) -> str:
    return "".join(character if character.isalnum() else f"%{ord(character):02X}" for character in text)
