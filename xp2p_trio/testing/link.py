"""What one direction of a simulated path does to datagrams: plain configuration, validated when it is made."""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet

import attrs

from xp2p_trio.errors import InvalidArgument


def _probability(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise InvalidArgument(f"{attribute.name} is {value!r}; a probability lies between 0 and 1")


def _seconds(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 <= value < math.inf:
        raise InvalidArgument(f"{attribute.name} is {value!r}; give seconds, 0 or more and finite")


def _size(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0:
        raise InvalidArgument(f"{attribute.name} is {value!r}; give more than 0, or math.inf for no limit")


def _copies(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise InvalidArgument(f"{attribute.name} is {value!r}; a duplicated datagram has at least 1 further copy")


@attrs.frozen(kw_only=True)
class BurstLoss:
    """Loss that comes in bursts: the two-state chain of Gilbert and Elliott, one step a datagram.

    Attributes:
        to_bad: probability to go from the good state to the bad one.
        to_good: probability to go back; `1 / to_good` is the mean length of a bad spell, in datagrams.
        loss_in_good: loss probability in the good state.
        loss_in_bad: loss probability in the bad state.
    """

    to_bad: float = attrs.field(validator=_probability)
    to_good: float = attrs.field(validator=_probability)
    loss_in_good: float = attrs.field(default=0.0, validator=_probability)
    loss_in_bad: float = attrs.field(default=1.0, validator=_probability)

    @classmethod
    def with_mean(cls, *, loss: float, length: float) -> BurstLoss:
        """The chain that loses the share `loss` of all datagrams in bursts of `length` datagrams on average.

        Raises:
            InvalidArgument: `loss` is not below 1, or `length` is below 1.
        """
        if not 0.0 <= loss < 1.0:
            raise InvalidArgument(f"loss is {loss!r}; give 0 or more and less than 1")
        if not length >= 1.0:
            raise InvalidArgument(f"length is {length!r}; a burst has at least 1 datagram")
        to_good = 1.0 / length
        return cls(to_bad=min(1.0, to_good * loss / (1.0 - loss)), to_good=to_good)


@attrs.frozen(kw_only=True)
class Link:
    """One direction of a path. The default is a perfect wire: no delay, no limit, no fault.

    A datagram meets, in this order: the path MTU, the queue and the rate, loss, truncation, corruption, duplication
    and delay.

    Attributes:
        delay: seconds from the last byte sent to arrival.
        jitter: further seconds, uniform between 0 and this; it never changes the order.
        loss: probability that a datagram is lost; 1 is a black hole.
        burst_loss: loss in bursts, on top of `loss`.
        drop: numbers of the datagrams that are lost for certain, counted from 0 since the link was set.
        reorder: probability that a datagram is held back, so that later ones overtake it.
        reorder_delay: how long at most it is held back, in seconds.
        duplicate: probability that a datagram arrives more than once.
        copies: how many further copies at most; each duplicated datagram draws a number from 1 to this.
        corrupt: probability that one bit of a datagram flips.
        truncate: probability that the end of a datagram is cut off.
        rate: bytes a second, IP and UDP headers included; `math.inf` is no limit.
        queue_size: bytes that may wait for the rate; what does not fit is dropped (tail drop).
        mtu: the largest IP packet in bytes, headers included (28 bytes with IPv4, 48 with IPv6); larger ones vanish.
    """

    delay: float = attrs.field(default=0.0, validator=_seconds)
    jitter: float = attrs.field(default=0.0, validator=_seconds)
    loss: float = attrs.field(default=0.0, validator=_probability)
    burst_loss: BurstLoss | None = None
    drop: AbstractSet[int] = attrs.field(default=frozenset(), converter=frozenset)
    reorder: float = attrs.field(default=0.0, validator=_probability)
    reorder_delay: float = attrs.field(default=0.05, validator=_seconds)
    duplicate: float = attrs.field(default=0.0, validator=_probability)
    copies: int = attrs.field(default=1, validator=_copies)
    corrupt: float = attrs.field(default=0.0, validator=_probability)
    truncate: float = attrs.field(default=0.0, validator=_probability)
    rate: float = attrs.field(default=math.inf, validator=_size)
    queue_size: float = attrs.field(default=math.inf, validator=_size)
    mtu: float = attrs.field(default=math.inf, validator=_size)


BLACK_HOLE = Link(loss=1.0)
"""Everything sent into it vanishes."""
