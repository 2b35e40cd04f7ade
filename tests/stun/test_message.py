"""The codec of messages and attributes."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stun.strategies import messages
from tests.stun.vectors import RFC5769, RFC8489
from xp2p_trio import stun
from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.stun import IntegrityAlgorithm, Message, MessageClass, decode_message, encode_message, verify_integrity

SHORT_TERM = stun.short_term_key("VOkJxbRl1RmTxUk/WvJxBt")
USER = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
TID = bytes(range(12))


def test_rfc5769_request() -> None:
    message = decode_message(RFC5769["request"])
    assert (message.message_class, message.method) == (MessageClass.REQUEST, stun.Method.BINDING)
    assert message.transaction_id.hex() == "b7e7a701bc34d686fa87dfae"
    assert message.get(stun.Software) == stun.Software("STUN test client")
    assert message.get(stun.Priority) == stun.Priority(0x6E0001FF)
    assert message.get(stun.IceControlled) == stun.IceControlled(0x932FF9B151263B36)
    assert message.get(stun.Username) == stun.Username("evtj:h6vY")
    assert verify_integrity(message, SHORT_TERM) is IntegrityAlgorithm.SHA1
    assert message.get(stun.Fingerprint) == stun.Fingerprint(0xE57A3BCF)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("ipv4_response", ("192.0.2.1", 32853)),
        ("ipv6_response", ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_rfc5769_responses(name: str, address: tuple[str, int]) -> None:
    message = decode_message(RFC5769[name])
    assert message.message_class is MessageClass.SUCCESS_RESPONSE
    assert message.get(stun.Software) == stun.Software("test vector")
    assert message.get(stun.XorMappedAddress) == stun.XorMappedAddress(address)
    assert verify_integrity(message, SHORT_TERM) is IntegrityAlgorithm.SHA1
    assert verify_integrity(message, b"wrong") is None


def test_rfc5769_long_term_request() -> None:
    message = decode_message(RFC5769["long_term_request"])
    key = stun.long_term_key(USER, "example.org", "TheMatrIX")
    assert message.get(stun.Username) == stun.Username(USER)
    assert verify_integrity(message, key) is IntegrityAlgorithm.SHA1


def test_rfc5769_long_term_request_is_built_to_the_byte() -> None:
    decoded = decode_message(RFC5769["long_term_request"])
    plain = Message(
        decoded.message_class,
        decoded.method,
        decoded.transaction_id,
        tuple(a for a in decoded.attributes if not isinstance(a, stun.MessageIntegrity)),
    )
    key = stun.long_term_key(USER, "example.org", "TheMatrIX")
    assert encode_message(plain, key=key) == RFC5769["long_term_request"]


def test_rfc8489_request_with_sha256_and_userhash() -> None:
    # The length printed there, 0x009c, counts the header too, and the HMAC was made over it: as a datagram the sample
    # is refused, while its key derivation, hash and attributes are as they should be.
    raw = RFC8489["sha256_request"]
    key = stun.long_term_key(USER, "example.org", "TheMatrIX", stun.PasswordAlgorithmNumber.SHA256)
    assert hmac.digest(key, raw[:-36], "sha256") == raw[-32:]
    with pytest.raises(DecodeError, match="length 156"):
        decode_message(raw)
    mended = raw[:2] + (len(raw) - 20).to_bytes(2, "big") + raw[4:]
    message = decode_message(mended)
    assert message.get(stun.UserHash) == stun.UserHash(stun.user_hash(USER, "example.org"))
    assert message.get(stun.Nonce) == stun.Nonce("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA")
    assert message.get(stun.Realm) == stun.Realm("example.org")
    assert encode_message(message) == mended
    signed = encode_message(
        Message(message.message_class, message.method, message.transaction_id, message.attributes[:-1]),
        key=key,
        algorithm=IntegrityAlgorithm.SHA256,
    )
    assert verify_integrity(decode_message(signed), key) is IntegrityAlgorithm.SHA256


@given(messages, st.booleans(), st.sampled_from([None, *IntegrityAlgorithm]))
def test_round_trip(message: Message, fingerprint: bool, algorithm: IntegrityAlgorithm | None) -> None:
    key = None if algorithm is None else b"key"
    raw = encode_message(message, key=key, algorithm=algorithm or IntegrityAlgorithm.SHA1, fingerprint=fingerprint)
    decoded = decode_message(raw)
    assert decoded.attributes[: len(message.attributes)] == message.attributes
    assert (decoded.message_class, decoded.method, decoded.transaction_id) == (
        message.message_class,
        message.method,
        message.transaction_id,
    )
    assert (decoded.get(stun.Fingerprint) is not None) is fingerprint
    assert verify_integrity(decoded, b"key") is algorithm
    assert encode_message(decoded) == raw


@given(messages)
def test_every_truncation_is_refused(message: Message) -> None:
    raw = encode_message(message, key=b"key", fingerprint=True)
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            decode_message(raw[:size])


def test_no_bit_flip_raises_anything_else_or_passes_integrity() -> None:
    raw = RFC5769["request"]
    covered = (len(raw) - 8) * 8  # FINGERPRINT comes after the integrity: without it the rest still holds
    for position in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[position // 8] ^= 1 << position % 8
        try:
            message = decode_message(bytes(flipped))
        except DecodeError:
            continue
        assert position >= covered or verify_integrity(message, SHORT_TERM) is None


@given(st.binary(max_size=200))
def test_noise_decodes_or_is_refused(data: bytes) -> None:
    try:
        message = decode_message(data)
    except DecodeError:
        return
    assert decode_message(encode_message(message)).attributes == message.attributes


def test_attributes_behind_the_integrity_are_ignored_but_for_three() -> None:
    inner = Message(MessageClass.REQUEST, 1, TID, (stun.Username("a:b"),))
    signed = encode_message(inner, key=b"k")
    digest = signed[-20:]
    smuggled = Message(
        MessageClass.REQUEST,
        1,
        TID,
        (
            stun.Username("a:b"),
            stun.MessageIntegrity(digest),
            stun.UseCandidate(),
            stun.Opaque(0x7FFF, b"unknown"),
            stun.MessageIntegritySha256(bytes(32)),
            stun.Priority(1),
        ),
    )
    decoded = decode_message(encode_message(smuggled, fingerprint=True))
    assert [type(a).__name__ for a in decoded.attributes] == [
        "Username",
        "MessageIntegrity",
        "MessageIntegritySha256",
        "Fingerprint",
    ]
    assert decoded.unknown_required == ()
    assert verify_integrity(decoded, b"k") is None  # both have to hold


def test_both_integrity_attributes_together() -> None:
    first = decode_message(encode_message(Message(MessageClass.REQUEST, 1, TID, (stun.Username("a:b"),)), key=b"k"))
    both = encode_message(
        Message(first.message_class, 1, TID, first.attributes),
        key=b"k",
        algorithm=IntegrityAlgorithm.SHA256,
        fingerprint=True,
    )
    assert verify_integrity(decode_message(both), b"k") is IntegrityAlgorithm.SHA256


def test_unknown_attributes_by_their_half() -> None:
    message = Message(
        MessageClass.REQUEST, 1, TID, (stun.Opaque(0x7FFE, b""), stun.Opaque(0xC057, b"\0\1\0\0"), stun.Opaque(2, b"x"))
    )
    assert decode_message(encode_message(message)).unknown_required == (0x7FFE, 2)


def test_the_first_of_a_type_counts() -> None:
    message = Message(MessageClass.REQUEST, 1, TID, (stun.Priority(1), stun.Priority(2)))
    assert decode_message(encode_message(message)).get(stun.Priority) == stun.Priority(1)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (lambda raw: raw[:1] + b"", "too short"),
        (lambda raw: b"\x40" + raw[1:], "first bits"),
        (lambda raw: raw[:4] + b"\0\0\0\0" + raw[8:], "cookie"),
        (lambda raw: raw[:2] + b"\0\1" + raw[4:], "odd length"),
        (lambda raw: raw + b"\0\0\0\0", "trailing bytes"),
    ],
)
def test_header_is_checked(first: object, why: str) -> None:
    assert callable(first)
    with pytest.raises(DecodeError):
        decode_message(first(encode_message(Message(MessageClass.REQUEST, 1, TID))))


def test_limits_of_values() -> None:
    for build in (
        lambda: stun.Username("x" * 509),
        lambda: stun.Software("x" * 764),
        lambda: stun.Software("\ud800"),
        lambda: stun.ErrorCode(299),
        lambda: stun.ErrorCode(700),
        lambda: stun.Priority(2**32),
        lambda: stun.IceControlled(-1),
        lambda: stun.UserHash(b"short"),
        lambda: stun.MessageIntegrity(b"short"),
        lambda: stun.MessageIntegritySha256(b"short"),
        lambda: stun.Fingerprint(2**32),
        lambda: stun.UnknownAttributes((2**16,)),
        lambda: stun.PasswordAlgorithm(2**16),
        lambda: stun.Opaque(2**16, b""),
        lambda: Message(MessageClass.REQUEST, 0x1000, TID),
        lambda: Message(MessageClass.REQUEST, 1, b"short"),
        lambda: encode_message(Message(MessageClass.REQUEST, 1, TID, (stun.MappedAddress(("example.org", 1)),))),
        lambda: encode_message(Message(MessageClass.REQUEST, 1, TID, (stun.MappedAddress(("192.0.2.1", 65536)),))),
    ):
        with pytest.raises(InvalidArgument):
            build()


def test_opaque_string_maps_spaces_and_composes() -> None:
    assert stun.opaque_string("e\u0301\u00a0x") == "\u00e9 x"
    assert stun.short_term_key("e\u0301") == "\u00e9".encode()
