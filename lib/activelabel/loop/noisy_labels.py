"""Noisy labels of the unannotated volumes of which a network is most certain (nath2022, algorithm 1, lines 9-10)."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from activelabel.acquisition.aggregation import mean
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.labels import smallest_type, write_label
from activelabel.data.preprocessing import PreparedImage
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.prediction.predictor import Predictor
from activelabel.project.images import Images
from activelabel.project.project import Project
from activelabel.project.readability import prepare_case, set_aside
from activelabel.recipes import SemiSupervisedSettings
from activelabel.store.ledger import Ledger
from activelabel.training.semi_supervised import most_certain, noisy_label
from activelabel.training.two_views import NoisyCase

logger = logging.getLogger(__name__)


class NoisyLabels:
    """Makes the noisy labels of one run with the network of its supervised stage."""

    def __init__(
        self, project: Project, settings: SemiSupervisedSettings, predictor: Predictor, images: Images
    ) -> None:
        self._project = project
        self._settings = settings
        self._predictor = predictor
        self._images = images

    def write(self, count: int, folder: Path, advanced: Callable[[str], None]) -> dict[str, NoisyCase]:
        """Noisy labels of `count` volumes in `folder`, or of all there are; by image, most certain first.

        A volume in which nothing is above the threshold has no region to draw patches around: the next most certain
        one takes its place.

        Args:
            count: the number of annotated volumes, according to the paper.
            folder: is there, and empty.
            advanced: told in a few words how far it is.

        Raises:
            NotReadyError: no training volume is left without an annotation, or no noisy label has any foreground.
        """
        scores = self._uncertainties(advanced)
        if not scores:
            raise NotReadyError("no training volume is left without an annotation")
        cases: dict[str, NoisyCase] = {}
        for image_id in most_certain(scores, len(scores)):
            if len(cases) == count:
                break
            file = folder / f"{image_id}.nii.gz"
            if self._write_label(image_id, file):
                cases[image_id] = {"image": self._images.get_image_uri(image_id), "noisy_label": str(file)}
                logger.info("%s: noisy label, %s %.4g", image_id, self._settings.measure, scores[image_id])
                advanced(f"noisy label {len(cases)} of {min(count, len(scores))}")
        if not cases:
            raise NotReadyError(
                f"in none of the {len(scores)} unannotated training volumes a class is more probable than "
                f"{self._settings.threshold:g} (semi_supervised.threshold)"
            )
        return cases

    def _uncertainties(self, advanced: Callable[[str], None]) -> dict[str, float]:
        """Of each unannotated training volume that can be read: the mean of the measure over all its voxels."""
        unannotated = unannotated_volumes(self._project.ledger)
        repeats, seed = self._project.recipe.prediction.repeats, self._project.settings.seed
        scores = {}
        for number, image_id in enumerate(unannotated, start=1):
            try:
                image = self._prepared(image_id)
            except InvalidInputError as error:
                set_aside(image_id, error, self._project.ledger, self._images)
                continue
            statistics = self._predictor.sample(image.tensor, repeats, seed)
            scores[image_id] = mean(MEASURES[self._settings.measure](statistics))
            advanced(f"unannotated volume {number} of {len(unannotated)}")
        return scores

    def _write_label(self, image_id: str, file: Path) -> bool:
        """Write the noisy label of a volume, on the grid of its prepared image; False if it would be empty.

        Also False where the image, which was read a moment ago, cannot be read any more.
        """
        try:
            image = self._prepared(image_id)
        except InvalidInputError as error:
            set_aside(image_id, error, self._project.ledger, self._images)
            return False
        label = noisy_label(self._predictor.probabilities(image.tensor), self._settings.threshold)
        if not label.any():
            logger.info("%s: nothing is certain enough for a noisy label", image_id)
            return False
        values = label.cpu().numpy().astype(np.uint16)
        write_label(file, smallest_type(values, highest=self._predictor.classes - 1), image.grid.affine_ras)
        return True

    def _prepared(self, image_id: str) -> PreparedImage:
        path = self._images.get_image_uri(image_id)
        return prepare_case(image_id, path, self._project.ledger, self._project.preprocessing)[1]


def unannotated_volumes(ledger: Ledger) -> Sequence[str]:
    """Ids of the training images that are there, readable, and of which nothing is annotated, in order.

    Somebody may be at work on one of them: as long as there is no label, it is one of these.
    """
    annotated = {annotation.image_id for annotation in ledger.annotations("training")}
    return [
        image.id for image in ledger.images() if image.role == "training" and image.usable and image.id not in annotated
    ]
