"""What can be set about an association, with where each default comes from."""

from __future__ import annotations

import math

import attrs

from xp2p_trio.errors import InvalidArgument

_SMALLEST_PACKET = 512
_LARGEST_PACKET = 65535
_SMALLEST_WINDOW = 1500  # RFC 9260 section 3.3.2
_LARGEST_SACK_DELAY = 0.5  # RFC 9260 section 6.2


@attrs.frozen(kw_only=True)
class Configuration:
    """Times are seconds, sizes are bytes.

    Attributes:
        max_packet_size: largest SCTP packet. 1280 (IPv6 minimum) - 40 (IPv6) - 8 (UDP) - 4 (ChannelData)
            - 13 (DTLS record) - 24 (nonce and tag of GCM) = 1191, what dcSCTP and Pion use.
        receive_window: bytes that may wait for reassembly, for order or for the reader (a_rwnd).
        send_buffer_size: bytes that `send` takes before they are acknowledged, each message counted with 128 more.
        outbound_streams: streams we ask for.
        inbound_streams: streams we let the peer use (RFC 8831 section 6.2 asks for 65535).
        rto_initial: retransmission timeout before the first measurement.
        rto_min: its lower bound. RFC 9260 section 16 says 1 s, which is far above today's round trips; 0.4 s, dcSCTP's,
            leaves room for peers that delay an acknowledgement by 200 ms.
        rto_max: its upper bound, which also ends the doubling.
        t1_timeout: first wait for INIT ACK and for COOKIE ACK.
        max_init_retransmissions: INITs or COOKIE ECHOs sent again before HANDSHAKE_TIMEOUT (RFC 9260 section 16).
        max_retransmissions: consecutive timeouts before PEER_UNREACHABLE (RFC 9260 section 16).
        sack_delay: longest wait of an acknowledgement; half an RTO where that is shorter. RFC 9260 section 16 says
            200 ms, which a close behind a lone small message would wait for; libdatachannel's is 20 ms.
        initial_cwnd_packets: congestion window at the start, in packets (RFC 6928, dcSCTP).
        heartbeat_interval: idle time before the path is probed; `math.inf` turns it off.
        cookie_lifetime: how long a state cookie is good for (RFC 9260 section 16).
        zero_checksum: whether to announce that a zero checksum is acceptable (RFC 9653), and to send one where
            the peer announced it. Only right over DTLS.
    """

    max_packet_size: int = 1191
    receive_window: int = 1024 * 1024
    send_buffer_size: int = 2 * 1024 * 1024
    outbound_streams: int = 65535
    inbound_streams: int = 65535
    rto_initial: float = 0.5
    rto_min: float = 0.4
    rto_max: float = 10.0
    t1_timeout: float = 0.5
    max_init_retransmissions: int = 8
    max_retransmissions: int = 10
    sack_delay: float = 0.02
    initial_cwnd_packets: int = 10
    heartbeat_interval: float = 30.0
    cookie_lifetime: float = 60.0
    zero_checksum: bool = True

    def __attrs_post_init__(self) -> None:
        _check("max_packet_size", self.max_packet_size, _SMALLEST_PACKET, _LARGEST_PACKET)
        _check("receive_window", self.receive_window, _SMALLEST_WINDOW, 2**31 - 1)
        _check("send_buffer_size", self.send_buffer_size, 1, math.inf)
        _check("outbound_streams", self.outbound_streams, 1, 65535)
        _check("inbound_streams", self.inbound_streams, 1, 65535)
        _check("rto_min", self.rto_min, 0.001, math.inf)
        _check("rto_initial", self.rto_initial, self.rto_min, math.inf)
        _check("rto_max", self.rto_max, self.rto_initial, 3600.0)
        _check("t1_timeout", self.t1_timeout, 0.001, self.rto_max)
        _check("max_init_retransmissions", self.max_init_retransmissions, 0, 100)
        _check("max_retransmissions", self.max_retransmissions, 0, 100)
        _check("sack_delay", self.sack_delay, 0.0, _LARGEST_SACK_DELAY)
        _check("initial_cwnd_packets", self.initial_cwnd_packets, 1, 1000)
        _check("heartbeat_interval", self.heartbeat_interval, 0.01, math.inf)
        _check("cookie_lifetime", self.cookie_lifetime, 1.0, 3600.0)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidArgument(f"{name} is {value}, where it lies between {low} and {high}")
