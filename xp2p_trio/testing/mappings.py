"""The table of a NAT or stateful firewall: which socket inside has which address outside, and who may send to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

from xp2p_trio.sansio import Address
from xp2p_trio.testing.nat import Dependence

_Part: TypeAlias = "Address | str | None"
"""What of a remote address counts."""

Allocate: TypeAlias = Callable[[Address, Callable[[Address], bool]], Address | None]
"""Gets an internal address and whether an external one is free; gives an external one, or None when all are taken."""


def _part(dependence: Dependence, remote: Address) -> _Part:
    match dependence:
        case "endpoint-independent":
            return None
        case "address-dependent":
            return remote[0]
        case "address-and-port-dependent":
            return remote


@final
class Mapping:
    """One socket inside, as one or more remote addresses see it.

    Attributes:
        internal: the socket.
        external: where it is reached from outside.
        refreshed_at: when traffic last kept it.
        heard_at: when traffic last kept the leave to send, for each remote address, or the part of it that counts.
    """

    __slots__ = ("external", "heard_at", "internal", "key", "refreshed_at")

    def __init__(self, key: tuple[Address, _Part], external: Address) -> None:
        self.key = key
        self.internal = key[0]
        self.external = external
        self.refreshed_at = 0.0
        self.heard_at: dict[_Part, float] = {}


@final
class MappingTable:
    """All mappings of a box. A mapping that has timed out is gone at `timeout` after its last traffic, to the instant.

    Args:
        mapping: RFC 4787 section 4.1.
        filtering: RFC 4787 section 5.
        timeout: RFC 4787 section 4.3, in seconds.
        inbound_refresh: RFC 4787 section 4.3, REQ-6.
        allocate: picks external addresses.

    Attributes:
        created: how many mappings have been made.
    """

    def __init__(
        self,
        *,
        mapping: Dependence,
        filtering: Dependence,
        timeout: float,
        inbound_refresh: bool,
        allocate: Allocate,
    ) -> None:
        self._mapping = mapping
        self._filtering = filtering
        self._timeout = timeout
        self._inbound_refresh = inbound_refresh
        self._allocate = allocate
        self._by_key: dict[tuple[Address, _Part], Mapping] = {}
        self._by_external: dict[Address, Mapping] = {}
        self.created = 0

    def outbound(self, internal: Address, remote: Address, now: float) -> Address | None:
        """What the remote address sees, which may now answer; None when no external address is free."""
        key = internal, _part(self._mapping, remote)
        mapping = self._by_key.get(key)
        if mapping is None or self._is_over(mapping, now):
            external = self._allocate(internal, lambda address: not self.is_mapped(address, now))
            if external is None:
                return None
            mapping = self._by_key[key] = self._by_external[external] = Mapping(key, external)
            self.created += 1
        mapping.refreshed_at = mapping.heard_at[_part(self._filtering, remote)] = now
        return mapping.external

    def inbound(self, external: Address, remote: Address, now: float) -> Address | None:
        """Whom it is for; None when the remote address may not send there. `owner` tells the one from the other."""
        mapping = self._by_external.get(external)
        if mapping is None or self._is_over(mapping, now):
            return None
        part = _part(self._filtering, remote)
        heard_at = mapping.heard_at.get(part)
        if heard_at is None or now >= heard_at + self._timeout:
            return None
        if self._inbound_refresh:
            mapping.refreshed_at = mapping.heard_at[part] = now
        return mapping.internal

    def owner(self, external: Address) -> Address | None:
        """Whose address it is, whoever sends and however long ago."""
        mapping = self._by_external.get(external)
        return None if mapping is None else mapping.internal

    def is_mapped(self, external: Address, now: float) -> bool:
        """Whether it leads to a socket inside."""
        mapping = self._by_external.get(external)
        return mapping is not None and not self._is_over(mapping, now)

    def clear(self) -> set[Address]:
        """Forget everything. Returns the external addresses that were in use."""
        external = set(self._by_external)
        self._by_key.clear()
        self._by_external.clear()
        return external

    def _is_over(self, mapping: Mapping, now: float) -> bool:
        if now < mapping.refreshed_at + self._timeout:
            return False
        self._by_key.pop(mapping.key, None)
        self._by_external.pop(mapping.external, None)
        return True
