"""Scores of image files, without a server: one file after the other, to be stopped and gone on with at any time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.data.intensities import Intensities, measure_intensities
from activelabel.data.one_case import one_case
from activelabel.data.preprocessing import PreparedImage, prepare_image
from activelabel.data.slices import slice_axis
from activelabel.data.volumes import ITK_SUFFIXES, NIFTI_SUFFIXES, Volume, read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.image_scores import image_scores
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.score_table import ScoreTable
from activelabel.prediction.volume_race import RaceSettings, Sample, race_volumes
from activelabel.recipes import PreprocessingSettings, RegionSettings


@dataclass(frozen=True)
class Wanted:
    """What is computed of each image. `slices`: scores of its slices too, counted as the image itself counts them."""

    measures: tuple[str, ...]
    regions: tuple[str, ...]
    aggregations: tuple[str, ...]
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


class FileScorer:
    """Scores image files as `wanted`, all alike or in a race.

    Attributes:
        intensities: what the numbers of the files are like that were read, by name.
    """

    def __init__(
        self,
        predictor: Predictor,
        preprocessing: PreprocessingSettings,
        regions: RegionSettings,
        wanted: Wanted,
        also: Callable[[Scored], None] | None = None,
    ) -> None:
        """`also` is called with each image that has all repeats, before its scores are in a table."""
        self._predictor = predictor
        self._preprocessing = preprocessing
        self._regions = regions
        self._wanted = wanted
        self._also = also
        self.intensities: dict[str, Intensities] = {}

    def score_all(self, files: Sequence[Path], table: ScoreTable) -> Iterator[str | None]:
        """Score the files that are not in the table yet. Yields after each: None, or why it could not be read."""
        wanted = self._wanted
        for file in files:
            if file.name in table.done:
                continue
            try:
                volume, image = self._prepared(file)
            except InvalidInputError as error:
                table.add_problem(file.name, str(error))
                yield str(error)
                continue
            scores = self._score(
                file.name, volume, image, lambda image: self._predictor.sample(image, wanted.repeats, wanted.seed)
            )
            table.add(file.name, scores, wanted.repeats, wanted.seed)
            yield None

    def race_for_top(
        self, files: Sequence[Path], k: int, table: ScoreTable, advanced: Callable[[int], None]
    ) -> list[str]:
        """Score all files with few repeats, and with all repeats those that can still be among the top `k`.

        Args:
            files: all of them, also those that a run which was stopped has scored.
            k: 1 or more; `wanted` names one measure, one region and one aggregation to race by, and no slices.
            table: each image comes into it when the race is over, with the number of repeats that it got. What is in
                its race journal is not sampled again.
            advanced: told of each file by how many repeats it went on.

        Returns:
            Why files could not be read, one line each.
        """
        by_name = {file.name: file for file in files}
        problems: dict[str, str] = {}

        def score(name: str, sample: Sample) -> list[Score] | None:
            try:
                volume, image = self._prepared(by_name[name])
            except InvalidInputError as error:
                problems[name] = str(error)
                return None
            return self._score(name, volume, image, sample)

        settings, journal = _race_settings(self._wanted, k), table.race_journal()
        raced = race_volumes(list(by_name), score, self._predictor, settings, journal, advanced)
        for name, found in raced.items():
            table.add(name, found.scores, found.repeats, self._wanted.seed)
        for name, problem in problems.items():
            if name not in raced:
                table.add_problem(name, problem)
        return list(problems.values())

    def _prepared(self, file: Path) -> tuple[Volume, PreparedImage]:
        with one_case(file.name):
            volume = read_volume(file)
            self.intensities[file.name] = measure_intensities(volume.array)
            return volume, prepare_image(volume, self._preprocessing)

    def _score(self, name: str, volume: Volume, image: PreparedImage, sample: Sample) -> list[Score]:
        wanted = self._wanted
        statistics = sample(image.tensor)
        axis = slice_axis(volume.grid, self._preprocessing.slice_plane)
        if self._also is not None and statistics.repeats == wanted.repeats:
            self._also(Scored(name, volume, image, statistics, axis))
        of_slices = axis if wanted.slices else None
        scores = image_scores(statistics, image, self._regions, of_slices, wanted.measures, wanted.regions)
        return [score for score in scores if score.aggregation in wanted.aggregations]


def _race_settings(wanted: Wanted, k: int) -> RaceSettings:
    (measure,), (region,), (aggregation,) = wanted.measures, wanted.regions, wanted.aggregations
    return RaceSettings(measure, region, aggregation, k, wanted.repeats, wanted.seed)
