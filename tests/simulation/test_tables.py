"""Tables return added rows in their declared types, also in another process; other files are refused."""

from pathlib import Path

import pytest

from activelabel.errors import InvalidInputError
from activelabel.simulation.tables import MODELS, RunTables, Table, read_table

ROW = {
    "order": 0, "round": 0, "image_id": "a", "role": "training", "kind": "slices", "axis": 2, "slices": [3, 5],
    "strategy": "entropy_slices", "model_version": None, "score": None, "reason": "drawn at random",
    "annotated_slices": 2, "foreground_slices": 1, "foreground_voxels": 40, "boundary_mm": 12.5,
}  # fmt: skip
WHOLE = {**ROW, "order": 1, "kind": "volume", "axis": None, "slices": None, "model_version": 3, "score": 0.25}


def test_rows_come_back_as_they_were_added(tmp_path: Path) -> None:
    RunTables(tmp_path / "run").queries.add([ROW])
    RunTables(tmp_path / "run").queries.add([WHOLE])
    assert RunTables(tmp_path / "run").queries.rows == [ROW, WHOLE]


def test_a_row_of_another_shape_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    tables = RunTables(tmp_path)
    tables.queries.add([ROW])
    with pytest.raises((TypeError, ValueError)):
        tables.queries.add([{**ROW, "foreground_voxels": "many"}])
    assert RunTables(tmp_path).queries.rows == tables.queries.rows == [ROW]


def test_a_file_that_is_no_table_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "queries.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InvalidInputError, match=r"queries.parquet: cannot be read as a table .*: remove its run"):
        RunTables(tmp_path)


def test_a_table_of_other_columns_says_which_is_missing(tmp_path: Path) -> None:
    Table(tmp_path / "models.parquet", {"round": "int64"}).add([{"round": 1}])
    with pytest.raises(InvalidInputError, match="the column 'model_version' is missing"):
        read_table(tmp_path / "models.parquet", MODELS)
