"""Messages of every shape for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from xp2p_trio import stun

hosts = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
addresses = st.tuples(hosts, st.integers(0, 0xFFFF))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
u16 = st.integers(0, 0xFFFF)
algorithms = st.tuples(u16, st.binary(max_size=20))
known = {
    0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E, 0x0020, 0x0024, 0x0025,
    0x8002, 0x8022, 0x8023, 0x8028, 0x8029, 0x802A,
    0x000C, 0x000D, 0x0012, 0x0013, 0x0016, 0x0017, 0x0019,
}  # fmt: skip

attributes = st.one_of(
    addresses.map(stun.MappedAddress),
    addresses.map(stun.XorMappedAddress),
    addresses.map(stun.AlternateServer),
    texts.map(stun.Username),
    texts.map(stun.Realm),
    texts.map(stun.Nonce),
    texts.map(stun.Software),
    st.binary(min_size=32, max_size=32).map(stun.UserHash),
    st.builds(stun.ErrorCode, st.integers(300, 699), texts),
    st.lists(u16, max_size=9).map(lambda types: stun.UnknownAttributes(tuple(types))),
    st.lists(algorithms, max_size=3).map(lambda found: stun.PasswordAlgorithms(tuple(found))),
    algorithms.map(lambda one: stun.PasswordAlgorithm(*one)),
    st.integers(0, 2**32 - 1).map(stun.Priority),
    st.just(stun.UseCandidate()),
    st.integers(0, 2**64 - 1).map(stun.IceControlled),
    st.integers(0, 2**64 - 1).map(stun.IceControlling),
    addresses.map(stun.XorPeerAddress),
    addresses.map(stun.XorRelayedAddress),
    u16.map(stun.ChannelNumber),
    st.integers(0, 2**32 - 1).map(stun.Lifetime),
    st.binary(max_size=100).map(stun.Data),
    st.integers(0, 255).map(stun.RequestedAddressFamily),
    st.integers(0, 255).map(stun.RequestedTransport),
    st.builds(stun.Opaque, u16.filter(lambda kind: kind not in known), st.binary(max_size=40)),
)

messages = st.builds(
    stun.Message,
    st.sampled_from(stun.MessageClass),
    st.integers(0, 0xFFF),
    st.binary(min_size=12, max_size=12),
    st.lists(attributes, max_size=6).map(tuple),
)
