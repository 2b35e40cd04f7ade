"""INIT, INIT ACK, COOKIE ECHO and COOKIE ACK (RFC 9260 sections 5.1 and 5.2)."""

from __future__ import annotations

from typing import Final

import attrs

from xp2p_trio.errors import DecodeError, Reason
from xp2p_trio.sctp.context import Context
from xp2p_trio.sctp.control_block import ControlBlock
from xp2p_trio.sctp.events import AssociationEstablished, AssociationRestarted
from xp2p_trio.sctp.state import State
from xp2p_trio.sctp.state_cookie import (
    NO_TIE_TAG,
    Extensions,
    StateCookie,
    decode_state_cookie,
    encode_state_cookie,
)
from xp2p_trio.sctp.wire import (
    CHUNK_HEADER_SIZE,
    COMMON_HEADER_SIZE,
    COOKIE_ACK,
    EDMID_DTLS,
    SHUTDOWN_ACK,
    Cause,
    CauseCode,
    ChunkType,
    Init,
    decode_init,
    encode_abort,
    encode_cookie_echo,
    encode_error,
    encode_init,
)

_SMALLEST_WINDOW: Final = 1500  # RFC 9260 section 3.3.2
_MOST_UNRECOGNIZED_SIZE: Final = 128
"""Bytes of unrecognized parameters that an INIT ACK reports, so that it stays below 400 bytes."""


def connect(context: Context, now: float) -> None:
    """Enter COOKIE-WAIT (section 5.1, A)."""
    context.state = State.COOKIE_WAIT
    context.is_init_due = True
    _start_t1(context, now)


def build_init_packet(context: Context) -> bytes:
    """The INIT of this association, the same whenever it is sent, alone under a verification tag of 0."""
    init = _our_init(context, context.local_tag, context.local_initial_tsn)
    return context.build_packet(0, encode_init(init, ChunkType.INIT))


def _our_init(context: Context, tag: int, tsn: int) -> Init:
    configuration = context.configuration
    return Init(
        tag,
        configuration.receive_window,
        configuration.outbound_streams,
        configuration.inbound_streams,
        tsn,
        supported_extensions=frozenset({ChunkType.RE_CONFIG, ChunkType.FORWARD_TSN}),
        forward_tsn_supported=True,
        edmid=EDMID_DTLS if configuration.zero_checksum else None,
    )


def _negotiate(context: Context, init: Init, local_tag: int, local_tsn: int, tie_tag: bytes, now: float) -> StateCookie:
    configuration = context.configuration
    return StateCookie(
        created_at=now,
        local_port=context.local_port,
        remote_port=context.remote_port,
        local_tag=local_tag,
        remote_tag=init.initiate_tag,
        local_initial_tsn=local_tsn,
        remote_initial_tsn=init.initial_tsn,
        remote_a_rwnd=init.a_rwnd,
        # Section 5.1.1: each side sends on the lesser of what it asked for and what the other can take.
        inbound_streams=min(configuration.inbound_streams, init.outbound_streams),
        outbound_streams=min(configuration.outbound_streams, init.inbound_streams),
        extensions=Extensions(
            partial_reliability=init.forward_tsn_supported or ChunkType.FORWARD_TSN in init.supported_extensions,
            stream_reset=ChunkType.RE_CONFIG in init.supported_extensions,
            zero_checksum=configuration.zero_checksum and init.edmid == EDMID_DTLS,
        ),
        tie_tag=tie_tag,
    )


def receive_init(context: Context, value: bytes, now: float) -> None:
    """Answer an INIT in any state, without keeping anything of it (sections 5.1, B, 5.2.1 and 5.2.2)."""
    try:
        init = decode_init(value)
    except DecodeError:
        context.dropped_malformed += 1
        return
    if not init.initiate_tag:
        context.dropped_malformed += 1  # section 3.3.2: silently discarded
        return
    problem = _problem(init)
    if problem is not None:
        context.dropped_malformed += 1
        context.reply(init.initiate_tag, encode_abort((problem,)))
        return
    block = context.block
    if context.state == State.SHUTDOWN_ACK_SENT and block is not None:
        context.reply(block.remote_tag, SHUTDOWN_ACK)  # section 9.2
        return
    tie_tag = NO_TIE_TAG
    local_tag = context.local_tag
    local_tsn = context.local_initial_tsn
    if block is not None:
        tie_tag = block.tie_tag
        if context.state != State.COOKIE_ECHOED:
            local_tag = context.new_tag()  # section 5.2.2; the existing association stays as it is
            local_tsn = context.new_tsn()
    cookie = _negotiate(context, init, local_tag, local_tsn, tie_tag, now)
    answer = attrs.evolve(
        _our_init(context, local_tag, local_tsn),
        state_cookie=encode_state_cookie(cookie, context.cookie_secret),
        unrecognized=_reportable(init.unrecognized),
    )
    context.reply(init.initiate_tag, encode_init(answer, ChunkType.INIT_ACK))


