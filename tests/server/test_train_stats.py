import json
from pathlib import Path

from activelabel.server.train_stats import read_stats, write_stats


def test_before_the_first_time_there_is_nothing(tmp_path: Path) -> None:
    assert read_stats(tmp_path / "stats.json") == {}


def test_numbers_that_json_does_not_know_become_none(tmp_path: Path) -> None:
    """The host's answer with one of them would be an error 500."""
    stats = {"best_metric": float("nan"), "eval": {"metrics": [0.5, float("inf")]}, "epoch": 3, "name": "x"}

    shown = write_stats(tmp_path / "stats.json", stats)

    assert shown == {"best_metric": None, "eval": {"metrics": [0.5, None]}, "epoch": 3, "name": "x"}
    assert read_stats(tmp_path / "stats.json") == shown
    json.dumps(shown, allow_nan=False)
