"""Noisy labels of the unannotated volumes about which a network is most certain (nath2022, algorithm 1, lines 9-10)."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from activelabel.acquisition.aggregation import mean
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.label_checking import write_label
from activelabel.data.labels.arrays import smallest_type
from activelabel.data.preprocessing import PreparedImage
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.prediction.predictor import Predictor
from activelabel.project.images import Images
from activelabel.project.project import Project
from activelabel.project.readability import prepare_case
from activelabel.project.setting_aside import set_aside
from activelabel.recipes import SemiSupervisedSettings
from activelabel.store.ledger import Ledger
from activelabel.training.semi_supervised import most_certain, noisy_label
from activelabel.training.two_views import NoisyCase

logger = logging.getLogger(__name__)


class NoisyLabels:
    """Writes the noisy labels of one run with the network of its supervised stage."""

    def __init__(
        self, project: Project, settings: SemiSupervisedSettings, predictor: Predictor, images: Images
    ) -> None:
        self._project = project
        self._settings = settings
        self._predictor = predictor
        self._images = images
        self._kept = project.prepared_images()

    def write(self, count: int, folder: Path, advanced: Callable[[str], None]) -> dict[str, NoisyCase]:
        """Write noisy labels of `count` volumes, or of all there are, to `folder`; by image, most certain first.

        A volume without a voxel above the threshold has no region around which patches could be drawn; the next most
        certain volume replaces it.

        Args:
            count: the number of noisy labels; in the paper, the number of annotated volumes.
            folder: an existing, empty folder.
            advanced: called with a short text on the progress.

        Raises:
            NotReadyError: every training volume is annotated, or no noisy label has foreground.
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
                cases[image_id] = {"image": self._images.image_files(image_id).as_json(), "noisy_label": str(file)}
                logger.info("%s: noisy label, %s %.4g", image_id, self._settings.measure, scores[image_id])
                advanced(f"noisy label {len(cases)} of {min(count, len(scores))}")
        if not cases:
            raise NotReadyError(
                f"in none of the {len(scores)} unannotated training volumes a class is more probable than "
                f"{self._settings.threshold:g} (semi_supervised.threshold)"
            )
        return cases

    def _uncertainties(self, advanced: Callable[[str], None]) -> dict[str, float]:
        """The mean of the measure over all voxels, for each readable unannotated training volume."""
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
        """Write the noisy label of a volume on the grid of its prepared image; return False if it would be empty.

        The result is also False if the image, which was read a moment ago, can no longer be read.
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
        files = self._images.image_files(image_id)
        return prepare_case(image_id, files, self._project.ledger, self._project.preprocessing, self._kept)


def unannotated_volumes(ledger: Ledger) -> Sequence[str]:
    """The sorted ids of the present, readable training images without any annotation.

    Leased images are included as long as they have no label.
    """
    annotated = {annotation.image_id for annotation in ledger.annotations("training")}
    return [
        image.id for image in ledger.images() if image.role == "training" and image.usable and image.id not in annotated
    ]
