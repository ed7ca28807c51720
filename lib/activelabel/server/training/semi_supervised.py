"""The second stage of a round: fine-tuning on annotated and unannotated volumes (nath2022, algorithm 1, line 11)."""

import logging
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ignite.engine import Engine, Events
from monai.data import CacheDataset, Dataset, PersistentDataset
from monailabel.tasks.train.basic_train import Context
from torch import nn

from activelabel.data.files.one_case import one_case
from activelabel.errors import InvalidInputError
from activelabel.project.project import Project
from activelabel.recipes import SemiSupervisedSettings
from activelabel.server.training.network_training import Iteration, NetworkTraining, Weights
from activelabel.server.training.run import Run
from activelabel.training.iterations import SemiSupervisedStep
from activelabel.training.two_views import LoadNoisyCase, NoisyCase, PairedBatches, two_view_transforms

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
        epochs = math.ceil(settings.steps / steps_per_epoch)
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
        self._last_epoch_steps = settings.steps - (epochs - 1) * steps_per_epoch

    @property
    def epochs(self) -> int:
        """The number of epochs; the last may be shorter."""
        return self._training.epochs

    def drop_broken(self, run: Run) -> bool:
        """Set aside broken cases as every training does, and leave out broken noisy cases too."""
        broken, load, good = super().drop_broken(run), LoadNoisyCase(self._model.preprocessing), list[NoisyCase]()
        for case in self._noisy:
            try:
                with one_case(Path(case["image"]).name):
                    load(case)
                good.append(case)
            except InvalidInputError as error:
                logger.warning("left out of the second stage: %s", error)
        found, self._noisy = len(good) < len(self._noisy), good
        return broken or (found and bool(good))

    def network(self, context: Context) -> nn.Module:
        """The network with the weights of the supervised stage."""
        network = self.new_network()
        network.load_state_dict(self._weights)
        return network

    def train_data_loader(self, context: Context, num_workers: int = 0, shuffle: bool = True) -> PairedBatches:
        """The loader of pairs of an annotated and a noisy batch, with the dataset type of the request."""
        annotated = super().train_data_loader(context, num_workers, shuffle)
        transforms = two_view_transforms(
            LoadNoisyCase(self._model.preprocessing), self._training, self._settings, self._seed(context.local_rank)
        )
        datasets = {
            "CacheDataset": CacheDataset,
            "PersistentDataset": partial(PersistentDataset, cache_dir=Path(context.cache_dir) / "noisy"),
            "Dataset": Dataset,
        }
        dataset = datasets[context.dataset_type](self._noisy, transforms)
        return PairedBatches(
            annotated, self._dataloader(context, dataset, context.train_batch_size, num_workers, shuffle)
        )

    def train_iteration_update(self, context: Context) -> Iteration:
        """The training step of eq. 1."""
        return SemiSupervisedStep(self._settings, self._bfloat16_on_cpu(context.device), self._model.labels.overlaps)

    def finalize(self, context: Context) -> None:
        """Finish the host's setup as every training does, and shorten the last epoch to the remaining steps."""
        super().finalize(context)

        def shorten(engine: Engine) -> None:
            if engine.state.epoch == self._training.epochs:
                engine.state.epoch_length = self._last_epoch_steps

        context.trainer.add_event_handler(Events.EPOCH_STARTED, shorten)
