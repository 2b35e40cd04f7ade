"""TLS of the standard library between bytes and bytes, and its errors in words that one can act on."""

from __future__ import annotations

import contextlib
import functools
import ssl
from typing import Final, final

from xp2p_trio.sansio import Address

_READ_SIZE: Final = 64 * 1024

# X509_V_ERR_... of OpenSSL's x509_vfy.h, and what a person can do.
_UNKNOWN_ISSUER: Final = "; if you trust it, put its issuer into SystemNetwork(ssl_context=...)"
_WRONG_TIME: Final = "; it has to be renewed, or the clock of this machine is wrong"
_WRONG_NAME: Final = "; give the server by a name that its certificate has"
_ADVICE: Final = {
    2: _UNKNOWN_ISSUER, 18: _UNKNOWN_ISSUER, 19: _UNKNOWN_ISSUER, 20: _UNKNOWN_ISSUER, 21: _UNKNOWN_ISSUER,
    9: _WRONG_TIME, 10: _WRONG_TIME,
    62: _WRONG_NAME, 64: _WRONG_NAME,
}  # fmt: skip
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG"})


@final
class Tls:
    """Our side of one connection to a server.

    Args:
        context: whom to trust; None is whom the system trusts.
        server_name: a name or numeric address, which the certificate has to be for.

    Raises:
        ValueError: the name cannot be one.
    """

    def __init__(self, context: ssl.SSLContext | None, server_name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        trust = _system_trust() if context is None else context
        # A name from the root on is the same name; certificates and SNI are without the dot (RFC 6066 section 3).
        server_name = server_name.removesuffix(".")
        self._object = trust.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    def handshake(self, records: bytes) -> bool:
        """Go on with what arrived. Returns whether the handshake is complete.

        Raises:
            ssl.SSLError: it has failed; `take_records` has the alert.
        """
        self._incoming.write(records)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, data: bytes) -> bytes:
        """The records of the data.

        Raises:
            ssl.SSLError: nothing can be sent any more.
        """
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]
        return self._outgoing.read()

    def decrypt(self, records: bytes) -> tuple[bytes, bool]:
        """The data of the records, and whether it is the last."""
        self._incoming.write(records)
        pieces = []
        try:
            while piece := self._object.read(_READ_SIZE):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces), False
        except ssl.SSLError:  # the other end's close_notify among them
            pass
        return b"".join(pieces), True

    def close(self) -> bytes:
        """The record of our close_notify, if it can be sent (RFC 8446 section 6.1)."""
        with contextlib.suppress(ssl.SSLError, ValueError):
            self._object.unwrap()
        return self._outgoing.read()

    def take_records(self) -> bytes:
        """What the protocol has to say by itself."""
        return self._outgoing.read()


def explained(error: OSError | ValueError, remote: Address, server_name: str) -> OSError:
    """The error of a handshake in words that one can act on."""
    where = f"{remote[0]} port {remote[1]}"
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = error.verify_message.rstrip(".")
        text = f"the TLS certificate of {where} is not good for {server_name!r}: {problem}"
        explained = ssl.SSLCertVerificationError(error.errno, text + _ADVICE.get(error.verify_code, ""))
        explained.verify_code, explained.verify_message = error.verify_code, error.verify_message
        return explained
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        if error.reason in _NO_TLS:
            reason = "it does not speak TLS"
        return ssl.SSLError(error.errno, f"no TLS with {where}: {reason}")
    if isinstance(error, OSError):
        return OSError(error.errno, f"no TLS with {where}: {error.strerror or error}")
    return OSError(f"no TLS with {where}: {server_name!r} is no name that a certificate can have ({error})")


@functools.cache
def _system_trust() -> ssl.SSLContext:
    return ssl.create_default_context()  # some milliseconds of reading files
