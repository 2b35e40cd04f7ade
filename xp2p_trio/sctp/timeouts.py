"""The timers of an association (RFC 9260 section 6.3.3, 8 and 9.2; RFC 6525 section 5.1.1)."""

from __future__ import annotations

import math

from xp2p_trio.errors import Reason
from xp2p_trio.sctp import handshake, shutdown
from xp2p_trio.sctp.context import Context
from xp2p_trio.sctp.control_block import ControlBlock
from xp2p_trio.sctp.wire import Cause, CauseCode


def next_timeout(context: Context) -> float:
    """When `handle_timeout` is due, in absolute seconds."""
    block = context.block
    deadline = min(context.t1.deadline, context.t2.deadline, context.t5.deadline)
    if context.has_ended:
        return math.inf
    deadline = min(deadline, context.queue.next_expiry())
    if block is None:
        return deadline
    return min(
        deadline,
        block.outbound.t3.deadline,
        block.sack_timer.deadline,
        block.heartbeat.interval_timer.deadline,
        block.heartbeat.answer_timer.deadline,
        block.stream_reset.timer.deadline,
    )


def handle_timeout(context: Context, now: float) -> None:
    """Act on the timers that are due."""
    if context.queue.next_expiry() <= now:
        _expire_messages(context, now)
    if context.t1.expire(now):
        handshake.handle_t1(context, now)
    if context.t5.expire(now):
        shutdown.handle_t5(context)
    elif context.t2.expire(now):
        shutdown.handle_t2(context, now)
    block = context.block
    if block is not None:
        _handle_block_timeout(context, block, now)


def _expire_messages(context: Context, now: float) -> None:
    if context.block is not None:
        context.block.outbound.expire_messages(now)
    else:
        for message in context.queue.take_expired(now):
            context.events.append(context.queue.give_up(message))
            context.messages_abandoned += 1


def _handle_block_timeout(context: Context, block: ControlBlock, now: float) -> None:
    rto = block.rto
    if block.sack_timer.expire(now):
        block.inbound.sack_due = True
    if block.outbound.t3.expire(now):
        block.outbound.handle_t3(now)
        # Retransmitted chunks give no measurement (Karn), so that a backed-off RTO would stay; a HEARTBEAT ends
        # that (RFC 9260 section 6.3.3).
        if block.outbound.outstanding.chunks:
            context.add_control(block.heartbeat.measure(now))
    if block.stream_reset.timer.expire(now) and block.stream_reset.handle_timeout(now):
        block.errors += 1
    if block.heartbeat.answer_timer.expire(now):
        block.errors += 1
        rto.expired()
    if block.heartbeat.interval_timer.expire(now):
        block.heartbeat.restart(now, rto.rto)
        if not block.outbound.outstanding.chunks:
            context.add_control(block.heartbeat.send(now, rto.rto))
    if block.errors + block.outbound.expirations > context.configuration.max_retransmissions:
        # RFC 9260 section 8.1
        context.abort(Cause(CauseCode.USER_INITIATED_ABORT, b"too many retransmissions"))
        context.fail(
            Reason.PEER_UNREACHABLE,
            f"the peer did not answer {block.errors + block.outbound.expirations} times in a row",
        )
