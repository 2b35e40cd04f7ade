"""Peer connections under trio: signaling by hand, states, events, how a block ends."""

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from xp2p_trio import (
    Configuration,
    ConnectionFailed,
    ConnectionState,
    FingerprintMismatch,
    GatheringState,
    IceCandidate,
    InvalidState,
    RemoteClosed,
    SdpError,
    SessionDescription,
    SignalingState,
    connect,
    open_peer_connection,
    signaling_pair,
)
from xp2p_trio.ice import State as IceState
from xp2p_trio.testing import BLACK_HOLE, Link, Network, connected_pair

LINK = Link(delay=0.01)


@pytest.fixture
def network():
    network = Network(seed=1, link=LINK)
    network.host("alice", "192.0.2.1", "2001:db8::1")
    network.host("bob", "192.0.2.2", "2001:db8::2")
    return network


@asynccontextmanager
async def two(network, **fields):
    async with (
        open_peer_connection(Configuration(**fields), network=network.host("alice")) as alice,
        open_peer_connection(Configuration(**fields), network=network.host("bob")) as bob,
    ):
        yield alice, bob


def exchange(alice, bob):
    bob.set_remote_description(alice.set_local_description())
    alice.set_remote_description(bob.set_local_description())


async def test_signaling_by_hand_with_trickled_candidates(autojump_clock, network):
    async with two(network) as (alice, bob), trio.open_nursery() as nursery:

        async def trickle(one, other):
            async for candidate in one.local_candidates:
                other.add_ice_candidate(IceCandidate.from_json(candidate.to_json()))
            other.add_ice_candidate(None)

        offer = alice.create_offer()
        alice.set_local_description(offer)
        nursery.start_soon(trickle, alice, bob)
        bob.set_remote_description(SessionDescription.from_json(offer.to_json()))
        answer = bob.create_answer()
        bob.set_local_description(answer)
        nursery.start_soon(trickle, bob, alice)
        alice.set_remote_description(answer)
        await alice.wait_connected()
        await bob.wait_connected()
        assert alice.state.value is ConnectionState.CONNECTED
        assert alice.signaling_state.value is SignalingState.STABLE
        assert alice.selected_pair.value.local.host == "192.0.2.1"
        assert alice.selected_pair.value.remote.host == "192.0.2.2"


async def test_signaling_without_trickle(autojump_clock, network):
    async with two(network) as (alice, bob):
        with pytest.raises(InvalidState, match="set_local_description"):
            await alice.complete_description()
        alice.set_local_description()
        bob.set_remote_description(await alice.complete_description())
        bob.set_local_description()
        alice.set_remote_description(await bob.complete_description())
        await alice.wait_connected()
        assert alice.gathering_state.value is GatheringState.COMPLETE
        assert "a=candidate:" in alice.local_description.sdp
        assert alice.remote_description.type == "answer"


