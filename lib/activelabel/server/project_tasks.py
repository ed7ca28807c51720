"""The tasks of a project, under the names that the host's clients use."""

from collections.abc import Mapping
from dataclasses import dataclass

from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod

from activelabel.project.models.loaded import LoadedModel
from activelabel.project.project import Project
from activelabel.server.task_names import MODEL
from activelabel.server.tasks.scoring import scoring_methods
from activelabel.server.tasks.segmentation import SegmentationInfer
from activelabel.server.tasks.strategy import HostStrategy, host_strategies
from activelabel.server.tasks.training import HostTraining, build_trainers
from activelabel.server.tasks.uncertainty import UncertaintyInfer


@dataclass(frozen=True)
class ProjectTasks:
    """The tasks of a project by name; a kind that the host's settings turn off has no tasks.

    `loaded` is the model in use, which all that predicts in the server shares.
    """

    infers: Mapping[str, InferTask]
    trainers: Mapping[str, HostTraining]
    strategies: Mapping[str, HostStrategy]
    scoring_methods: Mapping[str, ScoringMethod]
    loaded: LoadedModel


def build_tasks(
    project: Project, *, trainers: bool = True, strategies: bool = True, scoring: bool = True
) -> ProjectTasks:
    """All tasks of a project, except the kinds that are turned off."""
    loaded = LoadedModel(project)
    return ProjectTasks(
        build_infers(project, loaded),
        build_trainers(project) if trainers else {},
        host_strategies(project) if strategies else {},
        scoring_methods(project) if scoring else {},
        loaded,
    )


def build_infers(project: Project, loaded: LoadedModel) -> dict[str, InferTask]:
    """The inference tasks: segmentation and uncertainty map, which share one loaded model."""
    return {MODEL: SegmentationInfer(project, loaded), "uncertainty": UncertaintyInfer(project, loaded)}
