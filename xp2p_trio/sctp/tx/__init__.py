"""Sending data: queues, what is outstanding, retransmission, congestion and flow control."""

from xp2p_trio.sctp.tx.congestion import CongestionControl, StandardCongestionControl
from xp2p_trio.sctp.tx.outbound import Outbound
from xp2p_trio.sctp.tx.rto import RetransmissionTimeout
from xp2p_trio.sctp.tx.send_queue import SendQueue

__all__ = ["CongestionControl", "Outbound", "RetransmissionTimeout", "SendQueue", "StandardCongestionControl"]
