"""The arms of `training.py`: the host's unchanged `BasicTrainTask`, and ours, on the same cases and network."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.handlers import LrScheduleHandler
from monai.inferers import Inferer, SimpleInferer
from monai.losses import DiceCELoss
from monai.transforms import AsDiscreted, Compose, Lambdad
from monailabel.tasks.train.basic_train import BasicTrainTask, Context
from torch import nn

from activelabel.data.files.image_files import ImageFiles
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.networks import build_network
from activelabel.project.project import Project
from activelabel.training.engine.progress import Stats
from activelabel.training.transforms import LoadCase, training_transforms


@dataclass(frozen=True)
class Timing:
    """Mean seconds of a step after the first epoch, in which libraries warm up: on the clock, and of all processors."""

    step_seconds: float
    step_cpu_seconds: float


class Files:
    """The part of the host's datastore that a training needs: the paths of images."""

    def __init__(self, images: Mapping[str, Path]) -> None:
        self._images = images

    def get_image_uri(self, image_id: str) -> str:
        """The path of an image, for the host."""
        return str(self._images[image_id])

    def image_files(self, image_id: str) -> ImageFiles:
        """The file of an image, for ours."""
        return ImageFiles(self._images[image_id])


class Clock:
    """Measures steps from now on."""

    def __init__(self, step: int) -> None:
        """`step` steps are over, of the first epoch."""
        self._first = step
        self._begun = time.perf_counter(), time.process_time()
        self._steps, self._ended = 1, self._begun

    def end(self, step: int) -> None:
        """Note that `step` steps are over now."""
        self._steps, self._ended = step - self._first, (time.perf_counter(), time.process_time())

    @property
    def timing(self) -> Timing:
        """The mean of a step."""
        wall, cpu = (end - begun for begun, end in zip(self._begun, self._ended, strict=True))
        return Timing(wall / self._steps, cpu / self._steps)


class TimedTraining(SegmentationTraining):
    """Our training, as the server runs it, with a clock that is read after each epoch."""

    clock: Clock | None = None

    def show(self, stats: Stats) -> Stats:
        """Show the statistics of an epoch."""
        shown = super().show(stats)
        if "current_iteration" in stats and "total_time" not in stats:
            if self.clock is None:
                self.clock = Clock(stats["current_iteration"])
            else:
                self.clock.end(stats["current_iteration"])
        return shown


class HostTask(BasicTrainTask):
    """The host's with the defaults of its constructor, and with our network, patches, optimiser and schedule.

    The parts that an app must write itself are those of the host's sample apps: MONAI's loss, and an unchanged network.
    """

    clock: Clock

    def __init__(self, project: Project) -> None:
        super().__init__(model_dir=str(project.runs_folder), labels=list(project.labels))
        self._project = project

    def finalize(self, context: Context) -> None:
        """The host's handlers, and the clock. All steps between the first epoch and the last one's end count."""
        super().finalize(context)
        state = context.trainer.state
        context.trainer.add_event_handler(Events.EPOCH_STARTED(once=2), lambda: self._begin(state.iteration))
        context.trainer.add_event_handler(Events.COMPLETED, lambda: self.clock.end(state.iteration))

    def _begin(self, step: int) -> None:
        self.clock = Clock(step)

    def pre_process(self, request: Mapping[str, Any], datastore: Files) -> list[dict[str, str]]:
        """The annotated cases."""
        folder = self._project.labels_folder
        return [
            {"image": datastore.get_image_uri(item.image_id), "label": str(folder / item.file)}
            for item in self._project.ledger.annotations("training")
        ]

    def network(self, context: Context) -> nn.Module:
        """The network of the recipe."""
        return build_network(self._project.recipe.network, self._project.model_description.classes)

    def optimizer(self, context: Context) -> torch.optim.Optimizer:
        """The optimiser of our training."""
        return torch.optim.AdamW(context.network.parameters(), lr=self._project.recipe.training.learning_rate)

    def lr_scheduler_handler(self, context: Context) -> LrScheduleHandler:
        """The schedule of our training: the host's default keeps the rate, which is no property of the engine."""
        scheduler = torch.optim.lr_scheduler.PolynomialLR(context.optimizer, context.max_epochs, power=0.9)
        return LrScheduleHandler(scheduler, print_lr=False)

    def loss_function(self, context: Context) -> nn.Module:
        """MONAI's loss, which ours equals if everything is annotated."""
        return DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def train_pre_transforms(self, context: Context) -> Compose:
        """Our patches; corners that a rotation brings in are background here, while ours leave them out."""
        recipe = self._project.recipe
        load = LoadCase(recipe.preprocessing, self._project.labels)
        patches = training_transforms(load, recipe.training, self._project.settings.seed)
        return Compose([*patches.transforms, Lambdad("label", lambda label: label.clamp_min(0))])

    def train_post_transforms(self, context: Context) -> Compose:
        """Logits and labels one-hot, for the metrics."""
        classes = self._project.model_description.classes
        return Compose([AsDiscreted(keys=("pred", "label"), argmax=(True, False), to_onehot=(classes, classes))])

    def val_inferer(self, context: Context) -> Inferer:
        """Never called: nothing is validated."""
        return SimpleInferer()


def train_ours(project: Project, files: Files) -> tuple[Timing, nn.Module]:
    """Train as the server does; return the timing, and the network after the last epoch."""
    training = TimedTraining(project)
    training.run({}, files)
    assert training.clock is not None
    return training.clock.timing, project.network(project.current_model())


def train_host(project: Project, files: Files) -> tuple[Timing, nn.Module]:
    """Train as the host does with the defaults of Slicer's form, but without MLflow; return as `train_ours`."""
    task = HostTask(project)
    form = {key: value[0] if isinstance(value, list) else value for key, value in task.config().items()}
    epochs, batch = project.recipe.training.epochs, project.recipe.training.batch_size
    torch.manual_seed(project.settings.seed)
    task({**form, "max_epochs": epochs, "train_batch_size": batch, "val_split": 0.0, "tracking": "None"}, files)
    weights = torch.load(project.runs_folder / form["name"] / "checkpoint_final.pt", weights_only=True)
    return task.clock.timing, _network(project, weights)


def _network(project: Project, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    network = build_network(project.recipe.network, project.model_description.classes)
    network.load_state_dict(weights)
    return network
