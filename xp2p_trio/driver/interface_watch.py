"""Waiting for other addresses: Linux tells when to look (rtnetlink), elsewhere one looks every second."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final, TypeVar

import trio

DEBOUNCE: Final = 0.1
"""Seconds from the first message to the look: an interface that comes up sends a handful."""

POLL_INTERVAL: Final = 1.0
"""Seconds between two looks where the system tells nothing."""

# Linux, include/uapi/linux/rtnetlink.h
_RTMGRP_LINK: Final = 0x1
_RTMGRP_IPV4_IFADDR: Final = 0x10
_RTMGRP_IPV6_IFADDR: Final = 0x100

_MESSAGE_SIZE: Final = 65_536

T = TypeVar("T")


async def wait_other(known: T, look: Callable[[], T]) -> None:
    """Wait until `look` gives something else than what is known, at once if it does already.

    While it raises `OSError`, as when the process has no more files, it is tried again at intervals.
    """
    with open_news() as news:
        await wait_other_after_news(known, look, news)


def open_news() -> contextlib.AbstractContextManager[socket.socket | None]:
    """A socket that becomes readable when addresses or interfaces change; None where there is no such thing."""
    try:
        news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    except (AttributeError, OSError):  # no Linux; a sandbox
        return contextlib.nullcontext()
    try:
        news.setblocking(False)
        news.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
    except OSError:
        news.close()
        return contextlib.nullcontext()
    return news


async def wait_other_after_news(known: T, look: Callable[[], T], news: socket.socket | None) -> None:
    """`wait_other`, looking whenever something can be read from `news`, or at intervals without."""
    await trio.lowlevel.checkpoint()
    while True:
        try:
            if look() != known:
                return
        except OSError:
            news = None
        if news is None:
            await trio.sleep(POLL_INTERVAL)
        else:
            await trio.lowlevel.wait_readable(news)
            await trio.sleep(DEBOUNCE)
            _drain(news)


def _drain(news: socket.socket) -> None:
    # An error is ENOBUFS, when there was more than the kernel keeps: the look finds it, and the rest is read behind it.
    with contextlib.suppress(OSError):
        while True:
            news.recv(_MESSAGE_SIZE)
