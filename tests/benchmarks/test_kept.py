"""Rows that a long benchmark keeps, so that a second call goes on where the first one stopped."""

import json
from pathlib import Path

from benchmarks.training.kept import KeptRows

HOST = {"arm": "host", "seed": 0, "epochs": 12}
OURS = {"arm": "float32", "seed": 0, "epochs": 12}


def test_a_second_call_finds_what_the_first_one_measured(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    first = KeptRows(file)
    first.add(HOST | {"dice": 0.5})
    # Written at once: the first call may be cut off before its next row.
    assert json.loads(file.read_text(encoding="utf-8")) == [{"arm": "host", "seed": 0, "epochs": 12, "dice": 0.5}]
    second = KeptRows(file)
    second.add(OURS | {"dice": 0.6})
    again = KeptRows(file)
    assert again.find(HOST) == HOST | {"dice": 0.5}
    assert again.find(OURS) == OURS | {"dice": 0.6}


def test_a_row_of_another_seed_or_length_is_not_taken_for_it(tmp_path: Path) -> None:
    kept = KeptRows(tmp_path / "rows.json")
    kept.add(HOST | {"dice": 0.5})
    assert kept.find(HOST | {"seed": 1}) is None
    assert kept.find(HOST | {"epochs": 3}) is None
    assert kept.find(HOST | {"size": "brats96"}) is None


def test_without_a_file_rows_are_kept_in_memory() -> None:
    kept = KeptRows(None)
    kept.add(HOST)
    assert kept.find(HOST) == HOST
