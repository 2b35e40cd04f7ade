"""The sans-IO stack driven by plain sockets and `selectors`: no event loop, no thread, no async."""

import os
import selectors
import socket
import time

from xp2p_trio.datachannel import ChannelOpened, ChannelParameters
from xp2p_trio.ice import AddressesRequested
from xp2p_trio.peer import Connection
from xp2p_trio.sansio import Burst, Closed, Failed


class Peer:
    """One peer connection on one UDP socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.core = Connection(random_bytes=os.urandom)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address = self.socket.getsockname()
        self.is_over = False

    def read(self) -> None:
        """Take the datagrams that have arrived."""
        try:
            while True:
                data, source = self.socket.recvfrom(65536)
                self.core.receive(Burst(self.address, source, [data]), time.monotonic())
        except BlockingIOError:
            return

    def step(self) -> None:
        """Let time pass for the core, and let out what it has to say."""
        now = time.monotonic()
        self.core.handle_timeout(now)
        while True:
            bursts, events, messages = self.core.transmit(now, 64), self.core.take_events(), self.core.take_received()
            if not bursts and not events and not messages:
                return
            for burst in bursts:
                for datagram in burst.datagrams:
                    self.socket.sendto(datagram, burst.remote)
            for channel_id, message in messages:
                self.on_message(channel_id, message)
            for event in events:
                match event:
                    case AddressesRequested():
                        self.core.add_local_address(self.address, now)
                        self.core.end_of_local_addresses(now)
                    case ChannelOpened(channel_id):
                        self.core.send([(channel_id, "hello from a loop")], now)
                    case Closed() | Failed():
                        self.is_over = True

    def on_message(self, channel_id: int, message: str | bytes) -> None:
        now = time.monotonic()
        if self.name == "bob":
            self.core.send([(channel_id, message)], now)
        else:
            print("echoed:", message)
            self.core.close(now)


def main() -> None:
    alice, bob = Peer("alice"), Peer("bob")
    now = time.monotonic()
    alice.core.create_data_channel(ChannelParameters(label="chat"), now)
    for offerer, answerer in ((alice, bob), (bob, alice)):  # signaling: the offer over, then the answer back
        offerer.core.set_local_description(None, now)
        offerer.step()  # gathers candidates, which the description then has
        description = offerer.core.local_description
        assert description is not None
        answerer.core.set_remote_description(description, now)

    selector = selectors.DefaultSelector()
    for peer in (alice, bob):
        selector.register(peer.socket, selectors.EVENT_READ, peer)
    while not (alice.is_over and bob.is_over):
        for peer in (alice, bob):
            peer.step()
        due = min(alice.core.next_timeout(), bob.core.next_timeout())
        for key, _ in selector.select(min(max(due - time.monotonic(), 0), 60)):
            key.data.read()
    for peer in (alice, bob):
        peer.socket.close()
    selector.close()
    print("both ended")


main()
