import json
from pathlib import Path

import pytest

from activelabel.loop.training.stats import Stats, for_bars, read_stats, shown_stats, write_stats


def test_before_the_first_training_the_statistics_are_empty(tmp_path: Path) -> None:
    assert read_stats(tmp_path / "stats.json") == {}


def test_numbers_that_json_does_not_know_become_none(tmp_path: Path) -> None:
    """The host's answer with such a number would be an error 500."""
    stats = {"best_metric": float("nan"), "eval": {"metrics": [0.5, float("inf")]}, "epoch": 3, "name": "x"}

    write_stats(tmp_path / "stats.json", stats)
    shown = read_stats(tmp_path / "stats.json")

    assert shown == {"best_metric": None, "eval": {"metrics": [0.5, None]}, "epoch": 3, "name": "x"}
    assert shown_stats(stats) == shown
    json.dumps(shown, allow_nan=False)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "\0\0\0"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "stats.json").write_text(content)
    assert read_stats(tmp_path / "stats.json") == {}


def percent(stats: Stats) -> float:
    """Return the percentages that the bars of both stock clients show, computed as they do."""
    epoch = 0 if stats.get("total_time") else stats.get("epoch") or 1
    return 100 * epoch / stats.get("total_epochs", 1)


@pytest.mark.parametrize(
    ("stats", "shown"),
    [
        ({}, 0),
        ({"model": {"version": 1, "metrics": {}, "trained_on": 0}}, 0),  # an uploaded model without a training
        ({"epoch": 3, "total_epochs": 10, "current_time": "0:00:20"}, 30),
        ({"epoch": 10, "total_epochs": 10, "total_time": "0:01:00"}, 0),  # the training is over
    ],
)
def test_bars_stand_at_nothing_where_nothing_is_under_way(stats: Stats, shown: float) -> None:
    assert percent(for_bars(stats)) == shown
    assert for_bars(stats).items() >= stats.items()


def test_an_accuracy_that_nobody_has_measured_is_left_out() -> None:
    assert "best_metric" not in for_bars({"epoch": 1, "best_metric": None})
    assert "best_metric" not in for_bars({"epoch": 1, "best_metric": -1})
    assert for_bars({"epoch": 1, "best_metric": 0.0})["best_metric"] == 0.0