def _reportable(unrecognized: tuple[bytes, ...]) -> tuple[bytes, ...]:
    reported: list[bytes] = []
    room = _MOST_UNRECOGNIZED_SIZE
    for parameter in unrecognized:
        room -= len(parameter) + CHUNK_HEADER_SIZE
        if room < 0:
            break
        reported.append(parameter)
    return tuple(reported)


def _problem(init: Init) -> Cause | None:
    """Why an INIT or INIT ACK cannot be worked with (sections 3.3.2 and 3.3.3)."""
    if init.has_host_name:
        return Cause(CauseCode.UNRESOLVABLE_ADDRESS)
    if init.a_rwnd < _SMALLEST_WINDOW or not init.outbound_streams or not init.inbound_streams:
        return Cause(CauseCode.INVALID_MANDATORY_PARAMETER)
    return None


def receive_init_ack(context: Context, value: bytes, now: float) -> None:
    """Answer an INIT ACK with COOKIE ECHO (section 5.1, C)."""
    try:
        init = decode_init(value)
    except DecodeError:
        context.dropped_malformed += 1
        return
    problem = _problem(init)
    if problem is None and init.state_cookie is None:
        problem = Cause(CauseCode.MISSING_MANDATORY_PARAMETER, b"\0\0\0\1\0\7")
    if (
        problem is None
        and len(init.state_cookie or b"") > context.configuration.max_packet_size - 2 * COMMON_HEADER_SIZE
    ):
        problem = Cause(CauseCode.OUT_OF_RESOURCE)
    if problem is not None or not init.initiate_tag:
        if init.initiate_tag and problem is not None:
            context.reply(init.initiate_tag, encode_abort((problem,)))
        context.fail(Reason.PROTOCOL_VIOLATION, "the peer's INIT ACK cannot be used")
        return
    assert init.state_cookie is not None
    cookie = _negotiate(context, init, context.local_tag, context.local_initial_tsn, NO_TIE_TAG, now)
    context.block = _new_block(context, cookie)
    context.cookie = init.state_cookie
    context.state = State.COOKIE_ECHOED
    context.is_init_due = False
    context.is_cookie_echo_due = True
    if not context.t1_expirations:
        # Section 6.3.1, C2: the INIT measured the round trip, unless it was retransmitted (C5).
        measured = 3 * (now - context.t1_started_at)
        context.t1_timeout = min(max(measured, context.configuration.rto_min), context.t1_timeout)
    _start_t1(context, now)
    if init.unrecognized:
        causes = tuple(Cause(CauseCode.UNRECOGNIZED_PARAMETERS, whole) for whole in _reportable(init.unrecognized))
        if causes:
            context.add_control(encode_error(causes))


def receive_cookie_echo(context: Context, value: bytes, verification_tag: int, now: float) -> bool:
    """Set up, confirm or restart the association (sections 5.1, D and 5.2.4).

    Returns:
        Whether the chunks after it in its packet belong to the association.
    """
    try:
        cookie = decode_state_cookie(value, context.cookie_secret)
    except DecodeError:
        context.dropped_malformed += 1
        return False
    # RFC 5062 section 7: a cookie for other ports is not for this association.
    if cookie.local_tag != verification_tag or (cookie.local_port, cookie.remote_port) != (
        context.local_port,
        context.remote_port,
    ):
        context.dropped_tag += 1
        return False
    block = context.block
    local_matches = cookie.local_tag == (context.local_tag if block is None else block.local_tag)
    remote_matches = block is not None and cookie.remote_tag == block.remote_tag
    if now - cookie.created_at > context.configuration.cookie_lifetime and not (local_matches and remote_matches):
        staleness = min(int((now - cookie.created_at - context.configuration.cookie_lifetime) * 1e6), 0xFFFFFFFF)
        stale = Cause(CauseCode.STALE_COOKIE, staleness.to_bytes(4, "big"))
        context.reply(cookie.remote_tag, encode_error((stale,)))
        return False
    if block is None:
        if not local_matches:
            context.dropped_unexpected += 1
            return False
        context.block = _new_block(context, cookie)
        _establish(context, now)
    elif local_matches:
        if not remote_matches:
            block.adopt(cookie)  # B
        if context.state == State.COOKIE_ECHOED:  # B and D
            _establish(context, now)
    elif not remote_matches and cookie.tie_tag == block.tie_tag:  # A
        if context.state == State.SHUTDOWN_ACK_SENT:
            cause = Cause(CauseCode.COOKIE_RECEIVED_WHILE_SHUTTING_DOWN)
            context.reply(block.remote_tag, SHUTDOWN_ACK)
            context.reply(cookie.remote_tag, encode_error((cause,)))
            return False
        _restart(context, cookie, now)
    else:  # C, and what Table 12 does not show
        context.dropped_unexpected += 1
        return False
    assert context.block is not None
    control = context.block.control
    if COOKIE_ACK not in control:
        control.insert(0, COOKIE_ACK)  # section 5.1, D: it comes first
    return True


