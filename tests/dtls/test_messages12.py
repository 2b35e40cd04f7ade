"""Bodies of handshake messages, extensions and alerts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dtls.hello import browser_hello, our_hello
from tests.dtls.machines import script
from xp2p_trio import dtls
from xp2p_trio.dtls import extensions, messages12
from xp2p_trio.dtls.parameters import ExtensionType, HandshakeType
from xp2p_trio.errors import DecodeError

U16S = st.lists(st.integers(0, 0xFFFF), max_size=8).map(tuple)
U8S = st.lists(st.integers(0, 255), max_size=8).map(tuple)
EXTENSIONS = st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=20), max_size=5)
RANDOM = st.binary(min_size=32, max_size=32)
U16 = st.integers(0, 0xFFFF)

CASES: dict[str, tuple[st.SearchStrategy[Any], Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "ClientHello": (
        st.builds(
            messages12.ClientHello,
            U16,
            RANDOM,
            st.binary(max_size=32),
            st.binary(max_size=255),
            U16S,
            U8S,
            EXTENSIONS,
        ),
        messages12.decode_client_hello,
        messages12.encode_client_hello,
    ),
    "ServerHello": (
        st.builds(messages12.ServerHello, U16, RANDOM, st.binary(max_size=32), U16, st.integers(0, 255), EXTENSIONS),
        messages12.decode_server_hello,
        messages12.encode_server_hello,
    ),
    "HelloVerifyRequest": (
        st.builds(messages12.HelloVerifyRequest, U16, st.binary(max_size=255)),
        messages12.decode_hello_verify_request,
        messages12.encode_hello_verify_request,
    ),
    "Certificate": (
        st.lists(st.binary(min_size=1, max_size=50), max_size=10).map(tuple),
        messages12.decode_certificate,
        messages12.encode_certificate,
    ),
    "ServerKeyExchange": (
        st.builds(messages12.ServerKeyExchange, U16, st.binary(max_size=255), U16, st.binary(max_size=80)),
        messages12.decode_server_key_exchange,
        messages12.encode_server_key_exchange,
    ),
    "CertificateRequest": (
        st.builds(messages12.CertificateRequest, U8S, U16S),
        messages12.decode_certificate_request,
        messages12.encode_certificate_request,
    ),
    "ClientKeyExchange": (
        st.binary(max_size=255),
        messages12.decode_client_key_exchange,
        messages12.encode_client_key_exchange,
    ),
    "CertificateVerify": (
        st.builds(messages12.CertificateVerify, U16, st.binary(max_size=300)),
        messages12.decode_certificate_verify,
        messages12.encode_certificate_verify,
    ),
    "Alert": (
        st.builds(dtls.Alert, st.sampled_from(dtls.AlertLevel), st.integers(0, 255)),
        dtls.decode_alert,
        dtls.encode_alert,
    ),
}
EACH = pytest.mark.parametrize("name", CASES)


@EACH
def test_round_trip(name: str) -> None:
    values, decode, encode = CASES[name]

    @given(values)
    def holds(value: Any) -> None:
        assert decode(encode(value)) == value

    holds()


@EACH
def test_every_truncation_and_addition_is_an_error(name: str) -> None:
    values, decode, encode = CASES[name]

    @given(values)
    def holds(value: Any) -> None:
        wire = encode(value)
        without = -1  # the size of a hello whose list of extensions is missing, which is allowed
        if name.endswith("Hello"):
            without = len(wire) - len(extensions.encode_extensions(value.extensions))
            assert decode(wire[:without]) == attrs.evolve(value, extensions={})
        for size in set(range(len(wire))) - {without}:
            with pytest.raises(DecodeError):
                decode(wire[:size])
        with pytest.raises(DecodeError):
            decode(wire + b"\x00")

    holds()


@EACH
def test_no_bit_flip_raises_anything_else(name: str) -> None:
    values, decode, encode = CASES[name]

    @given(values, st.integers(0, 2**16))
    def holds(value: Any, bit: int) -> None:
        wire = bytearray(encode(value))
        wire[bit // 8 % len(wire)] ^= 1 << bit % 8
        try:
            changed = decode(bytes(wire))
        except DecodeError:
            return
        assert changed != value or name == "CertificateRequest"

    holds()


@EACH
def test_anything(name: str) -> None:
    _, decode, encode = CASES[name]

    @given(st.binary(max_size=200))
    def holds(data: bytes) -> None:
        try:
            value = decode(data)
        except DecodeError:
            return
        if name != "CertificateRequest":
            assert encode(value) in (data, data + b"\x00\x00")

    holds()


def test_our_hello() -> None:
    hello = our_hello()
    assert hello.client_version == 0xFEFD
    assert hello.cookie == hello.session_id == b""
    assert hello.extensions == {
        ExtensionType.EXTENDED_MASTER_SECRET: b"",
        ExtensionType.RENEGOTIATION_INFO: b"\x00",
        ExtensionType.SUPPORTED_GROUPS: bytes.fromhex("0004 001d 0017"),
        ExtensionType.EC_POINT_FORMATS: bytes.fromhex("01 00"),
        ExtensionType.SIGNATURE_ALGORITHMS: bytes.fromhex("000a 0403 0807 0503 0401 0804"),
        ExtensionType.USE_SRTP: bytes.fromhex("0006 0007 0008 0001 00"),
    }


def test_hello_of_a_browser() -> None:
    hello = browser_hello()
    assert messages12.decode_client_hello(messages12.encode_client_hello(hello)) == hello


def test_answer_of_our_server() -> None:
    message = script()[0][0]
    assert message is not None
    assert message.handshake_type == HandshakeType.SERVER_HELLO
    hello = messages12.decode_server_hello(message.body)
    assert (hello.server_version, hello.session_id, hello.compression_method) == (0xFEFD, b"", 0)
    assert hello.extensions == {
        ExtensionType.EXTENDED_MASTER_SECRET: b"",
        ExtensionType.RENEGOTIATION_INFO: b"\x00",
        ExtensionType.EC_POINT_FORMATS: bytes.fromhex("01 00"),
        ExtensionType.USE_SRTP: bytes.fromhex("0002 0007 00"),
    }


@given(U16S.filter(bool))
def test_use_srtp(profiles: tuple[int, ...]) -> None:
    assert extensions.decode_use_srtp(extensions.encode_use_srtp(profiles)) == (profiles, b"")


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x00\x00\x00", b"\x00\x01\x00\x00", b"\x00\x02\x00\x01", b"\x00\x02\x00\x01\x01"]
)
def test_use_srtp_malformed(data: bytes) -> None:
    with pytest.raises(DecodeError):
        extensions.decode_use_srtp(data)


def test_session_id_of_33_bytes() -> None:
    body = messages12.encode_client_hello(our_hello())
    with pytest.raises(DecodeError, match="33"):
        messages12.decode_client_hello(body[:34] + b"\x21" + bytes(33) + body[35:])


def test_curve_that_is_not_named() -> None:
    for curve_type in (0, 1, 2, 4, 255):
        with pytest.raises(DecodeError, match="curve"):
            messages12.decode_server_key_exchange(bytes([curve_type]) + bytes(20))


def test_alerts_by_name() -> None:
    assert str(dtls.decode_alert(b"\x02\x2a")) == "bad_certificate"
    assert str(dtls.decode_alert(b"\x01\xfa")) == "alert 250"
    for data in (b"", b"\x01", b"\x00\x00", b"\x03\x00", b"\x01\x00\x00"):
        with pytest.raises(DecodeError):
            dtls.decode_alert(data)
