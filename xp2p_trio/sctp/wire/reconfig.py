"""RE-CONFIG (RFC 6525 sections 3.1 and 4) for the reset of outgoing streams, which is what RFC 8831 section 6.7 uses.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Parameter Type = 13       | Parameter Length = 16 + 2 * N |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           Re-configuration Request Sequence Number            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           Re-configuration Response Sequence Number           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                Sender's Last Assigned TSN                     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Stream Number 1 (optional)   |    Stream Number 2 (optional) |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /                            ......                             /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Parameter Type = 16       |      Parameter Length         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Re-configuration Response Sequence Number             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                            Result                             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

Every other request starts with its sequence number too, and that is all we need to deny it.
"""

from __future__ import annotations

import enum
from struct import Struct, iter_unpack, pack
from typing import Final, TypeAlias

import attrs

from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp.wire.packet import decode_parameters, encode_chunk, encode_parameters
from xp2p_trio.sctp.wire.types import ChunkType, ParameterType

_REQUEST: Final = Struct("!III")
_RESPONSE: Final = Struct("!II")
_OTHER_REQUESTS: Final = frozenset(
    {
        ParameterType.INCOMING_SSN_RESET_REQUEST,
        ParameterType.SSN_TSN_RESET_REQUEST,
        ParameterType.ADD_OUTGOING_STREAMS_REQUEST,
        ParameterType.ADD_INCOMING_STREAMS_REQUEST,
    }
)


class Result(enum.IntEnum):
    """Table 3 of RFC 6525 section 4.4."""

    NOTHING_TO_DO = 0
    PERFORMED = 1
    DENIED = 2
    WRONG_SSN = 3
    REQUEST_ALREADY_IN_PROGRESS = 4
    BAD_SEQUENCE_NUMBER = 5
    IN_PROGRESS = 6


@attrs.frozen
class OutgoingResetRequest:
    """The sender will start over at SSN 0 on `stream_ids`, or on all its streams when there are none."""

    request_number: int
    response_number: int
    last_assigned_tsn: int
    stream_ids: tuple[int, ...]


@attrs.frozen
class OtherRequest:
    """A request that we do not take part in."""

    request_number: int


@attrs.frozen
class Response:
    """The answer to a request.

    Attributes:
        response_number: the number of the request.
        result: a `Result`, or a number unknown to us.
    """

    response_number: int
    result: int


Reconfiguration: TypeAlias = OutgoingResetRequest | OtherRequest | Response


def decode_reconfig(value: bytes) -> tuple[Reconfiguration, ...]:
    """Read the one or two parameters of a RE-CONFIG chunk; an unknown one ends the list (RFC 6525 section 4).

    Raises:
        DecodeError: no parameter, more than two, or a length that does not fit.
    """
    parameters = decode_parameters(value)
    if not 1 <= len(parameters) <= 2:
        raise DecodeError(f"RE-CONFIG with {len(parameters)} parameters, where it has one or two")
    found: list[Reconfiguration] = []
    for parameter_type, start, stop in parameters:
        size = stop - start
        if parameter_type == ParameterType.OUTGOING_SSN_RESET_REQUEST:
            if size < _REQUEST.size or size % 2:
                raise DecodeError(f"Outgoing SSN Reset Request with {size} bytes")
            stream_ids = tuple(number for (number,) in iter_unpack("!H", value[start + _REQUEST.size : stop]))
            request_number, response_number, last_tsn = _REQUEST.unpack_from(value, start)
            found.append(OutgoingResetRequest(request_number, response_number, last_tsn, stream_ids))
        elif parameter_type == ParameterType.RECONFIGURATION_RESPONSE:
            # The two optional TSNs belong to the reset of TSNs, for which we never ask.
            if size not in {_RESPONSE.size, 2 * _RESPONSE.size}:
                raise DecodeError(f"Re-configuration Response with {size} bytes")
            found.append(Response(*_RESPONSE.unpack_from(value, start)))
        elif parameter_type in _OTHER_REQUESTS:
            if size < 4:
                raise DecodeError(f"re-configuration request with {size} bytes")
            found.append(OtherRequest(int.from_bytes(value[start : start + 4], "big")))
        else:
            break
    return tuple(found)


def encode_reconfig(*parameters: OutgoingResetRequest | Response) -> bytes:
    """A RE-CONFIG chunk."""
    return encode_chunk(ChunkType.RE_CONFIG, 0, encode_parameters(map(_value, parameters)))


def _value(parameter: OutgoingResetRequest | Response) -> tuple[int, bytes]:
    if isinstance(parameter, Response):
        value = _RESPONSE.pack(parameter.response_number, parameter.result)
        return ParameterType.RECONFIGURATION_RESPONSE, value
    numbers = _REQUEST.pack(parameter.request_number, parameter.response_number, parameter.last_assigned_tsn)
    stream_ids = pack(f"!{len(parameter.stream_ids)}H", *parameter.stream_ids)
    return ParameterType.OUTGOING_SSN_RESET_REQUEST, numbers + stream_ids
