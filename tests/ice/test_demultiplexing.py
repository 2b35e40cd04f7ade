"""Which session of a shared socket a datagram belongs to, and who may take a path from whom."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from xp2p_trio import ice, stun
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import Demultiplexer, UnknownPeer
from xp2p_trio.sansio import Address, Burst

LOCAL: Address = ("192.0.2.1", 4000)
OTHER_LOCAL: Address = ("192.0.2.2", 4000)
ADA: Address = ("198.51.100.1", 5000)
BOB: Address = ("198.51.100.2", 5000)
MALLORY: Address = ("203.0.113.66", 666)
DATA = b"\x17data"
PASSWORD = "password of twenty two".replace(" ", "+")

_ids = itertools.count(1)


def draw_id() -> bytes:
    return next(_ids).to_bytes(12, "big")


def request(username: str, *, password: str = PASSWORD, fingerprint: bool = True, transaction_id: bytes = b"") -> bytes:
    message = stun.Message(
        stun.MessageClass.REQUEST,
        stun.Method.BINDING,
        transaction_id or draw_id(),
        (stun.Username(username), stun.Priority(1)),
    )
    return stun.encode_message(message, key=password.encode(), fingerprint=fingerprint)


def answer(asked: bytes, kind: stun.MessageClass = stun.MessageClass.SUCCESS_RESPONSE) -> bytes:
    return stun.encode_message(stun.Message(kind, stun.Method.BINDING, asked[8:20]), fingerprint=True)


def make(*sessions: str) -> Demultiplexer[str]:
    demultiplexer: Demultiplexer[str] = Demultiplexer()
    for session in sessions or ("ada", "bob"):
        demultiplexer.add(f"{session}ufrag", session, 0.0)
    return demultiplexer


def route(
    demultiplexer: Demultiplexer[str], remote: Address, *datagrams: bytes, local: Address = LOCAL, now: float = 0.0
) -> list[tuple[str, Sequence[bytes]]]:
    shares = demultiplexer.route(Burst(local, remote, datagrams), now)
    assert all((share.local, share.remote) == (local, remote) for _, share in shares)
    return [(session, list(share.datagrams)) for session, share in shares]


def owner(
    demultiplexer: Demultiplexer[str], remote: Address, *, local: Address = LOCAL, now: float = 0.0
) -> str | None:
    shares = route(demultiplexer, remote, DATA, local=local, now=now)
    return shares[0][0] if shares else None


def ask(demultiplexer: Demultiplexer[str], session: str, remote: Address) -> bytes:
    """The session sends a check of its own."""
    check = request("theirs:ours")
    demultiplexer.sent(session, Burst(LOCAL, remote, (check,)))
    return check


def prove(demultiplexer: Demultiplexer[str], session: str, remote: Address, *, now: float = 0.0) -> None:
    route(demultiplexer, remote, answer(ask(demultiplexer, session, remote)), now=now)


# --- to whom


def test_a_request_goes_to_whom_it_names_and_data_follows() -> None:
    demultiplexer = make()
    check = request("adaufrag:theirs")
    assert route(demultiplexer, ADA, DATA) == []
    assert route(demultiplexer, ADA, check) == [("ada", [check])]
    assert route(demultiplexer, ADA, DATA, DATA) == [("ada", [DATA, DATA])]
    assert owner(demultiplexer, BOB) is None
    assert owner(demultiplexer, ADA, local=OTHER_LOCAL) is None, "a path is both its ends"
    assert demultiplexer.statistics.datagrams_of_strangers == 3


def test_an_answer_goes_to_who_asked() -> None:
    """Whoever owns the path: two sessions may ask one server."""
    demultiplexer = make()
    of_ada, of_bob = ask(demultiplexer, "ada", MALLORY), ask(demultiplexer, "bob", MALLORY)
    assert route(demultiplexer, MALLORY, answer(of_bob)) == [("bob", [answer(of_bob)])]
    assert route(demultiplexer, MALLORY, answer(of_ada)) == [("ada", [answer(of_ada)])]


def test_an_answer_to_nobody_is_left_to_the_owner_of_the_path() -> None:
    demultiplexer = make()
    stray = answer(request("a:b"))
    assert route(demultiplexer, ADA, stray) == []
    prove(demultiplexer, "ada", ADA)
    assert route(demultiplexer, ADA, stray) == [("ada", [stray])]


def test_an_indication_goes_to_the_owner_of_the_path() -> None:
    demultiplexer = make()
    keep_alive = stun.encode_message(stun.Message(stun.MessageClass.INDICATION, stun.Method.BINDING, draw_id()))
    assert route(demultiplexer, ADA, keep_alive) == []
    prove(demultiplexer, "ada", ADA)
    assert route(demultiplexer, ADA, keep_alive) == [("ada", [keep_alive])]


def test_a_mixed_burst_is_split_in_order() -> None:
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA)
    for_ada, for_bob = request("adaufrag:x"), request("bobufrag:x")
    mixed = [DATA, for_ada, b"\x16more", for_bob, b"\x00junk", DATA, b""]
    assert route(demultiplexer, ADA, *mixed) == [
        ("ada", [DATA, for_ada, b"\x16more"]),
        ("bob", [for_bob]),
        ("ada", [DATA]),
    ]
    assert demultiplexer.statistics.stun_malformed == 2


@pytest.mark.parametrize("method", [stun.Method.ALLOCATE, stun.Method.SEND])
def test_requests_of_other_methods_go_nowhere(method: stun.Method) -> None:
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA)
    message = stun.Message(stun.MessageClass.REQUEST, method, draw_id(), (stun.Username("adaufrag:x"),))
    assert route(demultiplexer, ADA, stun.encode_message(message)) == []
    assert demultiplexer.statistics.stun_malformed == 1


def test_answers_of_a_turn_server_find_their_way() -> None:
    """Allocate is a request of another method, which we may send."""
    demultiplexer = make()
    message = stun.Message(stun.MessageClass.REQUEST, stun.Method.ALLOCATE, draw_id())
    allocate = stun.encode_message(message)
    demultiplexer.sent("bob", Burst(LOCAL, MALLORY, (allocate,)))
    assert route(demultiplexer, MALLORY, answer(allocate)) == [("bob", [answer(allocate)])]
    assert owner(demultiplexer, MALLORY) == "bob", "where data indications will come from"


# --- who owns a path


def test_a_stranger_takes_no_path() -> None:
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA)
    route(demultiplexer, ADA, request("nobody:x"), answer(request("a:b")), b"\x00", b"", bytes(20))
    assert owner(demultiplexer, ADA) == "ada"


def test_a_forged_request_takes_no_path_that_is_proved() -> None:
    """A peer of Bob's session forges Ada's address: Bob hears of it, and Ada's data stay Ada's."""
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA)
    forged = request("bobufrag:x")
    for now in (0.0, 5.0, 14.9):
        assert route(demultiplexer, ADA, forged, now=now) == [("bob", [forged])]
        assert owner(demultiplexer, ADA, now=now) == "ada"
    assert demultiplexer.statistics.claims_refused == 3


def test_a_forged_request_takes_no_path_that_is_named() -> None:
    """Of an ice-lite session nothing but requests is known; they renew its claim."""
    demultiplexer = make()
    for now in (0.0, 10.0, 20.0, 30.0):
        route(demultiplexer, ADA, request("adaufrag:x"), now=now)
        route(demultiplexer, ADA, request("bobufrag:x"), now=now + 9.9)
        assert owner(demultiplexer, ADA, now=now + 9.9) == "ada"
    route(demultiplexer, ADA, request("bobufrag:x"), now=45.0)
    assert owner(demultiplexer, ADA, now=45.0) == "bob", "an address that a NAT gave to somebody else"


def test_who_was_there_first_by_forged_requests_yields_to_a_proof() -> None:
    demultiplexer = make()
    route(demultiplexer, ADA, request("bobufrag:x"))
    assert owner(demultiplexer, ADA) == "bob"
    prove(demultiplexer, "ada", ADA)
    assert owner(demultiplexer, ADA) == "ada"
    route(demultiplexer, ADA, request("bobufrag:x"))
    assert owner(demultiplexer, ADA) == "ada"


def test_forged_requests_keep_no_proof_alive() -> None:
    """Ada's peer is gone, and a NAT gave its address to Bob's."""
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA, now=0.0)
    route(demultiplexer, ADA, request("adaufrag:x"), now=14.0)
    prove(demultiplexer, "bob", ADA, now=15.0)
    assert owner(demultiplexer, ADA, now=15.0) == "bob"


def test_two_that_live_on_one_path_do_not_take_it_from_each_other() -> None:
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA)
    for now in (5.0, 10.0, 15.0, 20.0, 25.0):
        prove(demultiplexer, "bob", ADA, now=now)
        prove(demultiplexer, "ada", ADA, now=now)
        assert owner(demultiplexer, ADA, now=now) == "ada"


def test_errors_prove_nothing() -> None:
    """What a peer says to a check with the credentials of another session."""
    demultiplexer = make()
    route(demultiplexer, ADA, request("adaufrag:x"))
    refusal = answer(ask(demultiplexer, "bob", ADA), stun.MessageClass.ERROR_RESPONSE)
    assert route(demultiplexer, ADA, refusal) == [("bob", [refusal])]
    assert owner(demultiplexer, ADA) == "ada"


def test_an_answer_from_elsewhere_proves_nothing() -> None:
    demultiplexer = make()
    check = ask(demultiplexer, "ada", ADA)
    assert route(demultiplexer, MALLORY, answer(check)) == [("ada", [answer(check)])], "ICE has an opinion on that"
    assert owner(demultiplexer, MALLORY) is None
    assert owner(demultiplexer, ADA) is None
    route(demultiplexer, ADA, answer(check))
    assert owner(demultiplexer, ADA) == "ada"


def test_a_path_can_be_proved_again_and_again() -> None:
    demultiplexer = make()
    for now in range(0, 100, 5):
        prove(demultiplexer, "ada", ADA, now=now)
    assert demultiplexer.statistics.paths == 1
    assert demultiplexer.statistics.claims_refused == 0


# --- limits


def test_a_flood_of_forged_requests_costs_a_session_nothing_that_works() -> None:
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA)
    route(demultiplexer, BOB, request("adaufrag:x"))
    flood = request("adaufrag:x")
    for port in range(1, 20_000):
        route(demultiplexer, ("203.0.113.66", port), flood, now=1.0)
    assert owner(demultiplexer, ADA) == owner(demultiplexer, BOB) == "ada"
    assert demultiplexer.statistics.paths == ice.demultiplexing.MAX_NAMED_PATHS + 1
    late: Address = ("198.51.100.3", 1)
    route(demultiplexer, late, request("adaufrag:x"), now=16.0)
    assert owner(demultiplexer, late) == "ada", "when the flood is over there is room again"


def test_of_too_many_proved_paths_the_oldest_goes() -> None:
    demultiplexer = make()
    for port in range(1, 200):
        prove(demultiplexer, "ada", ("198.51.100.1", port))
        prove(demultiplexer, "ada", ("198.51.100.1", 1))
    assert demultiplexer.statistics.paths == ice.demultiplexing.MAX_PROVED_PATHS
    assert owner(demultiplexer, ("198.51.100.1", 2)) is None
    assert owner(demultiplexer, ("198.51.100.1", 1)) == owner(demultiplexer, ("198.51.100.1", 199)) == "ada"


def test_of_too_many_unanswered_requests_the_oldest_goes() -> None:
    demultiplexer = make()
    checks = [ask(demultiplexer, "ada", ADA) for _ in range(ice.demultiplexing.MAX_TRANSACTIONS + 1)]
    assert route(demultiplexer, ADA, answer(checks[0])) == []
    assert route(demultiplexer, ADA, answer(checks[1])) == [("ada", [answer(checks[1])])]


def test_a_request_that_is_repeated_is_one() -> None:
    demultiplexer = make()
    check = ask(demultiplexer, "ada", ADA)
    for _ in range(500):
        demultiplexer.sent("ada", Burst(LOCAL, ADA, (check,)))
    demultiplexer.sent("ada", Burst(LOCAL, ADA, (DATA,) * 64))
    demultiplexer.sent("nobody", Burst(LOCAL, ADA, (check,)))
    assert route(demultiplexer, ADA, answer(check)) == [("ada", [answer(check)])]


# --- the unknown


def test_who_asks_for_nobody_is_told_of() -> None:
    demultiplexer = make()
    check = request("libp2p+webrtc+v1/abc:theirs/+1")
    assert route(demultiplexer, MALLORY, check) == []
    assert demultiplexer.take_unknown() == [UnknownPeer(LOCAL, MALLORY, "libp2p+webrtc+v1/abc", "theirs/+1", check)]
    assert demultiplexer.take_unknown() == []
    assert demultiplexer.statistics.requests_unknown == 1
    assert owner(demultiplexer, MALLORY) is None


def test_the_password_of_an_unknown_peer_can_be_checked() -> None:
    demultiplexer = make()
    route(demultiplexer, MALLORY, request("nobody:theirs"))
    (unknown,) = demultiplexer.take_unknown()
    assert unknown.is_signed_with(PASSWORD)
    assert not unknown.is_signed_with("another")
    assert PASSWORD not in repr(unknown)


@pytest.mark.parametrize(
    "username", ["", ":", "nobody", "nobody:", ":theirs", "nob:theirs", "nobody:the", "no-body:theirs", "nobody:a:b",
                 "nobody:" + "a" * 257, "nobody:\u00fcber", "nobody:theirs\n"],
)  # fmt: skip
def test_what_is_no_user_name_of_ice_is_not_told_of(username: str) -> None:
    demultiplexer = make()
    route(demultiplexer, MALLORY, request(username))
    assert demultiplexer.take_unknown() == []


def test_what_is_not_signed_is_not_told_of() -> None:
    demultiplexer = make()
    message = stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, draw_id(), (stun.Username("nobody:xxxx"),))
    good = request("nobody:theirs")
    bad = bytearray(good)
    bad[-1] ^= 1
    for evil in (
        stun.encode_message(message, fingerprint=True),
        request("nobody:theirs", fingerprint=False),
        bytes(bad),
    ):
        assert route(demultiplexer, MALLORY, evil) == []
    assert demultiplexer.take_unknown() == []
    route(demultiplexer, MALLORY, good)
    assert len(demultiplexer.take_unknown()) == 1


def test_no_more_is_told_of_than_some_hundred_a_second() -> None:
    demultiplexer = make()
    limit = ice.demultiplexing.MAX_UNKNOWN_PER_SECOND
    for second in range(3):
        for number in range(1000):
            route(demultiplexer, MALLORY, request(f"nobody{number}:theirs"), now=second + number / 2000)
        assert len(demultiplexer.take_unknown()) == limit
    for number in range(1000):  # nobody takes them
        route(demultiplexer, MALLORY, request(f"nobody{number}:theirs"), now=10.0 + number)
    assert len(demultiplexer.take_unknown()) == limit


# --- sessions come and go


def test_what_was_a_session_s_is_nobody_s_when_it_is_gone() -> None:
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA)
    route(demultiplexer, MALLORY, request("adaufrag:x"))
    check = ask(demultiplexer, "ada", ADA)
    demultiplexer.remove("ada", 1.0)
    demultiplexer.remove("ada", 1.0)
    assert route(demultiplexer, ADA, answer(check), DATA, request("adaufrag:x"), now=1.0) == []
    assert demultiplexer.statistics.paths == 0
    assert demultiplexer.statistics.sessions == 1
    route(demultiplexer, ADA, request("bobufrag:x"), now=1.0)
    assert owner(demultiplexer, ADA) == "bob"


def test_a_peer_that_has_not_heard_of_the_end_is_no_unknown_one() -> None:
    demultiplexer = make()
    demultiplexer.remove("ada", 1.0)
    route(demultiplexer, ADA, request("adaufrag:theirs"), now=31.0)
    assert demultiplexer.take_unknown() == []
    assert demultiplexer.statistics.requests_late == 1
    route(demultiplexer, ADA, request("adaufrag:theirs"), now=41.0)
    assert len(demultiplexer.take_unknown()) == 1


def test_a_fragment_can_be_used_again() -> None:
    demultiplexer = make()
    demultiplexer.remove("ada", 1.0)
    demultiplexer.add("adaufrag", "ada again", 2.0)
    check = request("adaufrag:x")
    assert route(demultiplexer, ADA, check, now=2.0) == [("ada again", [check])]


def test_a_restart_brings_another_fragment() -> None:
    """RFC 8445 section 9: the old generation is heard until the new one has taken over."""
    demultiplexer = make()
    prove(demultiplexer, "ada", ADA)
    demultiplexer.add("second", "ada", 1.0)
    demultiplexer.add("second", "ada", 1.0)
    old, new = request("adaufrag:x"), request("second:x")
    assert route(demultiplexer, ADA, old, new, now=1.0) == [("ada", [old, new])]
    for number in range(10):
        demultiplexer.add(f"generation{number}", "ada", 2.0)
    assert not demultiplexer.has("adaufrag")
    assert not demultiplexer.has("generation5")
    assert demultiplexer.has("generation6")
    assert owner(demultiplexer, ADA) == "ada"
    demultiplexer.remove("ada", 3.0)
    assert not demultiplexer.has("generation9")


def test_a_fragment_belongs_to_one_session() -> None:
    demultiplexer = make()
    with pytest.raises(InvalidArgument, match="that of another session"):
        demultiplexer.add("adaufrag", "bob", 0.0)


@pytest.mark.parametrize("fragment", ["", "abc", "with space", "a:bcd", "a" * 257, "\u00fcber", "line\n"])
def test_what_is_no_fragment_is_refused(fragment: str) -> None:
    with pytest.raises(InvalidArgument, match="4 to 256"):
        make().add(fragment, "cid", 0.0)


def test_gone_fragments_are_remembered_within_limits() -> None:
    demultiplexer = make("ada")
    for number in range(10_000):
        demultiplexer.add(f"fragment{number}", str(number), 0.0)
        demultiplexer.remove(str(number), 0.0)
    route(demultiplexer, ADA, request("fragment9999:theirs"))
    assert demultiplexer.take_unknown() == []
    route(demultiplexer, ADA, request("fragment0:theirs"))
    assert len(demultiplexer.take_unknown()) == 1


# --- whatever comes


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=8), st.booleans())
def test_anything_is_routed_to_its_owner_or_counted(datagrams: list[bytes], is_owned: bool) -> None:
    demultiplexer = make()
    if is_owned:
        prove(demultiplexer, "ada", ADA)
    before = demultiplexer.statistics
    routed = [datagram for _, share in route(demultiplexer, ADA, *datagrams) for datagram in share]
    after = demultiplexer.statistics
    assert routed == [datagram for datagram in datagrams if is_owned and datagram >= b"\x04"]
    lost = (
        after.datagrams_of_strangers + after.stun_malformed + after.requests_unknown
        - before.datagrams_of_strangers - before.stun_malformed - before.requests_unknown
    )  # fmt: skip
    assert len(routed) + lost == len(datagrams)


class Contest(RuleBasedStateMachine):
    """Three sessions and everybody's tricks on three paths: a session whose peer answers keeps its path."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sessions = ["ada", "bob", "cid"]
        self.demultiplexer = make(*self.sessions)
        self.proofs: dict[Address, tuple[str, float]] = {}

    paths = st.sampled_from([ADA, BOB, MALLORY])
    numbers = st.integers(0, 2)

    @rule(seconds=st.sampled_from([0.5, 4.0, 15.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=numbers, remote=paths)
    def forge_a_request(self, number: int, remote: Address) -> None:
        session = self.sessions[number]
        check = request(f"{session}ufrag:theirs")
        assert route(self.demultiplexer, remote, check, now=self.now) == [(session, [check])]

    @rule(number=numbers, remote=paths)
    def answer_a_check(self, number: int, remote: Address) -> None:
        session = self.sessions[number]
        prove(self.demultiplexer, session, remote, now=self.now)
        holder, since = self.proofs.get(remote, (session, self.now))
        if holder == session or self.now >= since + 15.0:
            self.proofs[remote] = (session, self.now)

    @rule(number=numbers, remote=paths)
    def refuse_a_check(self, number: int, remote: Address) -> None:
        check = ask(self.demultiplexer, self.sessions[number], remote)
        route(self.demultiplexer, remote, answer(check, stun.MessageClass.ERROR_RESPONSE), now=self.now)

    @rule(number=numbers)
    def leave_and_come_back(self, number: int) -> None:
        session = self.sessions[number]
        self.demultiplexer.remove(session, self.now)
        self.demultiplexer.add(f"{session}ufrag", session, self.now)
        self.proofs = {remote: proof for remote, proof in self.proofs.items() if proof[0] != session}

    @invariant()
    def a_fresh_proof_holds(self) -> None:
        for remote, (session, since) in self.proofs.items():
            if self.now < since + 15.0:
                assert owner(self.demultiplexer, remote, now=self.now) == session

    @invariant()
    def there_is_one_owner_a_path(self) -> None:
        assert self.demultiplexer.statistics.paths <= 3


TestContest = Contest.TestCase
