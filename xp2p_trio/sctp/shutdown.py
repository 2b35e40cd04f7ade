"""SHUTDOWN, SHUTDOWN ACK and SHUTDOWN COMPLETE (RFC 9260 section 9.2)."""

from __future__ import annotations

from typing import Final

from xp2p_trio.errors import DecodeError, Reason
from xp2p_trio.sansio import Closed
from xp2p_trio.sctp.context import Context
from xp2p_trio.sctp.state import State
from xp2p_trio.sctp.wire import (
    SHUTDOWN_ACK,
    Cause,
    CauseCode,
    decode_shutdown,
    encode_shutdown,
    encode_shutdown_complete,
)

_GUARD_RTOS: Final = 5
"""T5-shutdown-guard lasts that many times RTO.Max."""


def begin(context: Context, now: float) -> None:
    """Stop taking data, and end once all is acknowledged."""
    if context.state == State.ESTABLISHED:
        context.state = State.SHUTDOWN_PENDING
        advance(context, now)


def advance(context: Context, now: float) -> None:
    """Go on when nothing is left to be sent or acknowledged."""
    block = context.block
    if (
        block is None
        or context.state not in {State.SHUTDOWN_PENDING, State.SHUTDOWN_RECEIVED}
        or context.queue.unacknowledged_size
        or not block.outbound.is_all_acknowledged
    ):
        return
    block.heartbeat.stop()
    if context.state == State.SHUTDOWN_PENDING:
        context.state = State.SHUTDOWN_SENT
        context.t5.start(now + _GUARD_RTOS * context.configuration.rto_max)
    else:
        context.state = State.SHUTDOWN_ACK_SENT
    _send(context, now)


def _send(context: Context, now: float) -> None:
    block = context.block
    assert block is not None
    context.is_shutdown_due = True
    backoff = min(block.rto.rto * 2.0**context.t2_expirations, context.configuration.rto_max)
    context.t2.start(now + backoff)


def take_chunk(context: Context) -> bytes | None:
    """The SHUTDOWN or SHUTDOWN ACK that is due, or None."""
    block = context.block
    if not context.is_shutdown_due or block is None:
        return None
    context.is_shutdown_due = False
    if context.state == State.SHUTDOWN_SENT:
        return encode_shutdown(block.inbound.tracker.cumulative_tsn & 0xFFFFFFFF)
    return SHUTDOWN_ACK


def data_arrived(context: Context, now: float) -> None:
    """In SHUTDOWN-SENT every packet with DATA is answered with SHUTDOWN at once."""
    if context.state == State.SHUTDOWN_SENT:
        context.t2_expirations = 0
        _send(context, now)


def receive_shutdown(context: Context, value: bytes, now: float) -> None:
    """The peer wants to end."""
    try:
        cumulative_tsn_ack = decode_shutdown(value)
    except DecodeError:
        context.dropped_malformed += 1
        return
    block = context.block
    if block is None:
        return
    if context.state == State.SHUTDOWN_ACK_SENT:
        context.is_shutdown_due = True
        return
    if not block.outbound.receive_shutdown(cumulative_tsn_ack, now):
        context.violated("SHUTDOWN acknowledges what was never sent")
        return
    if context.state == State.SHUTDOWN_SENT:
        block.heartbeat.stop()
        context.state = State.SHUTDOWN_ACK_SENT
        context.t2_expirations = 0
        _send(context, now)
        return
    context.state = State.SHUTDOWN_RECEIVED
    advance(context, now)


def receive_shutdown_ack(context: Context) -> None:
    """Both sides have nothing left: tell the peer and forget the association."""
    block = context.block
    if block is None:
        return
    by_peer = context.state == State.SHUTDOWN_ACK_SENT
    context.reply(block.remote_tag, encode_shutdown_complete())
    context.end(Closed(by_peer=by_peer))


def receive_shutdown_complete(context: Context) -> None:
    """The peer has forgotten the association."""
    context.end(Closed(by_peer=True))


def handle_t2(context: Context, now: float) -> None:
    """SHUTDOWN or SHUTDOWN ACK was not answered."""
    context.t2_expirations += 1
    if context.t2_expirations <= context.configuration.max_retransmissions:
        _send(context, now)
    elif context.state == State.SHUTDOWN_ACK_SENT:
        # All data of both sides is acknowledged, and what is missing is the peer's last word; nothing broke.
        context.end(Closed(by_peer=True))
    else:
        context.fail(Reason.PEER_UNREACHABLE, "the peer did not answer SHUTDOWN")


def handle_t5(context: Context) -> None:
    """The shutdown takes too long."""
    context.abort(Cause(CauseCode.USER_INITIATED_ABORT, b"shutdown guard timer expired"))
    context.fail(Reason.PEER_UNREACHABLE, "the shutdown did not end in time")
