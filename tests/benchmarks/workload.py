"""What is measured: the same work for every implementation. Standard library only, since aiortc may live elsewhere.

Two processes, A and B. A connects several times and measures the time to open; on the last connection it opens one
channel for each measurement, whose label says what B does with it:

    echo        B returns each message; A measures round trips one after the other
    sink        B counts until the text "end", then answers with what it counted; A measures from its first send to that

B answers a sink with `Received`, so that every figure stands on bytes that really arrived.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import socket
import time
from typing import Any

END = "end"
PING = bytes(32)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much to measure; both processes get it as JSON.

    Attributes:
        seconds: how long each bulk measurement sends.
        pings: how many round trips.
        opens: how many connections, the last of which carries the measurements.
        sizes: message sizes of the bulk measurements.
        ice_servers: STUN URLs that both sides are configured with.
    """

    seconds: float = 3.0
    pings: int = 2000
    opens: int = 10
    sizes: tuple[int, ...] = (32, 16 * 1024, 64 * 1024)
    ice_servers: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `json.dumps(dataclasses.asdict(plan))` wrote."""
        members = json.loads(text)
        return cls(**{**members, "sizes": tuple(members["sizes"]), "ice_servers": tuple(members["ice_servers"])})


@dataclasses.dataclass
class Received:
    """What a sink counted.

    Attributes:
        size: bytes.
        messages: messages.
        cpu: processor seconds that B used meanwhile.
    """

    size: int = 0
    messages: int = 0
    cpu: float = 0.0

    def to_text(self) -> str:
        """As the message that ends a bulk measurement."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Received:
        """Read `to_text`."""
        return cls(**json.loads(text))


def cpu_seconds() -> float:
    """Processor time of this process so far, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def percentile(values: list[float], fraction: float) -> float:
    """The value below which that fraction of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def bulk_figures(size: int, sent: int, elapsed: float, cpu: float, received: Received) -> dict[str, float]:
    """The figures of one bulk measurement.

    Raises:
        RuntimeError: bytes are missing.
    """
    if received.messages != sent or received.size != sent * size:
        raise RuntimeError(f"sent {sent} messages of {size} bytes, but {received} arrived")
    return {
        "messages_per_second": sent / elapsed,
        "mib_per_second": received.size / elapsed / 2**20,
        "cpu_seconds_per_gib": (cpu + received.cpu) / received.size * 2**30,
    }


def report(figures: dict[str, Any]) -> None:
    """A's only output."""
    print(json.dumps(figures), flush=True)


def signaling_socket(descriptor: int) -> socket.socket:
    """The socket to the other process."""
    return socket.socket(fileno=descriptor)


now = time.perf_counter
