"""The table of scores that `activelabel score` writes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from activelabel.acquisition.score import Score
from activelabel.analysis.harmless_text import safe_for_spreadsheets
from activelabel.errors import InvalidInputError
from activelabel.prediction.journal import Journal

TABLE_SUFFIXES = (".csv", ".parquet")


class ScoreTable:
    """A table of scores that grows image by image in a file beside it, so that a stopped run can continue.

    The file beside it is a journal with one entry for each image. After the last image, the table is written from it,
    as CSV or Parquet by its ending, and the journal is removed.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Begin the table at `path`, or continue it.

        Args:
            path: a `.csv` or `.parquet` file that does not exist yet.
            identity: the settings that two runs must share to go into one table.

        Raises:
            InvalidInputError: the ending is another, the folder is missing, the table exists, or the journal is of
                another computation.
        """
        if path.suffix not in TABLE_SUFFIXES:
            raise InvalidInputError(f"--out {path}: expected a file that ends in {' or '.join(TABLE_SUFFIXES)}")
        if not path.parent.is_dir():
            raise InvalidInputError(f"--out {path}: there is no folder {path.parent}; make it first")
        if path.exists():
            raise InvalidInputError(f"--out {path}: the table is there already; remove it, or give another name")
        self._path = path
        self._identity = dict(identity)
        self._part = Journal(path.with_name(f"{path.name}.part"), identity)
        self._race: Journal | None = None
        self._rows: dict[str, list[dict[str, Any]]] = {entry["image"]: entry["rows"] for entry in self._part.entries}

    @property
    def done(self) -> frozenset[str]:
        """Names of the images that are in the table."""
        return frozenset(self._rows)

    def race_journal(self) -> Journal:
        """The journal of a race that ends in this table; it is removed when the table is finished."""
        self._race = Journal(self._path.with_name(f"{self._path.name}.race"), self._identity)
        return self._race

    def add(self, image: str, scores: Sequence[Score], repeats: int, seed: int) -> None:
        """Add an image; when this returns, it survives a kill."""
        self._add(image, [row for score in scores for row in _rows(image, score, repeats, seed)])

    def add_problem(self, image: str, problem: str) -> None:
        """Add the reason why an image has no scores."""
        self._add(image, [{"image": image, "problem": problem}])

    def finish(self) -> pd.DataFrame:
        """Write the table."""
        table = pd.DataFrame([row for image in sorted(self._rows) for row in self._rows[image]])
        if self._path.suffix == ".csv":
            safe_for_spreadsheets(table).to_csv(self._path, index=False)
        else:
            table.to_parquet(self._path, index=False)
        self._part.remove()
        if self._race is not None:
            self._race.remove()
        return table

    def _add(self, image: str, rows: list[dict[str, Any]]) -> None:
        self._rows[image] = rows
        self._part.add({"image": image, "rows": rows})


def _rows(image: str, score: Score, repeats: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row for the volume, and one for each of its slices."""
    kind = {"measure": score.measure, "region": score.region, "aggregation": score.aggregation}
    how = {"repeats": repeats, "seed": seed, "problem": None}
    for index, value in [(None, score.value), *enumerate(score.slices or ())]:
        yield {"image": image, **kind, "value": value, "slice_index": index, **how}
