"""Messages of multicast DNS (RFC 1035 section 4, RFC 6762 section 18), as far as addresses go.

     0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
    +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
    |                      ID                       |
    +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
    |QR|   Opcode  |AA|TC|RD|RA|   Z    |   RCODE   |
    +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
    |             number of questions               |
    |             number of answers                 |
    |             number of authorities             |
    |             number of additionals             |
    +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
    question:  name, type (16), unicast wanted (1), class (15)
    record:    name, type (16), cache flush (1), class (15), time to live (32), length (16), data

A name is a list of labels, each behind its length, up to an empty one; or, from any label on, a pointer to an earlier
place in the message, where it goes on.
"""

from __future__ import annotations

import ipaddress
from struct import Struct
from typing import Final, TypeAlias, final

import attrs

from xp2p_trio.errors import DecodeError

Name: TypeAlias = tuple[bytes, ...]
"""The labels of a name, in lower case, without the empty one at its end."""

MAX_MESSAGE_SIZE: Final = 9000
"""RFC 6762 section 17, which counts the headers of IP and UDP as well."""

TYPE_A: Final = 1
TYPE_AAAA: Final = 28  # RFC 3596 section 2.1
_TYPE_NSEC: Final = 47  # RFC 4034 section 4
TYPE_ANY: Final = 255
ADDRESS_SIZES: Final = {TYPE_A: 4, TYPE_AAAA: 16}

_CLASS_IN: Final = 1
_CLASS_ANY: Final = 255
_TOP_BIT: Final = 0x8000  # RFC 6762 sections 5.4 and 10.2: of the class

_RESPONSE: Final = 0x8400  # QR, AA (RFC 6762 section 18.4)
_OPCODE_AND_RCODE: Final = 0x780F

_MAX_NAME_SIZE: Final = 255  # RFC 1035 section 2.3.4
_MAX_JUMPS: Final = 16
_POINTER: Final = 0xC0  # RFC 1035 section 4.1.4: the two top bits of a length
_UNREACHABLE: Final = 0x4000  # the offset from which on no pointer leads to a name
_HEADER: Final = Struct("!6H")
_QUESTION_TAIL: Final = Struct("!HH")
_RECORD_TAIL: Final = Struct("!HHIH")


@attrs.frozen
class Question:
    """Which addresses a name has.

    Attributes:
        name: asked about; its labels have 1 to 63 bytes, and 253 in all.
        record_type: `TYPE_A`, `TYPE_AAAA`, `TYPE_ANY`; from others it may be any number.
        unicast: whether the answer may come to the asker alone (QU, RFC 6762 section 5.4).
    """

    name: Name
    record_type: int
    unicast: bool = False


@attrs.frozen
class AddressRecord:
    """A name has an address.

    Attributes:
        name: whose.
        host: numeric, as `ipaddress` spells it; its family says whether the record is A or AAAA.
        ttl: seconds for which this holds; 0 says that it holds no more (RFC 6762 section 10.1).
        flush: whether it has no other of this family (RFC 6762 section 10.2).
    """

    name: Name
    host: str
    ttl: int
    flush: bool = False

    @property
    def record_type(self) -> int:
        """`TYPE_A` or `TYPE_AAAA`."""
        return TYPE_AAAA if ":" in self.host else TYPE_A


@attrs.frozen
class Message:
    """One message. Records of other types than addresses, and of other classes than the Internet's, are left out.

    Attributes:
        id: of a query by unicast and its answer; else 0.
        is_response: rather than a query.
        questions: of a query, or repeated from one.
        answers: the answer section; in a query what the asker knows already (RFC 6762 section 7.1).
        additionals: what the sender thinks will be asked next.
    """

    id: int = 0
    is_response: bool = False
    questions: tuple[Question, ...] = ()
    answers: tuple[AddressRecord, ...] = ()
    additionals: tuple[AddressRecord, ...] = ()


def decode_message(data: bytes) -> Message:
    """Read a whole message.

    Raises:
        DecodeError: it is cut short, is no standard query or successful response, or one of its names or addresses is
            malformed.
    """
    if not _HEADER.size <= len(data) <= MAX_MESSAGE_SIZE:
        raise DecodeError(f"a DNS message has {_HEADER.size} to {MAX_MESSAGE_SIZE} bytes, not {len(data)}")
    message_id, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
    if flags & _OPCODE_AND_RCODE:  # such are to be ignored: RFC 6762 sections 18.3 and 18.11
        raise DecodeError(f"the flags 0x{flags:04x} have an opcode or a response code")
    reader = _Reader(data)
    asked = reader.questions(questions)
    known = reader.records(answers)
    reader.records(authorities)
    return Message(message_id, bool(flags & _TOP_BIT), asked, known, reader.records(additionals))


