"""Messages that came before the channel that they belong to.

They do for two reasons: the peer uses a negotiated channel that this program has not made yet, or the peer has reused a
stream while the confirmation of its last reset is still on its way to us.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.sctp import Message

_OVERHEAD: Final = 256


@final
class EarlyMessages:
    """A store with a limit.

    Args:
        max_size: bytes of all messages, each counted with 256 more.

    Attributes:
        size: those bytes at present.
    """

    __slots__ = ("_max_size", "_messages", "size")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._messages: dict[int, list[Message]] = {}
        self.size = 0

    def keep(self, message: Message) -> bool:
        """Keep the message; False if there is no room."""
        size = self.size + len(message.data) + _OVERHEAD
        if size > self._max_size:
            return False
        self.size = size
        self._messages.setdefault(message.stream_id, []).append(message)
        return True

    def take(self, stream_id: int) -> Sequence[Message]:
        """Drain the messages of one stream, oldest first."""
        messages = self._messages.pop(stream_id, None)
        if messages is None:
            return ()
        self.size -= sum(len(message.data) + _OVERHEAD for message in messages)
        return messages

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()
        self.size = 0
