"""ice_ufrag_chars: credentials are ICE characters of the RFC's lengths, both ways."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import Agent, Configuration, Role, State

ICE_CHARS = set(string.ascii_letters + string.digits + "+/")


def make_agent(seed: int = 0) -> Agent:
    return Agent(Configuration(), role=Role.CONTROLLING, random_bytes=random.Random(seed).randbytes)


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_the_description_says(username_fragment: str, password: str) -> None:
    fits = (
        set(username_fragment + password) <= ICE_CHARS
        and 4 <= len(username_fragment) <= 256
        and 22 <= len(password) <= 256
    )
    agent = make_agent()
    if fits:
        agent.set_remote_credentials(username_fragment, password, 0.0)
        assert agent.state is State.CHECKING
    else:
        with pytest.raises(InvalidArgument) as caught:
            agent.set_remote_credentials(username_fragment, password, 0.0)
        assert len(password) < 22 or password == username_fragment or password not in str(caught.value)
        assert agent.state is State.NEW


@pytest.mark.parametrize(("size", "fits"), [(3, False), (4, True), (256, True), (257, False)])
def test_lengths_of_the_fragment(size: int, fits: bool) -> None:
    if fits:
        make_agent().set_remote_credentials("u" * size, "p" * 22, 0.0)
    else:
        with pytest.raises(InvalidArgument, match="username fragment"):
            make_agent().set_remote_credentials("u" * size, "p" * 22, 0.0)


@pytest.mark.parametrize("text", ["abc\r\nd", "abcd\n", "ab cd", "ab:cd", "\uff41bcd", "abcd\x85", "a=b+c"])
def test_nothing_that_could_inject(text: str) -> None:
    for credentials in ((text, "p" * 22), ("abcd", text + "p" * 22)):
        with pytest.raises(InvalidArgument):
            make_agent().set_remote_credentials(*credentials, 0.0)


def test_ours_are_always_fit() -> None:
    for seed in range(500):
        agent = make_agent(seed)
        make_agent().set_remote_credentials(agent.local_username_fragment, agent.local_password, 0.0)
