"""Our stack against aiortc, node-datachannel (libdatachannel) and Chromium, in every constellation.

Each test is written for two peers, whoever they are, and runs for
`ours x foreign x {we offer, they offer} x {we open, they open}`. With `XP2P_INTEROP_FOREIGN_PAIRS=1` it also runs for
the pairs of foreign peers, which tells a mistake of the harness (or of a peer) from one of ours. Where an
implementation is known to fall short, the test says so by its `Traits` and asserts the rest.
"""

from __future__ import annotations

import re

import pytest
import trio

from tests.interop.foreign import Children
from tests.interop.link import Recorder, assigned, check_echo, connected
from tests.interop.peer import Channel, ChannelSpec, Mangle, Peer, RefusedError, SdpType, negotiating
from tests.interop.peers.pattern import Digest, make_bytes, make_message
from xp2p_trio import FingerprintMismatch

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

LEARNS_LIMIT = 5.0
MAX_MESSAGE = 262144  # what every peer here announces or accepts (a=max-message-size)


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(["Hello DataChannel!", "a"], id="text"),
        pytest.param([b"\x00\x01\xfe\xff", b"z", bytes(1200)], id="binary"),
        pytest.param(["", b"", "x", b"", ""], id="empty"),
        pytest.param(["Grüße, 世界, 🙂, e\u0301, \u202e", "\x00\x7f\u07ff\uffff"], id="non-ascii"),
    ],
)
async def test_messages(
    children: Children, pair: tuple[str, str], offers: bool, opens: bool, messages: list[str | bytes]
) -> None:
    """Every kind of message in both directions, text as text and binary as binary."""
    async with connected(children, pair, offers, opens) as (_, [(near, far)]):
        for message in messages:
            await check_echo(near, far, message)


async def test_largest_messages(children: Children, pair: tuple[str, str], offers: bool, opens: bool) -> None:
    """Messages of 256 KiB, and of one byte less, in both directions."""
    async with connected(children, pair, offers, opens) as (_, [(near, far)]):
        await check_echo(near, far, make_bytes(1, 0, MAX_MESSAGE))
        await check_echo(near, far, make_bytes(1, 1, MAX_MESSAGE // 2 - 1).hex())


async def test_thousand_messages_each_way(children: Children, pair: tuple[str, str], offers: bool, opens: bool) -> None:
    """1,000 messages of mixed size and kind in both directions at once: all there, in order, unchanged."""
    sizes = [16, 1, 0, 500, 1150, 1300, 4096, 20000]

    async def check_collected(channel: Channel, seed: int) -> None:
        expected = Digest(make_message(seed, index, sizes) for index in range(1000)).hexdigest()
        assert await channel.collected() == expected

    async with connected(children, pair, offers, opens) as (_, [(near, far)]):
        await near.collect(1000)
        await far.collect(1000)
        async with trio.open_nursery() as nursery:
            for channel, seed in ((near, 1), (far, 2)):
                nursery.start_soon(lambda c, s: c.send_many(seed=s, count=1000, sizes=sizes), channel, seed)
            for channel, seed in ((near, 2), (far, 1)):
                nursery.start_soon(check_collected, channel, seed)


async def test_complete_descriptions(children: Children, pair: tuple[str, str], offers: bool) -> None:
    """Without trickling: each description is exchanged once, with all candidates in it."""
    async with assigned(children, pair, offers) as roles:
        near = await roles.offerer.create_channel(ChannelSpec())
        async with negotiating(roles.offerer, roles.answerer, trickle=False):
            await near.wait_open()
            await check_echo(near, await roles.answerer.accept(), "no trickle")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(ChannelSpec(label="reliable", protocol="chat.1"), id="reliable"),
        pytest.param(ChannelSpec(label="unordered", ordered=False), id="unordered"),
        pytest.param(ChannelSpec(label="rexmit", max_retransmits=3), id="max-retransmits"),
        pytest.param(ChannelSpec(label="once", ordered=False, max_retransmits=0), id="unordered-no-retransmission"),
        pytest.param(ChannelSpec(label="timed", max_packet_life_time=500), id="max-packet-life-time"),
        pytest.param(ChannelSpec(label="timed", ordered=False, max_packet_life_time=65535), id="unordered-life-time"),
        pytest.param(ChannelSpec(label="", protocol=""), id="no-label"),
    ],
)
async def test_channel_parameters(
    children: Children, pair: tuple[str, str], offers: bool, opens: bool, spec: ChannelSpec
) -> None:
    """What the opener asked for is what the acceptor reports, and messages pass."""
    async with connected(children, pair, offers, opens, [spec]) as (roles, [(near, far)]):
        assert (far.info.label, far.info.protocol) == (spec.label, spec.protocol)
        if roles.acceptor.traits.tells_reliability:
            assert far.info.reliability == (spec.ordered, spec.max_retransmits, spec.max_packet_life_time)
        await check_echo(near, far, "text")
        await check_echo(near, far, bytes(3000))