async def test_states_and_events_tell_the_story(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        async with alice.create_data_channel("c") as channel:
            await channel.wait_open()
        await alice.ice_state.wait_value(IceState.COMPLETED)
        await alice.aclose()
        story = await _until_quiet(alice.events)
        order = [
            "GatheringStateChanged",
            "LocalCandidateFound",
            "ConnectionStateChanged",
            "PairSelected",
            "HandshakeCompleted",
            "AssociationEstablished",
            "ChannelOpened",
            "ChannelClosed",
            "Closed",
        ]
        assert [name for name in dict.fromkeys(story) if name in order] == order
        with pytest.raises(RemoteClosed):
            await bob.incoming_channels.accept()
            await bob.incoming_channels.accept()
        assert bob.state.value is ConnectionState.CLOSED
        assert bob.statistics().sctp is not None


async def _until_quiet(feed):
    names = []
    with trio.move_on_after(1):
        async for event in feed:
            names.append(type(event).__name__)
    return names


async def test_ipv6_is_off_until_it_is_switched_on(autojump_clock, network):
    async with two(network) as (alice, _):
        alice.set_local_description()
        assert [c.address async for c in alice.local_candidates] == ["192.0.2.1"]
    async with two(network, enable_ipv6=True) as (alice, bob):
        exchange(alice, bob)
        assert {c.address for c in [c async for c in alice.local_candidates]} == {"192.0.2.1", "2001:db8::1"}


async def test_the_chosen_address_alone_is_used(autojump_clock, network):
    network.host("carol", "192.0.2.3", "192.0.2.33")
    async with open_peer_connection(bind_address="192.0.2.33", network=network.host("carol")) as carol:
        carol.set_local_description()
        assert [c.address async for c in carol.local_candidates] == ["192.0.2.33"]


async def test_an_address_of_another_machine_is_told_at_once(network):
    with pytest.raises(OSError, match=r"192\.0\.2\.99"):
        async with open_peer_connection(bind_address="192.0.2.99", network=network.host("alice")):
            pytest.fail("the block was entered")


async def test_overrides_are_fields_of_the_configuration(network):
    with pytest.raises(TypeError, match="fruit"):
        async with open_peer_connection(fruit=1, network=network.host("alice")):
            pytest.fail("the block was entered")


async def test_a_wrong_fingerprint_is_refused_before_anything_is_delivered(autojump_clock, network):
    async with two(network) as (alice, bob):
        offer = alice.set_local_description()
        start = offer.sdp.index("a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
        forged = offer.sdp[:start] + ("00" if offer.sdp[start : start + 2] != "00" else "11") + offer.sdp[start + 2 :]
        bob.set_remote_description(SessionDescription("offer", forged))
        alice.set_remote_description(bob.set_local_description())
        channel = alice.create_data_channel("secrets")
        with pytest.raises(FingerprintMismatch) as info:
            await bob.wait_connected()
        assert info.value.layer == "dtls"
        with pytest.raises(ConnectionFailed):
            await channel.send("never")
        assert bob.statistics().sctp.packets_received == 0
        assert bob.state.value is alice.state.value is ConnectionState.FAILED


async def test_nobody_there_is_a_diagnosis(autojump_clock, network):
    network.set_links("alice", "bob", BLACK_HOLE)
    async with two(network) as (alice, bob):
        exchange(alice, bob)
        for peer, other in ((alice, bob), (bob, alice)):
            for candidate in [candidate async for candidate in peer.local_candidates]:
                other.add_ice_candidate(candidate)
            other.add_ice_candidate(None)
        with pytest.raises(ConnectionFailed, match=r"1 pair") as info:
            await alice.wait_connected()
        assert info.value.layer == "ice"
        assert 9 < trio.current_time() < 12


async def test_leaving_the_block_delivers_what_was_sent(autojump_clock, network):
    left, right = signaling_pair()
    received = []

    async def receive():
        async with connect(right, initiator=False, network=network.host("bob")) as bob:
            channel = await bob.incoming_channels.accept()
            received.extend([message async for message in channel])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        async with connect(left, initiator=True, network=network.host("alice")) as alice:
            channel = alice.create_data_channel("c")
            for index in range(200):
                await channel.send(str(index).encode() * 100)
    assert received == [str(index).encode() * 100 for index in range(200)]


async def test_leaving_takes_bounded_time_when_the_peer_is_gone(autojump_clock):
    async with connected_pair(link=LINK) as (alice, _bob):
        channel = alice.create_data_channel("c")
        await channel.wait_open()
        alice._hub.engine.network.network.set_links("alice", "bob", BLACK_HOLE)
        await channel.send(bytes(100_000))
        start = trio.current_time()
        await alice.aclose()
        assert trio.current_time() - start < 7
        assert alice.state.value is ConnectionState.CLOSED


async def test_an_exception_ends_at_once_and_the_peer_is_told(autojump_clock, network):
    left, right = signaling_pair()
    async with connect(right, initiator=False, network=network.host("bob")) as bob:
        with pytest.raises(KeyError):
            async with connect(left, initiator=True, network=network.host("alice")) as alice:
                await alice.wait_connected()
                channel = alice.create_data_channel("c")
                await channel.wait_open()
                await channel.send(bytes(200_000))
                start = trio.current_time()
                raise KeyError
        assert trio.current_time() == start
        with pytest.raises(RemoteClosed):
            await bob.incoming_channels.accept()
            await bob.incoming_channels.accept()
        assert trio.current_time() - start < 0.1


async def test_after_the_end_every_call_says_so(autojump_clock, network):
    async with two(network) as (alice, bob):
        exchange(alice, bob)
        await alice.aclose()
        await alice.aclose()
        with pytest.raises(InvalidState, match="CLOSED"):
            alice.create_offer()
        with pytest.raises(trio.ClosedResourceError):
            alice.create_data_channel("c")
        with pytest.raises(trio.ClosedResourceError):
            await alice.wait_connected()
        alice.add_ice_candidate(None)
        assert alice.signaling_state.value is SignalingState.CLOSED


async def test_bad_descriptions_are_told_and_change_nothing(network):
    async with two(network) as (alice, _):
        with pytest.raises(SdpError, match="line 2"):
            alice.set_remote_description(SessionDescription("offer", "v=0\r\nnonsense\r\n"))
        assert alice.signaling_state.value is SignalingState.STABLE


async def test_the_signaling_channel_ends_too_early(autojump_clock, network):
    left, right = signaling_pair()
    async with connect(left, initiator=True, network=network.host("alice")) as alice:
        await right.aclose()
        with pytest.raises(ConnectionFailed, match="signaling") as info:
            await alice.wait_connected()
        assert info.value.layer == "peer"


async def test_signals_that_make_no_sense_are_ignored_up_to_a_point(autojump_clock, network):
    left, right = signaling_pair()
    async with connect(left, initiator=True, network=network.host("alice")) as alice:
        for _ in range(10):
            await right.send("nonsense")
        await trio.testing.wait_all_tasks_blocked()
        assert alice.state.value is ConnectionState.NEW
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_flood, right)
            with pytest.raises(ConnectionFailed, match="something else"):
                await alice.wait_connected()
            nursery.cancel_scope.cancel()


async def _flood(signaling):
    while True:
        await signaling.send('{"type":"fruit","sdp":""}')


async def test_once_connected_signaling_may_end(autojump_clock, network):
    left, right = signaling_pair()
    async with (
        connect(left, initiator=True, network=network.host("alice")) as alice,
        connect(right, initiator=False, network=network.host("bob")) as bob,
    ):
        await alice.wait_connected()
        await left.aclose()
        await right.aclose()
        await trio.sleep(1)
        channel = alice.create_data_channel("c")
        await channel.send("still here")
        assert await (await bob.incoming_channels.accept()).receive() == "still here"


async def test_a_server_that_does_not_answer_delays_nothing(autojump_clock, network):
    async with two(network, ice_servers=["stun:192.0.2.77", "stun:nowhere.example"]) as (alice, bob):
        exchange(alice, bob)
        for peer, other in ((alice, bob), (bob, alice)):
            other.add_ice_candidate(await peer.local_candidates.receive())
        await alice.wait_connected()
        assert trio.current_time() < 1
        await alice.gathering_state.wait_value(GatheringState.COMPLETE)
        assert trio.current_time() < 6
