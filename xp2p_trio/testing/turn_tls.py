"""TLS of the TURN server: a certificate for itself, and who trusts it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import pathlib
import ssl
import tempfile
from collections.abc import Iterable

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALIDITY = dt.timedelta(days=7)


@attrs.frozen
class TlsContexts:
    """The two ends of a certificate that was made for the occasion.

    Attributes:
        server: has it, and its key.
        client: trusts it, and nothing else.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_tls_contexts(names: Iterable[str]) -> TlsContexts:
    """Make a self-signed certificate, good for a week, for these host names and IP addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "xp2p_trio.testing")])
    now = dt.datetime.now(dt.UTC)
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALIDITY)
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False)
        # RFC 5280 section 4.2.1: it is its own authority, of which strict verifiers want all of these.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_KEY_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:  # only files can be loaded; nobody else may read this folder
        chain = pathlib.Path(folder) / "certificate.pem"
        chain.write_bytes(pem + private)
        server.load_cert_chain(chain)
    return TlsContexts(server, ssl.create_default_context(cadata=pem.decode("ascii")))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
