"""Foreign peers behind coturn: relay-only on their side, on ours, and on both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio

from tests.interop.coturn import Coturn
from tests.interop.foreign import Children, open_foreign_peer
from tests.interop.link import TEST_LIMIT, check_echo
from tests.interop.ours import open_our_peer
from tests.interop.peer import ChannelSpec, negotiating
from tests.interop.peers.pattern import make_bytes
from xp2p_trio.sansio import Transport
from xp2p_trio.sdp import CandidateType

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]


def relay_only(server: Coturn, transport: Transport = Transport.UDP) -> dict[str, Any]:
    """The W3C configuration."""
    return {"iceServers": [server.server(transport)], "iceTransportPolicy": "relay"}


@pytest.mark.parametrize("relayed", ["theirs", "ours", "both"])
async def test_relay_only(children: Children, relay: Coturn, foreign: str, offers: bool, relayed: str) -> None:
    """Data flows over the relays alone, whosever they are."""
    our_config: Mapping[str, object] = (
        {} if relayed == "theirs" else {"ice_servers": [relay.url()], "ice_transport_policy": "relay"}
    )
    with trio.fail_after(TEST_LIMIT):
        async with (
            open_our_peer(**our_config) as ours,
            open_foreign_peer(children, foreign, {} if relayed == "ours" else relay_only(relay)) as theirs,
        ):
            offerer, answerer = (ours, theirs) if offers else (theirs, ours)
            near = await offerer.create_channel(ChannelSpec())
            async with negotiating(offerer, answerer):
                await near.wait_open()
                far = await answerer.accept()
                await check_echo(near, far, "by relay")
                await check_echo(near, far, make_bytes(8, 0, 200_000))
                pair = ours.pc.selected_pair.value
                assert pair is not None
                if relayed != "theirs":
                    assert (pair.local.type, pair.relay_transport) == (CandidateType.RELAYED, Transport.UDP)
                if relayed != "ours" and theirs.traits.obeys_relay_policy:
                    assert pair.remote.port in relay.relayed_ports
