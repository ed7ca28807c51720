"""Scores of image files, without a server: one file after the other, to be stopped and gone on with at any time."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.data.preprocessing import PreparedImage, prepare_image
from activelabel.data.slices import slice_axis
from activelabel.data.volumes import ITK_SUFFIXES, NIFTI_SUFFIXES, Volume, read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.image_scores import image_scores
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import PreprocessingSettings, RegionSettings

TABLE_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Wanted:
    """What is computed of each image. `slices`: scores of its slices too, counted as the image itself counts them."""

    measures: tuple[str, ...]
    regions: tuple[str, ...]
    repeats: int
    seed: int
    slices: bool


@dataclass(frozen=True)
class Scored:
    """An image that was just scored, for whoever draws or keeps more of it than its scores.

    `slice_axis` is that of the image's own voxels.
    """

    name: str
    volume: Volume
    image: PreparedImage
    statistics: MonteCarloStatistics
    slice_axis: int


class ScoreTable:
    """A table of scores that grows image by image in a file beside it, so that a stopped run can go on.

    The file beside it holds a line of JSON for what is computed, and one for each image. When all are done it becomes
    the table, CSV or Parquet by its ending, and goes.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Begin the table at `path`, or go on with it.

        Args:
            path: a `.csv` or `.parquet` file, which must not be there yet.
            identity: what must be the same for two runs to go into one table.

        Raises:
            InvalidInputError: another ending, no such folder, a table that is there, or a run of something else.
        """
        if path.suffix not in TABLE_SUFFIXES:
            raise InvalidInputError(f"--out {path}: expected a file that ends in {' or '.join(TABLE_SUFFIXES)}")
        if not path.parent.is_dir():
            raise InvalidInputError(f"--out {path}: there is no folder {path.parent}; make it first")
        if path.exists():
            raise InvalidInputError(f"--out {path}: the table is there already; remove it, or give another name")
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._rows: dict[str, list[dict[str, Any]]] = {}
        first = json.dumps(dict(identity), sort_keys=True)
        lines = self._complete_lines()
        if lines and lines[0] != first:
            raise InvalidInputError(
                f"--out {path}: {self._part.name} is of a run with other settings ({lines[0]}); remove it to start anew"
            )
        self._rows = {entry["image"]: entry["rows"] for entry in map(json.loads, lines[1:])}
        self._part.write_text("".join(f"{line}\n" for line in (lines or [first])), encoding="utf-8")

    @property
    def done(self) -> frozenset[str]:
        """Names of the images that are in the table."""
        return frozenset(self._rows)

    def add(self, image: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add an image; when this returns, its rows survive a kill."""
        self._rows[image] = [dict(row) for row in rows]
        with self._part.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"image": image, "rows": self._rows[image]}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> pd.DataFrame:
        """Write the table."""
        table = pd.DataFrame([row for image in sorted(self._rows) for row in self._rows[image]])
        if self._path.suffix == ".csv":
            table.to_csv(self._path, index=False)
        else:
            table.to_parquet(self._path, index=False)
        self._part.unlink()
        return table

    def _complete_lines(self) -> list[str]:
        """What an earlier run left; a last line that was cut off by a kill is not complete."""
        if not self._part.is_file():
            return []
        return [
            line[:-1] for line in self._part.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"
        ]


def list_images(folder: Path) -> list[Path]:
    """Image files of a folder, by name.

    Raises:
        InvalidInputError: there is no such folder, or no image in it.
    """
    endings = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)
    if not folder.is_dir():
        raise InvalidInputError(f"--images {folder}: there is no such folder")
    files = sorted(path for path in folder.iterdir() if path.name.endswith(endings))
    if not files:
        raise InvalidInputError(f"--images {folder}: expected files that end in {', '.join(endings)}, found none")
    return files


def score_files(
    files: Sequence[Path],
    predictor: Predictor,
    preprocessing: PreprocessingSettings,
    regions: RegionSettings,
    wanted: Wanted,
    table: ScoreTable,
    also: Callable[[Scored], None] | None = None,
) -> Iterator[str | None]:
    """Score the files that are not in the table yet. Yields after each: None, or why it could not be read."""
    for file in files:
        if file.name in table.done:
            continue
        try:
            volume = read_volume(file)
        except InvalidInputError as error:
            table.add(file.name, [{"image": file.name, "problem": str(error)}])
            yield str(error)
            continue
        image = prepare_image(volume, preprocessing)
        statistics = predictor.sample(image.tensor, wanted.repeats, wanted.seed)
        axis = slice_axis(volume.grid)
        scores = image_scores(
            statistics, image, regions, axis if wanted.slices else None, wanted.measures, wanted.regions
        )
        if also is not None:
            also(Scored(file.name, volume, image, statistics, axis))
        table.add(file.name, [row for score in scores for row in _rows(file.name, score, wanted)])
        yield None


def _rows(image: str, score: Score, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """A row for the volume, and one for each of its slices."""
    kind = {"measure": score.measure, "region": score.region, "aggregation": score.aggregation}
    how = {"repeats": wanted.repeats, "seed": wanted.seed, "problem": None}
    for index, value in [(None, score.value), *enumerate(score.slices or ())]:
        yield {"image": image, **kind, "value": value, "slice_index": index, **how}
