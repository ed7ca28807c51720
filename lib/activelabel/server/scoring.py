"""Scoring: how uncertain the latest model is about every image that is left, written to the ledger one by one."""

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.acquisition.volume_scores import volume_scores
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.predictor import Predictor
from activelabel.server.project import Project

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
        if images:
            predictor = self._project.predictor(model)
            started = time.monotonic()
            for done, image_id in enumerate(images, start=1):
                try:
                    scores = self._score(predictor, datastore.get_image_uri(image_id))
                except InvalidInputError as error:
                    ledger.mark_unreadable(image_id, str(error))
                    unreadable[image_id] = str(error)
                    logger.warning("%s is passed over: %s", image_id, error)
                    continue
                ledger.record_scores(
                    model.version,
                    image_id,
                    scores,
                    self._project.recipe.prediction.repeats,
                    self._project.settings.seed,
                )
                logger.info("scored %d of %d, %s left", done, len(images), _left(started, done, len(images)))
        return {"model_version": model.version, "scored": len(images) - len(unreadable), "unreadable": unreadable}

    def _score(self, predictor: Predictor, path: str) -> list[Score]:
        image = prepare_image(read_volume(path), self._project.recipe.preprocessing)
        statistics = predictor.sample(
            image.tensor, self._project.recipe.prediction.repeats, self._project.settings.seed
        )
        return volume_scores(statistics, self._project.recipe.regions)


def build_scoring_methods(project: Project) -> dict[str, ScoringMethod]:
    """A scoring method a measure."""
    return {measure: VolumeScoring(project, measure) for measure in MEASURES}


def _left(started: float, done: int, total: int) -> timedelta:
    """Estimated time left, in whole seconds."""
    return timedelta(seconds=round((time.monotonic() - started) / done * (total - done)))
