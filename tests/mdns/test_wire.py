"""The codec of messages about addresses."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.errors import DecodeError
from xp2p_trio.mdns import (
    MAX_MESSAGE_SIZE,
    TYPE_A,
    TYPE_AAAA,
    TYPE_ANY,
    AddressRecord,
    Message,
    Question,
    decode_message,
    encode_message,
)

NAME = (b"54787f7c-4dbe-495f-8bc1-405794c6e049", b"local")
NAME_IPV6 = (b"eb705f3c-0f57-4623-a5aa-0e545b77c8f2", b"local")

# What Chromium 156 multicast: the answer to a question about the IPv4 address, with a denial of others; and to one
# about the IPv4 address of a name that has an IPv6 one, a denial with that address beside it.
ANSWER = bytes.fromhex(
    "0000840000000001000000012435343738376637632d346462652d343935662d386263312d343035373934633665303439056c6f63616c00"
    "00018001000000780004c00002022435343738376637632d346462652d343935662d386263312d343035373934633665303439056c6f6361"
    "6c00002f8001000000780005c046000140"
)
DENIAL = bytes.fromhex(
    "0000840000000001000000012465623730356633632d306635372d343632332d613561612d306535343562373763386632056c6f63616c00"
    "002f8001000000780008c00c0004000000082465623730356633632d306635372d343632332d613561612d30653534356237376338663205"
    "6c6f63616c00001c8001000000780010fd000000000000000000000000000002"
)

labels = st.binary(min_size=1, max_size=20).map(bytes.lower)
names = st.lists(labels, min_size=1, max_size=4).map(tuple)
hosts = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
questions = st.builds(Question, names, st.integers(0, 0xFFFF), st.booleans())
records = st.builds(AddressRecord, names, hosts, st.integers(0, 2**32 - 1), st.booleans())
messages = st.builds(
    Message,
    st.integers(0, 0xFFFF),
    st.booleans(),
    st.lists(questions, max_size=3).map(tuple),
    st.lists(records, max_size=3).map(tuple),
    st.lists(records, max_size=3).map(tuple),
)


def test_answers_of_a_browser() -> None:
    assert decode_message(ANSWER) == Message(
        is_response=True, answers=(AddressRecord(NAME, "192.0.2.2", 120, flush=True),)
    )
    assert decode_message(DENIAL) == Message(
        is_response=True, additionals=(AddressRecord(NAME_IPV6, "fd00::2", 120, flush=True),)
    )


def test_a_question_is_built_to_the_byte() -> None:
    message = Message(7, questions=(Question((b"a", b"local"), TYPE_AAAA), Question((b"a", b"local"), TYPE_A, True)))
    built = bytes.fromhex("0007 0000 0002 0000 0000 0000 01 61 05 6c6f63616c 00 001c 0001 c00c 0001 8001")
    assert encode_message(message) == built
    assert decode_message(built) == message


@pytest.mark.parametrize(
    ("host", "kind", "denial"),
    [
        ("192.0.2.1", "0001 8001 00000078 0004 c0000201", "002f 8001 00000078 0005 c00c 00 01 40"),
        ("fd00::2", "001c 8001 00000078 0010 fd00" + "00" * 13 + "02", "002f 8001 00000078 0008 c00c 00 04 00000008"),
    ],
)
def test_an_answer_denies_what_there_is_not(host: str, kind: str, denial: str) -> None:
    message = Message(is_response=True, answers=(AddressRecord((b"a", b"local"), host, 120, flush=True),))
    name = "01 61 05 6c6f63616c 00"
    built = encode_message(message, deny_others=True)
    assert built == bytes.fromhex(f"0000 8400 0000 0002 0000 0000 {name} {kind} c00c {denial}")
    assert decode_message(built) == message


@given(messages)
def test_round_trip(message: Message) -> None:
    assert decode_message(encode_message(message)) == message
    assert decode_message(encode_message(message, deny_others=True)) == message


@given(messages.filter(lambda message: message.questions or message.answers or message.additionals))
def test_every_truncation_is_refused(message: Message) -> None:
    raw = encode_message(message)
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            decode_message(raw[:size])


@given(message=st.sampled_from([ANSWER, DENIAL]), where=st.integers(0), value=st.integers(0, 255))
def test_changed_bytes_are_refused_or_decoded(message: bytes, where: int, value: int) -> None:
    data = bytearray(message)
    data[where % len(data)] = value
    try:
        decode_message(bytes(data))
    except DecodeError:
        pass


@given(st.binary(max_size=200))
def test_noise_is_refused_or_decoded(noise: bytes) -> None:
    for data in (noise, bytes.fromhex("0000 8400 0001 0001 0001 0001") + noise):
        try:
            decode_message(data)
        except DecodeError:
            pass


def test_records_that_are_none_of_ours_are_left_out() -> None:
    name = bytes.fromhex("01 61 05 6c6f63616c 00")
    others = (
        name + bytes.fromhex("0010 0001 00000078 0003 027a7a"),  # TXT
        name + bytes.fromhex("0001 0003 00000078 0004 c0000201"),  # of the class CH
        name + bytes.fromhex("0001 0001 00000078 0004 c0000202"),
    )
    raw = bytes.fromhex("0000 8400 0000 0003 0000 0000") + b"".join(others)
    assert decode_message(raw).answers == (AddressRecord((b"a", b"local"), "192.0.2.2", 120),)


def test_authorities_are_read_over() -> None:
    record = bytes.fromhex("01 61 05 6c6f63616c 00 0001 0001 00000078 0004 c0000202")
    raw = bytes.fromhex("0000 8400 0000 0000 0001 0001") + record + record
    message = decode_message(raw)
    assert (len(message.answers), len(message.additionals)) == (0, 1)


def test_letters_have_no_case() -> None:
    raw = bytes.fromhex("0000 0000 0001 0000 0000 0000 01 41 05 4c4f43414c 00 00ff 0001")
    assert decode_message(raw).questions == (Question((b"a", b"local"), TYPE_ANY),)


@pytest.mark.parametrize("flags", ["0800", "7800", "8403", "840f"])
def test_other_operations_and_errors_are_refused(flags: str) -> None:
    with pytest.raises(DecodeError):
        decode_message(bytes.fromhex(f"0000 {flags} 0000 0000 0000 0000"))


@pytest.mark.parametrize("size", [0, 3, 5, 16])
@pytest.mark.parametrize("kind", ["0001", "001c"])
def test_addresses_of_a_wrong_size_are_refused(kind: str, size: int) -> None:
    if (kind, size) == ("001c", 16):
        return
    record = bytes.fromhex(f"01 61 00 {kind} 0001 00000078") + size.to_bytes(2, "big") + bytes(size)
    with pytest.raises(DecodeError):
        decode_message(bytes.fromhex("0000 8400 0000 0001 0000 0000") + record)


def question(name: str, behind: str = "") -> bytes:
    return bytes.fromhex(f"0000 0000 0001 0000 0000 0000 {name} 0001 0001 {behind}")


@pytest.mark.parametrize(
    "name",
    [
        "c00c",  # itself
        "c00e",  # behind itself
        "01 61 c00c",  # the beginning of itself
        "01 61 c00e",  # the middle of itself
        "c000",  # the header
        "c00b",
        "ffff",  # nowhere
        "40 61",  # label types that are none
        "80 61",
        "bf 61",
        "3f 61",  # longer than the message
    ],
)
def test_pointers_lead_back_and_labels_are_labels(name: str) -> None:
    with pytest.raises(DecodeError):
        decode_message(question(name))


def test_two_pointers_that_lead_to_each_other() -> None:
    raw = bytes.fromhex("0000 0000 0002 0000 0000 0000 c012 0001 0001 c00c 0001 0001")
    with pytest.raises(DecodeError):
        decode_message(raw)


def chain(length: int) -> bytes:
    """A message whose last name takes that many jumps."""
    out = bytearray(bytes.fromhex("0000 0000") + (length + 1).to_bytes(2, "big") + bytes(6))
    out += bytes.fromhex("01 61 00 0001 0001")
    before = 12
    for _ in range(length):
        here = len(out)
        out += bytes.fromhex("01 62") + (0xC000 | before).to_bytes(2, "big") + bytes.fromhex("0001 0001")
        before = here
    return bytes(out)


def test_jumps_are_bounded() -> None:
    assert decode_message(chain(16)).questions[-1].name == (b"b",) * 16 + (b"a",)
    with pytest.raises(DecodeError):
        decode_message(chain(17))


def test_names_are_bounded() -> None:
    label = "3f" + "61" * 63
    longest = label * 3 + "3d" + "61" * 61 + "00"
    assert len(bytes.fromhex(longest)) == 255
    assert len(decode_message(question(longest)).questions[0].name) == 4
    with pytest.raises(DecodeError):
        decode_message(question(label * 3 + "3e" + "61" * 62 + "00"))


def test_a_message_is_bounded() -> None:
    assert decode_message(bytes(MAX_MESSAGE_SIZE)) == Message()
    with pytest.raises(DecodeError):
        decode_message(bytes(MAX_MESSAGE_SIZE + 1))


def test_the_most_expensive_message_costs_little() -> None:
    name = b"\x01a" * 127 + b"\0"
    records = (MAX_MESSAGE_SIZE - 12 - len(name) - 4) // 12
    raw = bytes.fromhex("0000 8400 0001") + records.to_bytes(2, "big") + bytes(4) + name + bytes.fromhex("0001 0001")
    raw += bytes.fromhex("c00c 0010 0001 00000078 0000") * records
    started = time.process_time()
    assert decode_message(raw).answers == ()
    assert time.process_time() - started < 0.5
