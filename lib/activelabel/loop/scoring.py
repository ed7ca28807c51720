"""Scoring: writes the uncertainty of the model in use about each image left to the ledger, one by one."""

import logging
from collections.abc import Sequence
from typing import Any

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MonteCarloStatistics, measures_with
from activelabel.data.grids import Grid
from activelabel.data.preprocessing import PreparedImage
from activelabel.data.slices import slice_axis
from activelabel.errors import InvalidInputError
from activelabel.loop.features import keep_features
from activelabel.loop.holding import Holding
from activelabel.loop.passing_over import PassedOverError, files_to_read
from activelabel.loop.progress_log import Remaining
from activelabel.loop.race import race_project
from activelabel.loop.written_behind import ScoresBehind
from activelabel.names import ScoreKind
from activelabel.prediction.image_scores import all_image_scores
from activelabel.prediction.prepared.ahead import Ahead, preparing_threads
from activelabel.prediction.volume_race import Sample
from activelabel.project.images import Images
from activelabel.project.project import Project
from activelabel.project.readability import Snapshot, prepare_case
from activelabel.project.setting_aside import set_aside
from activelabel.project.slices.slicing import fixed_axis
from activelabel.recipes.strategy_traits import Needs, traits_of
from activelabel.store.records.models import ModelVersion
from activelabel.store.work.claims import Job

logger = logging.getLogger(__name__)


class VolumeScoring:
    """Scores of whole volumes from Monte Carlo dropout, or from a single pass where the recipe has no repeats.

    One pass over the repeats gives every measure, so the methods of all measures do the same work: whichever runs
    first scores for all of them.
    """

    def __init__(self, project: Project, measure: str) -> None:
        sampling = "Monte Carlo repeats" if project.recipe.prediction.repeats else "a single pass"
        self.description = f"{measure.replace('_', ' ').capitalize()} of {sampling} over each volume left"
        self._project = project
        self._measure = measure

    def run(self, images: Images, holding: Holding | None = None) -> dict[str, Any]:
        """Score the images left that the model in use has not scored, after their features if the strategy uses them.

        An image that cannot be read is set aside with its reason. An interrupted call keeps its scores. Other processes
        may score at the same time: `holding` claims each image, and this call ends when all are scored, by whomever.

        Raises:
            NotReadyError: there is no model yet.
        """
        ledger = self._project.ledger
        model = self._project.current_model()
        reader = _Reader(self._project, images)
        query = self._project.recipe.query
        with (
            holding or Holding(ledger) as held,
            Ahead(reader.prepared, preparing_threads(self._project.device), told_to_end=held.told_to_end) as prepared,
        ):
            if traits_of(query.strategy).needs is Needs.FEATURES:
                with held.whole("features", model.version) as claim:
                    if claim is not None:
                        keep_features(self._project, model, prepared, query.asks_slices)
            unscored = ledger.unscored(model.version, ScoreKind(self._measure))
            if unscored:
                self._score(model, unscored, reader, prepared, held)
        scored = len(set(unscored) - reader.unreadable.keys())
        return {"model_version": model.version, "scored": scored, "unreadable": reader.unreadable}

    def _score(
        self,
        model: ModelVersion,
        images: Sequence[str],
        reader: "_Reader",
        prepared: Ahead[PreparedImage | None],
        held: Holding,
    ) -> None:
        predictor = self._project.predictor(model)

        def score(image_id: str, sample: Sample) -> list[Score] | None:
            image = prepared.take(image_id)
            return None if image is None else self._scores(image, sample(image.tensor), reader.axes[image_id])

        if self._project.recipe.prediction.racing:
            with held.whole("race", model.version, wait=True) as claim:
                left = self._project.ledger.unscored(model.version, ScoreKind(self._measure))
                if claim is not None and left:
                    race_project(self._project, model.version, left, score, predictor, prepared.expect, claim)
            return
        repeats, seed = self._project.recipe.prediction.repeats, self._project.settings.seed
        remaining = Remaining("scored", len(images))
        job = Job("score", model.version, ScoreKind(self._measure))
        at_once = 1 if repeats else predictor.windows_at_once
        with ScoresBehind(self._project.ledger, model.version, seed, held) as written:
            for group in held.groups(job, prepared.expect_also, prepared.most, at_once):
                taken = {image_id: prepared.take(image_id) for image_id in group}
                readable = {image_id: image for image_id, image in taken.items() if image is not None}
                for image_id in taken.keys() - readable.keys():
                    held.drop(job, image_id)
                if readable and all(predictor.is_small(image.tensor) for image in readable.values()):
                    prepared.allow(2 * at_once)
                sampled = predictor.sample_each([image.tensor for image in readable.values()], repeats, seed)
                for (image_id, image), statistics in zip(readable.items(), sampled, strict=True):
                    written.add(image_id, self._scores(image, statistics, reader.axes[image_id]), repeats)
                    remaining.advance()

    def _scores(self, image: PreparedImage, statistics: MonteCarloStatistics, axis: int) -> list[Score]:
        # Slices do not race: the slices of volumes that dropped out would have no comparable scores.
        complete = statistics.repeats == self._project.recipe.prediction.repeats
        return all_image_scores(statistics, image, self._project.recipe.regions, axis if complete else None)


class _Reader:
    """Prepares the images of a project in any thread.

    Attributes:
        unreadable: why some could not be read.
        axes: the axes along which the slices of the others are counted.
    """

    def __init__(self, project: Project, images: Images) -> None:
        self._project = project
        self._images = images
        self._preprocessing = project.preprocessing
        self._kept = project.prepared_images()
        self._kept.tidy()
        self._snapshot = Snapshot.of(project.ledger)
        self.unreadable: dict[str, str] = {}
        self.axes: dict[str, int] = {}

    def prepared(self, image_id: str) -> PreparedImage | None:
        """The network's input for an image; None for one that cannot be read, which is set aside or passed over."""
        ledger = self._project.ledger
        try:
            with files_to_read(image_id, self._images) as files:
                image = prepare_case(image_id, files, ledger, self._preprocessing, self._kept, self._snapshot)
            self.axes[image_id] = self._axis(image_id, image.original)
        except PassedOverError:
            return None
        except InvalidInputError as error:
            set_aside(image_id, error, ledger, self._images)
            self.unreadable[image_id] = str(error)
            return None
        return image

    def _axis(self, image_id: str, grid: Grid) -> int:
        known, wanted = self._snapshot.images.get(image_id), slice_axis(grid, self._project.slice_plane)
        if known is not None and (known.slice_axis, known.slice_count) == (wanted, grid.shape[wanted]):
            return wanted
        return fixed_axis(self._project.ledger, image_id, grid, self._project.slice_plane)


def build_scoring_methods(project: Project) -> dict[str, VolumeScoring]:
    """One scoring method per measure, for the measures that are defined with the recipe's number of repeats."""
    return {measure: VolumeScoring(project, measure) for measure in measures_with(project.recipe.prediction.repeats)}


def scored_measure(project: Project) -> str:
    """The measure that decides whether a case counts as scored; all others are written together with it.

    It is variance, unless there are too few repeats for it. If the repeats become enough later, cases without variance
    are scored again.
    """
    return measures_with(project.recipe.prediction.repeats)[0]
