"""Two homes behind real NAT routers and a server between them, in network namespaces of Linux.

    peer a --- router a ---+--- public segment ---+--- router b --- peer b
    192.168.1.2            203.0.113.1            203.0.113.2       192.168.2.2
                                    server 203.0.113.10

A router masquerades like every Linux box: it keeps the port where it can ("preserving": mappings look independent of
the endpoint, filters depend on address and port), or draws one for each endpoint ("random": a symmetric NAT). Programs
run inside by `Namespace.command`; this process stays outside.

Needs root, `ip` of iproute2 and `nft` of nftables: `missing()` tries and tells.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final, Literal

import attrs

SERVER: Final = "203.0.113.10"
NOWHERE: Final = "203.0.113.254"

NatKind = Literal["preserving", "random"]

_MASQUERADE: Final = {"preserving": "masquerade", "random": "masquerade fully-random"}
_numbers = itertools.count(1)


class CommandError(Exception):
    """A command of the system failed; the text is its own."""


def _run(*command: str, text: str = "") -> None:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{' '.join(command)}: {error}") from None
    if done.returncode:
        raise CommandError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


@attrs.frozen
class Namespace:
    """A network of its own."""

    name: str

    def ip(self, *arguments: str) -> None:
        """Configure it."""
        _run("ip", "-n", self.name, *arguments)

    @property
    def command(self) -> list[str]:
        """What to put before a command so that it runs inside."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *command: str, text: str = "") -> None:
        """Run a short command inside."""
        _run(*self.command, *command, text=text)


@attrs.define
class Home:
    """A peer behind its router.

    Attributes:
        peer: where the peer runs.
        router: its way out; `inside` and `outside` are its interfaces.
        network: first three numbers of the addresses inside.
        private_address: the peer's.
        public_address: the router's.
        nat: how it maps ports.
        is_udp_blocked: whether it lets no UDP through.
    """

    peer: Namespace
    router: Namespace
    network: str
    private_address: str
    public_address: str
    nat: NatKind = "preserving"
    is_udp_blocked: bool = False

    def configure(self, nat: NatKind, *, block_udp: bool = False) -> None:
        """Set the router's rules.

        It drops what comes in unasked without a word, as home routers do; one that answers with ICMP also keeps the
        stranger's packet in its table, and the mapping that collides with it gets another port.
        """
        self.nat, self.is_udp_blocked = nat, block_udp
        blocked = "meta l4proto udp drop;" if block_udp else ""
        rules = f"""
            flush ruleset
            table ip home {{
                chain out {{ type nat hook postrouting priority 100; oifname "outside" {_MASQUERADE[nat]}; }}
                chain in {{ type filter hook input priority 0; iifname "outside" ct state new drop; }}
                chain through {{
                    type filter hook forward priority 0;
                    iifname "outside" ct state new drop;
                    {blocked}
                }}
            }}
        """
        self.router.run("nft", "-f", "-", text=rules)

    def forget_mappings(self) -> None:
        """The router restarts: every mapping is new when it is next used (with "random", at another port)."""
        self.router.ip("link", "set", "outside", "down")
        self.router.ip("link", "set", "outside", "up")
        _route_elsewhere(self.router, "outside")

    def change_public_address(self, address: str) -> None:
        """The provider gives the router another address."""
        self.router.ip("address", "delete", f"{self.public_address}/24", "dev", "outside")
        self.router.ip("address", "add", f"{address}/24", "dev", "outside")
        self.router.ip("route", "replace", "default", "via", NOWHERE)
        self.public_address = address

    def change_private_address(self, number: int) -> None:
        """The peer gets another address; what is bound to the old one hears nothing any more."""
        address = f"{self.network}.{number}"
        self.peer.ip("address", "delete", f"{self.private_address}/24", "dev", "eth0")
        self.peer.ip("address", "add", f"{address}/24", "dev", "eth0")
        self.peer.ip("route", "add", "default", "via", f"{self.network}.1")
        self.private_address = address


@attrs.define
class Town:
    """The two homes and the public segment."""

    a: Home
    b: Home
    public: Namespace


@contextlib.contextmanager
def open_town(a: NatKind = "preserving", b: NatKind = "preserving") -> Iterator[Town]:
    """Build it; it is gone afterwards, with whatever still runs inside."""
    prefix = f"xp{os.getpid()}n{next(_numbers)}"
    made: list[Namespace] = []
    try:

        def namespace(name: str) -> Namespace:
            made.append(Namespace(f"{prefix}{name}"))
            _run("ip", "netns", "add", made[-1].name)
            made[-1].ip("link", "set", "lo", "up")
            return made[-1]

        public = namespace("net")
        public.ip("link", "add", "net0", "type", "bridge")
        public.ip("address", "add", f"{SERVER}/24", "dev", "net0")
        public.ip("link", "set", "net0", "up")
        _route_elsewhere(public, "net0")
        homes = [
            _build_home(public, namespace(f"peer{number}"), namespace(f"router{number}"), number, nat)
            for number, nat in enumerate((a, b), start=1)
        ]
        yield Town(*homes, public)
    finally:
        for each in made:
            with contextlib.suppress(CommandError):
                _run("ip", "netns", "delete", each.name)


def _build_home(public: Namespace, peer: Namespace, router: Namespace, number: int, nat: NatKind) -> Home:
    home = Home(peer, router, f"192.168.{number}", f"192.168.{number}.2", f"203.0.113.{number}")
    _connect(router, "inside", peer, "eth0")
    _connect(router, "outside", public, f"home{number}")
    public.ip("link", "set", f"home{number}", "master", "net0")
    router.ip("address", "add", f"{home.network}.1/24", "dev", "inside")
    router.ip("address", "add", f"{home.public_address}/24", "dev", "outside")
    _route_elsewhere(router, "outside")
    peer.ip("address", "add", f"{home.private_address}/24", "dev", "eth0")
    peer.ip("route", "add", "default", "via", f"{home.network}.1")
    router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    home.configure(nat)
    return home


def _route_elsewhere(place: Namespace, interface: str) -> None:
    """Where all other addresses are: what goes there is lost, and no error comes back, as in the large Internet.

    coturn, told by its own kernel that there is no route to a peer, would delete the whole allocation.
    """
    place.ip("neighbour", "add", NOWHERE, "lladdr", "02:00:00:00:00:01", "dev", interface)
    place.ip("route", "add", "default", "via", NOWHERE)


def _connect(one: Namespace, one_name: str, other: Namespace, other_name: str) -> None:
    one.ip("link", "add", one_name, "type", "veth", "peer", "name", other_name, "netns", other.name)
    one.ip("link", "set", one_name, "up")
    other.ip("link", "set", other_name, "up")


def missing() -> str:
    """Why there can be no town here; empty where there can."""
    if not shutil.which("ip") or not shutil.which("nft"):
        return "`ip` of iproute2 or `nft` of nftables is not installed"
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with open_town(a="random"):
            return ""
    except CommandError as error:
        return f"this machine allows no network namespaces with NAT: {error}"
