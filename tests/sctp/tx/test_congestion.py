from __future__ import annotations

from xp2p_trio.sctp.tx import CongestionControl, StandardCongestionControl

PMDCS = 1000


def new() -> StandardCongestionControl:
    control = StandardCongestionControl(pmdcs=PMDCS, initial_packets=10, peer_window=100_000)
    assert isinstance(control.cwnd, int)
    seam: CongestionControl = control
    assert seam.cwnd == 10_000
    return control


def test_slow_start_grows_by_what_is_acknowledged() -> None:
    control = new()
    control.acknowledged(3000, 10_000, 0.0)
    assert control.cwnd == 13_000
    control.acknowledged(1_000_000, 10_000, 0.0)
    assert control.cwnd == 13_000 + 64 * PMDCS


def test_congestion_avoidance_grows_by_a_packet_a_window() -> None:
    control = new()
    control.lost(0.0)
    assert control.cwnd == control.ssthresh == 5000
    control.acknowledged(1000, 5000, 0.0)  # cwnd <= ssthresh is still slow start
    assert control.cwnd == 6000
    for _ in range(5):
        control.acknowledged(1000, 6000, 0.0)
    assert control.cwnd == 6000
    control.acknowledged(1000, 6000, 0.0)
    assert control.cwnd == 7000


def test_loss_halves_down_to_four_packets_and_a_timeout_leaves_one() -> None:
    control = new()
    for expected in (5000, 4000, 4000):
        control.lost(0.0)
        assert control.cwnd == expected
    control.timed_out(0.0)
    assert (control.cwnd, control.ssthresh) == (PMDCS, 4000)


def test_idleness_shrinks_and_remembers() -> None:
    control = new()
    control.acknowledged(30_000, 10_000, 0.0)
    for expected in (20_000, 10_000, 5000, 4000, 4000):
        control.idle()
        assert control.cwnd == expected
    assert control.ssthresh == 100_000


def test_slow_start_ends_a_packet_beyond_ssthresh_however_much_one_sack_acknowledges() -> None:
    congestion = StandardCongestionControl(pmdcs=1000, initial_packets=40, peer_window=100_000)
    congestion.lost(1.0)
    congestion.timed_out(2.0)
    while congestion.cwnd <= congestion.ssthresh:
        congestion.acknowledged(congestion.cwnd, congestion.cwnd, 3.0)
    assert congestion.cwnd == congestion.ssthresh + 1000
