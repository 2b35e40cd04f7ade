"""Values of descriptions, drawn from their grammars."""

from __future__ import annotations

import pathlib
import string

from hypothesis import strategies as st

from xp2p_trio.sdp import (
    Attribute,
    Candidate,
    CandidateType,
    DataDescription,
    Field,
    FingerprintAttribute,
    MediaSection,
    Origin,
    Session,
    Setup,
)

VECTORS = pathlib.Path(__file__).parents[1] / "vectors" / "sdp"
OFFERS = {path.stem: path.read_bytes().decode() for path in sorted(VECTORS.glob("*.sdp"))}

ICE = string.ascii_letters + string.digits + "+/"
TOKEN = string.ascii_letters + string.digits + "!#$%&'*+-.^_`{|}~"

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=20)
tokens = st.text(TOKEN, min_size=1, max_size=12)
ice_texts = st.text(ICE, min_size=1, max_size=32)
hosts = st.one_of(
    st.ip_addresses().map(str),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\.local", fullmatch=True),
)
visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=10)
extensions = st.lists(
    st.tuples(tokens.filter(lambda name: name not in {"raddr", "rport", "tcptype", "ufrag"}), visible), max_size=3
).map(tuple)
candidates = st.builds(
    Candidate,
    ice_texts,
    st.integers(1, 256),
    st.sampled_from(["udp", "tcp", "x-other"]),
    st.integers(1, 2**31 - 1),
    hosts,
    st.integers(1, 65535),
    st.sampled_from(CandidateType),
    st.one_of(st.none(), st.tuples(hosts, st.integers(0, 65535))),
    st.sampled_from([None, "active", "passive", "so"]),
    st.one_of(st.none(), ice_texts),
    extensions,
)
attributes = st.builds(
    Attribute,
    st.one_of(tokens, texts.filter(lambda name: ":" not in name)),
    st.one_of(st.none(), texts),
)
fields = st.builds(Field, st.sampled_from("iuepcbtrzkxy"), texts)
numbers = st.integers(0, 10**20 - 1)
origins = st.builds(Origin, tokens, numbers, numbers, st.just("IN"), st.sampled_from(["IP4", "IP6"]), hosts)
sections = st.builds(
    MediaSection,
    tokens,
    st.integers(0, 65535),
    st.lists(tokens, min_size=1, max_size=3).map("/".join),
    st.lists(tokens, min_size=1, max_size=3).map(tuple),
    st.lists(fields, max_size=3).map(tuple),
    st.lists(attributes, max_size=5).map(tuple),
    st.one_of(st.none(), st.integers(1, 65535)),
)
sessions = st.builds(
    Session,
    origins,
    texts,
    st.lists(fields, max_size=3).map(tuple),
    st.lists(attributes, max_size=5).map(tuple),
    st.lists(sections, max_size=3).map(tuple),
)
fingerprints = st.one_of(
    st.builds(FingerprintAttribute, st.just("sha-256"), st.binary(min_size=32, max_size=32)),
    st.builds(FingerprintAttribute, st.just("sha-512"), st.binary(min_size=64, max_size=64)),
    st.builds(FingerprintAttribute, st.just("shake-9"), st.binary(min_size=1, max_size=8)),
)
descriptions = st.builds(
    DataDescription,
    mid=st.one_of(st.just(""), tokens),
    username_fragment=st.text(ICE, min_size=4, max_size=256),
    password=st.text(ICE, min_size=22, max_size=256),
    ice_options=st.lists(ice_texts, unique=True, max_size=3).map(tuple),
    ice_lite=st.booleans(),
    fingerprints=st.lists(fingerprints, min_size=1, max_size=3).map(tuple),
    setup=st.sampled_from(Setup),
    tls_id=st.one_of(st.none(), st.text(ICE + "-_", min_size=20, max_size=255)),
    sctp_port=st.integers(1, 65535),
    max_message_size=st.integers(0, 10**20 - 1),
    candidates=st.lists(candidates, max_size=3).map(tuple),
    end_of_candidates=st.booleans(),
)


def description(**changes: object) -> DataDescription:
    """A description of ours, with changes."""
    values: dict[str, object] = {
        "username_fragment": "ufrag",
        "password": "a-secret-no-more".replace("-", "+") + "123456",
        "fingerprints": (FingerprintAttribute("sha-256", bytes(range(32))),),
        "setup": Setup.ACTIVE,
    }
    return DataDescription(**(values | changes))  # type: ignore[arg-type]
