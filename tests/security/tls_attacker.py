"""An end of TLS 1.3 that speaks well until the handshake is done, and then whatever a test wants."""

from __future__ import annotations

import hashlib
import pathlib
import socket
import ssl
from struct import pack

import trio
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_UPDATE_REQUESTED = b"\x18\x00\x00\x01\x01"
"""RFC 8446 section 4.6.3."""

_HANDSHAKE = 22
_APPLICATION_DATA = 23


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 section 7.1)."""
    label = b"tls13 " + label
    info = pack("!HB", size, len(label)) + label + b"\0"
    return HKDFExpand(SHA384(), size, info).derive(secret)


class Writer:
    """Encrypts with a traffic secret, as its own TLS does no more."""

    def __init__(self, secret: bytes) -> None:
        self._use(secret)

    def _use(self, secret: bytes) -> None:
        self._secret, self._sequence = secret, 0
        self._aead, self._iv = AESGCM(_expand(secret, b"key", 32)), _expand(secret, b"iv", 12)

    def record(self, content: bytes, kind: int = _HANDSHAKE) -> bytes:
        inner = content + bytes([kind])
        header = pack("!BHH", _APPLICATION_DATA, 0x0303, len(inner) + 16)
        nonce = int.from_bytes(self._iv, "big") ^ self._sequence
        self._sequence += 1
        return header + self._aead.encrypt(nonce.to_bytes(12, "big"), inner, header)

    def key_update(self) -> bytes:
        record = self.record(KEY_UPDATE_REQUESTED)
        self._use(_expand(self._secret, b"traffic upd", hashlib.sha384().digest_size))
        return record


def log_secrets(folder: pathlib.Path, context: ssl.SSLContext) -> pathlib.Path:
    """Let a context tell its secrets, and send no tickets if it is a server's. Returns where the secrets are."""
    log = folder / "secrets"
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if context.protocol is ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    context.keylog_filename = str(log)
    return log


async def shake_hands(
    sock: socket.socket, context: ssl.SSLContext, log: pathlib.Path, *, server_name: str | None = None
) -> Writer:
    """An end of a handshake on a non-blocking socket: the server's, or with a name the client's."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    is_server = server_name is None
    tls = context.wrap_bio(incoming, outgoing, server_side=is_server, server_hostname=server_name)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.send(outgoing.read())
            await trio.lowlevel.wait_readable(sock)
            incoming.write(sock.recv(65536))
    sock.send(outgoing.read())
    assert tls.cipher()[0] == "TLS_AES_256_GCM_SHA384"  # type: ignore[index]
    label = "SERVER_TRAFFIC_SECRET_0" if is_server else "CLIENT_TRAFFIC_SECRET_0"
    secrets = log.read_text()  # noqa: ASYNC240 - some lines
    (line,) = [each for each in secrets.splitlines() if each.startswith(f"{label} ")]
    return Writer(bytes.fromhex(line.split()[2]))
