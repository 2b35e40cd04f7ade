"""Why there is no allocation, for a person."""

from __future__ import annotations

from typing import Final

from xp2p_trio.errors import Reason
from xp2p_trio.sansio import Address, Transport
from xp2p_trio.turn.requests import Refused, Unanswered

_MAX_PHRASE = 100

REMEDIES: Final = {
    300: "use the server that it names",
    401: "check the username and the password; a temporary one may have run out",
    403: "the server does not allow this; ask whoever runs it",
    437: "try again from another local port",
    440: "ask for the other address family",
    441: "make a new allocation with these credentials",
    442: "the server does not relay UDP; use another one",
    486: "wait a minute, or raise the quota of this user",
    508: "wait a minute, or use another server",
}
"""What to do, by error code (RFC 8656 section 19, RFC 8489 section 14.8)."""


def name_of(server: Address, transport: Transport) -> str:
    """How a server is called in a sentence."""
    return f"the TURN server {server[0]} port {server[1]} over {transport.name}"


def phrase(text: str) -> str:
    """The server's words, quoted and shortened."""
    return repr(text if len(text) <= _MAX_PHRASE else text[: _MAX_PHRASE - 3] + "...")


def of_refusal(server: Address, transport: Transport, refused: Refused, note: str = "") -> tuple[Reason, str]:
    """The reason and the sentence of an error response."""
    realm = f" for the realm {phrase(refused.realm)}" if refused.realm else ""
    remedy = note or REMEDIES.get(refused.code, "")
    detail = (
        f"{name_of(server, transport)} answered {refused.request.method.name} with {refused.code} "
        f"{phrase(refused.reason)}{realm}" + (f"; {remedy}" if remedy else "")
    )
    return Reason.LIMIT_EXCEEDED if refused.code in (486, 508) else Reason.REFUSED, detail


def of_silence(server: Address, transport: Transport, unanswered: Unanswered | None) -> tuple[Reason, str]:
    """The reason and the sentence of a missing response."""
    name = name_of(server, transport)
    if unanswered is not None and unanswered.is_forged:
        method = unanswered.request.method.name
        return (
            Reason.PROTOCOL_VIOLATION,
            f"{name} answered {method} without valid integrity; somebody on the path may be forging its answers",
        )
    return Reason.PEER_UNREACHABLE, f"{name} did not answer; check its address, and whether {transport.name} gets out"
