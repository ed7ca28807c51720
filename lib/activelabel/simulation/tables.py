"""The tables of a run, as Parquet files: its queries, its models, their metrics and their scores."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError

Row = Mapping[str, Any]

QUERIES = {
    "order": "int64", "round": "int64", "image_id": "string", "role": "string", "kind": "string", "axis": "Int64",
    "slices": "object", "strategy": "string", "model_version": "Int64", "score": "Float64", "reason": "string",
    "annotated_slices": "int64", "foreground_slices": "int64", "foreground_voxels": "int64", "boundary_mm": "float64",
}  # fmt: skip
METRICS = {
    "round": "int64", "model_version": "int64", "case": "string", "label": "string", "dice": "float64",
    "relative_volume_error": "float64", "mean_surface_distance": "float64", "hausdorff_distance": "float64",
}  # fmt: skip
MODELS = {
    "round": "int64", "model_version": "int64", "sha256": "string", "file": "string",
    "training_seconds": "float64", "scoring_seconds": "Float64",
}  # fmt: skip
SCORES = {
    "model_version": "int64", "image_id": "string", "measure": "string", "region": "string", "aggregation": "string",
    "value": "float64", "slices": "object", "repeats": "int64", "seed": "int64",
}  # fmt: skip


class Table:
    """A table that grows by rows; after a kill, the file holds all rows or all but those of the last `add`."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        """Begin the table at `path`, or continue it.

        Raises:
            InvalidInputError: the file is no such table.
        """
        self._path = path
        self._columns = dict(columns)
        self.rows: list[Row] = []
        if path.exists():
            self.rows = _rows(read_table(path, columns))
        else:
            self._write([])

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows, all or none; when this returns, they survive a kill."""
        self._write([*self.rows, *rows])

    def replace(self, rows: Iterable[Row]) -> None:
        """Replace all rows by `rows`, completely or not at all."""
        self._write(list(rows))

    def _write(self, rows: list[Row]) -> None:
        buffer = io.BytesIO()
        frame = pd.DataFrame(rows, columns=list(self._columns)).astype(self._columns)
        frame.to_parquet(buffer, index=False)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, buffer.getvalue())
        self.rows = rows


def read_table(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """The table at `path`.

    Raises:
        InvalidInputError: there is no table, or its columns differ.
    """
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path}: cannot be read as a table ({error}): remove its run, and repeat") from error
    missing = [name for name in columns if name not in frame]
    if missing:
        raise InvalidInputError(f"{path}: the column '{missing[0]}' is missing, expected {', '.join(columns)}")
    return frame


def _rows(frame: pd.DataFrame) -> list[Row]:
    """The rows as they were added: missing values are None, lists are lists."""
    return [
        {str(name): _plain(value) for name, value in row.items()} for row in frame.astype(object).to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return None if value is pd.NA else value


class RunTables:
    """The four tables of a run."""

    def __init__(self, folder: Path) -> None:
        """Open the tables in `folder`, which need not exist yet."""
        self.queries = Table(folder / "queries.parquet", QUERIES)
        self.metrics = Table(folder / "metrics.parquet", METRICS)
        self.models = Table(folder / "models.parquet", MODELS)
        self.scores = Table(folder / "scores.parquet", SCORES)
