"""The benchmark itself: that it runs and that every byte is accounted for. Its figures are never judged."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.benchmarks.run import main
from tests.benchmarks.workload import Received, bulk_figures, percentile


def test_a_short_run_of_ours_fills_table_and_json(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "figures.json"
    short = ["--only", "xp2p_trio", "--rounds", "1", "--seconds", "0.1", "--pings", "20", "--opens", "2"]
    assert main([*short, "--json", str(path)]) == 0
    figures = json.loads(path.read_text())["figures"]
    assert len(figures) == 9
    assert all(len(found["xp2p_trio"]) == 1 and found["xp2p_trio"][0] > 0 for found in figures.values())
    shown = capsys.readouterr().out
    assert all(name in shown for name in figures)


def test_missing_bytes_are_an_error() -> None:
    assert bulk_figures(10, 3, 2.0, 0.5, Received(30, 3, 0.5))["messages_per_second"] == 1.5
    with pytest.raises(RuntimeError, match="sent 3 messages"):
        bulk_figures(10, 3, 2.0, 0.5, Received(29, 3, 0.5))


def test_percentiles() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([7.0], 0.99) == 7
