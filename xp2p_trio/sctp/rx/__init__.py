"""Receiving data: which TSNs arrived, and the messages that they make up."""

from xp2p_trio.sctp.rx.data_tracker import DataTracker
from xp2p_trio.sctp.rx.inbound import Inbound
from xp2p_trio.sctp.rx.reassembly import Reassembly

__all__ = ["DataTracker", "Inbound", "Reassembly"]
