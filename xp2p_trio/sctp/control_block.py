"""The TCB: what exists once both sides' tags are known (RFC 9260 section 14.2)."""

from __future__ import annotations

from typing import final

from xp2p_trio.sansio import RandomBytes, Timer
from xp2p_trio.sctp.configuration import Configuration
from xp2p_trio.sctp.heartbeat import Heartbeat
from xp2p_trio.sctp.rx import Inbound
from xp2p_trio.sctp.state_cookie import TIE_TAG_SIZE, StateCookie
from xp2p_trio.sctp.stream_reset import StreamReset
from xp2p_trio.sctp.tx import Outbound, RetransmissionTimeout, SendQueue, StandardCongestionControl
from xp2p_trio.sctp.wire import COMMON_HEADER_SIZE, encode_common_header


@final
class ControlBlock:
    """One association with one peer.

    Attributes:
        local_tag: the verification tag that we expect.
        remote_tag: the one that the peer expects.
        header: the common header of our packets.
        inbound_streams, outbound_streams: streams negotiated each way.
        extensions: what both sides can do.
        tie_tag: tells a restart of this association from another one (RFC 9260 section 5.2.2).
        rto: the retransmission timeout.
        inbound: data in.
        outbound: data out.
        stream_reset: RE-CONFIG.
        heartbeat: HEARTBEAT.
        sack_timer: the delay of a SACK.
        control: chunks to be bundled into the next packet.
        is_unknown_chunk_reported: whether an unknown chunk was reported since the last SACK.
        errors: unanswered HEARTBEATs and RE-CONFIGs since the peer last showed that it is there.
    """

    __slots__ = (
        "_configuration",
        "_max_message_size",
        "control",
        "errors",
        "extensions",
        "header",
        "heartbeat",
        "inbound",
        "inbound_streams",
        "is_unknown_chunk_reported",
        "local_tag",
        "outbound",
        "outbound_streams",
        "remote_tag",
        "rto",
        "sack_timer",
        "stream_reset",
        "tie_tag",
    )

    def __init__(
        self,
        cookie: StateCookie,
        configuration: Configuration,
        queue: SendQueue,
        max_message_size: int,
        random_bytes: RandomBytes,
    ) -> None:
        self.local_tag = cookie.local_tag
        self.remote_tag = cookie.remote_tag
        self.header = encode_common_header(cookie.local_port, cookie.remote_port, cookie.remote_tag)
        self.inbound_streams = cookie.inbound_streams
        self.outbound_streams = cookie.outbound_streams
        self.extensions = cookie.extensions
        self.tie_tag = random_bytes(TIE_TAG_SIZE)
        self.rto = RetransmissionTimeout(
            initial=configuration.rto_initial, minimum=configuration.rto_min, maximum=configuration.rto_max
        )
        self._configuration = configuration
        self._max_message_size = max_message_size
        self.inbound = self._new_inbound(cookie)
        # Path MTU discovery would change this; DATA chunks are whole multiples of four bytes.
        pmdcs = (configuration.max_packet_size - COMMON_HEADER_SIZE) & ~3
        self.outbound = Outbound(
            queue=queue,
            initial_tsn=cookie.local_initial_tsn,
            peer_rwnd=cookie.remote_a_rwnd,
            congestion=StandardCongestionControl(
                pmdcs=pmdcs,
                initial_packets=configuration.initial_cwnd_packets,
                peer_window=cookie.remote_a_rwnd,
            ),
            rto=self.rto,
            partial_reliability=cookie.extensions.partial_reliability,
        )
        self.stream_reset = self._new_stream_reset(cookie)
        self.heartbeat = Heartbeat(configuration.heartbeat_interval, random_bytes)
        self.sack_timer = Timer()
        self.control: list[bytes] = []
        self.errors = 0
        self.is_unknown_chunk_reported = False

    def adopt(self, cookie: StateCookie) -> None:
        """Follow the peer to the tag that it picked after it had answered our INIT (RFC 9260 section 5.2.4, B).

        Its numbers are new with the tag, unless data has shown that they are not.
        """
        self.remote_tag = cookie.remote_tag
        self.header = encode_common_header(cookie.local_port, cookie.remote_port, cookie.remote_tag)
        if self.inbound.is_untouched:
            self.inbound = self._new_inbound(cookie)
            self.stream_reset = self._new_stream_reset(cookie)

    def _new_inbound(self, cookie: StateCookie) -> Inbound:
        return Inbound(
            peer_initial_tsn=cookie.remote_initial_tsn,
            window=self._configuration.receive_window,
            max_message_size=self._max_message_size,
            packet_size=self._configuration.max_packet_size,
        )

    def _new_stream_reset(self, cookie: StateCookie) -> StreamReset:
        return StreamReset(
            inbound=self.inbound,
            outbound=self.outbound,
            local_initial_tsn=cookie.local_initial_tsn,
            peer_initial_tsn=cookie.remote_initial_tsn,
            packet_room=self._configuration.max_packet_size - COMMON_HEADER_SIZE,
            is_supported=cookie.extensions.stream_reset,
        )