def _new_block(context: Context, cookie: StateCookie) -> ControlBlock:
    dropped = context.queue.drop_streams(cookie.outbound_streams)
    context.events += dropped
    context.messages_abandoned += len(dropped)
    return ControlBlock(cookie, context.configuration, context.queue, context.max_message_size, context.random_bytes)


def _restart(context: Context, cookie: StateCookie, now: float) -> None:
    """The peer has lost the association and set it up anew (A)."""
    context.queue.clear()
    context.local_tag = cookie.local_tag
    context.local_initial_tsn = cookie.local_initial_tsn
    context.block = _new_block(context, cookie)
    for timer in (context.t1, context.t2, context.t5):
        timer.stop()
    context.is_shutdown_due = False
    context.events.append(AssociationRestarted())
    _establish(context, now)


def _establish(context: Context, now: float) -> None:
    block = context.block
    assert block is not None
    was_restart = context.state >= State.ESTABLISHED
    context.state = State.ESTABLISHED
    context.t1.stop()
    context.is_init_due = context.is_cookie_echo_due = False
    context.cookie = b""
    block.heartbeat.restart(now, block.rto.rto)
    if not was_restart:
        context.events.append(
            AssociationEstablished(
                inbound_streams=block.inbound_streams,
                outbound_streams=block.outbound_streams,
                partial_reliability=block.extensions.partial_reliability,
                stream_reset=block.extensions.stream_reset,
                zero_checksum_sent=block.extensions.zero_checksum,
                zero_checksum_accepted=context.configuration.zero_checksum,
            )
        )


def receive_cookie_ack(context: Context, now: float) -> None:
    """The peer has set up its side (section 5.1, E)."""
    _establish(context, now)


def receive_stale_cookie(context: Context, now: float) -> None:
    """Start over with a new INIT (section 5.2.6, alternative 1)."""
    if context.state == State.COOKIE_ECHOED:
        block = context.block
        if block is not None and block.outbound.outstanding.chunks:
            context.fail(Reason.HANDSHAKE_TIMEOUT, "the peer's state cookie went stale before it came back")
            return
        context.block = None
        context.cookie = b""
        context.is_cookie_echo_due = False
        expirations = context.t1_expirations
        connect(context, now)
        context.t1_expirations = expirations + 1


def handle_t1(context: Context, now: float) -> None:
    """INIT or COOKIE ECHO was not answered (sections 5.1 and 4)."""
    context.t1_expirations += 1
    configuration = context.configuration
    if context.t1_expirations > configuration.max_init_retransmissions:
        waited_for = "INIT" if context.state == State.COOKIE_WAIT else "COOKIE ECHO"
        context.abort(Cause(CauseCode.USER_INITIATED_ABORT))
        context.fail(
            Reason.HANDSHAKE_TIMEOUT,
            f"the peer did not answer {context.t1_expirations} packets with {waited_for}; does it speak SCTP here?",
        )
        return
    if context.state == State.COOKIE_WAIT:
        context.is_init_due = True
    else:
        context.is_cookie_echo_due = True
    delay = context.t1_timeout * 2.0**context.t1_expirations
    context.t1.start(now + min(delay, configuration.rto_max))


def _start_t1(context: Context, now: float) -> None:
    context.t1_expirations = 0
    context.t1_started_at = now
    context.t1.start(now + context.t1_timeout)


def encode_our_cookie_echo(context: Context) -> bytes:
    """The COOKIE ECHO chunk of this association."""
    return encode_cookie_echo(context.cookie)
