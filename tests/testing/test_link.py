import math

import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.testing import BLACK_HOLE, BurstLoss, Link


@pytest.mark.parametrize(
    "faulty",
    [
        {"delay": -0.1},
        {"delay": math.inf},
        {"delay": math.nan},
        {"jitter": -1.0},
        {"loss": 1.5},
        {"loss": math.nan},
        {"reorder": -0.1},
        {"duplicate": 2.0},
        {"copies": 0},
        {"corrupt": 1.1},
        {"truncate": -1.0},
        {"rate": 0.0},
        {"queue_size": 0.0},
        {"mtu": -1.0},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(faulty: dict[str, float]) -> None:
    (name,) = faulty
    with pytest.raises(InvalidArgument, match=name):
        Link(**faulty)  # type: ignore[arg-type]


def test_burst_loss_from_its_mean() -> None:
    chain = BurstLoss.with_mean(loss=0.2, length=5.0)
    assert chain.to_good == pytest.approx(0.2)
    assert chain.to_bad / (chain.to_bad + chain.to_good) == pytest.approx(0.2)


@pytest.mark.parametrize(("loss", "length"), [(1.0, 5.0), (-0.1, 5.0), (0.1, 0.5)])
def test_burst_loss_refuses_what_no_chain_has(loss: float, length: float) -> None:
    with pytest.raises(InvalidArgument):
        BurstLoss.with_mean(loss=loss, length=length)


def test_a_black_hole_loses_everything() -> None:
    assert BLACK_HOLE.loss == 1.0
