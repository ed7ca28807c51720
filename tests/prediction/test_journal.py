"""A journal survives a kill, and never mixes two runs."""

from pathlib import Path

import pytest

from activelabel.errors import InvalidInputError
from activelabel.prediction.journal import Journal


def test_a_reopened_journal_holds_the_added_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run", {"seed": 1})
    journal.add({"image": "a", "value": 0.1})
    journal.add({"image": "ö\n", "value": None})
    assert Journal(tmp_path / "run", {"seed": 1}).entries == [
        {"image": "a", "value": 0.1},
        {"image": "ö\n", "value": None},
    ]


def test_a_line_cut_off_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    Journal(tmp_path / "run", {}).add({"image": "a"})
    with (tmp_path / "run").open("a") as file:
        file.write('{"image": "b')
    Journal(tmp_path / "run", {}).add({"image": "c"})
    assert Journal(tmp_path / "run", {}).entries == [{"image": "a"}, {"image": "c"}]


def test_a_journal_of_another_run_is_refused_or_replaced_on_request(tmp_path: Path) -> None:
    Journal(tmp_path / "run", {"seed": 1}).add({"image": "a"})
    with pytest.raises(InvalidInputError, match=r'run is of a run with other settings \({"seed": 1}\)'):
        Journal(tmp_path / "run", {"seed": 2})
    assert Journal(tmp_path / "run", {"seed": 1}).entries == [{"image": "a"}]
    assert Journal(tmp_path / "run", {"seed": 2}, anew=True).entries == []
    assert Journal(tmp_path / "run", {"seed": 2}).entries == []


def test_a_finished_journal_is_removed(tmp_path: Path) -> None:
    Journal(tmp_path / "run", {}).remove()
    assert not (tmp_path / "run").exists()
