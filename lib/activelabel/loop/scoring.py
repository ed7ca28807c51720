"""Scoring: writes the uncertainty of the model in use about each image left to the ledger, one by one."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import measures_with
from activelabel.data.preprocessing import PreparedImage
from activelabel.errors import InvalidInputError
from activelabel.loop.features import keep_features
from activelabel.loop.holding import Holding
from activelabel.loop.progress_log import Remaining
from activelabel.loop.race import race_project
from activelabel.names import ScoreKind
from activelabel.prediction.image_scores import image_class_scores, image_scores
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.volume_race import Sample
from activelabel.project.images import Images
from activelabel.project.project import Project
from activelabel.project.readability import prepare_case, set_aside
from activelabel.project.slicing import fixed_axis
from activelabel.recipes.strategy_traits import Needs, traits_of
from activelabel.store.claims import Job
from activelabel.store.records import ModelVersion

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
        preprocessing = self._project.preprocessing
        unreadable: dict[str, str] = {}

        def prepared(image_id: str) -> PreparedImage | None:
            try:
                volume, image = prepare_case(image_id, images.image_files(image_id), ledger, preprocessing)
                fixed_axis(ledger, image_id, volume.grid, self._project.slice_plane)
            except InvalidInputError as error:
                set_aside(image_id, error, ledger, images)
                unreadable[image_id] = str(error)
                return None
            return image

        def score(image_id: str, sample: Sample) -> list[Score] | None:
            image = prepared(image_id)
            if image is None:
                return None
            axis = fixed_axis(ledger, image_id, image.original, self._project.slice_plane)
            statistics = sample(image.tensor)
            # Slices do not race: the slices of volumes that dropped out would have no comparable scores.
            complete = statistics.repeats == self._project.recipe.prediction.repeats
            of_slices = axis if complete else None
            return [
                *image_scores(statistics, image, self._project.recipe.regions, of_slices),
                *image_class_scores(statistics, image, of_slices),
            ]

        query = self._project.recipe.query
        with holding or Holding(ledger) as held:
            if traits_of(query.strategy).needs is Needs.FEATURES:
                with held.whole("features", model.version) as claim:
                    if claim is not None:
                        keep_features(self._project, model, prepared, query.asks_slices)
            unscored = ledger.unscored(model.version, ScoreKind(self._measure))
            if unscored:
                predictor = self._project.predictor(model)
                if self._project.recipe.prediction.racing:
                    with held.whole("race", model.version, wait=True) as claim:
                        unscored = ledger.unscored(model.version, ScoreKind(self._measure))
                        if claim is not None and unscored:
                            race_project(self._project, model.version, unscored, score, predictor, claim)
                else:
                    self._score_all(model, unscored, score, predictor, held)
        scored = len(set(unscored) - unreadable.keys())
        return {"model_version": model.version, "scored": scored, "unreadable": unreadable}

    def _score_all(
        self,
        model: ModelVersion,
        images: Sequence[str],
        score: Callable[[str, Sample], list[Score] | None],
        predictor: Predictor,
        held: Holding,
    ) -> None:
        repeats, seed = self._project.recipe.prediction.repeats, self._project.settings.seed
        remaining = Remaining("scored", len(images))
        job = Job("score", model.version, ScoreKind(self._measure))
        for image_id in held.images(job):
            scores = score(image_id, lambda image: predictor.sample(image, repeats, seed))
            if scores is None:
                held.drop(job, image_id)
            elif held.record_scores(job, image_id, scores, repeats, seed):
                remaining.advance()


def build_scoring_methods(project: Project) -> dict[str, VolumeScoring]:
    """One scoring method per measure, for the measures that are defined with the recipe's number of repeats."""
    return {measure: VolumeScoring(project, measure) for measure in measures_with(project.recipe.prediction.repeats)}


def scored_measure(project: Project) -> str:
    """The measure that decides whether a case counts as scored; all others are written together with it.

    It is variance, unless there are too few repeats for it. If the repeats become enough later, cases without variance
    are scored again.
    """
    return measures_with(project.recipe.prediction.repeats)[0]
