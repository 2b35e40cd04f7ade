"""The one path of an association, when it was silent and answers again, or is another one.

RFC 9260 keeps its numbers for each address of the peer (sections 6.3.1 and 7.2) and begins with new ones at a new
address. Over DTLS there are no addresses (RFC 8261 section 6.1), so that whoever chooses the path says when it changes.
"""

from __future__ import annotations

from xp2p_trio.sctp.context import Context
from xp2p_trio.sctp.state import SENDING


def changed(context: Context, now: float) -> None:
    """Packets take another path: nothing is known of its round trip and of how much it carries."""
    block = context.block
    if block is not None:
        block.outbound.change_path(now)
    _show_life(context, now)


def recovered(context: Context, now: float) -> None:
    """What left while the path was silent is lost, and goes again now rather than after a backed-off timeout."""
    block = context.block
    if block is not None:
        block.rto.progressed()
        block.outbound.recover_path(now)
        block.errors = 0
        if block.stream_reset.timer.is_running:
            block.stream_reset.errors = 0
            block.stream_reset.timer.start(now)
    if context.t1.is_running:
        context.t1_expirations = 0
        context.t1.start(now)
    if context.t2.is_running:
        context.t2_expirations = 0
        context.t2.start(now)
    _show_life(context, now)


def _show_life(context: Context, now: float) -> None:
    """Tell the peer what has arrived, and measure (RFC 9260 sections 6.2 and 8.3)."""
    block = context.block
    if block is not None and context.state in SENDING:
        block.inbound.sack_due = True
        context.add_control(block.heartbeat.measure(now))
