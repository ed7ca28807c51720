"""The project's trainings as tasks of the host."""

from collections.abc import Hashable, Mapping
from typing import Any

from monailabel.config import settings as host_settings
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from activelabel.loop.training.options import TrainOptions
from activelabel.loop.training.proxy import ProxyTraining
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.project.project import Project
from activelabel.server.task_names import TRAINER
from activelabel.server.tasks.scoring import PROXY


class HostTraining(TrainTask):
    """A training of the project."""

    def __init__(self, training: SegmentationTraining | ProxyTraining) -> None:
        super().__init__(training.description)
        self._training = training

    def info(self) -> dict[str, Any]:
        """Description, request options and labels of the training, for the clients' forms."""
        return {**super().info(), "labels": list(self._training.labels)}

    def config(self) -> dict[str, Any]:
        """The request options: a value is a default, a list is a choice with the default first."""
        return self._training.offered()

    def stats(self) -> dict[str, Any]:
        """The statistics of the latest training; empty before the first."""
        return self._training.stats()

    def stats_revision(self) -> Hashable:
        """A value that changes whenever the statistics change."""
        return self._training.stats_revision()

    def check_request(self, request: Mapping[str, Any]) -> TrainOptions:
        """The options of a training, checked so that it can begin now. Raises as the training's own."""
        return self._training.check_request(request)

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, publish the model, and return the statistics. Raises as the training's `run`."""
        return self._training.run(request, datastore)


def build_trainers(project: Project) -> dict[str, HostTraining]:
    """The trainer of the task's model, and the trainer of the proxy model if the recipe has one."""
    address = host_settings.MONAI_LABEL_TRACKING_URI
    trainers = {TRAINER: HostTraining(SegmentationTraining(project, address))}
    if project.recipe.proxy is not None:
        trainers[PROXY] = HostTraining(ProxyTraining(project, project.recipe.proxy, address))
    return trainers
