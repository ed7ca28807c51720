"""Scores of image files without a server, one file after the other; a stopped run can be continued."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.names import ENDINGS
from activelabel.data.files.one_case import one_case
from activelabel.data.files.studies_folder import FolderContent, find_images
from activelabel.data.intensities import ChannelIntensities, measure_channels
from activelabel.data.preprocessing import PreparedImage
from activelabel.data.slices import slice_axis
from activelabel.data.volumes import Volume
from activelabel.errors import InvalidInputError
from activelabel.names import ScoreKind
from activelabel.prediction.image_scores import image_scores
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.prediction.score_table import ScoreTable
from activelabel.prediction.volume_race import RaceSettings, Sample, race_volumes
from activelabel.recipes import PreprocessingSettings, RegionSettings


@dataclass(frozen=True)
class Wanted:
    """The scores to compute for each image. `slices` adds scores of the slices of the image's own voxels."""

    measures: tuple[str, ...]
    regions: tuple[str, ...]
    aggregations: tuple[str, ...]
    repeats: int
    seed: int
    slices: bool


@dataclass(frozen=True)
class Scored:
    """An image just after its scoring, for callers that draw or keep more than its scores.

    `name` is its name in the table, the path below the folder. `image_id` is unique and has no slash. `slice_axis` is
    an axis of the image's own voxels. `shown` is the place of the channel to draw.
    """

    name: str
    image_id: str
    image: PreparedImage
    statistics: MonteCarloStatistics
    slice_axis: int
    shown: int = 0


def require_images(folder: Path) -> None:
    """Check that the folder of the images is there.

    Raises:
        InvalidInputError: it is not.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"--images {folder}: there is no such folder")


def list_images(folder: Path, without: Collection[Path] = (), layout: ChannelLayout = ONE_CHANNEL) -> FolderContent:
    """The images of a folder and its sub-folders, and the files that were passed over.

    Raises:
        InvalidInputError: there is no such folder, or no image in it.
    """
    require_images(folder)
    found = find_images(folder, without=without, links_out=True, layout=layout)
    if not found.files:
        raise InvalidInputError(f"--images {folder}: expected files that end in {', '.join(ENDINGS)}, found none")
    return found


class FileScorer:
    """Scores image files as `wanted`, with equal repeats or in a race.

    Attributes:
        intensities: the intensities of each file that was read, by name.
    """

    def __init__(
        self,
        predictor: Predictor,
        preprocessing: PreprocessingSettings,
        regions: RegionSettings,
        wanted: Wanted,
        also: Callable[[Scored], None] | None = None,
        kept: PreparedImages | None = None,
    ) -> None:
        """`also` is called with each image that has all repeats, before its scores are in a table.

        A race comes back to images: those that are `kept` are not prepared again.
        """
        self._kept = kept or PreparedImages(None)
        self._predictor = predictor
        self._preprocessing = preprocessing
        self._regions = regions
        self._wanted = wanted
        self._also = also
        self._shown = 0
        self.intensities: dict[str, ChannelIntensities] = {}

    def score_all(self, images: FolderContent, table: ScoreTable) -> Iterator[str | None]:
        """Score the images that are not in the table yet; after each, yield None or why it could not be read."""
        wanted, self._shown = self._wanted, images.layout.shown
        for image_id, name in images.files.items():
            if name in table.done:
                continue
            try:
                image = self._prepared(name, images.image(image_id))
            except InvalidInputError as error:
                table.add_problem(name, str(error))
                yield str(error)
                continue
            scores = self._score(
                name,
                image_id,
                image,
                lambda image: self._predictor.sample(image, wanted.repeats, wanted.seed),
            )
            table.add(name, scores, wanted.repeats, wanted.seed)
            yield None

    def race_for_top(
        self, images: FolderContent, k: int, table: ScoreTable, advanced: Callable[[int], None]
    ) -> list[str]:
        """Score all images with few repeats, and those that can still be among the top `k` with all repeats.

        Args:
            images: all images, including those that a stopped run has scored.
            k: 1 or more; `wanted` names one measure, one region and one aggregation to race by, and no slices.
            table: receives each image after the race, with its number of repeats. Results in its race journal are not
                sampled again.
            advanced: called for each image with the number of repeats that were added.

        Returns:
            One line for each file that could not be read.
        """
        self._shown = images.layout.shown
        ids = {name: image_id for image_id, name in images.files.items()}
        problems: dict[str, str] = {}

        def score(name: str, sample: Sample) -> list[Score] | None:
            try:
                image = self._prepared(name, images.image(ids[name]))
            except InvalidInputError as error:
                problems[name] = str(error)
                return None
            return self._score(name, ids[name], image, sample)

        settings, journal = _race_settings(self._wanted, k), table.race_journal()
        raced = race_volumes(list(ids), score, self._predictor, settings, journal, advanced)
        for name, found in raced.items():
            table.add(name, found.scores, found.repeats, self._wanted.seed)
        for name, problem in problems.items():
            if name not in raced:
                table.add_problem(name, problem)
        return list(problems.values())

    def _prepared(self, name: str, files: ImageFiles) -> PreparedImage:
        def measure(volume: Volume) -> None:
            self.intensities[name] = measure_channels(volume.channels)

        with one_case(name):
            return self._kept.get(files, self._preprocessing, measure)

    def _score(self, name: str, image_id: str, image: PreparedImage, sample: Sample) -> list[Score]:
        wanted = self._wanted
        statistics = sample(image.tensor)
        axis = slice_axis(image.original, self._preprocessing.slice_plane)
        if self._also is not None and statistics.repeats == wanted.repeats:
            self._also(Scored(name, image_id, image, statistics, axis, self._shown))
        of_slices = axis if wanted.slices else None
        scores = image_scores(statistics, image, self._regions, of_slices, wanted.measures, wanted.regions)
        return [score for score in scores if score.aggregation in wanted.aggregations]


def _race_settings(wanted: Wanted, k: int) -> RaceSettings:
    (measure,), (region,), (aggregation,) = wanted.measures, wanted.regions, wanted.aggregations
    return RaceSettings(ScoreKind(measure, region, aggregation), k, wanted.repeats, wanted.seed)
