"""What a configuration refuses when it is made. Each text names the attribute, the value and what it has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Scope, host_scopes

_T = TypeVar("_T")

Validator: TypeAlias = "Callable[[object, attrs.Attribute[Any], _T], None]"


def positive(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """A number greater than 0."""
    if not value > 0:
        raise InvalidArgument(f"{attribute.name} is {value!r}; it must be greater than 0")


def port(_instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    """A port, or what else is numbered like one."""
    if not 0 < value < 65536:
        raise InvalidArgument(f"{attribute.name} is {value!r}; ports are 1 to 65535")


def optional_ip_address(_instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """An IP literal that one interface may have, or None."""
    if value is None:
        return
    scopes = host_scopes(value)
    if not scopes:
        raise InvalidArgument(f"{attribute.name} is {value!r}; it must be an IP address of this machine")
    if Scope.UNSPECIFIED in scopes:
        raise InvalidArgument(f"{attribute.name} is {value!r}, every address: leave it out, which means the same")


def one_of(*choices: str) -> Validator[str]:
    """One of these words."""

    def check(_instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in choices:
            raise InvalidArgument(f"{attribute.name} is {value!r}; it must be {' or '.join(map(repr, choices))}")

    return check


def made_of(kind: type) -> Validator[object]:
    """A value of this type, where another is easily taken for it."""

    def check(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise InvalidArgument(f"{attribute.name} is {value!r}; it must be made by {kind.__name__}(...)")

    return check
