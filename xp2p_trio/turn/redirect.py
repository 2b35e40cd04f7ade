"""Whether a 300 (Try Alternate) is followed (RFC 8489 section 10)."""

from __future__ import annotations

from xp2p_trio.sansio import Address, canonical_address, is_ipv6
from xp2p_trio.stun import AlternateServer, Message
from xp2p_trio.turn.addresses import refuse_host


def alternate_server(response: Message, server: Address) -> Address | str:
    """The server to go on with, or why there is none.

    It has the address family of the one that answered, is another one, and is no address of this machine.
    """
    refusal = "it names no other server"
    for attribute in response.attributes:
        if not isinstance(attribute, AlternateServer):
            continue
        alternate = canonical_address(attribute.address)
        if alternate is None:
            refusal = f"it names the port {attribute.address[1]}"
        elif is_ipv6(alternate[0]) != is_ipv6(server[0]):
            refusal = f"it names {alternate[0]}, which is of the other address family"
        elif alternate == server:
            refusal = "it names the same server again"
        elif (reason := refuse_host(alternate[0], allow_link_local=True)) is not None:
            refusal = f"it names {alternate[0]}, and {reason}"
        else:
            return alternate
    return refusal
