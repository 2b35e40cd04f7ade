"""Every chunk: as the RFC draws it, round trip, every truncation, no bit flip that escapes DecodeError."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp.wire import (
    BEGINNING,
    ENDING,
    UNORDERED,
    Cause,
    CauseCode,
    ChunkType,
    Data,
    ForwardTsn,
    Init,
    OutgoingResetRequest,
    Response,
    Sack,
    decode_causes,
    decode_data,
    decode_forward_tsn,
    decode_heartbeat,
    decode_init,
    decode_packet,
    decode_reconfig,
    decode_sack,
    decode_shutdown,
    encode_abort,
    encode_cookie_echo,
    encode_data,
    encode_error,
    encode_forward_tsn,
    encode_heartbeat,
    encode_init,
    encode_reconfig,
    encode_sack,
    encode_shutdown,
    encode_shutdown_complete,
    has_correct_checksum,
    with_checksum,
)

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)

INIT = Init(
    0x01020304,
    131072,
    1024,
    2048,
    0xFFFFFFFE,
    supported_extensions=frozenset({130, 192}),
    forward_tsn_supported=True,
    edmid=1,
)

DRAWN: list[tuple[bytes, str]] = [
    (encode_data(Data(0xFFFFFFFF, 1, 2, 53, b"abc")), "00030013 ffffffff 0001 0002 00000035 616263 00"),
    (encode_data(Data(5, 1, 0, 51, b"abcd", UNORDERED | BEGINNING)), "00060014 00000005 0001 0000 00000033 61626364"),
    (
        encode_sack(7, 65536, [(2, 3), (5, 5)], [6]),
        "0300001c 00000007 00010000 0002 0001 0002 0003 0005 0005 00000006",
    ),
    (
        encode_init(INIT, ChunkType.INIT),
        "01000028 01020304 00020000 0400 0800 fffffffe 80080006 82c0 0000 c0000004 80010008 00000001",
    ),
    (encode_forward_tsn(ForwardTsn(9, ((3, 4),))), "c000000c 00000009 0003 0004"),
    (encode_cookie_echo(b"cookie"), "0a00000a 636f6f6b6965 0000"),
    (encode_shutdown(10), "07000008 0000000a"),
    (encode_shutdown_complete(reflected=True), "0e010004"),
    (encode_heartbeat(b"info!"), "0400000d 00010009 696e666f21 000000"),
    (encode_abort((Cause(CauseCode.USER_INITIATED_ABORT, b"bye"),)), "0600000b 000c0007 62796500"),
    (encode_error((Cause(CauseCode.STALE_COOKIE, b"\0\0\0\1"),)), "0900000c 00030008 00000001"),
    (
        encode_reconfig(OutgoingResetRequest(1, 2, 3, (4,))),
        "82000016 000d0012 00000001 00000002 00000003 0004 0000",
    ),
    (encode_reconfig(Response(8, 1)), "82000010 0010000c 00000008 00000001"),
]


@pytest.mark.parametrize(("encoded", "drawn"), DRAWN)
def test_chunks_look_as_the_rfc_draws_them(encoded: bytes, drawn: str) -> None:
    assert encoded.hex() == drawn.replace(" ", "")


def value_of(chunk: bytes) -> bytes:
    return chunk[4 : int.from_bytes(chunk[2:4], "big")]


@given(u32, u16, u16, u32, st.binary(min_size=1, max_size=40), st.integers(0, 15))
def test_data_round_trip(tsn: int, stream_id: int, ssn: int, ppid: int, payload: bytes, flags: int) -> None:
    data = Data(tsn, stream_id, ssn, ppid, payload, flags)
    encoded = encode_data(data)
    assert len(encoded) % 4 == 0
    assert decode_data(encoded[1], value_of(encoded)) == data


@given(u32, u32, st.lists(st.tuples(u16, u16), max_size=5), st.lists(u32, max_size=5))
def test_sack_round_trip(tsn: int, a_rwnd: int, blocks: list[tuple[int, int]], duplicates: list[int]) -> None:
    encoded = encode_sack(tsn, a_rwnd, blocks, duplicates)
    assert decode_sack(value_of(encoded)) == Sack(tsn, a_rwnd, tuple(blocks), tuple(duplicates))


@given(u32, u32, u16, u16, u32, st.frozensets(st.integers(0, 255)), st.booleans(), st.none() | u32, st.binary())
def test_init_round_trip(
    tag: int,
    a_rwnd: int,
    outbound: int,
    inbound: int,
    tsn: int,
    extensions: frozenset[int],
    forward: bool,
    edmid: int | None,
    cookie: bytes,
) -> None:
    init = Init(tag, a_rwnd, outbound, inbound, tsn, extensions, forward, edmid, cookie)
    assert decode_init(value_of(encode_init(init, ChunkType.INIT_ACK))) == init


@given(u32, st.lists(st.tuples(u16, u16), max_size=6))
def test_forward_tsn_round_trip(tsn: int, skipped: list[tuple[int, int]]) -> None:
    forward_tsn = ForwardTsn(tsn, tuple(skipped))
    assert decode_forward_tsn(value_of(encode_forward_tsn(forward_tsn))) == forward_tsn


@given(u32, u32, u32, st.lists(u16, max_size=9))
def test_reconfig_round_trip(request: int, response: int, tsn: int, stream_ids: list[int]) -> None:
    parameters = (OutgoingResetRequest(request, response, tsn, tuple(stream_ids)), Response(request, 6))
    assert decode_reconfig(value_of(encode_reconfig(*parameters))) == parameters


@given(st.lists(st.tuples(st.integers(1, 13), st.binary(max_size=9)), max_size=4))
def test_causes_round_trip(pairs: list[tuple[int, bytes]]) -> None:
    causes = tuple(Cause(code, information) for code, information in pairs)
    assert decode_causes(value_of(encode_error(causes))) == causes


DECODERS: list[tuple[bytes, Callable[[bytes], object]]] = [
    (encode_data(Data(1, 2, 3, 4, b"x")), lambda value: decode_data(BEGINNING | ENDING, value)),
    (encode_sack(7, 65536, [(2, 3), (5, 5)], [6]), decode_sack),
    (encode_init(INIT, ChunkType.INIT), decode_init),
    (encode_forward_tsn(ForwardTsn(9, ((3, 4),))), decode_forward_tsn),
    (encode_reconfig(OutgoingResetRequest(1, 2, 3, (4, 5))), decode_reconfig),
    (encode_reconfig(Response(8, 1)), decode_reconfig),
    (encode_heartbeat(b"information"), decode_heartbeat),
    (encode_shutdown(10), decode_shutdown),
    (encode_error((Cause(3, b"\0\0\0\1"), Cause(13, b"why"))), decode_causes),
]
# Where a cut falls between two elements, what is left is a shorter but whole chunk.
WHOLE_WHEN_CUT = {decode_init: {16, 24, 28}, decode_forward_tsn: {4}, decode_causes: {0, 8}}


@pytest.mark.parametrize(("encoded", "decode"), DECODERS)
def test_every_truncation_is_an_error(encoded: bytes, decode: Callable[[bytes], object]) -> None:
    value = value_of(encoded)
    decode(value)
    for size in range(len(value)):
        if size in WHOLE_WHEN_CUT.get(decode, set()) or (encoded[0] == ChunkType.DATA and size >= 12):
            decode(value[:size])
        elif decode is decode_init and 22 <= size < 24:
            decode(value[:size])  # only padding is missing
        else:
            with pytest.raises(DecodeError):
                decode(value[:size])


@pytest.mark.parametrize(("encoded", "decode"), DECODERS)
def test_no_bit_flip_escapes(encoded: bytes, decode: Callable[[bytes], object]) -> None:
    value = value_of(encoded)
    outcomes = set()
    for bit in range(8 * len(value)):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            outcomes.add(type(decode(bytes(flipped))))
        except DecodeError:
            outcomes.add(DecodeError)
    assert outcomes


@given(st.binary(max_size=120))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    for decode in (decode_packet, *(each for _, each in DECODERS)):
        try:
            decode(data)
        except DecodeError:
            continue


@pytest.mark.parametrize(
    ("kind", "is_reported", "next_is_read"),
    [(0x0100, False, False), (0x4100, True, False), (0x8100, False, True), (0xC100, True, True)],
)
def test_unknown_parameters_follow_their_two_high_bits(kind: int, is_reported: bool, next_is_read: bool) -> None:
    unknown = kind.to_bytes(2, "big") + b"\0\x06??\0\0"
    encoded = value_of(encode_init(Init(1, 2000, 1, 1, 1), ChunkType.INIT)) + unknown + b"\xc0\x00\x00\x04"
    init = decode_init(encoded)
    assert init.unrecognized == ((unknown[:6],) if is_reported else ())
    assert init.forward_tsn_supported is next_is_read


def test_checksum_of_a_packet() -> None:
    # RFC 9260 appendix A gives the polynomial; RFC 3720 appendix B.4 gives 32 zero bytes -> 0x8a9136aa.
    packet = with_checksum(bytes(32))
    assert packet[8:12] == (0x8A9136AA).to_bytes(4, "little")
    assert has_correct_checksum(packet)
    for bit in range(8 * len(packet)):
        flipped = bytearray(packet)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not has_correct_checksum(bytes(flipped))


def test_packet_needs_a_chunk() -> None:
    for size in range(16):
        with pytest.raises(DecodeError):
            decode_packet(bytes(size))
