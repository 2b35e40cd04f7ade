"""Which interfaces of this machine may take part."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.peer.validators import made_of
from xp2p_trio.sansio import AddressFilter


def _patterns(values: Iterable[str]) -> tuple[str, ...]:
    patterns = (values,) if isinstance(values, str) else tuple(values)
    for pattern in patterns:
        if not pattern or "/" in pattern:
            raise InvalidArgument(
                f"interface pattern {pattern!r} matches no interface; write a name such as 'eth0' or 'wlan*', "
                "and networks into addresses"
            )
    return patterns


@attrs.frozen(kw_only=True)
class InterfaceFilter:
    """Admits the interfaces that `allow_names` has, or all where that is empty, but none that `deny_names` has.

    Patterns are those of a shell: `eth*`, `wlan[01]`. They mean an interface with its aliases (`eth0:1`), and upper and
    lower case differ.

    Attributes:
        allow_names: patterns of names.
        deny_names: patterns of names.
        addresses: which addresses of the admitted interfaces are used.

    Raises:
        InvalidArgument: a pattern that matches no name there can be; the text quotes it.
    """

    allow_names: tuple[str, ...] = attrs.field(default=(), converter=_patterns)
    deny_names: tuple[str, ...] = attrs.field(default=(), converter=_patterns)
    addresses: AddressFilter = attrs.field(factory=AddressFilter, validator=made_of(AddressFilter))

    def admits(self, name: str, host: str) -> bool:
        """Whether this address of the interface with this name may be used."""
        names = (name, name.partition(":")[0])
        if _match(names, self.deny_names):
            return False
        return (not self.allow_names or _match(names, self.allow_names)) and self.addresses.admits(host)


def _match(names: tuple[str, str], patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


EVERY_INTERFACE: Final = InterfaceFilter()
"""The filter that lets all pass."""
