"""NATs against a reference model: a list of all that was ever sent, from which each decision is worked out anew."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing import NatBehaviour, Network, Translated

HOME = "203.0.113.7"
SOCKETS = [("192.168.1.2", 5000), ("192.168.1.2", 5001), ("192.168.1.3", 5000)]
SERVERS = [("198.51.100.1", 3478), ("198.51.100.1", 3479), ("198.51.100.2", 3478)]
DEPENDENCES = ["endpoint-independent", "address-dependent", "address-and-port-dependent"]
BEHAVIOURS = st.builds(
    NatBehaviour,
    mapping=st.sampled_from(DEPENDENCES),
    filtering=st.sampled_from(DEPENDENCES),
    ports=st.sampled_from(["preserving", "random", "contiguous"]),
    timeout=st.sampled_from([10.0, 30.0]),
    inbound_refresh=st.booleans(),
    port_range=st.sampled_from([(4998, 5002), (1024, 65535)]),
)


def part(dependence: str, remote: Address) -> object:
    """What of a remote address counts."""
    return {"endpoint-independent": (), "address-dependent": remote[0], "address-and-port-dependent": remote}[
        dependence
    ]


class NatMachine(RuleBasedStateMachine):
    """Datagrams out and in at any time.

    `touched` has the last time of traffic by (external, socket, part that counts for mapping, part for filtering).
    """

    @initialize(behaviour=BEHAVIOURS, seed=st.integers(0, 3))
    def start(self, behaviour: NatBehaviour, seed: int) -> None:
        self.behaviour = behaviour
        self.network = Network(seed=seed, keep_trace=True)
        self.now = 0.0
        self.touched: dict[tuple[Address, Address, object, object], float] = {}
        self.known: list[Address] = [(HOME, 5000)]
        self.retired: set[Address] = set()  # what rebinding took out of use: at least this, at most that
        self.perhaps_retired: set[Address] = set()
        self.network.host("alice", "192.168.1.2")
        self.network.host("pc", "192.168.1.3")
        self.network.host("one", "198.51.100.1")
        self.network.host("two", "198.51.100.2")
        self.nat = self.network.nat("home", HOME, behaviour=behaviour, inside=["alice", "pc"])

    def alive(self) -> dict[Address, tuple[Address, object]]:
        """Which external address belongs to whom by now."""
        return {
            external: (socket, mapped_for)
            for (external, socket, mapped_for, _), at in self.touched.items()
            if self.now < at + self.behaviour.timeout
        }

    def arrives(self, source: Address, destination: Address) -> Burst | None:
        """Send one datagram; what comes out."""
        self.network.send(Burst(source, destination, [b"x"]), self.now)
        bursts = self.network.deliver(self.now)
        assert len(bursts) <= 1
        return bursts[0] if bursts else None

    @rule(socket=st.sampled_from(SOCKETS), server=st.sampled_from(SERVERS))
    def send_out(self, socket: Address, server: Address) -> None:
        mapped_for = part(self.behaviour.mapping, server)
        alive = self.alive()
        expected = [external for external, owner in alive.items() if owner == (socket, mapped_for)]
        burst = self.arrives(socket, server)
        if burst is None:
            first, last = self.behaviour.port_range
            assert expected == []
            assert len(alive.keys() | self.perhaps_retired) >= last - first + 1, "a port was free"
            return
        external = burst.remote
        assert burst.local == server
        assert external[0] == HOME
        if expected:
            assert [external] == expected
        else:
            assert external not in alive, "one external address for two"
            assert external not in self.retired
            assert self.behaviour.port_range[0] <= external[1] <= self.behaviour.port_range[1]
            for key in [key for key in self.touched if key[0] == external]:
                del self.touched[key]  # of a mapping that has timed out: it gives no leave to the next one
        self.known.append(external)
        self.touched[external, socket, mapped_for, part(self.behaviour.filtering, server)] = self.now

    @rule(server=st.sampled_from(SERVERS), pick=st.integers(0, 1000))
    def send_in(self, server: Address, pick: int) -> None:
        external = self.known[pick % len(self.known)]
        leave = part(self.behaviour.filtering, server)
        allowed = [
            key
            for key, at in self.touched.items()
            if key[0] == external and key[3] == leave and self.now < at + self.behaviour.timeout
        ]
        burst = self.arrives(server, external)
        if allowed:
            assert burst == Burst(allowed[0][1], server, [b"x"])
            if self.behaviour.inbound_refresh:
                self.touched[allowed[0]] = self.now
        else:
            assert burst is None, "the filter forbids it"

    @rule(seconds=st.sampled_from([0.001, 4.0, 9.999, 10.0, 29.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def rebind(self) -> None:
        self.nat.rebind()
        self.retired = set(self.alive())
        self.perhaps_retired = {external for external, _, _, _ in self.touched}
        self.touched.clear()

    @invariant()
    def every_translation_has_a_way_back(self) -> None:
        entries = [entry for entry in self.network.trace if isinstance(entry, Translated)]
        assert all((entry.old[0] == HOME) is not (entry.new[0] == HOME) for entry in entries)
        assert len(entries) == self.nat.statistics.outbound + self.nat.statistics.inbound


TestNat = NatMachine.TestCase
