"""Framing of records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio import dtls
from xp2p_trio.dtls.record import MAX_CIPHERTEXT_SIZE, encode_header
from xp2p_trio.errors import DecodeError

RECORDS = st.builds(
    dtls.Record,
    st.integers(0, 255),
    st.integers(0xFE00, 0xFEFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 2**48 - 1),
    st.binary(max_size=50),
)


def encode(record: dtls.Record) -> bytes:
    return (
        encode_header(record.content_type, record.version, record.epoch, record.sequence_number, len(record.fragment))
        + record.fragment
    )


def test_layout() -> None:
    """RFC 6347 section 4.1, written out by hand."""
    wire = bytes.fromhex("16 fefd 0001 000000000005 0003 616263")
    assert dtls.decode_records(wire) == [dtls.Record(22, 0xFEFD, 1, 5, b"abc")]
    assert encode_header(22, 0xFEFD, 1, 5, 3) == wire[:13]
    assert encode_header(23, 0xFEFD, 0xFFFF, 2**48 - 2, 0) == bytes.fromhex("17 fefd ffff fffffffffffe 0000")


@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_round_trip(records: list[dtls.Record]) -> None:
    assert dtls.decode_records(b"".join(map(encode, records))) == records


@given(st.lists(RECORDS, min_size=1, max_size=3))
def test_truncation_keeps_the_whole_records(records: list[dtls.Record]) -> None:
    wire = b"".join(map(encode, records))
    first = len(encode(records[0]))
    for size in range(len(wire)):
        if size < first:
            with pytest.raises(DecodeError):
                dtls.decode_records(wire[:size])
        else:
            decoded = dtls.decode_records(wire[:size])
            assert decoded == records[: len(decoded)]


@given(st.binary(max_size=100))
def test_anything(data: bytes) -> None:
    try:
        records = dtls.decode_records(data)
    except DecodeError:
        return
    assert data.startswith(b"".join(map(encode, records)))


def test_oversized_record_is_none() -> None:
    for size, fits in ((MAX_CIPHERTEXT_SIZE, True), (MAX_CIPHERTEXT_SIZE + 1, False)):
        wire = encode_header(23, 0xFEFD, 1, 0, size) + bytes(size)
        if fits:
            assert len(dtls.decode_records(wire)) == 1
        else:
            with pytest.raises(DecodeError):
                dtls.decode_records(wire)
