"""The harness itself: foreign peers understand each other through it, and no failure gets lost in it."""

from __future__ import annotations

import itertools

import pytest
import trio

from tests.interop.foreign import Children, ForeignError, open_foreign_peer, require
from tests.interop.locate import PEERS
from tests.interop.peer import ChannelSpec, negotiating
from tests.interop.peers.pattern import Digest, make_message

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]


@pytest.fixture(params=PEERS)
def peer_name(request: pytest.FixtureRequest, children: Children) -> str:
    """Each foreign peer in turn."""
    name = str(request.param)
    require(children, name)
    return name


@pytest.mark.parametrize("names", list(itertools.combinations(PEERS, 2)), ids="-".join)
async def test_foreign_peers_meet(children: Children, names: tuple[str, str]) -> None:
    """Two foreign peers connect and agree on what was sent: whatever then fails with ours is not the harness."""
    sizes = [0, 1, 1000, 70000]
    require(children, *names)
    with trio.fail_after(30):
        async with open_foreign_peer(children, names[0]) as one, open_foreign_peer(children, names[1]) as other:
            near = await one.create_channel(ChannelSpec(label="echo"))
            async with negotiating(one, other):
                await near.wait_open()
                far = await other.accept()
                await near.send("there")
                assert await far.receive() == "there"
                await near.collect(40)
                await far.send_many(seed=3, count=40, sizes=sizes)
                assert await near.collected() == Digest(make_message(3, i, sizes) for i in range(40)).hexdigest()


async def test_refusal_is_an_error(children: Children, peer_name: str) -> None:
    """What a peer refuses comes out with its reason, and the child can be used afterwards."""
    async with open_foreign_peer(children, peer_name) as peer:
        with pytest.raises(ForeignError, match="set_remote"):
            await peer.set_remote("answer", "v=0\r\nnonsense")
    async with open_foreign_peer(children, peer_name) as peer:
        assert "m=application" in await peer.create_offer()


async def test_error_of_the_block_comes_out(children: Children, peer_name: str) -> None:
    """An assertion that fails inside the block fails the test."""
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="of the test")):
        async with open_foreign_peer(children, peer_name):
            raise AssertionError("of the test")


async def test_dead_child_is_an_error_and_is_replaced(children: Children, peer_name: str) -> None:
    """A child that dies fails the test that uses it, and no other."""
    with pytest.RaisesGroup(pytest.RaisesExc(ForeignError, match="ended: exit code")), trio.fail_after(10):
        async with open_foreign_peer(children, peer_name):
            children.get(peer_name).kill()
            await trio.sleep_forever()
    async with open_foreign_peer(children, peer_name) as peer:
        assert peer.version
