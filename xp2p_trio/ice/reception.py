"""Datagrams that came in over a path, told apart by their first byte (RFC 7983 section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.errors import DecodeError
from xp2p_trio.ice import checks, responder
from xp2p_trio.ice.generations import Generations
from xp2p_trio.ice.pair import Path
from xp2p_trio.ice.requests import username_of_ours
from xp2p_trio.ice.session import Shared
from xp2p_trio.stun import MessageClass, decode_message

MAX_QUEUED_DATAGRAMS: Final = 4096
"""Data that waits to be pulled, in either direction."""

_LAST_STUN_BYTE: Final = 3


@final
class Reception:
    """STUN goes to the session that it is for, data up once its path is valid."""

    def __init__(self, shared: Shared, generations: Generations) -> None:
        self._shared = shared
        self._generations = generations
        self._lowest, self._highest = (20, 63) if shared.configuration.carries == "dtls" else (4, 255)

    def take(self, path: Path, datagrams: Sequence[bytes], now: float) -> bool:
        """Take the datagrams of one path. Returns whether there was STUN among them, which may change anything."""
        shared, generations = self._shared, self._generations
        received, lowest, highest = shared.received, self._lowest, self._highest
        is_valid = generations.is_valid(path, now)
        had_stun = False
        count, size, dropped = 0, 0, 0
        for datagram in datagrams:
            first = datagram[0] if datagram else 0xFF
            if lowest <= first <= highest:
                if not is_valid:
                    dropped += shared.parking.park(path, datagram, generations)
                elif len(received) < MAX_QUEUED_DATAGRAMS:
                    received.append(datagram)
                    count += 1
                    size += len(datagram)
                else:
                    dropped += 1
            elif first <= _LAST_STUN_BYTE:
                had_stun = True
                self._take_stun(datagram, path, now)
                generations.settle(now)
                if generations.current.is_over:
                    break
                is_valid = generations.is_valid(path, now)
            else:
                dropped += 1
        counters = shared.counters
        counters.datagrams_received += count
        counters.bytes_received += size
        counters.datagrams_dropped += dropped
        return had_stun

    def _take_stun(self, datagram: bytes, path: Path, now: float) -> None:
        generations, counters = self._generations, self._shared.counters
        try:
            message = decode_message(datagram)
        except DecodeError:
            counters.stun_malformed += 1
            return
        if message.message_class is MessageClass.REQUEST:
            session = generations.by_username(username_of_ours(message))
            responder.receive_request(session, message, path, now)
        elif message.message_class is MessageClass.INDICATION:
            counters.stun_unmatched += 1  # a keepalive asks for nothing (RFC 8445 section 11)
        else:
            asker = generations.by_transaction(message.transaction_id)
            if asker is not None:
                checks.receive_response(asker, message, path, now)
            elif not generations.gathering.receive(path, datagram, now):
                counters.stun_unmatched += 1
