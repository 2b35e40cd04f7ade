"""A server on a simulated host under trio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xp2p_trio.testing.drive import TRANSMIT_LIMIT, BurstLayer

if TYPE_CHECKING:
    import trio

    from xp2p_trio.testing.host import Host


async def serve(host: Host, port: int, layer: BurstLayer, *, task_status: trio.TaskStatus[None] | None = None) -> None:
    """Run a layer that needs no commands, such as `StunServer`, on a port of a host, until it is cancelled.

    It is started by `await nursery.start(testing.serve, network.host("stun"), 3478, testing.StunServer())`.

    Args:
        host: where; its first IP address.
        port: of UDP.
        layer: what answers.
        task_status: of trio, told as soon as the port is open.

    Raises:
        OSError: the port is taken.
    """
    import trio  # here, since the rest of this package does without

    sock = host.bind(host.address(port))
    try:
        if task_status is not None:
            task_status.started()
        while True:
            while bursts := layer.transmit(trio.current_time(), TRANSMIT_LIMIT):
                for burst in bursts:
                    sock.transmit(burst)
            with trio.move_on_at(layer.next_timeout()):
                for burst in await sock.receive():
                    layer.receive(burst, trio.current_time())
            layer.handle_timeout(trio.current_time())
    finally:
        sock.close()
