"""Scoring: how uncertain the latest model is about every image that is left, written to the ledger one by one."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.image_scores import image_scores
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.volume_race import Sample
from activelabel.server.project import Project
from activelabel.server.racing import race_project
from activelabel.server.readability import pass_over
from activelabel.server.slicing import fixed_axis
from activelabel.store.records import ModelVersion

logger = logging.getLogger(__name__)


class VolumeScoring(ScoringMethod):
    """Scores of whole volumes from Monte Carlo dropout.

    One pass over the repeats gives every measure, so the methods of all measures do the same work: whichever runs
    first scores for all of them.
    """

    def __init__(self, project: Project, measure: str) -> None:
        super().__init__(f"{measure.replace('_', ' ').capitalize()} of Monte Carlo repeats over each volume left")
        self._project = project
        self._measure = measure

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Score what the latest model has not scored yet.

        An image that cannot be read is recorded with its reason and passed over. What was scored stays, whenever this
        is interrupted.

        Raises:
            NotReadyError: there is no model yet.
        """
        ledger = self._project.ledger
        model = self._project.current_model()
        images = ledger.unscored(model.version, self._measure, "everything", "total")
        unreadable: dict[str, str] = {}

        def score(image_id: str, sample: Sample) -> list[Score] | None:
            try:
                volume = read_volume(datastore.get_image_uri(image_id))
                axis = fixed_axis(ledger, image_id, volume.grid, self._project.slice_plane)
            except InvalidInputError as error:
                pass_over(image_id, error, ledger)
                unreadable[image_id] = str(error)
                return None
            image = prepare_image(volume, self._project.recipe.preprocessing)
            statistics = sample(image.tensor)
            # Slices do not race: those of volumes that dropped out have no scores that could be compared.
            complete = statistics.repeats == self._project.recipe.prediction.repeats
            return image_scores(statistics, image, self._project.recipe.regions, axis if complete else None)

        if images:
            predictor = self._project.predictor(model)
            if self._project.recipe.prediction.racing:
                race_project(self._project, model.version, images, score, predictor)
            else:
                self._score_all(model, images, score, predictor)
        return {"model_version": model.version, "scored": len(images) - len(unreadable), "unreadable": unreadable}

    def _score_all(
        self,
        model: ModelVersion,
        images: Sequence[str],
        score: Callable[[str, Sample], list[Score] | None],
        predictor: Predictor,
    ) -> None:
        repeats, seed = self._project.recipe.prediction.repeats, self._project.settings.seed
        started = time.monotonic()
        for done, image_id in enumerate(images, start=1):
            scores = score(image_id, lambda image: predictor.sample(image, repeats, seed))
            if scores is not None:
                self._project.ledger.record_scores(model.version, image_id, scores, repeats, seed)
                logger.info("scored %d of %d, %s left", done, len(images), _left(started, done, len(images)))


def build_scoring_methods(project: Project) -> dict[str, ScoringMethod]:
    """A scoring method a measure."""
    return {measure: VolumeScoring(project, measure) for measure in MEASURES}


def _left(started: float, done: int, total: int) -> timedelta:
    """Estimated time left, in whole seconds."""
    return timedelta(seconds=round((time.monotonic() - started) / done * (total - done)))