def encode_message(message: Message, *, deny_others: bool = False) -> bytes:
    """Write a message.

    Args:
        message: what it says.
        deny_others: whether to say of each name in the answer section that it has no record of another type (NSEC, RFC
            6762 section 6.1), so that nobody waits for one.
    """
    denials = message.answers if deny_others else ()
    out = bytearray(
        _HEADER.pack(
            message.id,
            _RESPONSE if message.is_response else 0,
            len(message.questions),
            len(message.answers) + len(denials),
            0,
            len(message.additionals),
        )
    )
    written: dict[Name, int] = {}
    for question in message.questions:
        out += _name(question.name, len(out), written)
        out += _QUESTION_TAIL.pack(question.record_type, _CLASS_IN | _TOP_BIT * question.unicast)
    for record in message.answers:
        _write_record(out, record, record.record_type, ipaddress.ip_address(record.host).packed, written)
    for record in denials:
        # The next name, which is the same one (RFC 6762 section 6.1), and the types that exist: window 0 of a bitmap.
        kind = record.record_type
        bitmap = (1 << 7 - kind % 8).to_bytes(kind // 8 + 1, "big")
        next_name = _name(record.name, _UNREACHABLE, written)
        _write_record(out, record, _TYPE_NSEC, next_name + bytes((0, len(bitmap))) + bitmap, written)
    for record in message.additionals:
        _write_record(out, record, record.record_type, ipaddress.ip_address(record.host).packed, written)
    return bytes(out)


def _write_record(
    out: bytearray, record: AddressRecord, record_type: int, data: bytes, written: dict[Name, int]
) -> None:
    out += _name(record.name, len(out), written)
    out += _RECORD_TAIL.pack(record_type, _CLASS_IN | _TOP_BIT * record.flush, record.ttl, len(data)) + data


def _name(name: Name, offset: int, written: dict[Name, int]) -> bytes:
    """A name as it is written at this offset: a pointer, if it stands somewhere already."""
    if name in written:
        return (_POINTER << 8 | written[name]).to_bytes(2, "big")
    if offset < _UNREACHABLE:
        written[name] = offset
    return b"".join(bytes((len(label),)) + label for label in name) + b"\0"


@final
class _Reader:
    """Walks over a message; each step moves forward."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = _HEADER.size
        self._pointed: dict[int, tuple[list[bytes], int, int]] = {}  # by offset: the labels, their size, the jumps

    def questions(self, count: int) -> tuple[Question, ...]:
        found = []
        for _ in range(count):
            name = self._name()
            record_type, record_class = _QUESTION_TAIL.unpack_from(self._data, self._skip(_QUESTION_TAIL.size))
            if record_class & ~_TOP_BIT in (_CLASS_IN, _CLASS_ANY):
                found.append(Question(name, record_type, bool(record_class & _TOP_BIT)))
        return tuple(found)

    def records(self, count: int) -> tuple[AddressRecord, ...]:
        found = []
        for _ in range(count):
            name = self._name()
            tail = _RECORD_TAIL.unpack_from(self._data, self._skip(_RECORD_TAIL.size))
            record_type, record_class, ttl, size = tail
            start = self._skip(size)
            if record_type not in ADDRESS_SIZES or record_class & ~_TOP_BIT != _CLASS_IN:
                continue
            if size != ADDRESS_SIZES[record_type]:
                raise DecodeError(f"an address record of type {record_type} has {size} bytes")
            host = str(ipaddress.ip_address(self._data[start : start + size]))
            found.append(AddressRecord(name, host, ttl, bool(record_class & _TOP_BIT)))
        return tuple(found)

    def _skip(self, size: int) -> int:
        """Move over that many bytes, which must be there. Returns where they start."""
        start = self._offset
        if len(self._data) - start < size:
            raise DecodeError(f"the message ends at {len(self._data)}, {size} bytes were to follow at {start}")
        self._offset = start + size
        return start

    def _name(self) -> Name:
        """Read a name. A pointer leads to before where its part of the name began, so that none is followed twice.

        What is pointed to is read once: many short pointers to one long name cost no more than they have bytes.
        """
        data, labels, size, jumps = self._data, [], 1, 0
        begun = at = self._offset
        behind: int | None = None
        pointed: list[tuple[int, int, int, int]] = []  # where pointers led, behind how many labels, bytes and jumps
        while True:
            if at >= len(data):
                raise DecodeError(f"the message ends within the name at {self._offset}")
            length = data[at]
            if length == 0:
                break
            if length >= _POINTER and at + 1 < len(data):
                target = (length & ~_POINTER) << 8 | data[at + 1]
                jumps += 1
                if not _HEADER.size <= target < begun or jumps > _MAX_JUMPS:
                    raise DecodeError(f"the name's pointer at {at} to {target} is no step back, or one too many")
                behind = at + 2 if behind is None else behind
                if target in self._pointed:
                    rest, rest_size, rest_jumps = self._pointed[target]
                    labels += rest
                    size += rest_size
                    jumps += rest_jumps
                    if size > _MAX_NAME_SIZE or jumps > _MAX_JUMPS:
                        raise DecodeError(f"the name at {self._offset} is too long, or has too many pointers")
                    break
                pointed.append((target, len(labels), size, jumps))
                begun = at = target
                continue
            end = at + 1 + length
            size += 1 + length
            if length >= 0x40 or end > len(data) or size > _MAX_NAME_SIZE:
                raise DecodeError(f"the name at {self._offset} is malformed at {at}, cut short or too long")
            labels.append(data[at + 1 : end].lower())
            at = end
        self._offset = at + 1 if behind is None else behind
        for target, *before in pointed:
            self._pointed[target] = labels[before[0] :], size - before[1], jumps - before[2]
        return tuple(labels)
