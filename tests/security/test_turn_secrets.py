"""turn_secrets: a password is never in a text: no repr, no error with its whole chain, no event, no line of a log."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xp2p_trio import Configuration, open_peer_connection, turn
from xp2p_trio.driver.doctor import examine
from xp2p_trio.ice import TurnServer
from xp2p_trio.peer import IceServer, parse_ice_server, parse_ice_servers
from xp2p_trio.sansio import Address, Transport
from xp2p_trio.testing import BLACK_HOLE, Host, Link, Network, TurnServerConfiguration, serve_turn

SERVER: Address = ("192.0.2.9", 3478)
MARK = "S3cr3tM4rk"

passwords = st.text(max_size=6).map(lambda text: f"{MARK}{text}{MARK}")
"""Whatever else is in it."""


def everything(error: BaseException | None) -> str:
    """All that an error, and those behind it, could be made to say."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
        texts += [repr(getattr(error, name, "")) for name in ("object", "strerror", "filename")]
        error = error.__cause__ or error.__context__
    return "".join(texts)


def shown(value: object) -> str:
    return f"{value!r}{value}"


def attempts(password: str | bytes) -> Iterator[Callable[[], object]]:
    """Ways to hand in a password, right ones and wrong ones."""
    quoted = quote(password, safe="") if isinstance(password, str) and password.isprintable() else MARK
    urls = [
        f"turn:user:{text}@{rest}"
        for text in (quoted, str(password))  # the latter may have anything in it: @ : ? # /
        for rest in ("host", "host:99999", "[::1]:1?x", "ho st", "host?transport=sctp", "host:x", "")
    ]
    urls += [
        f"turns:user:{quoted}@host", f"turn:user:{quoted}", f"user:{quoted}@host", f"stun:user:{quoted}@host",
        f"turn:host:1:user:{quoted}", f"turn:host?user=u&pass={quoted}", f"turn:user:{quoted}%zz@host",
        f"turn:user:%ff{quoted}@host", f"turn://user:{quoted}@host",
    ]  # fmt: skip
    for url in urls:
        yield partial(parse_ice_server, url)
        yield partial(Configuration, ice_servers=[url])
    for options in (
        {"scheme": "turn"}, {"scheme": "stun"}, {"scheme": "turns", "transport": Transport.UDP}, {"scheme": "x"},
        {"scheme": "turn", "port": 0}, {"scheme": "turn", "renew": password},
    ):  # fmt: skip
        yield partial(IceServer, "host", username="user", password=password, **options)
        yield partial(IceServer, "host", username=None, password=password, **options)
        yield partial(IceServer, "ho st", username="user", password=password, **options)
    for member in ("credential", "password"):
        yield partial(parse_ice_servers, [{"urls": "turn:host", "username": "user", member: password}])
        yield partial(parse_ice_servers, [{"urls": ["turn:host", "turn:ho st"], "username": "user", member: password}])
        yield partial(parse_ice_servers, [{"urls": [], "username": "user", member: password}])
    yield lambda: turn.Credentials("user", password)
    yield lambda: turn.Credentials("", password)
    yield lambda: turn.rest_credentials("user", password, 1e9)
    yield lambda: turn.rest_credentials("u" * 600, password, 1e9)
    yield lambda: turn.rest_credentials("user", password, -1)
    yield lambda: TurnServer(SERVER, turn.Credentials("user", password), name="turn:host")
    yield lambda: TurnServerConfiguration(relay_hosts=["192.0.2.9"], users={"user": password})


@settings(max_examples=60, deadline=None)
@given(password=st.one_of(passwords, passwords.map(lambda text: text + "\udcff"), passwords.map(str.encode)))
def test_no_value_and_no_error_says_it(password: str | bytes) -> None:
    for attempt in attempts(password):
        said = ""
        try:
            said = shown(attempt())
        except (ValueError, TypeError, AttributeError) as error:
            said = everything(error)
        assert MARK not in said


# --- the whole life of a connection


def serving_turn(host: Host, password: str) -> Any:
    configuration = TurnServerConfiguration(
        relay_hosts=[SERVER[0]], users={"user": password}, max_lifetime=60, nonce_lifetime=20
    )
    return partial(serve_turn, configuration, network=host, host=SERVER[0], transports=list(Transport))


@pytest.mark.parametrize("behaviour", ["right", "wrong", "silent", "renewed", "raises"])
@pytest.mark.parametrize("query", ["turn:{}@192.0.2.9", "turn:{}@192.0.2.9?transport=tcp", "turns:{}@192.0.2.9"])
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=passwords.filter(str.isprintable))
def test_no_event_and_no_log_of_a_connection_says_it(
    caplog: pytest.LogCaptureFixture, behaviour: str, query: str, password: str
) -> None:
    said: list[str] = []

    async def renew() -> turn.Credentials:
        await trio.lowlevel.checkpoint()
        if behaviour == "raises":
            raise LookupError("no more credentials")
        return turn.Credentials("user", password)

    async def main() -> None:
        network = Network(seed=1, link=Link(delay=0.01))
        network.host("alice", "192.0.2.1")
        network.host("bob", "192.0.2.2")
        network.host("server", SERVER[0])
        server = parse_ice_server(query.format(f"user:{quote(password, safe='')}"))
        if behaviour in ("renewed", "raises"):
            server = attrs.evolve(server, username=None, password=None, renew=renew)
        if behaviour == "silent":
            network.set_links("alice", "server", BLACK_HOLE)
        theirs = password + "2" if behaviour == "wrong" else password
        config = Configuration(ice_servers=[server])
        async with trio.open_nursery() as nursery:
            service = await nursery.start(serving_turn(network.host("server"), theirs))
            said.append(shown(service))
            try:
                async with (
                    open_peer_connection(config, network=network.host("alice")) as alice,
                    open_peer_connection(network=network.host("bob")) as bob,
                ):
                    bob.set_remote_description(alice.set_local_description())
                    alice.set_remote_description(bob.set_local_description())
                    await alice.wait_connected()
                    await trio.sleep(100)
                    if behaviour == "renewed":
                        service.core.set_password("user", "another")
                        await trio.sleep(100)
                    network.set_links("alice", "bob", BLACK_HOLE)
                    network.set_links("alice", "server", BLACK_HOLE)
                    said.extend(
                        map(shown, (alice, config, alice.statistics(), alice.ice_agent, alice.ice_agent.pair_report))
                    )
                    with trio.move_on_after(0.001):
                        async for event in alice.events:
                            said.append(shown(event))
                    await alice.create_data_channel("x").wait_open()
                    with contextlib.suppress(trio.EndOfChannel):
                        await trio.sleep(60)
                        await alice.incoming_channels.accept()
            except trio.BrokenResourceError as error:
                said.append(everything(error))
            said.append(shown(await examine([server], network=network.host("alice"))))
            nursery.cancel_scope.cancel("the test is over")

    with caplog.at_level(logging.DEBUG):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    text = "".join(said) + caplog.text
    assert "192.0.2.9" in text
    assert MARK not in text