async def test_non_ascii_label(children: Children, pair: tuple[str, str], offers: bool, opens: bool) -> None:
    """Labels and protocols are UTF-8; a peer that announces them wrongly costs that channel only."""
    spec = ChannelSpec(label="Grüße 世界 🙂", protocol="протокол")
    async with connected(children, pair, offers, opens) as (roles, [(near, far)]):
        channel = await roles.opener.create_channel(spec)
        if roles.opener.traits.opens_non_ascii:
            await channel.wait_open()
            arrived = await roles.acceptor.accept()
            assert (arrived.info.label, arrived.info.protocol) == (spec.label, spec.protocol)
            await check_echo(channel, arrived, "é")
        else:
            with trio.move_on_after(0.5):
                arrived = await roles.acceptor.accept()
                assert arrived.info.label != spec.label, "the trait is out of date"
        await check_echo(near, far, "the other channel goes on")


async def test_channel_ids(children: Children, pair: tuple[str, str], offers: bool, opens: bool) -> None:
    """The DTLS client opens channels on even streams, the server on odd ones (RFC 8832 section 6)."""
    async with assigned(children, pair, offers, opens) as roles:
        answer = Recorder()
        async with negotiating(roles.offerer, roles.answerer, seen_as={"answer": answer}):
            await roles.opener.wait_connected()
            near = await roles.opener.create_channel(ChannelSpec())
            await near.wait_open()
            far = await roles.acceptor.accept()
            assert near.info.channel_id == far.info.channel_id
            client = roles.answerer if "a=setup:active" in answer.sdp else roles.offerer
            assert near.info.channel_id is not None
            assert near.info.channel_id % 2 == (0 if roles.opener is client else 1)


async def test_many_channels(children: Children, pair: tuple[str, str], offers: bool, opens: bool) -> None:
    """Twenty channels at once, each with its own traffic."""
    specs = [ChannelSpec(label=f"channel {number}") for number in range(20)]
    async with connected(children, pair, offers, opens, specs) as (_, channels):
        for spec, (near, far) in zip(specs, channels, strict=True):
            assert far.info.label == spec.label
            await near.send(spec.label)
            await far.send(spec.label.encode())
        for spec, (near, far) in zip(specs, channels, strict=True):
            assert await far.receive() == spec.label
            assert await near.receive() == spec.label.encode()


async def test_negotiated_channel(children: Children, pair: tuple[str, str], offers: bool) -> None:
    """A channel that both sides made with the same id opens without a word on the wire."""
    spec = ChannelSpec(label="agreed", protocol="p", ordered=False, negotiated_id=42)
    async with assigned(children, pair, offers) as roles:
        one = await roles.offerer.create_channel(spec)
        others: list[Channel] = []

        async def create_other() -> None:
            others.append(await roles.answerer.create_channel(spec))

        async with negotiating(roles.offerer, roles.answerer, before_answer=create_other):
            [other] = others
            await one.wait_open()
            await other.wait_open()
            assert one.info.channel_id == other.info.channel_id == 42
            await check_echo(one, other, "agreed")
            with trio.move_on_after(0.2):
                unexpected = await roles.answerer.accept()
                pytest.fail(f"an announced channel arrived: {unexpected.info}")


