"""INIT and INIT ACK (RFC 9260 sections 3.3.2 and 3.3.3) with the parameters that WebRTC uses.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | Type = 1 or 2 |  Chunk Flags  |         Chunk Length          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Initiate Tag                          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Advertised Receiver Window Credit (a_rwnd)           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Number of Outbound Streams   |   Number of Inbound Streams   |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                          Initial TSN                          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /              Optional/Variable-Length Parameters              /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

A parameter:

    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Parameter Type         |       Parameter Length        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /                       Parameter Value                         /
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import attrs

from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp.wire.packet import decode_parameters, encode_chunk, encode_parameters
from xp2p_trio.sctp.wire.types import ChunkType, ParameterType

EDMID_DTLS: Final = 1
"""Error detection method "SCTP over DTLS" (RFC 9653 section 5)."""

_FIELDS: Final = Struct("!IIHHI")
_EDMID: Final = Struct("!I")
_IGNORED: Final = frozenset(
    {
        ParameterType.IPV4_ADDRESS,
        ParameterType.IPV6_ADDRESS,
        ParameterType.COOKIE_PRESERVATIVE,
        ParameterType.SUPPORTED_ADDRESS_TYPES,
        ParameterType.UNRECOGNIZED_PARAMETER,
    }
)
"""Known, but DTLS hides addresses (RFC 8261 section 6.1) and our cookies live long enough."""


@attrs.frozen
class Init:
    """An INIT or INIT ACK.

    Attributes:
        initiate_tag: the verification tag that its sender expects.
        a_rwnd: its sender's receive window in bytes.
        outbound_streams: how many streams it wants to send on.
        inbound_streams: how many it can receive on.
        initial_tsn: the first TSN that it will use.
        supported_extensions: chunk types of the Supported Extensions parameter.
        forward_tsn_supported: whether it said so (RFC 3758).
        edmid: error detection method under which a zero checksum is acceptable to it (RFC 9653), or None.
        state_cookie: the cookie of an INIT ACK.
        has_host_name: whether a Host Name Address was given, which RFC 9260 section 3.3.2.1.4 answers with ABORT.
        unrecognized: whole parameters that their type's high bits ask us to report.
    """

    initiate_tag: int
    a_rwnd: int
    outbound_streams: int
    inbound_streams: int
    initial_tsn: int
    supported_extensions: frozenset[int] = frozenset()
    forward_tsn_supported: bool = False
    edmid: int | None = None
    state_cookie: bytes | None = None
    has_host_name: bool = False
    unrecognized: tuple[bytes, ...] = ()


def decode_init(value: bytes) -> Init:
    """Read the value of an INIT or INIT ACK chunk.

    Raises:
        DecodeError: cut short, or a parameter whose length does not fit.
    """
    if len(value) < _FIELDS.size:
        raise DecodeError(f"INIT with {len(value)} bytes, where its fields take {_FIELDS.size}")
    supported_extensions: frozenset[int] = frozenset()
    forward_tsn_supported = False
    edmid: int | None = None
    state_cookie: bytes | None = None
    has_host_name = False
    unrecognized: list[bytes] = []
    for parameter_type, start, stop in decode_parameters(value, _FIELDS.size):
        if parameter_type == ParameterType.STATE_COOKIE:
            state_cookie = value[start:stop]
        elif parameter_type == ParameterType.SUPPORTED_EXTENSIONS:
            supported_extensions = frozenset(value[start:stop])
        elif parameter_type == ParameterType.FORWARD_TSN_SUPPORTED:
            forward_tsn_supported = True
        elif parameter_type == ParameterType.ZERO_CHECKSUM_ACCEPTABLE:
            if stop - start != _EDMID.size:
                raise DecodeError(f"Zero Checksum Acceptable with {stop - start} bytes, where it takes 4")
            edmid = _EDMID.unpack_from(value, start)[0]
        elif parameter_type == ParameterType.HOST_NAME_ADDRESS:
            has_host_name = True
        elif parameter_type not in _IGNORED:
            # RFC 9260 section 3.2.1: the upper bit says skip or stop, the next one says report or not.
            if parameter_type & 0x4000:
                unrecognized.append(value[start - 4 : stop])
            if not parameter_type & 0x8000:
                break
    initiate_tag, a_rwnd, outbound_streams, inbound_streams, initial_tsn = _FIELDS.unpack_from(value)
    return Init(
        initiate_tag,
        a_rwnd,
        outbound_streams,
        inbound_streams,
        initial_tsn,
        supported_extensions,
        forward_tsn_supported,
        edmid,
        state_cookie,
        has_host_name,
        tuple(unrecognized),
    )


def encode_init(init: Init, chunk_type: ChunkType) -> bytes:
    """An INIT or INIT ACK chunk. Each of `unrecognized` becomes an Unrecognized Parameter."""
    fields = _FIELDS.pack(init.initiate_tag, init.a_rwnd, init.outbound_streams, init.inbound_streams, init.initial_tsn)
    parameters: list[tuple[int, bytes]] = []
    if init.state_cookie is not None:
        parameters.append((ParameterType.STATE_COOKIE, init.state_cookie))
    if init.supported_extensions:
        parameters.append((ParameterType.SUPPORTED_EXTENSIONS, bytes(sorted(init.supported_extensions))))
    if init.forward_tsn_supported:
        parameters.append((ParameterType.FORWARD_TSN_SUPPORTED, b""))
    if init.edmid is not None:
        parameters.append((ParameterType.ZERO_CHECKSUM_ACCEPTABLE, _EDMID.pack(init.edmid)))
    parameters.extend((ParameterType.UNRECOGNIZED_PARAMETER, whole) for whole in init.unrecognized)
    return encode_chunk(chunk_type, 0, fields + encode_parameters(parameters))
