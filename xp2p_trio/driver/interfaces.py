"""Which addresses of this machine are worth a host candidate (RFC 8445 section 5.1.1.1).

`ifaddr` lists the addresses. What it leaves out (whether an interface is up, whether an IPv6 address may be used) is
read from Linux's own tables where they exist; elsewhere an unusable address is found out when a socket is bound to it.
"""

from __future__ import annotations

import ipaddress
import itertools
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import ifaddr

from xp2p_trio.driver.network import Interface
from xp2p_trio.peer import EVERY_INTERFACE, InterfaceFilter
from xp2p_trio.sansio import is_ipv6

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_SYS_CLASS_NET = pathlib.Path("/sys/class/net")
_IF_INET6 = pathlib.Path("/proc/net/if_inet6")

_IFF_UP = 0x1  # Linux, include/uapi/linux/if.h

# Linux, include/uapi/linux/if_addr.h: addresses not to be used, or not for anything new (RFC 4862 5.5.4).
_IFA_F_DADFAILED = 0x08
_IFA_F_DEPRECATED = 0x20
_IFA_F_TENTATIVE = 0x40
_UNUSABLE_IPV6 = _IFA_F_DADFAILED | _IFA_F_DEPRECATED | _IFA_F_TENTATIVE
# RFC 8445 section 5.1.1.1 prefers addresses that hide the location (RFC 8981).
_IFA_F_TEMPORARY = 0x01

_VIRTUAL_PREFIXES = (
    "br-", "cali", "cni", "docker", "flannel", "lxc", "lxdbr", "podman", "vboxnet", "veth", "virbr", "vmnet",
)  # fmt: skip

MAX_HEAD_START: Final = 4
"""IPv6 addresses before the first IPv4 address, which shall come "after a small sequence" (RFC 8421 section 4)."""

_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")


def system_interfaces() -> list[Interface]:
    """Every usable address of this machine: real interfaces first, then virtual ones, then loopback."""
    addresses = [
        # An IPv6 address comes as (address, flow information, scope id).
        (adapter.nice_name, f"{ip.ip if isinstance(ip.ip, str) else ip.ip[0]}/{ip.network_prefix}")
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    return arrange_interfaces(addresses, down=_interfaces_down(), ipv6_flags=_ipv6_flags())


def arrange_interfaces(
    addresses: Iterable[tuple[str, str]],
    *,
    down: frozenset[str] = frozenset(),
    ipv6_flags: Mapping[IpAddress, int] | None = None,
) -> list[Interface]:
    """Drop what no peer can be given, and put the rest in order of preference.

    Args:
        addresses: interface names with their numeric addresses ("192.0.2.2" or "192.0.2.2/24"), in the system's order.
        down: names of interfaces that are down.
        ipv6_flags: the kernel's IFA_F_ flags of IPv6 addresses, where it tells them.
    """
    flags_of = ipv6_flags or {}
    ranked: list[tuple[tuple[bool, bool, bool, bool], Interface]] = []
    for name, text in addresses:
        text, _, prefix = text.partition("/")
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            continue
        flags = flags_of.get(address, 0)
        if name.partition(":")[0] in down or flags & _UNUSABLE_IPV6 or not _is_candidate(address):
            continue
        is_virtual = name.startswith(_VIRTUAL_PREFIXES)
        prefix_length = int(prefix) if prefix else None
        interface = Interface(name, str(address), address.is_loopback, is_virtual, prefix_length)
        rank = (
            interface.is_loopback,
            interface.is_virtual,
            address.is_link_local,
            address.version == 6 and not flags & _IFA_F_TEMPORARY,
        )
        ranked.append((rank, interface))
    ranked.sort(key=lambda entry: entry[0])
    return [interface for _, interface in ranked]


def host_addresses(
    interfaces: Sequence[Interface], *, enable_ipv6: bool, wanted: InterfaceFilter = EVERY_INTERFACE
) -> list[str]:
    """The addresses to gather host candidates from, best first, both families in turn.

    Loopback counts only where there is nothing else (RFC 8445 section 5.1.1.1 excludes it): a machine without a network
    still connects to itself.
    """
    usable = [
        each
        for each in interfaces
        if (enable_ipv6 or not is_ipv6(each.address)) and wanted.admits(each.name, each.address)
    ]
    outward = [each for each in usable if not each.is_loopback] or usable
    # Interfaces that lead nowhere more often come behind, and are not mixed in (RFC 8421 section 5).
    ranks = itertools.groupby(outward, lambda each: (each.is_virtual, ipaddress.ip_address(each.address).is_link_local))
    ordered = [address for _, group in ranks for address in interleave_families([each.address for each in group])]
    return list(dict.fromkeys(ordered))


def interleave_families(addresses: Iterable[str]) -> list[str]:
    """Mix IPv6 and IPv4 so that neither waits for long when the other does not work (RFC 8421 section 4).

    Some IPv6 addresses have a head start, Hi = (N_4 + N_6) / N_4; then the families take turns. Within a family the
    order stays.
    """
    families: tuple[list[str], list[str]] = ([], [])
    for address in addresses:
        families[is_ipv6(address)].append(address)
    ipv4, ipv6 = families
    head_start = min((len(ipv4) + len(ipv6)) // len(ipv4), MAX_HEAD_START) if ipv4 else len(ipv6)
    turns = itertools.zip_longest(ipv4, ipv6[head_start:])
    return ipv6[:head_start] + [address for turn in turns for address in turn if address is not None]


def _is_candidate(address: IpAddress) -> bool:
    """Whether RFC 8445 section 5.1.1.1 allows a host candidate on it (loopback is `host_addresses`' business)."""
    if address.is_unspecified or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return True
    return not (
        # A link-local address means nothing without its zone, which SDP cannot carry.
        address.is_link_local
        or address in _SITE_LOCAL
        or address in _IPV4_COMPATIBLE
        or address.ipv4_mapped is not None
    )


def _interfaces_down() -> frozenset[str]:
    """Names of the interfaces that are down or without a carrier; empty where the system keeps no such table."""
    down: set[str] = set()
    try:
        for entry in _SYS_CLASS_NET.iterdir():
            try:
                is_up = int((entry / "flags").read_text(), 16) & _IFF_UP
                # "unknown" is what loopback and tunnels say of themselves.
                if not is_up or (entry / "operstate").read_text().strip() in ("down", "lowerlayerdown", "notpresent"):
                    down.add(entry.name)
            except (OSError, ValueError):
                continue  # An interface that vanished meanwhile, or a file that is not one.
    except OSError:
        pass
    return frozenset(down)


def _ipv6_flags() -> dict[IpAddress, int]:
    """The IFA_F_ flags of every IPv6 address; empty where the system keeps no such table."""
    flags: dict[IpAddress, int] = {}
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return flags
    for line in lines:
        # 32 hex digits of address, interface index, prefix length, scope, flags, interface name
        fields = line.split()
        flags[ipaddress.IPv6Address(int(fields[0], 16))] = int(fields[4], 16)
    return flags