@pytest.mark.parametrize("closer", ["opener", "acceptor"])
async def test_close_one_channel(
    children: Children, pair: tuple[str, str], offers: bool, opens: bool, closer: str
) -> None:
    """Closing a channel closes it on both sides; messages sent before it arrive; the others and later ones work."""
    specs = [ChannelSpec(label="first"), ChannelSpec(label="second")]
    async with connected(children, pair, offers, opens, specs) as (roles, [(near, far), (near_2, far_2)]):
        await check_echo(near, far, "before")
        closing, closed = (near, far) if closer == "opener" else (far, near)
        await closing.send("last words")
        assert await closed.receive() == "last words"
        with trio.fail_after(LEARNS_LIMIT):
            await closing.close()
            await closed.wait_closed()
            await closing.wait_closed()
        await check_echo(near_2, far_2, "the other channel goes on")
        later = await roles.opener.create_channel(ChannelSpec(label="third"))
        await later.wait_open()
        arrived = await roles.acceptor.accept()
        assert arrived.info.label == "third"
        await check_echo(later, arrived, "and a new one works")


@pytest.mark.parametrize("closer", ["offerer", "answerer"])
async def test_close_connection(
    children: Children, pair: tuple[str, str], offers: bool, opens: bool, closer: str
) -> None:
    """When one side closes the connection, the other learns it at once, not by a time-out.

    The foreign peers say so by closing the channels; their connection's state follows late or never: Chromium's after
    its ICE time-out, aiortc's not at all where the leaving side sends an SCTP ABORT only. Ours must know it as well.
    """
    async with connected(children, pair, offers, opens) as (roles, [(near, far)]):
        await check_echo(near, far, "before")
        leaving, left = (roles.offerer, roles.answerer) if closer == "offerer" else (roles.answerer, roles.offerer)
        with trio.fail_after(LEARNS_LIMIT):
            await leaving.close()
            await (near if left is roles.opener else far).wait_closed()
            if left.traits.tells_remote_close:
                await left.wait_gone()


def corrupt_fingerprints(sdp: str) -> str:
    """The description with one hexadecimal digit of every fingerprint changed (aiortc has three)."""
    changed, count = re.subn(
        r"(?m)^(a=fingerprint:\S+ )(.)", lambda found: found[1] + ("1" if found[2] == "0" else "0"), sdp
    )
    assert count
    return changed


@pytest.mark.parametrize("victim", ["offerer", "answerer"])
async def test_wrong_fingerprint(children: Children, pair: tuple[str, str], offers: bool, victim: str) -> None:
    """A certificate that is not the announced one is refused: the connection fails, and no data ever flows."""
    async with assigned(children, pair, offers) as roles:
        one = await roles.offerer.create_channel(ChannelSpec(label="secret"))
        seen_as: dict[SdpType, Mangle] = {"answer" if victim == "offerer" else "offer": corrupt_fingerprints}
        deceived, other = (roles.offerer, roles.answerer) if victim == "offerer" else (roles.answerer, roles.offerer)
        async with negotiating(roles.offerer, roles.answerer, seen_as=seen_as), trio.open_nursery() as nursery:
            refusals: list[RefusedError] = []

            async def expect_nothing(peer: Peer) -> None:
                try:
                    arrived = await peer.accept()
                except RefusedError as exc:
                    refusals.append(exc)
                else:
                    pytest.fail(f"{peer.name} got a channel over an unverified connection: {arrived.info}")

            async def expect_not_open() -> None:
                try:
                    await one.wait_open()
                except RefusedError as exc:
                    refusals.append(exc)
                else:
                    pytest.fail(f"{roles.offerer.name} opened a channel over an unverified connection")

            nursery.start_soon(expect_nothing, other)
            nursery.start_soon(expect_nothing, deceived)
            nursery.start_soon(expect_not_open)
            with trio.fail_after(20):
                assert await deceived.wait_gone() in ("failed", "closed")
            await trio.sleep(0.3)
            if deceived.name == "ours":
                assert refusals
                assert all(isinstance(refusal.__cause__, FingerprintMismatch) for refusal in refusals)
            nursery.cancel_scope.cancel("refused, as it should be")
