"""The codec of DCEP: captures, round trips, truncations, bit flips."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.datachannel import Ack, ChannelParameters, ChannelType, Open, decode_dcep, encode_ack, encode_open
from xp2p_trio.errors import DecodeError, InvalidArgument

# What Chromium sends for createDataChannel("chat", {protocol: "json", ordered: false, maxRetransmits: 3}).
OPEN = bytes.fromhex("03 81 0100 00000003 0004 0004") + b"chatjson"
MESSAGE = Open(ChannelType.PARTIAL_RELIABLE_REXMIT_UNORDERED, 256, 3, "chat", "json")

opens = st.builds(
    Open,
    st.sampled_from(ChannelType),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.text(max_size=40),
    st.text(max_size=40),
).map(lambda message: Open(*normal(message)))


def normal(message: Open) -> tuple[ChannelType, int, int, str, str]:
    parameter = 0 if message.channel_type.is_reliable else message.reliability_parameter
    return message.channel_type, message.priority, parameter, message.label, message.protocol


def test_open() -> None:
    assert decode_dcep(OPEN) == MESSAGE
    assert encode_open(MESSAGE) == OPEN


def test_ack() -> None:
    assert decode_dcep(b"\x02") == Ack()
    assert encode_ack() == b"\x02"


def test_lengths_count_bytes() -> None:
    data = encode_open(Open(ChannelType.RELIABLE, 0, 0, "é世", ""))
    assert data[8:10] == b"\0\x05"
    assert decode_dcep(data) == Open(ChannelType.RELIABLE, 0, 0, "é世", "")


def test_longest_texts() -> None:
    message = Open(ChannelType.RELIABLE, 0, 0, "x" * 65535, "y" * 65535)
    assert decode_dcep(encode_open(message)) == message


def test_reliability_parameter_of_a_reliable_channel_is_ignored() -> None:
    assert decode_dcep(bytes.fromhex("03 00 0000 ffffffff 0000 0000")) == Open(ChannelType.RELIABLE, 0, 0, "", "")


@given(opens)
def test_round_trip(message: Open) -> None:
    data = encode_open(message)
    assert decode_dcep(data) == message
    assert encode_open(message) == data


@given(opens, st.data())
def test_every_truncation_is_an_error(message: Open, data: st.DataObject) -> None:
    encoded = encode_open(message)
    with pytest.raises(DecodeError):
        decode_dcep(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


def test_every_bit_flip_gives_a_value_or_an_error() -> None:
    for position in range(len(OPEN) * 8):
        flipped = bytearray(OPEN)
        flipped[position // 8] ^= 1 << position % 8
        with contextlib.suppress(DecodeError):
            assert isinstance(decode_dcep(bytes(flipped)), Open)


@given(
    st.text(max_size=20),
    st.text(max_size=20),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    st.integers(0, 65535),
)
def test_parameters_survive_the_wire(
    label: str, protocol: str, ordered: bool, retransmits: int | None, milliseconds: int | None, priority: int
) -> None:
    if retransmits is not None:
        milliseconds = None
    life_time = None if milliseconds is None else milliseconds / 1000
    parameters = ChannelParameters(label, protocol, ordered, retransmits, life_time, None, priority)
    received = decode_dcep(encode_open(parameters.to_open()))
    assert isinstance(received, Open)
    assert ChannelParameters.from_open(received) == parameters


@pytest.mark.parametrize(
    "arguments",
    [
        {"label": "é" * 32768},
        {"protocol": "x" * 65536},
        {"label": "\ud800"},
        {"max_retransmits": -1},
        {"max_retransmits": 2**32},
        {"max_packet_life_time": -0.001},
        {"max_packet_life_time": float("nan")},
        {"max_packet_life_time": float("inf")},
        {"max_retransmits": 1, "max_packet_life_time": 1.0},
        {"negotiated_id": -1},
        {"negotiated_id": 65535},
        {"priority": 65536},
    ],
)
def test_parameters_out_of_range(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        ChannelParameters(**arguments)  # type: ignore[arg-type]
