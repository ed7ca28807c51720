"""The second stage of a round: fine-tuning on annotated and unannotated volumes (nath2022, algorithm 1, line 11)."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.one_case import one_case
from activelabel.errors import InvalidInputError
from activelabel.loop.training.network_training import NetworkTraining
from activelabel.loop.training.run import Run
from activelabel.project.project import Project
from activelabel.recipes import SemiSupervisedSettings
from activelabel.training.engine.plan import Plan, Unannotated, Weights, epochs_of
from activelabel.training.two_views import LoadNoisyCase, NoisyCase

logger = logging.getLogger(__name__)


class SemiSupervisedTraining(NetworkTraining):
    """Continues from the weights of the supervised stage for the number of steps in the recipe.

    Annotated cases are used as in the supervised stage, in epochs of the same length; each of their batches is paired
    with a batch of patches from noisy cases. Patches and optimiser type are those of the supervised stage. The state of
    the optimiser is new, so Adam's first step changes every weight by the learning rate: a large rate undoes the first
    stage.
    """

    def __init__(
        self,
        project: Project,
        settings: SemiSupervisedSettings,
        weights: Weights,
        noisy: Sequence[NoisyCase],
        steps_per_epoch: int,
    ) -> None:
        """Take `weights`, `noisy` labels and `steps_per_epoch` from the supervised stage."""
        epochs = epochs_of(settings.steps, steps_per_epoch)
        training = project.recipe.training
        schedule = {
            "epochs": epochs,
            "learning_rate": settings.learning_rate,
            "steps_per_epoch": min(steps_per_epoch, settings.steps),
            "validate_every": min(training.validate_every, epochs),
        }
        super().__init__(project, training.model_copy(update=schedule), project.model_description)
        self._settings = settings
        self._weights = weights
        self._noisy = list(noisy)

    @property
    def epochs(self) -> int:
        """The number of epochs; the last may be shorter."""
        return self._training.epochs

    def drop_broken(self, run: Run) -> bool:
        """Set aside broken cases as every training does, and leave out broken noisy cases too."""
        broken, load, good = super().drop_broken(run), LoadNoisyCase(self._model.preprocessing), list[NoisyCase]()
        for case in self._noisy:
            try:
                with one_case(ImageFiles.of(case["image"]).name):
                    load(case)
                good.append(case)
            except InvalidInputError as error:
                logger.warning("left out of the second stage: %s", error)
        found, self._noisy = len(good) < len(self._noisy), good
        return broken or (found and bool(good))

    def plan(self, run: Run) -> Plan:
        """The plan of a training, with the noisy cases and the steps of this stage."""
        noisy = Unannotated(self._settings, self._noisy)
        return replace(super().plan(run), steps=self._settings.steps, unannotated=noisy)

    def first_weights(self) -> Weights:
        """The weights of the supervised stage."""
        return self._weights
